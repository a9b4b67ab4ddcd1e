//! The SSE4.1 tier of the `f64` lanes: eight registers.

use std::arch::x86_64::*;

use super::{Double, EXPONENT_SHIFT};
use crate::simd::sse41::Sse41;

/// Lanes `2i` and `2i + 1` in register `i`.
type Octet = [__m128d; 8];

impl Double for Sse41 {
    type F64 = Octet;

    intrinsics_by_register! { 8;
        add64(a: Octet, b: Octet) -> Octet, i = _mm_add_pd(a[i], b[i]);
        sub64(a: Octet, b: Octet) -> Octet, i = _mm_sub_pd(a[i], b[i]);
        mul64(a: Octet, b: Octet) -> Octet, i = _mm_mul_pd(a[i], b[i]);
        div64(a: Octet, b: Octet) -> Octet, i = _mm_div_pd(a[i], b[i]);
        max64(a: Octet, b: Octet) -> Octet, i = _mm_max_pd(a[i], b[i]);
        min64(a: Octet, b: Octet) -> Octet, i = _mm_min_pd(a[i], b[i]);
        pow2_64(n: Octet) -> Octet, i = _mm_castsi128_pd(_mm_slli_epi64::<52>(_mm_castpd_si128(
            _mm_add_pd(n[i], _mm_set1_pd(EXPONENT_SHIFT)))));
    }

    #[inline(always)]
    fn splat64(self, x: f64) -> Octet {
        // SAFETY: `self` proves the CPU's features.
        unsafe { [_mm_set1_pd(x); 8] }
    }

    #[inline(always)]
    fn widen(self, x: Self::F32) -> Octet {
        let mut wide = self.splat64(0.0);
        for i in 0..4 {
            // SAFETY: `self` proves the CPU's features.
            unsafe {
                wide[2 * i] = _mm_cvtps_pd(x[i]);
                wide[2 * i + 1] = _mm_cvtps_pd(_mm_movehl_ps(x[i], x[i]));
            }
        }
        wide
    }

    #[inline(always)]
    fn narrow(self, x: Octet) -> Self::F32 {
        // SAFETY: `self` proves the CPU's features.
        unsafe {
            [
                _mm_movelh_ps(_mm_cvtpd_ps(x[0]), _mm_cvtpd_ps(x[1])),
                _mm_movelh_ps(_mm_cvtpd_ps(x[2]), _mm_cvtpd_ps(x[3])),
                _mm_movelh_ps(_mm_cvtpd_ps(x[4]), _mm_cvtpd_ps(x[5])),
                _mm_movelh_ps(_mm_cvtpd_ps(x[6]), _mm_cvtpd_ps(x[7])),
            ]
        }
    }

    #[inline(always)]
    fn select64(self, mask: Self::Mask, a: Octet, b: Octet) -> Octet {
        let mut selected = b;
        for i in 0..4 {
            // SAFETY: `self` proves the CPU's features.
            unsafe {
                // A mask of 32 bits, all equal, becomes one of 64.
                let low = _mm_castps_pd(_mm_unpacklo_ps(mask[i], mask[i]));
                let high = _mm_castps_pd(_mm_unpackhi_ps(mask[i], mask[i]));
                selected[2 * i] = _mm_blendv_pd(b[2 * i], a[2 * i], low);
                selected[2 * i + 1] = _mm_blendv_pd(b[2 * i + 1], a[2 * i + 1], high);
            }
        }
        selected
    }
}
