//! Vector functions of `f32` computed in sixteen lanes of `f64` and rounded once: exponentials,
//! logarithms, powers, circular and error functions.
//!
//! Polynomials are minimax (Remez) with a relative error below 2⁻³¹, so that a result is within 0.51
//! units in the last place. Lanes that a range reduction does not reach (the sine of millions) are
//! computed one by one: see [`each_special`].

use std::f64::consts::{FRAC_1_PI, FRAC_2_PI, LN_2, LOG2_E, LOG10_E};

use super::{BinaryKind, UnaryKind, scalar, unary_f64};
use crate::simd::{LANES, Simd};

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
    let p = polynomial(
        s,
        r,
        &[
            1.984_135_684_485_923e-4,
            1.394_104_937_929_168_3e-3,
            8.333_402_806_278_091e-3,
            4.166_635_381_472_123e-2,
            0.166_666_662_493_868_94,
            0.500_000_004_683_281_5,
            1.000_000_000_031_290_7,
        ],
    );
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
pub(super) fn exp2<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let x = s.widen(clamp(s, x, -160.0, 130.0));
    let n = s.round64(x);
    let p = expm1_reduced(s, s.mul64(s.sub64(x, n), s.splat64(LN_2)));
    let scale = s.pow2_64(n);
    s.narrow(s.add64(scale, s.mul64(scale, p)))
}

/// e^x − 1; −0 stays −0.
#[inline(always)]
pub(super) fn expm1<S: Simd>(s: S, x: S::F32) -> S::F32 {
    s.select(
        s.less(s.abs(x), s.splat(1e-10)),
        x,
        s.narrow(expm1_wide(s, s.widen(clamp(s, x, -110.0, 90.0)))),
    )
}

/// (e^x − e^−x) / 2; −0 stays −0.
#[inline(always)]
pub(super) fn sinh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let (one, half) = (s.splat64(1.0), s.splat64(0.5));
    let e = expm1_wide(s, s.widen(clamp(s, s.abs(x), 0.0, 100.0)));
    let sum = s.add64(e, s.div64(e, s.add64(e, one)));
    let y = s.narrow(s.mul64(sum, half));
    let y = s.select(s.less(x, s.splat(0.0)), s.neg(y), y);
    s.select(s.less(s.abs(x), s.splat(1e-10)), x, y)
}

/// (e^x + e^−x) / 2.
#[inline(always)]
pub(super) fn cosh<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let e = exp(s, s.widen(clamp(s, s.abs(x), 0.0, 100.0)));
    let sum = s.add64(e, s.div64(s.splat64(1.0), e));
    s.narrow(s.mul64(sum, s.splat64(0.5)))
}

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
    let m = s.from_bits(s.int_sub(bits, s.int_shl(e, 23)));
    let e = s.add(s.from_int(e), s.select(tiny, s.splat(-25.0), s.splat(0.0)));
    let f = s.widen(s.sub(m, s.splat(1.0)));
    // ln m = 2 artanh((m − 1) / (m + 1))
    let t = s.div64(f, s.add64(f, s.splat64(2.0)));
    let p = polynomial(
        s,
        s.mul64(t, t),
        &[
            0.236_177_567_390_945_17,
            0.285_349_709_523_028_85,
            0.400_003_861_048_673_64,
            0.666_666_652_392_996_4,
            2.000_000_000_008_432_4,
        ],
    );
    (s.mul64(t, p), s.widen(e))
}

/// ln x of finite x > 0.
#[inline(always)]
fn log_wide<S: Simd>(s: S, x: S::F32) -> S::F64 {
    let (whole, exponent) = log_parts(s, x);
    s.add64(whole, s.mul64(exponent, s.splat64(LN_2)))
}

/// `y` where x is finite and above `pole`; −∞ at it, NaN below, ∞ for ∞.
#[inline(always)]
fn with_pole<S: Simd>(s: S, x: S::F32, pole: f32, y: S::F32) -> S::F32 {
    let outside = s.select(s.less(x, s.splat(pole)), s.splat(f32::NAN), s.splat(f32::NEG_INFINITY));
    let y = s.select(s.less(s.splat(pole), x), y, outside);
    // ∞ and NaN.
    s.select(s.less(x, s.splat(f32::INFINITY)), y, x)
}

/// ln x.
#[inline(always)]
pub(super) fn log<S: Simd>(s: S, x: S::F32) -> S::F32 {
    with_pole(s, x, 0.0, s.narrow(log_wide(s, x)))
}

/// The logarithm to base 2; exact of powers of two.
#[inline(always)]
pub(super) fn log2<S: Simd>(s: S, x: S::F32) -> S::F32 {
    with_pole(s, x, 0.0, s.narrow(log2_wide(s, x)))
}

