// Functions in the same steps as on the CPU, which has `f64` for them. Here their numbers have 32 digits and
// are made of integers: a sign, an exponent, and digits of which the first is one (zero has none). So no
// driver's rounding, contraction or order of additions changes them, and 24 digits of the result are good
// to a unit or two.
struct Wide { sign: u32, exponent: i32, digits: u32 }
const ZERO = Wide(0u, 0, 0u);
const SIGN = 0x80000000u;

fn not_a_number() -> f32 { return bitcast<f32>(0x7fc00000u | param(63u)); }

fn widen(x: f32) -> Wide {
    let bits = bitcast<u32>(x) & 0x7fffffffu;
    let sign = bitcast<u32>(x) & SIGN;
    if (bits == 0u) { return Wide(sign, 0, 0u); }
    let parts = parts_of(bits);
    return Wide(sign, parts.exponent - 127, parts.digits << 8u);
}
fn narrow(a: Wide) -> f32 {
    if (a.digits == 0u) { return bitcast<f32>(a.sign); }
    return rounded(a.sign, a.exponent + 127, (a.digits >> 5u) | select(0u, 1u, (a.digits & 31u) != 0u));
}
fn wide_of(n: i32) -> Wide {
    if (n == 0) { return ZERO; }
    let digits = u32(abs(n));
    let zeros = countLeadingZeros(digits);
    return Wide(select(0u, SIGN, n < 0), 31 - i32(zeros), digits << zeros);
}
// Of less than 2^15.
fn nearest(a: Wide) -> i32 {
    if (a.digits == 0u || a.exponent < -1) { return 0; }
    let shift = u32(30 - a.exponent);
    let n = i32(((a.digits >> shift) + 1u) >> 1u);
    return select(n, -n, a.sign != 0u);
}
fn shifted(a: Wide, n: i32) -> Wide { return Wide(a.sign, a.exponent + n, a.digits); }
fn minus_of(a: Wide) -> Wide { return Wide(a.sign ^ SIGN, a.exponent, a.digits); }

fn product_high(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let left = (a >> 16u) * (b & 0xffffu);
    let right = (a & 0xffffu) * (b >> 16u);
    let middle = (low >> 16u) + (left & 0xffffu) + (right & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (left >> 16u) + (right >> 16u) + (middle >> 16u);
}
// Two words with the first digit of `high` where a number has it.
fn of_words(sign: u32, exponent: i32, high: u32, low: u32) -> Wide {
    if (high == 0u) {
        if (low == 0u) { return ZERO; }
        let zeros = countLeadingZeros(low);
        return Wide(sign, exponent - 32 - i32(zeros), low << zeros);
    }
    let zeros = countLeadingZeros(high);
    let digits = (high << zeros) | select(0u, low >> min(32u - zeros, 31u), zeros > 0u);
    return Wide(sign, exponent - i32(zeros), digits);
}
fn times(a: Wide, b: Wide) -> Wide {
    let sign = a.sign ^ b.sign;
    if (a.digits == 0u || b.digits == 0u) { return Wide(sign, 0, 0u); }
    return of_words(sign, a.exponent + b.exponent + 1, product_high(a.digits, b.digits), a.digits * b.digits);
}
fn plus(a: Wide, b: Wide) -> Wide {
    if (a.digits == 0u) { return b; }
    if (b.digits == 0u) { return a; }
    var large = a;
    var small = b;
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.digits < b.digits)) {
        large = b;
        small = a;
    }
    let distance = u32(large.exponent - small.exponent);
    if (distance > 31u) { return large; }
    let part = small.digits >> distance;
    if (a.sign == b.sign) {
        let sum = large.digits + part;
        if (sum >= part) { return Wide(large.sign, large.exponent, sum); }
        return Wide(large.sign, large.exponent + 1, (sum >> 1u) | 0x80000000u);
    }
    let lost = select(0u, small.digits << min(32u - distance, 31u), distance > 0u);
    let high = large.digits - part - select(0u, 1u, lost != 0u);
    return of_words(large.sign, large.exponent, high, 0u - lost);
}
fn minus(a: Wide, b: Wide) -> Wide { return plus(a, minus_of(b)); }
fn over(a: Wide, b: Wide) -> Wide {
    if (a.digits == 0u) { return Wide(a.sign ^ b.sign, 0, 0u); }
    var rest = a.digits;
    var exponent = a.exponent - b.exponent;
    var carry = 0u;
    if (rest < b.digits) {
        exponent -= 1;
        carry = rest >> 31u;
        rest = rest << 1u;
    }
    var q = 0u;
    for (var n = 0u; n < 32u; n++) {
        let fits = carry == 1u || rest >= b.digits;
        q = (q << 1u) | select(0u, 1u, fits);
        rest = select(rest, rest - b.digits, fits);
        carry = rest >> 31u;
        rest = rest << 1u;
    }
    return Wide(a.sign ^ b.sign, exponent, q);
}
// Horner's scheme; of the coefficients, the highest first, the last `count` are there.
fn polynomial(x: Wide, all: array<Wide, 12>, count: u32) -> Wide {
    var coefficients = all;
    var p = coefficients[12u - count];
    for (var n = 13u - count; n < 12u; n++) { p = plus(times(p, x), coefficients[n]); }
    return p;
}

fn is_tiny(x: f32) -> bool { return is_nan(x) || (bitcast<u32>(x) & 0x7fffffffu) < 0x2edbe6ffu; }
// What functions that end like x at infinity, and like nothing times it at the other one, are there.
fn end_of(x: f32) -> f32 { return select(not_a_number(), x, bitcast<u32>(x) == 0x7f800000u); }
