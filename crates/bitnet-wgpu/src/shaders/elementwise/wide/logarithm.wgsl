// Logarithms.
// ln(x) of finite x > 0 is `whole` + ln(2) `exponent`: the area function of (m - 1) / (m + 1).
struct Logarithm { whole: Wide, exponent: i32 }
fn logarithm(x: f32) -> Logarithm {
    let parts = parts_of(bitcast<u32>(x));
    let above = select(0, 1, parts.digits > 0xb504f3u);
    let f = minus(Wide(0u, -above, parts.digits << 8u), ONE);
    let t = over(f, plus(f, TWO));
    return Logarithm(times(t, polynomial(times(t, t), AREA, 5u)), parts.exponent - 127 + above);
}
fn wide_log(x: f32) -> Wide {
    let l = logarithm(x);
    return plus(l.whole, times(wide_of(l.exponent), LN_2));
}
// ln(1 + x) of 0 <= x: of 1 + x as it is rounded, and what rounding took.
fn wide_log1p(x: Wide) -> Wide {
    let near = narrow(plus(x, ONE));
    let u = widen(near);
    let c = over(minus(x, minus(u, ONE)), u);
    return plus(wide_log(near), minus(c, shifted(times(c, c), -1)));
}
// `y` where x is finite and positive.
fn with_pole(x: f32, y: f32) -> f32 {
    if (is_nan(x)) { return x; }
    if (order_of(x) == 0) { return bitcast<f32>(0xff800000u | param(63u)); }
    if (order_of(x) < 0) { return not_a_number(); }
    return select(y, x, is_infinite(x));
}
fn log2_of(x: f32) -> f32 {
    let l = logarithm(x);
    return with_pole(x, narrow(plus(times(l.whole, LOG2_E), wide_of(l.exponent))));
}
fn log10_of(x: f32) -> f32 { return with_pole(x, narrow(times(wide_log(x), LOG10_E))); }
