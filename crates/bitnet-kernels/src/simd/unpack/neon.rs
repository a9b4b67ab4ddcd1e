//! Codes out of tiles on the NEON tiers.
//!
//! Without `dotprod`, bytes are multiplied by lanes, and two neighbours of a row are added by
//! multiplying the even bytes of two registers and then their odd ones: a tile is loaded as even and
//! odd bytes. With `dotprod` it is four registers of four rows.

use std::arch::aarch64::*;

use super::{Unpack, digits};
use crate::simd::neon::Neon;

/// With `dotprod`, rows 0 to 3, 4 to 7, 8 to 11 and 12 to 15. Without, the even bytes of rows 0 to 7
/// and their odd ones, then those of rows 8 to 15.
type Bytes = [uint8x16_t; 4];

impl<const DOTPROD: bool, const I8MM: bool> Unpack for Neon<DOTPROD, I8MM> {
    type Tile = Bytes;
    type Plane = Bytes;
    type FiveBitCodes = Bytes;

    #[inline(always)]
    fn tile(self, bytes: &[u8; 64]) -> Bytes {
        let start = bytes.as_ptr();
        // SAFETY: `self` proves NEON; loads of 64 bytes in all.
        unsafe {
            if DOTPROD {
                let uint8x16x4_t(a, b, c, d) = vld1q_u8_x4(start);
                [a, b, c, d]
            } else {
                let uint8x16x2_t(low_even, low_odd) = vld2q_u8(start);
                let uint8x16x2_t(high_even, high_odd) = vld2q_u8(start.add(32));
                [low_even, low_odd, high_even, high_odd]
            }
        }
    }

    #[inline(always)]
    fn store_plane(self, [a, b, c, d]: Bytes, out: &mut [u8; 64]) {
        let start = out.as_mut_ptr();
        // SAFETY: `self` proves NEON; stores of 64 bytes in all.
        unsafe {
            if DOTPROD {
                vst1q_u8_x4(start, uint8x16x4_t(a, b, c, d));
            } else {
                vst2q_u8(start, uint8x16x2_t(a, b));
                vst2q_u8(start.add(32), uint8x16x2_t(c, d));
            }
        }
    }

    #[inline(always)]
    fn five_bit_codes<const HALF: usize>(self, line: Bytes, last: Bytes, slot: usize) -> Bytes {
        let mut codes = if HALF == 0 { self.low_nibbles(line) } else { self.high_nibbles(line) };
        for i in 0..4 {
            // SAFETY: `self` proves NEON; register arithmetic only.
            unsafe {
                // Bit `slot` to bit 4: a shift to the left by less than zero is one to the right.
                let fifth = vshlq_u8(last[i], vdupq_n_s8(4 - slot as i8));
                codes[i] = vbslq_u8(vdupq_n_u8(16), fifth, codes[i]);
            }
        }
        codes
    }

    intrinsics_by_register! { 4;
        plane<const J: usize>(tile: Bytes) -> Bytes, i = match J {
            0 => vandq_u8(tile[i], vdupq_n_u8(3)),
            1 => vandq_u8(vshrq_n_u8::<2>(tile[i]), vdupq_n_u8(3)),
            2 => vandq_u8(vshrq_n_u8::<4>(tile[i]), vdupq_n_u8(3)),
            _ => vshrq_n_u8::<6>(tile[i]),
        };
        /// A lookup in a table of 32 bytes.
        digit<const DIGIT: usize>(codes: Bytes) -> Bytes, i = {
            let table = const { &digits::<32>(DIGIT) };
            vqtbl2q_u8(vld1q_u8_x2(table.as_ptr()), codes[i])
        };
        six_bit_plane<const J: usize>(line: Bytes, high: Bytes) -> Bytes, i = {
            let low = match J % 2 {
                0 => vandq_u8(line[i], vdupq_n_u8(15)),
                _ => vshrq_n_u8::<4>(line[i]),
            };
            let high = match J {
                0 => vshlq_n_u8::<4>(high[i]),
                1 => vshlq_n_u8::<2>(high[i]),
                2 => high[i],
                _ => vshrq_n_u8::<2>(high[i]),
            };
            vorrq_u8(low, vandq_u8(high, vdupq_n_u8(0b11_0000)))
        };
        low_nibbles(tile: Bytes) -> Bytes, i = vandq_u8(tile[i], vdupq_n_u8(15));
        high_nibbles(tile: Bytes) -> Bytes, i = vshrq_n_u8::<4>(tile[i]);
    }

    #[inline(always)]
    fn bytes(self, tile: Bytes) -> Bytes {
        tile
    }
}
