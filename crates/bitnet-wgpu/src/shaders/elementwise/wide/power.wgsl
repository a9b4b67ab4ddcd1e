// Exponentials.
// e^r - 1 of |r| <= ln(2)/2.
fn expm1_reduced(r: Wide) -> Wide { return times(polynomial(r, EXPM1, 7u), r); }
// x = n ln(2) + r: n, and e^r - 1.
struct Exponential { n: i32, of_rest: Wide }
fn exponential(x: Wide) -> Exponential {
    let n = nearest(times(x, LOG2_E));
    return Exponential(n, expm1_reduced(minus(x, times(wide_of(n), LN_2))));
}
fn wide_exp(x: Wide) -> Wide {
    let e = exponential(x);
    return shifted(plus(ONE, e.of_rest), e.n);
}
fn wide_expm1(x: Wide) -> Wide {
    let e = exponential(x);
    return plus(minus(shifted(ONE, e.n), ONE), shifted(e.of_rest, e.n));
}
fn exp2_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    let w = widen(clamp(x, -160.0, 130.0));
    let n = nearest(w);
    return narrow(shifted(plus(ONE, expm1_reduced(times(minus(w, wide_of(n)), LN_2))), n));
}
fn expm1_of(x: f32) -> f32 {
    if (is_tiny(x)) { return x; }
    return narrow(wide_expm1(widen(clamp(x, -110.0, 90.0))));
}
fn sinh_of(x: f32) -> f32 {
    if (is_tiny(x)) { return x; }
    let e = wide_expm1(widen(min(magnitude(x), 100.0)));
    return with_sign(narrow(shifted(plus(e, over(e, plus(e, ONE))), -1)), x);
}
fn cosh_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    let e = wide_exp(widen(min(magnitude(x), 100.0)));
    return narrow(shifted(plus(e, over(ONE, e)), -1));
}

// x / (1 + e^-2u), u = sqrt(2/pi) (x + 0.044715 x³).
fn gelu_tanh_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (is_infinite(x)) { return end_of(x); }
    let w = widen(clamp(x, -17.0, 17.0));
    let cube = times(times(times(w, w), w), CUBE);
    return narrow(over(widen(x), plus(wide_exp(times(plus(w, cube), SCALE)), ONE)));
}
// x n / (n + 2), n = e^x (e^x + 2).
fn mish_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (is_infinite(x)) { return end_of(x); }
    let e = wide_exp(widen(clamp(x, -300.0, 40.0)));
    let n = times(e, plus(e, TWO));
    return narrow(times(widen(x), over(n, plus(n, TWO))));
}