#[inline(always)]
fn log2_wide<S: Simd>(s: S, x: S::F32) -> S::F64 {
    let (whole, exponent) = log_parts(s, x);
    s.add64(s.mul64(whole, s.splat64(LOG2_E)), exponent)
}

/// The logarithm to base 10.
#[inline(always)]
pub(super) fn log10<S: Simd>(s: S, x: S::F32) -> S::F32 {
    with_pole(s, x, 0.0, s.narrow(s.mul64(log_wide(s, x), s.splat64(LOG10_E))))
}

/// ln(1 + x) of −1 < x ≤ 10³⁸ with the relative precision of x: the logarithm of 1 + x rounded to
/// `f32`, and what rounding took.
#[inline(always)]
fn log1p_wide<S: Simd>(s: S, x: S::F64) -> S::F64 {
    let one = s.splat64(1.0);
    let rounded = s.narrow(s.add64(x, one));
    let u = s.widen(rounded);
    let c = s.div64(s.sub64(x, s.sub64(u, one)), u);
    let c = s.sub64(c, s.mul64(s.mul64(c, c), s.splat64(0.5)));
    s.add64(log_wide(s, rounded), c)
}

/// ln(1 + x); −0 stays −0.
#[inline(always)]
pub(super) fn log1p<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let y = with_pole(s, x, -1.0, s.narrow(log1p_wide(s, s.widen(x))));
    s.select(s.less(s.abs(x), s.splat(1e-10)), x, y)
}

/// ln(1 + e^x).
#[inline(always)]
pub(super) fn softplus<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let e = exp(s, s.widen(clamp(s, s.neg(s.abs(x)), -110.0, 0.0)));
    s.narrow(s.add64(s.widen(s.max(s.splat(0.0), x)), log1p_wide(s, e)))
}

/// x tanh(ln(1 + e^x)) = x · n / (n + 2) with n = e^x (e^x + 2); NaN for −∞.
#[inline(always)]
pub(super) fn mish<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let two = s.splat64(2.0);
    let e = exp(s, s.widen(clamp(s, x, -300.0, 40.0)));
    let n = s.mul64(e, s.add64(e, two));
    let y = s.narrow(s.mul64(s.widen(x), s.div64(n, s.add64(n, two))));
    nan_at_minus_infinity(s, x, y)
}

/// GELU's approximation x / (1 + e^−2u) with u = √(2/π) (x + 0.044715 x³); NaN for −∞.
#[inline(always)]
pub(super) fn gelu_tanh<S: Simd>(s: S, x: S::F32) -> S::F32 {
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
pub(super) fn nan_at_minus_infinity<S: Simd>(s: S, x: S::F32, y: S::F32) -> S::F32 {
    s.select(s.less(x, s.splat(f32::MIN)), s.splat(f32::NAN), y)
}

/// `positive` · x, and below zero `negative` · (e^(x / `divisor`) − 1).
#[inline(always)]
pub(super) fn elu<S: Simd>(s: S, x: S::F32, [positive, negative, divisor]: [f64; 3]) -> S::F32 {
    let wide = s.widen(x);
    let exponent = clamp64(s, s.div64(wide, s.splat64(divisor)), -700.0, 700.0);
    let below = s.mul64(s.splat64(negative), expm1_wide(s, exponent));
    let above = s.mul64(s.splat64(positive), wide);
    s.narrow(s.select64(s.less(x, s.splat(0.0)), below, above))
}

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
    s.from_bits(s.int_xor(s.to_bits(s.narrow(s.mul64(p, r))), odd))
}

/// The sine.
#[inline(always)]
pub(super) fn sin<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let wide = s.widen(x);
    let n = s.round64(s.mul64(wide, s.splat64(FRAC_1_PI)));
    let y = signed_sine(s, reduce_pi(s, wide, n), n);
    let y = s.select(s.less(s.abs(x), s.splat(1e-10)), x, y);
    each_special(s, s.less(s.splat(REDUCED), s.abs(x)), UnaryKind::Sin, x, y)
}

/// The cosine: with n half an odd integer, cos x = −(−1)^(n + ½) sin(x − nπ).
#[inline(always)]
pub(super) fn cos<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let (wide, half) = (s.widen(x), s.splat64(0.5));
    let n = s.round64(s.sub64(s.mul64(wide, s.splat64(FRAC_1_PI)), half));
    let r = reduce_pi(s, wide, s.add64(n, half));
    let y = signed_sine(s, r, s.add64(n, s.splat64(1.0)));
    each_special(s, s.less(s.splat(REDUCED), s.abs(x)), UnaryKind::Cos, x, y)
}

