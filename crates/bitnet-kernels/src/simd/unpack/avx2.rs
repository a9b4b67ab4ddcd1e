//! Codes out of tiles on the AVX2 and AVX-VNNI tiers.

use std::arch::x86_64::*;

use super::{Unpack, digits};
use crate::simd::avx2::Avx2;

impl<const VNNI: bool> Unpack for Avx2<VNNI> {
    type Tile = [__m256i; 2];
    type Plane = [__m256i; 2];
    type FiveBitCodes = [__m256i; 2];

    #[inline(always)]
    fn tile(self, bytes: &[u8; 64]) -> [__m256i; 2] {
        let start = bytes.as_ptr();
        // SAFETY: `self` proves AVX2; two unaligned loads of 32 bytes within 64.
        unsafe { [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast())] }
    }

    #[inline(always)]
    fn plane<const J: usize>(self, [low, high]: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe {
            let mask = _mm256_set1_epi8(3);
            let (low, high) = match J {
                0 => (low, high),
                1 => (_mm256_srli_epi16::<2>(low), _mm256_srli_epi16::<2>(high)),
                2 => (_mm256_srli_epi16::<4>(low), _mm256_srli_epi16::<4>(high)),
                _ => (_mm256_srli_epi16::<6>(low), _mm256_srli_epi16::<6>(high)),
            };
            [_mm256_and_si256(low, mask), _mm256_and_si256(high, mask)]
        }
    }

    #[inline(always)]
    fn five_bit_codes<const HALF: usize>(
        self,
        line: [__m256i; 2],
        last: [__m256i; 2],
        slot: usize,
    ) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe {
            // Bit `slot` to bit 4: one of the two counts is negative, that is huge, and gives zeros.
            let left = _mm256_set1_epi32(4 - slot as i32);
            let right = _mm256_set1_epi32(slot as i32 - 4);
            let (low_bits, fifth_bit) = (_mm256_set1_epi8(15), _mm256_set1_epi8(16));
            let mut codes = line;
            for i in 0..2 {
                let low = match HALF {
                    0 => line[i],
                    _ => _mm256_srli_epi16::<4>(line[i]),
                };
                let fifth = _mm256_or_si256(
                    _mm256_sllv_epi32(last[i], left),
                    _mm256_srlv_epi32(last[i], right),
                );
                codes[i] = _mm256_or_si256(
                    _mm256_and_si256(low, low_bits),
                    _mm256_and_si256(fifth, fifth_bit),
                );
            }
            codes
        }
    }

    /// A byte shuffle looks up the low four bits of a code; bit 4 chooses between two of them.
    #[inline(always)]
    fn digit<const DIGIT: usize>(self, codes: [__m256i; 2]) -> [__m256i; 2] {
        let table = const { digits::<32>(DIGIT) };
        let (low, high) = (table.as_ptr(), table[16..].as_ptr());
        // SAFETY: `self` proves AVX2; two unaligned loads of 16 bytes within the table's 32.
        unsafe {
            let low = _mm256_broadcastsi128_si256(_mm_loadu_si128(low.cast()));
            let high = _mm256_broadcastsi128_si256(_mm_loadu_si128(high.cast()));
            let mut digits = codes;
            for i in 0..2 {
                digits[i] = _mm256_blendv_epi8(
                    _mm256_shuffle_epi8(low, codes[i]),
                    _mm256_shuffle_epi8(high, codes[i]),
                    _mm256_slli_epi16::<3>(codes[i]), // bit 4 where the blend looks
                );
            }
            digits
        }
    }

    #[inline(always)]
    fn six_bit_plane<const J: usize>(self, line: [__m256i; 2], high: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe {
            let (low_bits, high_bits) = (_mm256_set1_epi8(15), _mm256_set1_epi8(0b11_0000));
            let mut plane = line;
            for i in 0..2 {
                let low = match J % 2 {
                    0 => line[i],
                    _ => _mm256_srli_epi16::<4>(line[i]),
                };
                let high = match J {
                    0 => _mm256_slli_epi16::<4>(high[i]),
                    1 => _mm256_slli_epi16::<2>(high[i]),
                    2 => high[i],
                    _ => _mm256_srli_epi16::<2>(high[i]),
                };
                plane[i] = _mm256_or_si256(
                    _mm256_and_si256(low, low_bits),
                    _mm256_and_si256(high, high_bits),
                );
            }
            plane
        }
    }

    #[inline(always)]
    fn store_plane(self, [low, high]: [__m256i; 2], out: &mut [u8; 64]) {
        let start = out.as_mut_ptr();
        // SAFETY: `self` proves AVX2; two unaligned stores of 32 bytes within 64.
        unsafe {
            _mm256_storeu_si256(start.cast(), low);
            _mm256_storeu_si256(start.add(32).cast(), high);
        }
    }

    #[inline(always)]
    fn low_nibbles(self, tile: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        unsafe {
            let mask = _mm256_set1_epi8(15);
            [_mm256_and_si256(tile[0], mask), _mm256_and_si256(tile[1], mask)]
        }
    }

    #[inline(always)]
    fn high_nibbles(self, tile: [__m256i; 2]) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; register arithmetic only.
        let shifted = unsafe { [_mm256_srli_epi16::<4>(tile[0]), _mm256_srli_epi16::<4>(tile[1])] };
        self.low_nibbles(shifted)
    }

    #[inline(always)]
    fn bytes(self, tile: [__m256i; 2]) -> [__m256i; 2] {
        tile
    }
}
