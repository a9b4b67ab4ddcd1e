// Sine, cosine and tangent.
// |x| = n pi/2 + r, |r| <= pi/4, n to the last two bits. Beyond 2 the digits of 2/pi that count are
// multiplied with those of x: what is before them are whole turns.
struct Turn { n: u32, r: Wide }
fn turn_of(x: f32) -> Turn {
    let bits = bitcast<u32>(x) & 0x7fffffffu;
    if (bits < 0x40000000u) {
        let w = widen(magnitude(x));
        if (bits < 0x3f490fdbu) { return Turn(0u, w); }
        return Turn(1u, minus(minus(w, HALF_PI), HALF_PI_REST));
    }
    var words = array<u32, 8>(0u, 0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0u);
    let exponent = bits >> 23u;
    let digits = ((bits & 0x7fffffu) | 0x800000u) << (exponent & 7u);
    // In bytes.
    let place = ((exponent >> 3u) & 15u) + 1u;
    let word = place / 4u;
    let shift = 8u * (place % 4u);
    var window = array<u32, 3>();
    for (var n = 0u; n < 3u; n++) {
        window[n] = (words[word + n] << shift) | select(0u, words[word + n + 1u] >> min(32u - shift, 31u), shift > 0u);
    }
    let low = digits * window[1] + product_high(digits, window[2]);
    let carry = select(0u, 1u, low < digits * window[1]);
    var high = digits * window[0] + product_high(digits, window[1]) + carry;
    let n = (high + 0x20000000u) >> 30u;
    high -= n << 30u;
    let is_below = (high & SIGN) != 0u;
    if (is_below) { high = ~high + select(0u, 1u, low == 0u); }
    let turn = of_words(select(0u, SIGN, is_below), 1, high, select(low, 0u - low, is_below));
    return Turn(n, times(turn, HALF_PI));
}
fn quarter_sine(r: Wide) -> Wide { return times(polynomial(times(r, r), SINE, 5u), r); }
fn quarter_cosine(r: Wide) -> Wide { return polynomial(times(r, r), COSINE, 5u); }
fn sine_of_turn(n: u32, r: Wide) -> Wide {
    var y: Wide;
    if ((n & 1u) == 0u) { y = quarter_sine(r); } else { y = quarter_cosine(r); }
    return Wide(y.sign ^ ((n & 2u) << 30u), y.exponent, y.digits);
}
fn sin_of(x: f32) -> f32 {
    if (is_tiny(x)) { return x; }
    if (is_infinite(x)) { return not_a_number(); }
    let turn = turn_of(x);
    let y = sine_of_turn(turn.n, turn.r);
    return narrow(Wide(y.sign ^ (bitcast<u32>(x) & SIGN), y.exponent, y.digits));
}
fn cos_of(x: f32) -> f32 {
    if (is_nan(x) || is_infinite(x)) { return not_a_number(); }
    let turn = turn_of(x);
    return narrow(sine_of_turn(turn.n + 1u, turn.r));
}
fn tan_of(x: f32) -> f32 {
    if (is_tiny(x)) { return x; }
    if (is_infinite(x)) { return not_a_number(); }
    let turn = turn_of(x);
    var above = quarter_sine(turn.r);
    var below = quarter_cosine(turn.r);
    if ((turn.n & 1u) == 1u) {
        let sine = above;
        above = minus_of(below);
        below = sine;
    }
    let y = over(above, below);
    return narrow(Wide(y.sign ^ (bitcast<u32>(x) & SIGN), y.exponent, y.digits));
}
