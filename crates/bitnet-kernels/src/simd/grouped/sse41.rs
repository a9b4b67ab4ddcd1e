//! Dot products of groups on the SSE4.1 tier.

use std::arch::x86_64::*;

use super::{CodeBytes, GroupDot};
use crate::simd::dot::quad_bits;
use crate::simd::sse41::Sse41;
use crate::simd::{DotSimd, Float};

impl GroupDot for Sse41 {
    /// Four rows each.
    type Sums = [__m128i; 4];

    #[inline(always)]
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[[__m128i; 4]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [__m128i; 4] {
        const { assert!(N <= 2) };
        let (mut high, mut low) = (self.partial_zero(), self.partial_zero());
        for (planes, [q_high, q_low]) in planes.iter().zip(q) {
            for k in 0..4 {
                high = self.plane_dot(high, planes[k], &q_high[k]);
                low = self.plane_dot(low, planes[k], &q_low[k]);
            }
        }
        // SAFETY: `self` proves SSE2; register arithmetic only.
        unsafe {
            let ones = _mm_set1_epi16(1);
            let mut sums = [_mm_set1_epi32(start); 4];
            for i in 0..4 {
                let high = _mm_slli_epi32::<8>(_mm_madd_epi16(high[i], ones));
                let both = _mm_add_epi32(high, _mm_madd_epi16(low[i], ones));
                sums[i] = _mm_add_epi32(sums[i], both);
            }
            sums
        }
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[[__m128i; 4]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [__m128i; 4] {
        // SAFETY: `self` proves SSE2; register arithmetic only. One step adds at most
        // 4 · 255 · 32,639 to a lane.
        unsafe {
            let mut sums = [_mm_set1_epi32(start); 4];
            let even = _mm_set1_epi16(255);
            for (planes, q) in planes.iter().zip(q) {
                for k in 0..4 {
                    // Codes as 16 bits, those of even columns and those of odd ones.
                    let high = _mm_set1_epi32(quad_bits(q[0][k]));
                    let low = _mm_set1_epi32(quad_bits(q[1][k]));
                    let q_odd =
                        _mm_add_epi16(_mm_andnot_si128(even, high), _mm_srai_epi16::<8>(low));
                    let q_even = _mm_add_epi16(
                        _mm_slli_epi16::<8>(high),
                        _mm_srai_epi16::<8>(_mm_slli_epi16::<8>(low)),
                    );
                    for i in 0..4 {
                        let codes = planes[k][i];
                        let low = _mm_madd_epi16(_mm_and_si128(codes, even), q_even);
                        let high = _mm_madd_epi16(_mm_srli_epi16::<8>(codes), q_odd);
                        sums[i] = _mm_add_epi32(sums[i], _mm_add_epi32(low, high));
                    }
                }
            }
            sums
        }
    }

    #[inline(always)]
    fn sums_to_f32(self, sums: [__m128i; 4]) -> [__m128; 4] {
        self.float_of_int(sums)
    }
}
