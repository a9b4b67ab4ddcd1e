//! Powers with any exponent.

use std::f64::consts::LN_2;

use super::logarithm::log2_wide;
use super::{clamp64, expm1_reduced};
use crate::elementwise::{BinaryKind, scalar};
use crate::simd::{LANES, Simd};

/// a^b. Of negative a with integral b the power of |a| with its sign; zeros, infinities and NaN are
/// computed one by one.
#[inline(always)]
pub(crate) fn pow<S: Simd>(s: S, a: S::F32, b: S::F32) -> S::F32 {
    let (zero, infinity) = (s.splat(0.0), s.splat(f32::INFINITY));
    let base = s.abs(a);
    let exponent = s.mul64(log2_wide(s, base), s.widen(b));
    let exponent = clamp64(s, exponent, -300.0, 300.0);
    let n = s.round64(exponent);
    let p = expm1_reduced(s, s.mul64(s.sub64(exponent, n), s.splat64(LN_2)));
    let scale = s.pow2_64(n);
    let y = s.narrow(s.add64(scale, s.mul64(scale, p)));
    // Below zero: NaN unless b is an integer, and the sign of an odd one. What is no integer differs
    // from its rounding, which half of an odd integer does too.
    let negative = s.less(a, zero);
    let half = s.mul(b, s.splat(0.5));
    let is_odd = s.less(zero, s.abs(s.sub(half, s.round(half))));
    let fraction = s.abs(s.sub(b, s.round(b)));
    let signed = s.select(is_odd, s.neg(y), y);
    let signed = s.select(s.less(zero, fraction), s.splat(f32::NAN), signed);
    let y = s.select(negative, signed, y);
    // 0 < |a| < ∞ and |b| < ∞ are what the above is for.
    let ordinary = s.select(s.less(zero, base), zero, infinity);
    let extent = s.add(ordinary, s.max(base, s.abs(b)));
    let extent = s.select(s.is_nan(a), infinity, extent);
    let flags = s.select(s.less(extent, infinity), zero, s.splat(1.0));
    if s.any(s.less(zero, flags)) {
        let (flags, a, b, mut y) = (s.to_array(flags), s.to_array(a), s.to_array(b), s.to_array(y));
        pow_lanes(&flags, &a, &b, &mut y);
        return s.load(&y);
    }
    y
}

#[cold]
#[inline(never)]
fn pow_lanes(flags: &[f32; LANES], a: &[f32; LANES], b: &[f32; LANES], y: &mut [f32; LANES]) {
    for i in (0..LANES).filter(|&i| flags[i] != 0.0) {
        y[i] = scalar::binary_f64(BinaryKind::Pow, a[i].into(), b[i].into()) as f32;
    }
}
