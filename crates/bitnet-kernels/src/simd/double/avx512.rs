//! The Avx512 tier of the `f64` lanes: two registers.

use std::arch::x86_64::*;

use super::{Double, EXPONENT_SHIFT};
use crate::simd::avx512::Avx512;

/// Lanes 0 to 7 and 8 to 15.
type Pair = [__m512d; 2];

impl<const VBMI: bool> Double for Avx512<VBMI> {
    type F64 = Pair;

    intrinsics! {
        splat64(x: f64) -> Pair = [_mm512_set1_pd(x); 2];
        widen(x: __m512) -> Pair = [
            _mm512_cvtps_pd(_mm512_castps512_ps256(x)),
            _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(x)),
        ];
        narrow(x: Pair) -> __m512 = _mm512_insertf32x8::<1>(
            _mm512_castps256_ps512(_mm512_cvtpd_ps(x[0])), _mm512_cvtpd_ps(x[1]));
        add64(a: Pair, b: Pair) -> Pair = [_mm512_add_pd(a[0], b[0]), _mm512_add_pd(a[1], b[1])];
        sub64(a: Pair, b: Pair) -> Pair = [_mm512_sub_pd(a[0], b[0]), _mm512_sub_pd(a[1], b[1])];
        mul64(a: Pair, b: Pair) -> Pair = [_mm512_mul_pd(a[0], b[0]), _mm512_mul_pd(a[1], b[1])];
        div64(a: Pair, b: Pair) -> Pair = [_mm512_div_pd(a[0], b[0]), _mm512_div_pd(a[1], b[1])];
        max64(a: Pair, b: Pair) -> Pair = [_mm512_max_pd(a[0], b[0]), _mm512_max_pd(a[1], b[1])];
        min64(a: Pair, b: Pair) -> Pair = [_mm512_min_pd(a[0], b[0]), _mm512_min_pd(a[1], b[1])];
        pow2_64(n: Pair) -> Pair = {
            let shift = _mm512_set1_pd(EXPONENT_SHIFT);
            let low = _mm512_castpd_si512(_mm512_add_pd(n[0], shift));
            let high = _mm512_castpd_si512(_mm512_add_pd(n[1], shift));
            [
                _mm512_castsi512_pd(_mm512_slli_epi64::<52>(low)),
                _mm512_castsi512_pd(_mm512_slli_epi64::<52>(high)),
            ]
        };
        select64(mask: __mmask16, a: Pair, b: Pair) -> Pair = [
            _mm512_mask_blend_pd(mask as __mmask8, b[0], a[0]),
            _mm512_mask_blend_pd((mask >> 8) as __mmask8, b[1], a[1]),
        ];
    }
}
