//! Dot products of groups on the AVX2 tier.

use std::arch::x86_64::*;

use super::{CodeBytes, GroupDot};
use crate::simd::Float;
use crate::simd::avx2::Avx2;
use crate::simd::dot::quad_bits;

/// The four codes in every lane of 32 bits.
///
/// # Safety
/// The CPU has AVX2.
#[inline(always)]
unsafe fn quad(q: [i8; 4]) -> __m256i {
    // SAFETY: the caller's.
    unsafe { _mm256_set1_epi32(quad_bits(q)) }
}

impl GroupDot for Avx2<false> {
    /// Rows 0 to 7 and 8 to 15.
    type Sums = [__m256i; 2];

    #[inline(always)]
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[[__m256i; 2]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [__m256i; 2] {
        const { assert!(N <= 2) };
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe {
            let zero = _mm256_setzero_si256();
            let (mut high, mut low) = ([zero; 2], [zero; 2]);
            for (planes, q) in planes.iter().zip(q) {
                for k in 0..4 {
                    let (q_high, q_low) = (quad(q[0][k]), quad(q[1][k]));
                    for half in 0..2 {
                        let plane = planes[k][half];
                        let product = _mm256_maddubs_epi16(plane, q_high);
                        high[half] = _mm256_add_epi16(high[half], product);
                        let product = _mm256_maddubs_epi16(plane, q_low);
                        low[half] = _mm256_add_epi16(low[half], product);
                    }
                }
            }
            let (ones, start) = (_mm256_set1_epi16(1), _mm256_set1_epi32(start));
            let mut sums = [start; 2];
            for half in 0..2 {
                let high = _mm256_slli_epi32::<8>(_mm256_madd_epi16(high[half], ones));
                let low = _mm256_add_epi32(_mm256_madd_epi16(low[half], ones), start);
                sums[half] = _mm256_add_epi32(high, low);
            }
            sums
        }
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[[__m256i; 2]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only. One step adds at most
        // 4 · 255 · 32,639 to a lane.
        unsafe {
            let mut sums = [_mm256_set1_epi32(start); 2];
            let even = _mm256_set1_epi16(255);
            for (planes, q) in planes.iter().zip(q) {
                for k in 0..4 {
                    // Codes as 16 bits, those of even columns and those of odd ones.
                    let (high, low) = (quad(q[0][k]), quad(q[1][k]));
                    let q_odd = _mm256_add_epi16(
                        _mm256_andnot_si256(even, high),
                        _mm256_srai_epi16::<8>(low),
                    );
                    let q_even = _mm256_add_epi16(
                        _mm256_slli_epi16::<8>(high),
                        _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(low)),
                    );
                    for half in 0..2 {
                        let plane = planes[k][half];
                        let low = _mm256_madd_epi16(_mm256_and_si256(plane, even), q_even);
                        let high = _mm256_madd_epi16(_mm256_srli_epi16::<8>(plane), q_odd);
                        sums[half] = _mm256_add_epi32(sums[half], _mm256_add_epi32(low, high));
                    }
                }
            }
            sums
        }
    }

    #[inline(always)]
    fn sums_to_f32(self, sums: [__m256i; 2]) -> [__m256; 2] {
        self.float_of_int(sums)
    }
}
