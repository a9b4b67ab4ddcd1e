//! Integer dot products of the SSE4.1 tier: those of AVX2 in four registers instead of two.
//!
//! `pmaddubsw` (u8 × i8, pairs added into i16 with saturation) is exact for codes of few bits: one step
//! adds at most 2 · 3 · 128 = 768 to a lane if they are ternary, and a partial sum is of so many steps
//! as stay below 2¹⁵. Int8 weights are widened to i16 and multiplied by `pmaddwd`.

use std::arch::x86_64::*;

use super::{DotSimd, quad_bits};
use crate::simd::sse41::Sse41;

impl DotSimd for Sse41 {
    const STREAM_TOKENS: usize = 1;
    // 4 registers for each token's sums, a part of the plane, q for each token, and a product: 12.
    const PANEL_TOKENS: usize = 2;
    const TWO_ROW_BLOCKS: bool = false;
    const PLANES_PER_PLACED_PARTIAL: usize = 32;
    const INT8_TOKENS: usize = 1;

    /// Lanes `2r` and `2r + 1` of eight i16 belong to row `r` (of four).
    type Partial = [__m128i; 4];
    type Int8Sum = __m128i;
    /// 64 weights as i16.
    type Int8Weights = [__m128i; 8];
    /// 64 activations as i16.
    type Int8Activations = [__m128i; 8];

    /// A step adds at most 2 · max_code · 128 to a lane of i16.
    #[inline(always)]
    fn planes_per_partial(max_code: usize) -> usize {
        (i16::MAX as usize) / (2 * 128 * max_code)
    }

    #[inline(always)]
    fn partial_zero(self) -> [__m128i; 4] {
        // SAFETY: `self` proves SSE2; register arithmetic only.
        unsafe { [_mm_setzero_si128(); 4] }
    }

    #[inline(always)]
    fn plane_dot(
        self,
        mut partial: [__m128i; 4],
        plane: [__m128i; 4],
        q: &[i8; 4],
    ) -> [__m128i; 4] {
        // SAFETY: `self` proves SSSE3; register arithmetic only.
        unsafe {
            let q = _mm_set1_epi32(quad_bits(*q));
            for i in 0..4 {
                partial[i] = _mm_add_epi16(partial[i], _mm_maddubs_epi16(plane[i], q));
            }
        }
        partial
    }

    #[inline(always)]
    fn add_partial(self, sums: &mut [i32; 16], partial: [__m128i; 4]) {
        for (sums, partial) in sums.as_chunks_mut::<4>().0.iter_mut().zip(partial) {
            let start: *mut __m128i = sums.as_mut_ptr().cast();
            // SAFETY: `self` proves SSE2; an unaligned load and store of four sums.
            unsafe {
                let rows = _mm_madd_epi16(partial, _mm_set1_epi16(1));
                _mm_storeu_si128(start, _mm_add_epi32(_mm_loadu_si128(start), rows));
            }
        }
    }

    #[inline(always)]
    fn int8_zero(self) -> __m128i {
        // SAFETY: `self` proves SSE2; register arithmetic only.
        unsafe { _mm_setzero_si128() }
    }

    #[inline(always)]
    fn int8_weights(self, w: &[i8; 64]) -> [__m128i; 8] {
        let mut words = [self.int8_zero(); 8];
        for (words, bytes) in words.iter_mut().zip(w.as_chunks::<8>().0) {
            // SAFETY: `self` proves SSE4.1; a load of eight bytes.
            *words = unsafe { _mm_cvtepi8_epi16(_mm_loadl_epi64(bytes.as_ptr().cast())) };
        }
        words
    }

    #[inline(always)]
    fn int8_activations(self, q: &[i8; 64]) -> [__m128i; 8] {
        self.int8_weights(q) // The same widening.
    }

    #[inline(always)]
    fn int8_dot(self, mut sum: __m128i, w: [__m128i; 8], q: [__m128i; 8]) -> __m128i {
        for i in 0..8 {
            // SAFETY: `self` proves SSE2; register arithmetic only. One pair is at most 2 · 128².
            sum = unsafe { _mm_add_epi32(sum, _mm_madd_epi16(w[i], q[i])) };
        }
        sum
    }

    #[inline(always)]
    fn int8_add(self, a: __m128i, b: __m128i) -> __m128i {
        // SAFETY: `self` proves SSE2; register arithmetic only.
        unsafe { _mm_add_epi32(a, b) }
    }

    #[inline(always)]
    fn int8_total(self, sum: __m128i, _q_sum: i32) -> i32 {
        // SAFETY: `self` proves SSE2; register arithmetic only.
        unsafe {
            let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
            let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
            _mm_cvtsi128_si32(sum)
        }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        // SAFETY: a prefetch of any address has no effect but on caches.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}
