//! Codes out of tiles on the AVX-512 tiers.

use std::arch::x86_64::*;

use super::{Unpack, digits};
use crate::simd::avx512::Avx512;

impl<const VBMI: bool> Unpack for Avx512<VBMI> {
    type Tile = __m512i;
    type Plane = __m512i;
    /// With VBMI, bits above the fifth have any value.
    type FiveBitCodes = __m512i;

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
    fn low_nibbles(self, tile: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        unsafe { _mm512_and_si512(tile, _mm512_set1_epi8(15)) }
    }

    #[inline(always)]
    fn high_nibbles(self, tile: __m512i) -> __m512i {
        // SAFETY: `self` proves AVX-512; register arithmetic only.
        self.low_nibbles(unsafe { _mm512_srli_epi16::<4>(tile) })
    }

    #[inline(always)]
    fn bytes(self, tile: __m512i) -> __m512i {
        tile
    }
}
