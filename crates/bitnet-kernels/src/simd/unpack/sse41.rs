//! Codes out of tiles on the SSE4.1 tier.

use std::arch::x86_64::*;

use super::{Unpack, digits};
use crate::simd::sse41::Sse41;

/// Rows 0 to 3, 4 to 7, 8 to 11 and 12 to 15.
type Bytes = [__m128i; 4];

impl Unpack for Sse41 {
    type Tile = Bytes;
    type Plane = Bytes;
    type FiveBitCodes = Bytes;

    #[inline(always)]
    fn tile(self, bytes: &[u8; 64]) -> Bytes {
        let start = bytes.as_ptr();
        // SAFETY: `self` proves SSE2; four unaligned loads of 16 bytes within 64.
        unsafe {
            [
                _mm_loadu_si128(start.cast()),
                _mm_loadu_si128(start.add(16).cast()),
                _mm_loadu_si128(start.add(32).cast()),
                _mm_loadu_si128(start.add(48).cast()),
            ]
        }
    }

    #[inline(always)]
    fn plane<const J: usize>(self, mut tile: Bytes) -> Bytes {
        for part in &mut tile {
            // SAFETY: `self` proves SSE2; register arithmetic only.
            unsafe {
                let shifted = match J {
                    0 => *part,
                    1 => _mm_srli_epi16::<2>(*part),
                    2 => _mm_srli_epi16::<4>(*part),
                    _ => _mm_srli_epi16::<6>(*part),
                };
                *part = _mm_and_si128(shifted, _mm_set1_epi8(3));
            }
        }
        tile
    }

    #[inline(always)]
    fn five_bit_codes<const HALF: usize>(self, line: Bytes, last: Bytes, slot: usize) -> Bytes {
        let mut codes = if HALF == 0 { self.low_nibbles(line) } else { self.high_nibbles(line) };
        // SAFETY: `self` proves SSE2; register arithmetic only.
        unsafe {
            // Bit `slot` to bit 4: one of the two counts is negative, that is huge, and gives zeros.
            let left = _mm_cvtsi64_si128(4 - slot as i64);
            let right = _mm_cvtsi64_si128(slot as i64 - 4);
            for i in 0..4 {
                let fifth =
                    _mm_or_si128(_mm_sll_epi32(last[i], left), _mm_srl_epi32(last[i], right));
                codes[i] = _mm_or_si128(codes[i], _mm_and_si128(fifth, _mm_set1_epi8(16)));
            }
        }
        codes
    }

    /// A byte shuffle looks up the low four bits of a code; bit 4 chooses between two of them.
    #[inline(always)]
    fn digit<const DIGIT: usize>(self, mut codes: Bytes) -> Bytes {
        let table = const { digits::<32>(DIGIT) };
        // SAFETY: `self` proves SSE4.1; two unaligned loads of 16 bytes within the table's 32.
        unsafe {
            let low = _mm_loadu_si128(table.as_ptr().cast());
            let high = _mm_loadu_si128(table[16..].as_ptr().cast());
            for code in &mut codes {
                *code = _mm_blendv_epi8(
                    _mm_shuffle_epi8(low, *code),
                    _mm_shuffle_epi8(high, *code),
                    _mm_slli_epi16::<3>(*code), // bit 4 where the blend looks
                );
            }
        }
        codes
    }

    #[inline(always)]
    fn six_bit_plane<const J: usize>(self, line: Bytes, high: Bytes) -> Bytes {
        let mut plane =
            if J.is_multiple_of(2) { self.low_nibbles(line) } else { self.high_nibbles(line) };
        for i in 0..4 {
            // SAFETY: `self` proves SSE2; register arithmetic only.
            unsafe {
                let high = match J {
                    0 => _mm_slli_epi16::<4>(high[i]),
                    1 => _mm_slli_epi16::<2>(high[i]),
                    2 => high[i],
                    _ => _mm_srli_epi16::<2>(high[i]),
                };
                plane[i] = _mm_or_si128(plane[i], _mm_and_si128(high, _mm_set1_epi8(0b11_0000)));
            }
        }
        plane
    }

    #[inline(always)]
    fn low_nibbles(self, mut tile: Bytes) -> Bytes {
        for part in &mut tile {
            // SAFETY: `self` proves SSE2; register arithmetic only.
            *part = unsafe { _mm_and_si128(*part, _mm_set1_epi8(15)) };
        }
        tile
    }

    #[inline(always)]
    fn high_nibbles(self, mut tile: Bytes) -> Bytes {
        for part in &mut tile {
            // SAFETY: `self` proves SSE2; register arithmetic only.
            *part = unsafe { _mm_srli_epi16::<4>(*part) };
        }
        self.low_nibbles(tile)
    }

    #[inline(always)]
    fn bytes(self, tile: Bytes) -> Bytes {
        tile
    }

    #[inline(always)]
    fn store_plane(self, plane: Bytes, out: &mut [u8; 64]) {
        for (part, plane) in out.as_chunks_mut::<16>().0.iter_mut().zip(plane) {
            // SAFETY: `self` proves SSE2; an unaligned store of 16 bytes.
            unsafe { _mm_storeu_si128(part.as_mut_ptr().cast(), plane) }
        }
    }
}
