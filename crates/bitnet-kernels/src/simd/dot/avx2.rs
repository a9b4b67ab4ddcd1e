//! Integer dot products of the AVX2 tier.
//!
//! `vpmaddubsw` (u8 × i8, pairs added into i16 with saturation) is exact for codes of few bits:
//! one step adds at most 2 · 3 · 128 = 768 to a lane if they are ternary, and a partial sum is of so
//! many steps as stay below 2¹⁵. For int8 weights it would saturate (2 · 255 · 128), so those are
//! widened to i16 and multiplied by `vpmaddwd`.

use std::arch::x86_64::*;

use super::{DotSimd, quad_bits};
use crate::simd::avx2::Avx2;

impl DotSimd for Avx2<false> {
    const STREAM_TOKENS: usize = 1;
    // 2 registers for each token's sums, 2 for the plane, and q: 15.
    const PANEL_TOKENS: usize = 6;
    const TWO_ROW_BLOCKS: bool = false;
    const PLANES_PER_PLACED_PARTIAL: usize = 32;
    const INT8_TOKENS: usize = 1;

    /// Lanes `2r` and `2r + 1` of sixteen i16 belong to row `r` (of eight).
    type Partial = [__m256i; 2];
    type Int8Sum = __m256i;
    /// 64 weights as i16.
    type Int8Weights = [__m256i; 4];
    /// 64 activations as i16.
    type Int8Activations = [__m256i; 4];

    /// A step adds at most 2 · max_code · 128 to a lane of i16.
    #[inline(always)]
    fn planes_per_partial(max_code: usize) -> usize {
        (i16::MAX as usize) / (2 * 128 * max_code)
    }

    #[inline(always)]
    fn partial_zero(self) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    fn plane_dot(self, partial: [__m256i; 2], plane: [__m256i; 2], q: &[i8; 4]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe {
            let q = _mm256_set1_epi32(quad_bits(*q));
            [
                _mm256_add_epi16(partial[0], _mm256_maddubs_epi16(plane[0], q)),
                _mm256_add_epi16(partial[1], _mm256_maddubs_epi16(plane[1], q)),
            ]
        }
    }

    #[inline(always)]
    fn add_partial(self, sums: &mut [i32; 16], partial: [__m256i; 2]) {
        let start = sums.as_mut_ptr();
        // SAFETY: `self` proves AVX2; unaligned loads and stores of the two halves of `sums`.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            let (low, high) = (start.cast::<__m256i>(), start.add(8).cast::<__m256i>());
            let low_sums = _mm256_madd_epi16(partial[0], ones);
            let high_sums = _mm256_madd_epi16(partial[1], ones);
            _mm256_storeu_si256(low, _mm256_add_epi32(_mm256_loadu_si256(low), low_sums));
            _mm256_storeu_si256(high, _mm256_add_epi32(_mm256_loadu_si256(high), high_sums));
        }
    }

    #[inline(always)]
    fn int8_zero(self) -> __m256i {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    fn int8_weights(self, w: &[i8; 64]) -> [__m256i; 4] {
        let start = w.as_ptr();
        // SAFETY: `self` proves AVX2; four unaligned loads of 16 bytes within 64.
        unsafe {
            [
                _mm256_cvtepi8_epi16(_mm_loadu_si128(start.cast())),
                _mm256_cvtepi8_epi16(_mm_loadu_si128(start.add(16).cast())),
                _mm256_cvtepi8_epi16(_mm_loadu_si128(start.add(32).cast())),
                _mm256_cvtepi8_epi16(_mm_loadu_si128(start.add(48).cast())),
            ]
        }
    }

    #[inline(always)]
    fn int8_activations(self, q: &[i8; 64]) -> [__m256i; 4] {
        self.int8_weights(q) // The same widening.
    }

    #[inline(always)]
    fn int8_dot(self, sum: __m256i, w: [__m256i; 4], q: [__m256i; 4]) -> __m256i {
        // SAFETY: `self` proves AVX2; register arithmetic only. One pair is at most 2 · 128².
        unsafe {
            let first =
                _mm256_add_epi32(_mm256_madd_epi16(w[0], q[0]), _mm256_madd_epi16(w[1], q[1]));
            let second =
                _mm256_add_epi32(_mm256_madd_epi16(w[2], q[2]), _mm256_madd_epi16(w[3], q[3]));
            _mm256_add_epi32(sum, _mm256_add_epi32(first, second))
        }
    }

    #[inline(always)]
    fn int8_add(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe { _mm256_add_epi32(a, b) }
    }

    #[inline(always)]
    fn int8_total(self, sum: __m256i, _q_sum: i32) -> i32 {
        // SAFETY: `self` proves AVX2.
        unsafe { total(sum) }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        // SAFETY: a prefetch of any address has no effect but on caches.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}

/// The sum of the lanes, which wrap.
///
/// # Safety
/// The CPU must have AVX2.
#[inline(always)]
pub(super) unsafe fn total(sum: __m256i) -> i32 {
    // SAFETY: the caller's promise; register arithmetic only.
    unsafe {
        let sum = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256::<1>(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b01_00_11_10>(sum));
        let sum = _mm_add_epi32(sum, _mm_shuffle_epi32::<0b10_11_00_01>(sum));
        _mm_cvtsi128_si32(sum)
    }
}
