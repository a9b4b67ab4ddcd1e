//! Integer dot products of the AVX-512 VNNI tier.
//!
//! `vpdpbusd` multiplies u8 by i8 and adds four products to an i32 lane without saturation.
//! Ternary codes are its unsigned operand as they are; int8 weights become unsigned by
//! adding 128, which the total takes back: Σ(w + 128)·q − 128·Σq.

use std::arch::x86_64::*;

use super::DotSimd;
use crate::simd::avx512::Avx512;

impl<const VBMI: bool> DotSimd for Avx512<VBMI> {
    const STREAM_TOKENS: usize = 4;
    // 2 · 12 registers of sums, 2 of planes, and q: 27.
    const PANEL_TOKENS: usize = 12;
    const TWO_ROW_BLOCKS: bool = true;
    // Codes up to 3 · 4³ = 192: a plane adds at most 4 · 192 · 128 < 2¹⁷ to a lane.
    const PLANES_PER_PLACED_PARTIAL: usize = 1 << 14;
    const INT8_TOKENS: usize = 4;

    type Partial = __m512i;
    type Int8Sum = __m512i;
    type Int8Weights = __m512i;
    type Int8Activations = __m512i;

    /// A lane is of 32 bits and wraps, as the whole sum may.
    #[inline(always)]
    fn planes_per_partial(_max_code: usize) -> usize {
        usize::MAX
    }

    #[inline(always)]
    fn partial_zero(self) -> __m512i {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn plane_dot(self, partial: __m512i, plane: __m512i, q: &[i8; 4]) -> __m512i {
        // SAFETY: `self` proves AVX-512 VNNI; the load is of the four bytes of `q`.
        unsafe {
            let q = _mm512_set1_epi32(q.as_ptr().cast::<i32>().read_unaligned());
            _mm512_dpbusd_epi32(partial, plane, q)
        }
    }

    #[inline(always)]
    fn add_partial(self, sums: &mut [i32; 16], partial: __m512i) {
        let start = sums.as_mut_ptr();
        // SAFETY: `self` proves AVX-512; an unaligned load and store of the 64 bytes of `sums`.
        unsafe {
            let sums = _mm512_loadu_si512(start.cast());
            _mm512_storeu_si512(start.cast(), _mm512_add_epi32(sums, partial));
        }
    }

    /// Added in registers, where lanes of 32 bits wrap as the whole sum may.
    #[inline(always)]
    fn add_partials<const N: usize>(self, sums: &mut [i32; 16], partials: [__m512i; N]) {
        let mut total = self.partial_zero();
        for partial in partials {
            // SAFETY: `self` proves AVX-512; register arithmetic only.
            total = unsafe { _mm512_add_epi32(total, partial) };
        }
        self.add_partial(sums, total);
    }

    #[inline(always)]
    fn placed_plane<const J: usize>(self, tile: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        unsafe { _mm512_and_si512(tile, _mm512_set1_epi8((3u8 << (2 * J)) as i8)) }
    }

    #[inline(always)]
    fn add_placed_partial<const J: usize>(self, sums: &mut [i32; 16], partial: __m512i) {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        let shifted = unsafe {
            match J {
                0 => partial,
                1 => _mm512_srai_epi32::<2>(partial),
                2 => _mm512_srai_epi32::<4>(partial),
                _ => _mm512_srai_epi32::<6>(partial),
            }
        };
        self.add_partial(sums, shifted); // The shift is exact: every term is a multiple.
    }

    #[inline(always)]
    fn int8_zero(self) -> __m512i {
        self.partial_zero()
    }

    #[inline(always)]
    fn int8_weights(self, w: &[i8; 64]) -> __m512i {
        // SAFETY: `self` proves AVX-512; an unaligned load of 64 bytes.
        unsafe {
            let w = _mm512_loadu_si512(w.as_ptr().cast());
            _mm512_xor_si512(w, _mm512_set1_epi8(-128))
        }
    }

    #[inline(always)]
    fn int8_activations(self, q: &[i8; 64]) -> __m512i {
        // SAFETY: `self` proves AVX-512; an unaligned load of 64 bytes.
        unsafe { _mm512_loadu_si512(q.as_ptr().cast()) }
    }

    #[inline(always)]
    fn int8_dot(self, sum: __m512i, w: __m512i, q: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512 VNNI; register arithmetic only.
        unsafe { _mm512_dpbusd_epi32(sum, w, q) }
    }

    #[inline(always)]
    fn int8_add(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    fn int8_total(self, sum: __m512i, q_sum: i32) -> i32 {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        let sum = unsafe { _mm512_reduce_add_epi32(sum) };
        sum.wrapping_sub(q_sum.wrapping_mul(128))
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        // SAFETY: a prefetch of any address has no effect but on caches.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) }
    }
}
