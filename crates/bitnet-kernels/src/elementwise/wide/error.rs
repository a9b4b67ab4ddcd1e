//! The error functions.

use super::{clamp, exp, polynomial};
use crate::simd::Simd;

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
pub(crate) fn erfc_of_positive<S: Simd>(s: S, a: S::F64) -> S::F64 {
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
