// Functions of one number. The language lets a driver compute its own `exp` and `log` with an error
// that grows with the argument, and says nothing of NaN: these are the ones of the CPU, in the same
// steps.
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn is_infinite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) == 0x7f800000u; }
fn with_sign(magnitude: f32, sign: f32) -> f32 {
    return bitcast<f32>((bitcast<u32>(magnitude) & 0x7fffffffu) | (bitcast<u32>(sign) & 0x80000000u));
}
fn negated(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) ^ 0x80000000u); }
fn magnitude(x: f32) -> f32 { return bitcast<f32>(bitcast<u32>(x) & 0x7fffffffu); }

// The order of numbers as integers; both zeros are 0. Comparisons of floats themselves may take the
// smallest numbers for zeros.
fn order_of(x: f32) -> i32 {
    let bits = bitcast<i32>(x);
    let order = bits & 0x7fffffff;
    return select(order, -order, bits < 0);
}
fn is_equal(a: f32, b: f32) -> bool { return !is_nan(a) && !is_nan(b) && order_of(a) == order_of(b); }
fn is_less(a: f32, b: f32) -> bool { return !is_nan(a) && !is_nan(b) && order_of(a) < order_of(b); }
fn is_at_most(a: f32, b: f32) -> bool { return !is_nan(a) && !is_nan(b) && order_of(a) <= order_of(b); }
fn larger_of(a: f32, b: f32) -> f32 { return select(select(b, a, is_less(b, a)), a, is_nan(a)); }
fn smaller_of(a: f32, b: f32) -> f32 { return select(select(b, a, is_less(a, b)), a, is_nan(a)); }

// A number from its sign, its exponent and 27 bits: 24 of the result, two more, and one that says
// whether anything is left. Halves go to even.
fn rounded(sign: u32, exponent: i32, digits: u32) -> f32 {
    if (exponent >= 255) { return bitcast<f32>(sign | 0x7f800000u); }
    var q = digits;
    var e = exponent;
    if (e <= 0) {
        let shift = min(u32(1 - e), 31u);
        q = (q >> shift) | select(0u, 1u, (q & ((1u << shift) - 1u)) != 0u);
        e = 1;
    }
    let rest = q & 7u;
    q = q >> 3u;
    q += select(0u, 1u, rest > 4u || (rest == 4u && (q & 1u) == 1u));
    // What carries into the exponent belongs there.
    return bitcast<f32>(sign | (q + (u32(e - 1) << 23u)));
}
// The nearest float of an integer; drivers differ in how they round those beyond 2^31.
fn float_of(v: u32) -> f32 {
    if (v < 0x1000000u) { return f32(v); }
    let zeros = countLeadingZeros(v);
    let digits = v << zeros;
    let rest = select(0u, 1u, (digits & 31u) != 0u);
    return rounded(0u, 158 - i32(zeros), (digits >> 5u) | rest);
}
// A float of 24 digits that is odd where the integer has more: what is rounded next does not take it for
// a half.
fn odd_float_of(v: u32) -> f32 {
    let extra = 8u - min(countLeadingZeros(v), 8u);
    let rest = v & ((1u << extra) - 1u);
    return f32(((v >> extra) | select(0u, 1u, rest != 0u)) << extra);
}
struct Parts { digits: u32, exponent: i32 }
// 24 digits and the exponent of a number that is neither zero nor infinite.
fn parts_of(bits: u32) -> Parts {
    let exponent = i32(bits >> 23u);
    let digits = bits & 0x7fffffu;
    if (exponent > 0) { return Parts(digits | 0x800000u, exponent); }
    let shift = countLeadingZeros(digits) - 8u;
    return Parts(digits << shift, 1 - i32(shift));
}
// a / b, rounded correctly: a driver's own may be off by two units and a half. What it gives is made right
// by what it leaves, in integers, which no compiler takes for something else.
fn divide(a: f32, b: f32) -> f32 {
    let bits_a = bitcast<u32>(a) & 0x7fffffffu;
    let bits_b = bitcast<u32>(b) & 0x7fffffffu;
    let sign = (bitcast<u32>(a) ^ bitcast<u32>(b)) & 0x80000000u;
    let infinity = 0x7f800000u;
    if (bits_a > infinity || bits_b > infinity || bits_a == bits_b && (bits_a == 0u || bits_a == infinity)) {
        return bitcast<f32>(0x7fc00000u | param(63u));
    }
    if (bits_a == infinity || bits_b == 0u) { return bitcast<f32>(sign | infinity); }
    if (bits_a == 0u || bits_b == infinity) { return bitcast<f32>(sign); }
    let of_a = parts_of(bits_a);
    let of_b = parts_of(bits_b);
    var rest = of_a.digits;
    var exponent = of_a.exponent - of_b.exponent + 127;
    if (rest < of_b.digits) {
        rest = rest << 1u;
        exponent -= 1;
    }
    // 26 digits, off by at most some tens; then by at most one. What is left is short of 2^31, so that the
    // lower halves of the products tell it.
    let divisor = i32(of_b.digits);
    var q = i32(f32(rest) / f32(divisor) * 33554432.0);
    var left = bitcast<i32>(rest << 25u) - q * divisor;
    let more = i32(floor(f32(left) / f32(divisor)));
    q += more;
    left -= more * divisor;
    let below = select(0, 1, left < 0);
    q -= below;
    left += below * divisor;
    let above = select(0, 1, left >= divisor);
    q += above;
    left -= above * divisor;
    return rounded(sign, exponent, (u32(q) << 1u) | select(0u, 1u, left != 0));
}
// The square root, rounded correctly, digit by digit.
fn root(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    if ((bits & 0x7fffffffu) == 0u || is_nan(x)) { return x; }
    if (bits > 0x7f800000u) { return bitcast<f32>(0x7fc00000u | param(63u)); }
    if (bits == 0x7f800000u) { return x; }
    let of_x = parts_of(bits);
    let e = of_x.exponent - 127;
    let is_odd = (e & 1) == 1;
    let digits = of_x.digits << select(1u, 2u, is_odd);
    var rest = 0u;
    var result = 0u;
    for (var n = 0u; n < 26u; n++) {
        let pair = select(0u, (digits >> (24u - min(2u * n, 24u))) & 3u, n < 13u);
        rest = (rest << 2u) | pair;
        let trial = (result << 2u) | 1u;
        let fits = rest >= trial;
        rest = select(rest, rest - trial, fits);
        result = (result << 1u) | select(0u, 1u, fits);
    }
    return rounded(0u, (e - select(0, 1, is_odd)) / 2 + 127, (result << 1u) | select(0u, 1u, rest != 0u));
}

