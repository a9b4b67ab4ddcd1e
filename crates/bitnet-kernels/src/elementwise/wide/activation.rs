//! Activations of neural networks.

use super::logarithm::log1p_wide;
use super::{clamp, clamp64, exp, expm1_wide};
use crate::simd::Simd;

/// ln(1 + e^x).
#[inline(always)]
pub(crate) fn softplus<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let e = exp(s, s.widen(clamp(s, s.neg(s.abs(x)), -110.0, 0.0)));
    s.narrow(s.add64(s.widen(s.max(s.splat(0.0), x)), log1p_wide(s, e)))
}

/// x tanh(ln(1 + e^x)) = x · n / (n + 2) with n = e^x (e^x + 2); NaN for −∞.
#[inline(always)]
pub(crate) fn mish<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let two = s.splat64(2.0);
    let e = exp(s, s.widen(clamp(s, x, -300.0, 40.0)));
    let n = s.mul64(e, s.add64(e, two));
    let y = s.narrow(s.mul64(s.widen(x), s.div64(n, s.add64(n, two))));
    nan_at_minus_infinity(s, x, y)
}

/// GELU's approximation x / (1 + e^−2u) with u = √(2/π) (x + 0.044715 x³); NaN for −∞.
#[inline(always)]
pub(crate) fn gelu_tanh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    // √(8/π)
    let scale = s.splat64(-1.595_769_121_605_730_8);
    // Beyond, the quotient is nothing or x.
    let w = s.widen(clamp(s, x, -17.0, 17.0));
    let cube = s.mul64(s.mul64(s.mul64(w, w), w), s.splat64(0.044715));
    let e = exp(s, s.mul64(s.add64(w, cube), scale));
    let y = s.narrow(s.div64(s.widen(x), s.add64(e, s.splat64(1.0))));
    nan_at_minus_infinity(s, x, y)
}

/// What x · 0 is at −∞.
#[inline(always)]
pub(crate) fn nan_at_minus_infinity<S: Simd>(s: S, x: S::F32, y: S::F32) -> S::F32 {
    s.select(s.less(x, s.splat(f32::MIN)), s.splat(f32::NAN), y)
}

/// `positive` · x, and below zero `negative` · (e^(x / `divisor`) − 1).
#[inline(always)]
pub(crate) fn elu<S: Simd>(s: S, x: S::F32, [positive, negative, divisor]: [f64; 3]) -> S::F32 {
    let wide = s.widen(x);
    let exponent = clamp64(s, s.div64(wide, s.splat64(divisor)), -700.0, 700.0);
    let below = s.mul64(s.splat64(negative), expm1_wide(s, exponent));
    let above = s.mul64(s.splat64(positive), wide);
    s.narrow(s.select64(s.less(x, s.splat(0.0)), below, above))
}
