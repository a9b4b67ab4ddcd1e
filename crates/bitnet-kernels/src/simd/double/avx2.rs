//! The Avx2 tier of the `f64` lanes: four registers.

use std::arch::x86_64::*;

use super::{Double, EXPONENT_SHIFT};
use crate::simd::avx2::Avx2;

/// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15.
type Quad = [__m256d; 4];

impl<const VNNI: bool> Double for Avx2<VNNI> {
    type F64 = Quad;

    intrinsics_by_register! { 4;
        add64(a: Quad, b: Quad) -> Quad, i = _mm256_add_pd(a[i], b[i]);
        sub64(a: Quad, b: Quad) -> Quad, i = _mm256_sub_pd(a[i], b[i]);
        mul64(a: Quad, b: Quad) -> Quad, i = _mm256_mul_pd(a[i], b[i]);
        div64(a: Quad, b: Quad) -> Quad, i = _mm256_div_pd(a[i], b[i]);
        max64(a: Quad, b: Quad) -> Quad, i = _mm256_max_pd(a[i], b[i]);
        min64(a: Quad, b: Quad) -> Quad, i = _mm256_min_pd(a[i], b[i]);
        pow2_64(n: Quad) -> Quad, i = _mm256_castsi256_pd(_mm256_slli_epi64::<52>(_mm256_castpd_si256(
            _mm256_add_pd(n[i], _mm256_set1_pd(EXPONENT_SHIFT)))));
    }

    #[inline(always)]
    fn splat64(self, x: f64) -> Quad {
        // SAFETY: `self` proves the CPU's features.
        unsafe { [_mm256_set1_pd(x); 4] }
    }

    #[inline(always)]
    fn widen(self, x: Self::F32) -> Quad {
        // SAFETY: `self` proves the CPU's features.
        unsafe {
            [
                _mm256_cvtps_pd(_mm256_castps256_ps128(x[0])),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x[0])),
                _mm256_cvtps_pd(_mm256_castps256_ps128(x[1])),
                _mm256_cvtps_pd(_mm256_extractf128_ps::<1>(x[1])),
            ]
        }
    }

    #[inline(always)]
    fn narrow(self, x: Quad) -> Self::F32 {
        // SAFETY: `self` proves the CPU's features.
        unsafe {
            [
                _mm256_set_m128(_mm256_cvtpd_ps(x[1]), _mm256_cvtpd_ps(x[0])),
                _mm256_set_m128(_mm256_cvtpd_ps(x[3]), _mm256_cvtpd_ps(x[2])),
            ]
        }
    }

    #[inline(always)]
    fn select64(self, mask: Self::Mask, a: Quad, b: Quad) -> Quad {
        // SAFETY: `self` proves the CPU's features.
        unsafe {
            // A mask of 32 bits, all equal, becomes one of 64.
            let (low, high) = (_mm256_castps_si256(mask[0]), _mm256_castps_si256(mask[1]));
            let masks = [
                _mm256_cvtepi32_epi64(_mm256_castsi256_si128(low)),
                _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(low)),
                _mm256_cvtepi32_epi64(_mm256_castsi256_si128(high)),
                _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(high)),
            ];
            [
                _mm256_blendv_pd(b[0], a[0], _mm256_castsi256_pd(masks[0])),
                _mm256_blendv_pd(b[1], a[1], _mm256_castsi256_pd(masks[1])),
                _mm256_blendv_pd(b[2], a[2], _mm256_castsi256_pd(masks[2])),
                _mm256_blendv_pd(b[3], a[3], _mm256_castsi256_pd(masks[3])),
            ]
        }
    }
}