/// The tangent: sine by cosine, or the negative reciprocal of the tangent of the next quadrant.
#[inline(always)]
pub(super) fn tan<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let wide = s.widen(x);
    let n = s.round64(s.mul64(wide, s.splat64(FRAC_2_PI)));
    let r = reduce_pi(s, wide, s.mul64(n, s.splat64(0.5)));
    let z = s.mul64(r, r);
    let sine = polynomial(
        s,
        z,
        &[
            2.717_145_195_661_545e-6,
            -1.983_917_756_667_416_3e-4,
            8.333_328_687_747_48e-3,
            -0.166_666_666_304_256_7,
            0.999_999_999_995_448_6,
        ],
    );
    let sine = s.mul64(sine, r);
    let cosine = polynomial(
        s,
        z,
        &[
            2.437_263_719_736_869_8e-5,
            -1.388_652_921_208_624_1e-3,
            4.166_661_326_590_225e-2,
            -0.499_999_995_724_899_2,
            0.999_999_999_944_285_3,
        ],
    );
    let bits = s.int_shl(s.to_int(s.narrow(n)), 31);
    // The sign bit of an odd n, as a number below zero.
    let odd = s.less(s.from_int(bits), s.splat(0.0));
    let numerator = s.select64(odd, s.sub64(s.splat64(0.0), cosine), sine);
    let y = s.narrow(s.div64(numerator, s.select64(odd, sine, cosine)));
    let y = s.select(s.less(s.abs(x), s.splat(1e-10)), x, y);
    each_special(s, s.less(s.splat(REDUCED), s.abs(x)), UnaryKind::Tan, x, y)
}

/// erf a of a ≤ 1.
#[inline(always)]
fn erf_small<S: Simd>(s: S, x: S::F64) -> S::F64 {
    let p = polynomial(
        s,
        s.mul64(x, x),
        &[
            -9.641_507_314_887_568e-6,
            1.125_696_022_801_976_2e-4,
            -8.482_833_103_632_552e-4,
            5.220_945_939_521_413e-3,
            -2.686_540_031_565_240_5e-2,
            0.112_837_819_807_679_98,
            -0.376_126_384_352_479_36,
            1.128_379_167_058_11,
        ],
    );
    s.mul64(p, x)
}

/// erfc a = e^(−a²) · e^(a²) erfc a of 0 ≤ a ≤ 10.3; the second factor is a polynomial of
/// (a − 4) / (a + 4).
#[inline(always)]
pub(super) fn erfc_of_positive<S: Simd>(s: S, a: S::F64) -> S::F64 {
    let four = s.splat64(4.0);
    let p = polynomial(
        s,
        s.div64(s.sub64(a, four), s.add64(a, four)),
        &[
            1.015_171_996_203_920_6e-4,
            -2.822_812_439_019_629_5e-5,
            -8.150_699_842_234_338e-4,
            4.058_719_384_374_518e-3,
            -1.283_975_654_866_763_1e-2,
            3.129_979_354_533_140_4e-2,
            -6.310_833_284_243_966e-2,
            0.108_963_096_495_946_16,
            -0.164_257_788_025_616_05,
            0.218_719_681_441_318_8,
            -0.259_068_049_241_689_1,
            0.136_999_457_615_785_47,
        ],
    );
    s.mul64(p, exp(s, s.sub64(s.splat64(0.0), s.mul64(a, a))))
}

/// The error function; −0 stays −0.
#[inline(always)]
pub(super) fn erf<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let a = s.abs(x);
    let wide = s.widen(clamp(s, a, 0.0, 4.0));
    let large = s.sub64(s.splat64(1.0), erfc_of_positive(s, wide));
    let small = erf_small(s, wide);
    let y = s.narrow(s.select64(s.less(a, s.splat(1.0)), small, large));
    // The sign of x, by its bit.
    s.from_bits(s.int_xor(s.to_bits(y), s.int_xor(s.to_bits(x), s.to_bits(a))))
}

/// 1 − erf x.
#[inline(always)]
pub(super) fn erfc<S: Simd>(s: S, x: S::F32) -> S::F32 {
    let tail = erfc_of_positive(s, s.widen(clamp(s, s.abs(x), 0.0, 10.3)));
    let below = s.sub64(s.splat64(2.0), tail);
    s.narrow(s.select64(s.less(x, s.splat(0.0)), below, tail))
}

/// a^b. Of negative a with integral b the power of |a| with its sign; zeros, infinities and NaN are
/// computed one by one.
#[inline(always)]
pub(super) fn pow<S: Simd>(s: S, a: S::F32, b: S::F32) -> S::F32 {
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

/// `y`, but the function `kind` of `x`, one by one, where `special` says so.
#[inline(always)]
pub(super) fn each_special<S: Simd>(
    s: S,
    special: S::Mask,
    kind: UnaryKind,
    x: S::F32,
    y: S::F32,
) -> S::F32 {
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
