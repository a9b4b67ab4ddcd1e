//! Codes out of tiles on the portable tier.

use super::Unpack;
use crate::simd::Scalar;

impl Unpack for Scalar {
    /// Lane `2r` holds bytes 0 and 1 of row `r`, lane `2r + 1` bytes 2 and 3.
    type Tile = [i16; 32];
    /// The codes of the low byte of each lane, and of the high byte.
    type Plane = [[i16; 32]; 2];
    type FiveBitCodes = [[i16; 32]; 2];

    #[inline(always)]
    fn tile(self, bytes: &[u8; 64]) -> [i16; 32] {
        let mut tile = [0; 32];
        for (lane, &pair) in tile.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *lane = i16::from_le_bytes(pair);
        }
        tile
    }

    #[inline(always)]
    fn plane<const J: usize>(self, tile: [i16; 32]) -> [[i16; 32]; 2] {
        let mut plane = [[0; 32]; 2];
        for lane in 0..32 {
            plane[0][lane] = (tile[lane] >> (2 * J)) & 3;
            plane[1][lane] = (tile[lane] >> (2 * J + 8)) & 3;
        }
        plane
    }

    #[inline(always)]
    fn five_bit_codes<const HALF: usize>(
        self,
        line: [i16; 32],
        last: [i16; 32],
        slot: usize,
    ) -> [[i16; 32]; 2] {
        let mut codes = [[0; 32]; 2];
        for lane in 0..32 {
            for byte in 0..2 {
                let low = (line[lane] >> (8 * byte + 4 * HALF)) & 15;
                let fifth = (last[lane] >> (8 * byte + slot)) & 1;
                codes[byte][lane] = low | (fifth << 4);
            }
        }
        codes
    }

    #[inline(always)]
    fn digit<const DIGIT: usize>(self, codes: [[i16; 32]; 2]) -> [[i16; 32]; 2] {
        // Divisions by multiplication, exact for codes below 32.
        codes.map(|codes| {
            codes.map(|code| {
                let (third, ninth) = ((code * 171) >> 9, (code * 57) >> 9);
                match DIGIT {
                    0 => code - 3 * third,
                    1 => third - 3 * ninth,
                    _ => ninth,
                }
            })
        })
    }

    #[inline(always)]
    fn six_bit_plane<const J: usize>(self, line: [i16; 32], high: [i16; 32]) -> [[i16; 32]; 2] {
        let mut plane = [[0; 32]; 2];
        for lane in 0..32 {
            for byte in 0..2 {
                let low = (line[lane] >> (8 * byte + 4 * (J % 2))) & 15;
                plane[byte][lane] = low | ((high[lane] >> (8 * byte + 2 * J)) & 3) << 4;
            }
        }
        plane
    }

    #[inline(always)]
    fn store_plane(self, plane: [[i16; 32]; 2], out: &mut [u8; 64]) {
        for (lane, pair) in out.as_chunks_mut::<2>().0.iter_mut().enumerate() {
            *pair = [plane[0][lane] as u8, plane[1][lane] as u8];
        }
    }

    #[inline(always)]
    fn low_nibbles(self, tile: [i16; 32]) -> [[i16; 32]; 2] {
        [tile.map(|pair| pair & 15), tile.map(|pair| (pair >> 8) & 15)]
    }

    #[inline(always)]
    fn high_nibbles(self, tile: [i16; 32]) -> [[i16; 32]; 2] {
        [tile.map(|pair| (pair >> 4) & 15), tile.map(|pair| (pair >> 12) & 15)]
    }

    #[inline(always)]
    fn bytes(self, tile: [i16; 32]) -> [[i16; 32]; 2] {
        [tile.map(|pair| pair & 255), tile.map(|pair| (pair >> 8) & 255)]
    }
}
