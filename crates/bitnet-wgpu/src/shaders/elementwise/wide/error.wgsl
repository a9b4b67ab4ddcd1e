// The error functions, which have the exponentials before them.
// erfc a = e^(-a²) · e^(a²) erfc a of 0 <= a <= 10.3.
fn erfc_of_positive(a: Wide) -> Wide {
    let p = polynomial(over(minus(a, FOUR), plus(a, FOUR)), ERFC, 12u);
    return times(p, wide_exp(minus_of(times(a, a))));
}
fn erf_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    let a = widen(min(magnitude(x), 4.0));
    if (magnitude(x) < 1.0) { return with_sign(narrow(times(polynomial(times(a, a), ERF, 8u), a)), x); }
    return with_sign(narrow(minus(ONE, erfc_of_positive(a))), x);
}
fn erfc_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    let tail = erfc_of_positive(widen(min(magnitude(x), 10.3)));
    if (x < 0.0) { return narrow(minus(TWO, tail)); }
    return narrow(tail);
}
// x Phi(x): x without x Phi(-x) above zero.
fn gelu_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (is_infinite(x)) { return end_of(x); }
    let w = widen(x);
    let a = Wide(0u, w.exponent, w.digits);
    var tail = ZERO;
    if (magnitude(x) <= 14.5) { tail = shifted(erfc_of_positive(times(a, HALF_ROOT)), -1); }
    let part = times(w, tail);
    if (x > 0.0) { return narrow(minus(w, part)); }
    return narrow(part);
}
