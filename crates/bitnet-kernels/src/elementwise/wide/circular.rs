//! Sine, cosine and tangent.

use std::f64::consts::{FRAC_1_PI, FRAC_2_PI};

use super::{each_special, polynomial};
use crate::elementwise::UnaryKind;
use crate::elementwise::coefficients;
use crate::simd::Simd;

/// Numbers up to here are reduced; beyond, multiples of π/2 need more digits.
const REDUCED: f32 = 1_500_000.0;

/// The first 33 bits of π, so that products with numbers below 2²⁰ are exact; and the rest.
const PI_HIGH: f64 = 3.141_592_653_468_251_2;
const PI_LOW: f64 = 1.215_420_101_301_238_4e-10;

/// x − n·π of |n| < 2²⁰; n may be half an integer.
#[inline(always)]
fn reduce_pi<S: Simd>(s: S, x: S::F64, n: S::F64) -> S::F64 {
    let high = s.sub64(x, s.mul64(n, s.splat64(PI_HIGH)));
    s.sub64(high, s.mul64(n, s.splat64(PI_LOW)))
}

/// sin r of |r| ≤ π/2, with the sign of (−1)^n.
#[inline(always)]
fn signed_sine<S: Simd>(s: S, r: S::F64, n: S::F64) -> S::F32 {
    let p = polynomial(
        s,
        s.mul64(r, r),
        &[
            -2.386_829_505_096_428_2e-8,
            2.752_397_615_118_050_6e-6,
            -1.984_083_315_756_331_2e-4,
            8.333_330_726_116_443e-3,
            -0.166_666_666_091_106_4,
            0.999_999_999_979_075_3,
        ],
    );
    let odd = s.int_shl(s.to_int(s.narrow(n)), 31);
    s.float_of_bits(s.int_xor(s.to_bits(s.narrow(s.mul64(p, r))), odd))
}

/// The sine.
#[inline(always)]
pub(crate) fn sin<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let wide = s.widen(x);
    let n = s.round64(s.mul64(wide, s.splat64(FRAC_1_PI)));
    let y = signed_sine(s, reduce_pi(s, wide, n), n);
    let y = s.select(s.less(s.abs(x), s.splat(1e-10)), x, y);
    each_special(s, s.less(s.splat(REDUCED), s.abs(x)), UnaryKind::Sin, x, y)
}

/// The cosine: with n half an odd integer, cos x = −(−1)^(n + ½) sin(x − nπ).
#[inline(always)]
pub(crate) fn cos<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let (wide, half) = (s.widen(x), s.splat64(0.5));
    let n = s.round64(s.sub64(s.mul64(wide, s.splat64(FRAC_1_PI)), half));
    let r = reduce_pi(s, wide, s.add64(n, half));
    let y = signed_sine(s, r, s.add64(n, s.splat64(1.0)));
    each_special(s, s.less(s.splat(REDUCED), s.abs(x)), UnaryKind::Cos, x, y)
}

/// The tangent: sine by cosine, or the negative reciprocal of the tangent of the next quadrant.
#[inline(always)]
pub(crate) fn tan<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let wide = s.widen(x);
    let n = s.round64(s.mul64(wide, s.splat64(FRAC_2_PI)));
    let r = reduce_pi(s, wide, s.mul64(n, s.splat64(0.5)));
    let z = s.mul64(r, r);
    let sine = polynomial(s, z, &coefficients::SINE);
    let sine = s.mul64(sine, r);
    let cosine = polynomial(s, z, &coefficients::COSINE);
    let bits = s.int_shl(s.to_int(s.narrow(n)), 31);
    // The sign bit of an odd n, as a number below zero.
    let odd = s.less(s.float_of_int(bits), s.splat(0.0));
    let numerator = s.select64(odd, s.sub64(s.splat64(0.0), cosine), sine);
    let y = s.narrow(s.div64(numerator, s.select64(odd, sine, cosine)));
    let y = s.select(s.less(s.abs(x), s.splat(1e-10)), x, y);
    each_special(s, s.less(s.splat(REDUCED), s.abs(x)), UnaryKind::Tan, x, y)
}
