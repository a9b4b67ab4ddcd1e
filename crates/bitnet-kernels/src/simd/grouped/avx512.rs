//! Dot products of groups on the AVX-512 tiers.

use std::arch::x86_64::*;

use super::{CodeBytes, GroupDot};
use crate::simd::avx512::Avx512;

impl<const VBMI: bool> GroupDot for Avx512<VBMI> {
    type Sums = __m512i;

    #[inline(always)]
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[__m512i; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> __m512i {
        self.dot_bytes(planes, q, start)
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[__m512i; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> __m512i {
        // SAFETY: `self` proves AVX-512 VNNI; the loads are of the four bytes of a quad.
        unsafe {
            let (mut high, mut low) = (_mm512_setzero_si512(), _mm512_set1_epi32(start));
            for (planes, q) in planes.iter().zip(q) {
                for k in 0..4 {
                    let q_high = q[0][k].as_ptr().cast::<i32>().read_unaligned();
                    let q_low = q[1][k].as_ptr().cast::<i32>().read_unaligned();
                    let (q_high, q_low) = (_mm512_set1_epi32(q_high), _mm512_set1_epi32(q_low));
                    high = _mm512_dpbusd_epi32(high, planes[k], q_high);
                    low = _mm512_dpbusd_epi32(low, planes[k], q_low);
                }
            }
            _mm512_add_epi32(_mm512_slli_epi32::<8>(high), low)
        }
    }

    #[inline(always)]
    fn sums_to_f32(self, sums: __m512i) -> __m512 {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        unsafe { _mm512_cvtepi32_ps(sums) }
    }
}
