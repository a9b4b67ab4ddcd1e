//! Vector functions of `f32` computed in sixteen lanes of `f64` and rounded once: exponentials,
//! logarithms, powers, circular and error functions.
//!
//! Polynomials ([`coefficients`]) have a relative error below 2⁻³¹, so that a result is within 0.51 units
//! in the last place. Lanes that a range reduction does not reach (the sine of millions) are computed one
//! by one: see [`each_special`].

mod activation;
mod circular;
mod error;
mod logarithm;
mod power;

use std::f64::consts::{LN_2, LOG2_E};

use super::{UnaryKind, coefficients, unary_f64};
use crate::simd::{LANES, Simd};

pub(crate) use activation::{elu, gelu_tanh, mish, nan_at_minus_infinity, softplus};
pub(crate) use circular::{cos, sin, tan};
pub(crate) use error::{erf, erfc, erfc_of_positive};
pub(crate) use logarithm::log1p;
pub(crate) use power::pow;

/// Horner's scheme, the highest coefficient first.
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::F64, coefficients: &[f64; N]) -> S::F64 {
    let mut p = s.splat64(coefficients[0]);
    for i in 1..N {
        p = s.add64(s.mul64(p, x), s.splat64(coefficients[i]));
    }
    p
}

/// 2^n and e^r − 1 of x = n·ln 2 + r with |r| ≤ ½ ln 2, for |x| ≤ 700.
#[inline(always)]
fn exp_parts<S: Simd>(s: S, x: S::F64) -> (S::F64, S::F64) {
    let n = s.round64(s.mul64(x, s.splat64(LOG2_E)));
    let r = s.sub64(x, s.mul64(n, s.splat64(LN_2)));
    (s.pow2_64(n), expm1_reduced(s, r))
}

/// e^r − 1 of |r| ≤ ½ ln 2.
#[inline(always)]
fn expm1_reduced<S: Simd>(s: S, r: S::F64) -> S::F64 {
    let p = polynomial(s, r, &coefficients::EXPM1);
    s.mul64(p, r)
}

/// e^x of |x| ≤ 700.
#[inline(always)]
fn exp<S: Simd>(s: S, x: S::F64) -> S::F64 {
    let (scale, p) = exp_parts(s, x);
    s.add64(scale, s.mul64(scale, p))
}

/// e^x − 1 of |x| ≤ 700, with the relative precision of x.
#[inline(always)]
fn expm1_wide<S: Simd>(s: S, x: S::F64) -> S::F64 {
    let (scale, p) = exp_parts(s, x);
    s.add64(s.sub64(scale, s.splat64(1.0)), s.mul64(scale, p))
}

/// x between two bounds; NaN for NaN.
#[inline(always)]
fn clamp<S: Simd>(s: S, x: S::F32, low: f32, high: f32) -> S::F32 {
    s.min(s.splat(high), s.max(s.splat(low), x))
}

#[inline(always)]
fn clamp64<S: Simd>(s: S, x: S::F64, low: f64, high: f64) -> S::F64 {
    s.min64(s.splat64(high), s.max64(s.splat64(low), x))
}

/// 2^x.
#[inline(always)]
pub(crate) fn exp2<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let x = s.widen(clamp(s, x, -160.0, 130.0));
    let n = s.round64(x);
    let p = expm1_reduced(s, s.mul64(s.sub64(x, n), s.splat64(LN_2)));
    let scale = s.pow2_64(n);
    s.narrow(s.add64(scale, s.mul64(scale, p)))
}

/// e^x − 1; −0 stays −0.
#[inline(always)]
pub(crate) fn expm1<S: Simd>(s: S, x: S::F32) -> S::F32 {
    s.select(
        s.less(s.abs(x), s.splat(1e-10)),
        x,
        s.narrow(expm1_wide(s, s.widen(clamp(s, x, -110.0, 90.0)))),
    )
}

/// (e^x − e^−x) / 2; −0 stays −0.
#[inline(always)]
pub(crate) fn sinh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let (one, half) = (s.splat64(1.0), s.splat64(0.5));
    let e = expm1_wide(s, s.widen(clamp(s, s.abs(x), 0.0, 100.0)));
    let sum = s.add64(e, s.div64(e, s.add64(e, one)));
    let y = s.narrow(s.mul64(sum, half));
    let y = s.select(s.less(x, s.splat(0.0)), s.neg(y), y);
    s.select(s.less(s.abs(x), s.splat(1e-10)), x, y)
}

/// (e^x + e^−x) / 2.
#[inline(always)]
pub(crate) fn cosh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let e = exp(s, s.widen(clamp(s, s.abs(x), 0.0, 100.0)));
    let sum = s.add64(e, s.div64(s.splat64(1.0), e));
    s.narrow(s.mul64(sum, s.splat64(0.5)))
}

/// `y`, but the function `kind` of `x`, one by one, where `special` says so.
#[inline(always)]
fn each_special<S: Simd>(s: S, special: S::Mask, kind: UnaryKind, x: S::F32, y: S::F32) -> S::F32 {
    if !s.any(special) {
        return y;
    }
    let flags = s.to_array(s.select(special, s.splat(1.0), s.splat(0.0)));
    let (x, mut y) = (s.to_array(x), s.to_array(y));
    lanes(&flags, kind, &x, &mut y);
    s.load(&y)
}

#[cold]
#[inline(never)]
fn lanes(flags: &[f32; LANES], kind: UnaryKind, x: &[f32; LANES], y: &mut [f32; LANES]) {
    for i in (0..LANES).filter(|&i| flags[i] != 0.0) {
        y[i] = unary_f64(kind, x[i].into()) as f32;
    }
}
