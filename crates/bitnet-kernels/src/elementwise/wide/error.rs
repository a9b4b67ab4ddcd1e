//! The error functions.

use super::{clamp, exp, polynomial};
use crate::elementwise::coefficients;
use crate::simd::Simd;

/// erf a of a ≤ 1.
#[inline(always)]
fn erf_small<S: Simd>(s: S, x: S::F64) -> S::F64 {
    let p = polynomial(s, s.mul64(x, x), &coefficients::ERF);
    s.mul64(p, x)
}

/// erfc a = e^(−a²) · e^(a²) erfc a of 0 ≤ a ≤ 10.3; the second factor is a polynomial of
/// (a − 4) / (a + 4).
#[inline(always)]
pub(crate) fn erfc_of_positive<S: Simd>(s: S, a: S::F64) -> S::F64 {
    let four = s.splat64(4.0);
    let p = polynomial(s, s.div64(s.sub64(a, four), s.add64(a, four)), &coefficients::ERFC);
    s.mul64(p, exp(s, s.sub64(s.splat64(0.0), s.mul64(a, a))))
}

/// The error function; −0 stays −0.
#[inline(always)]
pub(crate) fn erf<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let a = s.abs(x);
    let wide = s.widen(clamp(s, a, 0.0, 4.0));
    let large = s.sub64(s.splat64(1.0), erfc_of_positive(s, wide));
    let small = erf_small(s, wide);
    let y = s.narrow(s.select64(s.less(a, s.splat(1.0)), small, large));
    // The sign of x, by its bit.
    s.float_of_bits(s.int_xor(s.to_bits(y), s.int_xor(s.to_bits(x), s.to_bits(a))))
}

/// 1 − erf x.
#[inline(always)]
pub(crate) fn erfc<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let tail = erfc_of_positive(s, s.widen(clamp(s, s.abs(x), 0.0, 10.3)));
    let below = s.sub64(s.splat64(2.0), tail);
    s.narrow(s.select64(s.less(x, s.splat(0.0)), below, tail))
}
