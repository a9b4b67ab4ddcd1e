//! Integer dot products of the AVX-512 VNNI tier.
//!
//! `vpdpbusd` multiplies u8 by i8 and adds four products to an i32 lane without saturation.
//! Ternary codes are its unsigned operand as they are; int8 weights become unsigned by
//! adding 128, which the total takes back: Σ(w + 128)·q − 128·Σq.

use core::arch::x86_64::*;

use super::{DotSimd, digits};
use crate::simd::avx512::Avx512;

impl<const VBMI: bool> DotSimd for Avx512<VBMI> {
    const STREAM_TOKENS: usize = 4;
    // 2 · 12 registers of sums, 2 of planes, and q: 27.
    const PANEL_TOKENS: usize = 12;
    const HAS_32_REGISTERS: bool = true;
    // Codes up to 3 · 4³ = 192: a plane adds at most 4 · 192 · 128 < 2¹⁷ to a lane.
    const PLANES_PER_PLACED_PARTIAL: usize = 1 << 14;
    const INT8_TOKENS: usize = 4;

    type Tile = __m512i;
    type Plane = __m512i;
    /// With VBMI, bits above the fifth have any value.
    type FiveBitCodes = __m512i;
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
    fn tile(self, bytes: &[u8; 64]) -> __m512i {
        // SAFETY: `self` proves AVX-512; an unaligned load of 64 bytes.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    fn plane<const J: usize>(self, tile: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        unsafe {
            let shifted = match J {
                0 => tile,
                1 => _mm512_srli_epi32::<2>(tile),
                2 => _mm512_srli_epi32::<4>(tile),
                _ => _mm512_srli_epi32::<6>(tile),
            };
            _mm512_and_si512(shifted, _mm512_set1_epi8(3))
        }
    }

    #[inline(always)]
    fn five_bit_codes<const HALF: usize>(
        self,
        line: __m512i,
        last: __m512i,
        slot: usize,
    ) -> __m512i {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        unsafe {
            let line = match HALF {
                0 => line,
                _ => _mm512_srli_epi32::<4>(line),
            };
            // Bit `slot` of each byte to bit 4; the count is taken modulo 32.
            let last = _mm512_rorv_epi32(last, _mm512_set1_epi32(slot as i32 - 4));
            // Bit 4 of `last`, all else of `line`.
            const CHOOSE: i32 = 0b11_10_01_00;
            let codes = _mm512_ternarylogic_epi32::<CHOOSE>(last, line, _mm512_set1_epi8(0b1_0000));
            if VBMI { codes } else { _mm512_and_si512(codes, _mm512_set1_epi8(31)) }
        }
    }

    #[inline(always)]
    fn digit<const DIGIT: usize>(self, codes: __m512i) -> __m512i {
        // The table twice: bit 5 of an index then has no meaning, as bits 6 and 7 have none.
        let table = const { &digits::<64>(DIGIT) };
        // SAFETY: `self` proves AVX-512, and VBMI where it is used; loads within the table.
        unsafe {
            if VBMI {
                _mm512_permutexvar_epi8(codes, _mm512_loadu_si512(table.as_ptr().cast()))
            } else {
                let low = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
                let high = _mm512_broadcast_i32x4(_mm_loadu_si128(table[16..].as_ptr().cast()));
                let fifth = _mm512_test_epi8_mask(codes, _mm512_set1_epi8(16));
                let (low, high) =
                    (_mm512_shuffle_epi8(low, codes), _mm512_shuffle_epi8(high, codes));
                _mm512_mask_blend_epi8(fifth, low, high)
            }
        }
    }

    #[inline(always)]
    fn six_bit_plane<const J: usize>(self, line: __m512i, high: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        unsafe {
            let low = match J % 2 {
                0 => line,
                _ => _mm512_srli_epi32::<4>(line),
            };
            let high = match J {
                0 => _mm512_slli_epi32::<4>(high),
                1 => _mm512_slli_epi32::<2>(high),
                2 => high,
                _ => _mm512_srli_epi32::<2>(high),
            };
            let low = _mm512_and_si512(low, _mm512_set1_epi8(15));
            const OR_AND: i32 = 0b11_11_10_00;
            _mm512_ternarylogic_epi32::<OR_AND>(low, high, _mm512_set1_epi8(0b11_0000))
        }
    }

    #[inline(always)]
    fn store_plane(self, plane: __m512i, out: &mut [u8; 64]) {
        // SAFETY: `self` proves AVX-512; an unaligned store of 64 bytes.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), plane) }
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
