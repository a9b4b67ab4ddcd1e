//! Logarithms for other functions.

use std::f64::consts::{LN_2, LOG2_E};

use super::polynomial;
use crate::elementwise::coefficients;
use crate::elementwise::logarithm::with_pole;
use crate::simd::Simd;

/// ln x of finite x > 0 as `whole` + ln 2 · `exponent`: the second with an integral exponent, and a
/// first that is exact to its last digits where x is near 1.
#[inline(always)]
fn log_parts<S: Simd>(s: S, x: S::F32) -> (S::F64, S::F64) {
    // Subnormal numbers are made normal.
    let tiny = s.less(x, s.splat(f32::MIN_POSITIVE));
    let x = s.select(tiny, s.mul(x, s.splat((1 << 25) as f32)), x);
    let bits = s.to_bits(x);
    // x = 2^e · m with m in [√½, √2), whose lower end has these bits.
    let e = s.int_shr(s.int_sub(bits, s.int_splat(0x3f35_04f3)), 23);
    let m = s.float_of_bits(s.int_sub(bits, s.int_shl(e, 23)));
    let e = s.add(s.float_of_int(e), s.select(tiny, s.splat(-25.0), s.splat(0.0)));
    let f = s.widen(s.sub(m, s.splat(1.0)));
    // ln m = 2 artanh((m − 1) / (m + 1))
    let t = s.div64(f, s.add64(f, s.splat64(2.0)));
    let p = polynomial(s, s.mul64(t, t), &coefficients::AREA);
    (s.mul64(t, p), s.widen(e))
}

/// ln x of finite x > 0.
#[inline(always)]
fn log_wide<S: Simd>(s: S, x: S::F32) -> S::F64 {
    let (whole, exponent) = log_parts(s, x);
    s.add64(whole, s.mul64(exponent, s.splat64(LN_2)))
}

/// The logarithm to base 2 of finite x > 0.
#[inline(always)]
pub(super) fn log2_wide<S: Simd>(s: S, x: S::F32) -> S::F64 {
    let (whole, exponent) = log_parts(s, x);
    s.add64(s.mul64(whole, s.splat64(LOG2_E)), exponent)
}

/// ln(1 + x) of −1 < x ≤ 10³⁸ with the relative precision of x: the logarithm of 1 + x rounded to
/// `f32`, and what rounding took.
#[inline(always)]
pub(super) fn log1p_wide<S: Simd>(s: S, x: S::F64) -> S::F64 {
    let one = s.splat64(1.0);
    let rounded = s.narrow(s.add64(x, one));
    let u = s.widen(rounded);
    let c = s.div64(s.sub64(x, s.sub64(u, one)), u);
    let c = s.sub64(c, s.mul64(s.mul64(c, c), s.splat64(0.5)));
    s.add64(log_wide(s, rounded), c)
}

/// ln(1 + x); −0 stays −0.
#[inline(always)]
pub(crate) fn log1p<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let y = with_pole(s, x, -1.0, s.narrow(log1p_wide(s, s.widen(x))));
    s.select(s.less(s.abs(x), s.splat(1e-10)), x, y)
}