// 2^n, n from -126 to 127.
fn power_of_two(n: i32) -> f32 { return bitcast<f32>(u32(n + 127) << 23u); }
fn scaled(x: f32, n: i32) -> f32 {
    let half = n / 2;
    return x * power_of_two(half) * power_of_two(n - half);
}

// (e^r - 1 - r) / r², |r| <= ln(2)/2, with the coefficients of Cephes' `expf`.
fn exp_tail(r: f32) -> f32 {
    var p = 1.9875691e-4;
    p = p * r + 1.3982e-3;
    p = p * r + 8.333452e-3;
    p = p * r + 4.1665796e-2;
    p = p * r + 0.16666665;
    return p * r + 0.5;
}
// x = n ln(2) + r; e^x = 2^n e^r.
struct Power { n: i32, of_rest: f32 }
fn power_parts(x: f32) -> Power {
    let n = round(x * 1.44269504);
    let r = (x - n * 0.6933594) - n * -2.1219444e-4;
    return Power(i32(n), exp_tail(r) * (r * r) + r + 1.0);
}
fn exp_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (x > 88.73) { return bitcast<f32>(0x7f800000u | param(63u)); }
    if (x < -104.0) { return 0.0; }
    let power = power_parts(x);
    return scaled(power.of_rest, power.n);
}
// x = m 2^e, m from sqrt(1/2) to sqrt(2); ln(m) by the series of its area function.
fn log_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (order_of(x) < 0) { return bitcast<f32>(0x7fc00000u | param(63u)); }
    if (order_of(x) == 0) { return bitcast<f32>(0xff800000u | param(63u)); }
    if (is_infinite(x)) { return x; }
    let parts = parts_of(bitcast<u32>(x));
    var e = parts.exponent - 127;
    var m = bitcast<f32>((parts.digits & 0x7fffffu) | 0x3f800000u);
    if (m > 1.41421354) { m = m * 0.5; e += 1; }
    return log_near_one(m - 1.0, f32(e));
}
// n ln(2) + ln(1 + f).
fn log_near_one(f: f32, n: f32) -> f32 {
    let s = f / (2.0 + f);
    let z = s * s;
    var p = 0.15384616;
    p = p * z + 0.18181819;
    p = p * z + 0.22222222;
    p = p * z + 0.28571430;
    p = p * z + 0.4;
    p = p * z + 0.66666669;
    let half = 0.5 * f * f;
    let tail = s * (half + z * p);
    return n * 0.693145752 + (f - (half - (tail + n * 1.42860677e-6)));
}
fn log1p_of(x: f32) -> f32 {
    if (magnitude(x) < 1e-8) { return x; }
    if (x > -0.29 && x < 0.41) { return log_near_one(x, 0.0); }
    return log_of(1.0 + x);
}
fn tanh_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    let a = magnitude(x);
    if (a > 10.0) { return with_sign(1.0, x); }
    if (a < 1e-5) { return x; }
    // The difference of what follows would cancel: Cephes' `tanhf`.
    if (a < 0.625) {
        let z = x * x;
        var p = -5.7049887e-3;
        p = p * z + 2.0639088e-2;
        p = p * z - 5.3739716e-2;
        p = p * z + 0.13331442;
        p = p * z - 0.3333328;
        return x + x * (z * p);
    }
    return with_sign(1.0 - 2.0 / (exp_of(2.0 * a) + 1.0), x);
}
fn sigmoid_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (x >= 0.0) { return 1.0 / (1.0 + exp_of(-x)); }
    let e = exp_of(x);
    return e / (1.0 + e);
}
fn silu_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    // e^-|x|, and below zero x e^x before it is small, so that it rounds once.
    let a = max(-magnitude(x), -120.0);
    let power = power_parts(a);
    let e = scaled(power.of_rest, power.n);
    if (x >= 0.0) { return x / (1.0 + e); }
    if (is_infinite(x)) { return bitcast<f32>(0x7fc00000u | param(63u)); }
    let product = scaled(a * power.of_rest, power.n);
    return select(product, -0.0, product == 0.0) / (1.0 + e);
}
fn relu_of(x: f32) -> f32 { return select(x, 0.0, order_of(x) < 0 && !is_nan(x)); }
fn relu_squared_of(x: f32) -> f32 { return select(x * x, 0.0, order_of(x) < 0 && !is_nan(x)); }
fn sign_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (order_of(x) == 0) { return 0.0; }
    return with_sign(1.0, x);
}
// Between two bounds; NaN stays.
fn within(x: f32, low: f32, high: f32) -> f32 { return select(select(x, high, is_less(high, x)), low, is_less(x, low)); }
