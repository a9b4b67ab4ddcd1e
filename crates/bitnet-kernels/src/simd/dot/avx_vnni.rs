//! Integer dot products of the AVX-VNNI tier.
//!
//! `vpdpbusd` multiplies u8 by i8 and adds four products to an i32 lane without saturation: as on the
//! AVX-512 tiers, in registers of half the width.

use std::arch::x86_64::*;

use super::{DotSimd, quad_bits};
use crate::simd::avx2::Avx2;

impl DotSimd for Avx2<true> {
    const STREAM_TOKENS: usize = 1;
    // 2 registers for each token's sums, 2 for the plane, and q: 15.
    const PANEL_TOKENS: usize = 6;
    const TWO_ROW_BLOCKS: bool = false;
    // Codes up to 3 · 4³ = 192: a plane adds at most 4 · 192 · 128 < 2¹⁷ to a lane.
    const PLANES_PER_PLACED_PARTIAL: usize = 1 << 14;
    const INT8_TOKENS: usize = 1;

    /// Rows 0 to 7 and 8 to 15.
    type Partial = [__m256i; 2];
    type Int8Sum = __m256i;
    /// Weights plus 128, which the total takes back: Σ(w + 128)·q − 128·Σq.
    type Int8Weights = [__m256i; 2];
    type Int8Activations = [__m256i; 2];

    /// A lane is of 32 bits and wraps, as the whole sum may.
    #[inline(always)]
    fn planes_per_partial(_max_code: usize) -> usize {
        usize::MAX
    }

    #[inline(always)]
    fn partial_zero(self) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    fn plane_dot(self, partial: [__m256i; 2], plane: [__m256i; 2], q: &[i8; 4]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX-VNNI; register arithmetic only.
        unsafe {
            let q = _mm256_set1_epi32(quad_bits(*q));
            [
                _mm256_dpbusd_avx_epi32(partial[0], plane[0], q),
                _mm256_dpbusd_avx_epi32(partial[1], plane[1], q),
            ]
        }
    }

    #[inline(always)]
    fn add_partial(self, sums: &mut [i32; 16], partial: [__m256i; 2]) {
        for (sums, partial) in sums.as_chunks_mut::<8>().0.iter_mut().zip(partial) {
            let start: *mut __m256i = sums.as_mut_ptr().cast();
            // SAFETY: `self` proves AVX2; an unaligned load and store of eight sums.
            unsafe {
                _mm256_storeu_si256(start, _mm256_add_epi32(_mm256_loadu_si256(start), partial));
            }
        }
    }

    #[inline(always)]
    fn placed_plane<const J: usize>(self, [low, high]: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe {
            let mask = _mm256_set1_epi8((3u8 << (2 * J)) as i8);
            [_mm256_and_si256(low, mask), _mm256_and_si256(high, mask)]
        }
    }

    #[inline(always)]
    fn add_placed_partial<const J: usize>(self, sums: &mut [i32; 16], partial: [__m256i; 2]) {
        let mut shifted = partial;
        for part in &mut shifted {
            // SAFETY: `self` proves AVX2; register arithmetic only.
            *part = unsafe {
                match J {
                    0 => *part,
                    1 => _mm256_srai_epi32::<2>(*part),
                    2 => _mm256_srai_epi32::<4>(*part),
                    _ => _mm256_srai_epi32::<6>(*part),
                }
            };
        }
        self.add_partial(sums, shifted); // The shift is exact: every term is a multiple.
    }

    #[inline(always)]
    fn int8_zero(self) -> __m256i {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn int8_weights(self, w: &[i8; 64]) -> [__m256i; 2] {
        let [low, high] = self.int8_activations(w);
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe {
            let plus_128 = _mm256_set1_epi8(-128);
            [_mm256_xor_si256(low, plus_128), _mm256_xor_si256(high, plus_128)]
        }
    }

    #[inline(always)]
    fn int8_activations(self, q: &[i8; 64]) -> [__m256i; 2] {
        let start = q.as_ptr();
        // SAFETY: `self` proves AVX2; two unaligned loads of 32 bytes within 64.
        unsafe { [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast())] }
    }

    #[inline(always)]
    fn int8_dot(self, sum: __m256i, w: [__m256i; 2], q: [__m256i; 2]) -> __m256i {
        // SAFETY: `self` proves AVX-VNNI; register arithmetic only.
        unsafe { _mm256_dpbusd_avx_epi32(_mm256_dpbusd_avx_epi32(sum, w[0], q[0]), w[1], q[1]) }
    }

    #[inline(always)]
    fn int8_add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn int8_total(self, sum: __m256i, q_sum: i32) -> i32 {
        // SAFETY: `self` proves AVX2.
        let sum = unsafe { super::avx2::total(sum) };
        sum.wrapping_sub(q_sum.wrapping_mul(128))
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        // SAFETY: a prefetch of any address has no effect but on caches.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}
