// Of exponentials and logarithms, which are before it.
fn softplus_of(x: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (is_infinite(x)) { return select(0.0, x, bitcast<u32>(x) == 0x7f800000u); }
    let e = wide_exp(widen(max(-magnitude(x), -110.0)));
    return narrow(plus(widen(max(x, 0.0)), wide_log1p(e)));
}
