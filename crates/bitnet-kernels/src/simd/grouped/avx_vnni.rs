//! Dot products of groups on the AVX-VNNI tier.

use std::arch::x86_64::*;

use super::{CodeBytes, GroupDot};
use crate::simd::avx2::Avx2;
use crate::simd::{DotSimd, Float};

impl GroupDot for Avx2<true> {
    /// Rows 0 to 7 and 8 to 15.
    type Sums = [__m256i; 2];

    #[inline(always)]
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[[__m256i; 2]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [__m256i; 2] {
        self.dot_bytes(planes, q, start)
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[[__m256i; 2]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [__m256i; 2] {
        let (mut high, mut low) = (self.partial_zero(), self.int_splat(start));
        for (planes, [q_high, q_low]) in planes.iter().zip(q) {
            for k in 0..4 {
                high = self.plane_dot(high, planes[k], &q_high[k]);
                low = self.plane_dot(low, planes[k], &q_low[k]);
            }
        }
        for half in 0..2 {
            // SAFETY: `self` proves AVX2; register arithmetic only.
            unsafe {
                low[half] = _mm256_add_epi32(_mm256_slli_epi32::<8>(high[half]), low[half]);
            }
        }
        low
    }

    #[inline(always)]
    fn sums_to_f32(self, sums: [__m256i; 2]) -> [__m256; 2] {
        self.float_of_int(sums)
    }
}
