//! Vector functions over the sixteen lanes: the exponential and what is built on it.
//!
//! No fused multiply-add, so that the bits are the same on every tier; errors stay within three
//! units in the last place all the same (tested against `f64`).

use crate::simd::Float;

/// e^x. Overflows to infinity, underflows gradually to zero, NaN for NaN.
#[inline(always)]
pub(crate) fn exp<S: Float>(s: S, x: S::F32) -> S::F32 {
    // Beyond these the result is infinity or zero; inside, the factors are powers of two.
    // (The operand order of max and min lets NaN through.)
    let x = s.min(s.splat(89.0), s.max(s.splat(-104.0), x));
    let (p, first, second) = exp_factors(s, x);
    s.mul(s.mul(p, first), second)
}

/// e^x of −120 ≤ x ≤ 89 as a number near 1 and two powers of two. The first product is exact, so
/// that a subnormal result rounds once.
///
/// Cody–Waite reduction x = n·ln 2 + r with |r| ≤ ½ ln 2, then a polynomial of degree 7 for
/// e^r (minimax coefficients of Cephes' `expf`).
#[inline(always)]
fn exp_factors<S: Float>(s: S, x: S::F32) -> (S::F32, S::F32, S::F32) {
    // ln 2 in two parts; products of the first with |n| ≤ 175 are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let r = s.sub(s.sub(x, s.mul(n, s.splat(LN2_HIGH))), s.mul(n, s.splat(LN2_LOW)));
    let p = polynomial(
        s,
        r,
        &[1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5],
    );
    let p = s.add(s.add(s.mul(p, s.mul(r, r)), r), s.splat(1.0));
    let half = s.round(s.mul(n, s.splat(0.5)));
    (p, s.pow2(half), s.pow2(s.sub(n, half)))
}

/// 1 / (1 + e^−x); below zero e^x / (1 + e^x), whose numerator underflows gradually where e^−x
/// would overflow.
#[inline(always)]
pub(crate) fn sigmoid<S: Float>(s: S, x: S::F32) -> S::F32 {
    let one = s.splat(1.0);
    let e = exp(s, s.neg(s.abs(x)));
    s.div(s.select(s.less(x, s.splat(0.0)), e, one), s.add(one, e))
}

/// x · sigmoid(x); NaN for −∞, as PyTorch computes it.
#[inline(always)]
pub(crate) fn silu<S: Float>(s: S, x: S::F32) -> S::F32 {
    let zero = s.splat(0.0);
    // x e^x is nothing from here on.
    let exponent = s.max(s.splat(-120.0), s.neg(s.abs(x)));
    let (p, first, second) = exp_factors(s, exponent);
    let e = s.mul(s.mul(p, first), second);
    // x e^x before it is small, so that it rounds once; x · 0 is −0 but for −∞.
    let product = s.mul(s.mul(s.mul(exponent, p), first), second);
    let below = s.add(product, s.mul(x, zero));
    s.div(s.select(s.less(x, zero), below, x), s.add(s.splat(1.0), e))
}

/// max(x, 0); NaN for NaN.
#[inline(always)]
pub(crate) fn relu<S: Float>(s: S, x: S::F32) -> S::F32 {
    s.max(s.splat(0.0), x)
}

/// max(x, 0)².
#[inline(always)]
pub(crate) fn relu_squared<S: Float>(s: S, x: S::F32) -> S::F32 {
    let x = relu(s, x);
    s.mul(x, x)
}

/// −1, 0 or 1; NaN for NaN.
#[inline(always)]
pub(crate) fn sign<S: Float>(s: S, x: S::F32) -> S::F32 {
    let zero = s.splat(0.0);
    let rest = s.select(s.is_nan(x), x, zero);
    let rest = s.select(s.less(x, zero), s.splat(-1.0), rest);
    s.select(s.less(zero, x), s.splat(1.0), rest)
}

/// The largest integer that is not greater.
#[inline(always)]
pub(crate) fn floor<S: Float>(s: S, x: S::F32) -> S::F32 {
    let nearest = s.round(x);
    s.select(s.less(x, nearest), s.sub(nearest, s.splat(1.0)), nearest)
}

/// The integer toward zero.
#[inline(always)]
pub(crate) fn trunc<S: Float>(s: S, x: S::F32) -> S::F32 {
    s.select(s.less(x, s.splat(0.0)), s.neg(floor(s, s.neg(x))), floor(s, x))
}

/// The hyperbolic tangent: an odd polynomial below 0.625 (Cephes' `tanhf`), where
/// 1 − 2/(e^2|x| + 1) would cancel.
#[inline(always)]
pub(crate) fn tanh<S: Float>(s: S, x: S::F32) -> S::F32 {
    let z = s.mul(x, x);
    let p = polynomial(
        s,
        z,
        &[-5.704_988_7e-3, 2.063_908_8e-2, -5.373_971_6e-2, 0.133_314_42, -0.333_332_8],
    );
    let small = s.add(x, s.mul(x, s.mul(z, p)));
    let a = s.abs(x);
    // Below, x³/3 is less than half a unit in the last place; and −0 stays −0.
    let small = s.select(s.less(a, s.splat(1e-4)), x, small);
    let e = exp(s, s.add(a, a));
    let large = s.sub(s.splat(1.0), s.div(s.splat(2.0), s.add(e, s.splat(1.0))));
    let large = s.select(s.less(x, s.splat(0.0)), s.neg(large), large);
    s.select(s.less(a, s.splat(0.625)), small, large)
}

/// Horner's scheme, the highest coefficient first.
#[inline(always)]
fn polynomial<S: Float, const N: usize>(s: S, x: S::F32, coefficients: &[f32; N]) -> S::F32 {
    let mut p = s.splat(coefficients[0]);
    for i in 1..N {
        p = s.add(s.mul(p, x), s.splat(coefficients[i]));
    }
    p
}
