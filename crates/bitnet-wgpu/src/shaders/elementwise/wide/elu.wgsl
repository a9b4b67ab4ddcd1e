// Functions with numbers of their own, which are parameters from 40 on, three words each.
fn given(n: u32) -> Wide {
    let at = 40u + 3u * n;
    return Wide(param(at), bitcast<i32>(param(at + 1u)), param(at + 2u));
}
// x, or the first number times x below zero.
fn leaky_relu_of(x: f32) -> f32 {
    if (is_nan(x) || order_of(x) >= 0) { return x; }
    let slope = given(0u);
    if (is_infinite(x)) {
        return select(bitcast<f32>(bitcast<u32>(x) ^ slope.sign), not_a_number(), slope.digits == 0u);
    }
    return narrow(times(widen(x), slope));
}
// The first number times x, and below zero the second times e^(x / the third) - 1. What is far from zero
// only has to stay far.
fn elu_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    let w = widen(x);
    if (order_of(x) >= 0) { return narrow(times(w, given(0u))); }
    var exponent = over(w, given(2u));
    if (exponent.exponent > 8) { exponent = Wide(exponent.sign, 9, 0x80000000u); }
    return narrow(times(given(1u), wide_expm1(exponent)));
}
