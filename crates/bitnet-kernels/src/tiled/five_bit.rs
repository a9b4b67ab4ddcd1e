//! Tiles with three weights in five bits: 16 rows × 96 columns in 320 bytes, 1.67 bits a weight.
//!
//! Base 3 in five bits wastes 5 of 32 codes and 5 % of the bits; in exchange a digit of a code is one
//! byte shuffle, where five weights in a byte would need multiplications. The fifth bits of a tile
//! have a line of their own, so that the other four fill bytes by halves and every line is aligned.

use super::TILE_ROWS;
use super::kernel::{Encoding, fetch_ahead};
use crate::simd::{PlaneBytes, Simd};

/// Columns of a tile.
const COLUMNS: usize = 96;

/// Lines of a tile: four of low bits, one of fifth bits.
const LINES: usize = 5;

/// Planes of 16 rows × 4 columns of a tile.
const PLANES: usize = COLUMNS / 4;

/// [`TileEncoding::FiveBit`](super::TileEncoding::FiveBit).
#[derive(Clone, Copy)]
pub(super) struct FiveBit;

impl Encoding for FiveBit {
    const MAX_CODE: usize = 3;

    /// Chains of sums, one for each plane of two or four slots, hide the latency of the dot product.
    #[inline(always)]
    fn stream<S: Simd, const Q: usize>(
        simd: S,
        tiles: &[u8],
        quads: &[[[i8; 4]; Q]],
        sums: &mut [[i32; TILE_ROWS]; Q],
    ) {
        let (tiles, steps) = (lines(tiles), quads.as_chunks::<PLANES>().0);
        // A sum takes every sixth plane of a tile.
        let chunk = S::planes_per_partial(Self::MAX_CODE) / (PLANES / 6);
        for (tiles, steps) in tiles.chunks(chunk).zip(steps.chunks(chunk)) {
            let mut partials = [[[simd.partial_zero(); 6]; Q]; 2];
            for (tile, step) in tiles.iter().zip(steps) {
                fetch_ahead(simd, tile);
                for (pair, quads) in step.as_chunks::<6>().0.iter().enumerate() {
                    let planes = planes_of_pair(simd, tile, pair);
                    // More tokens have chains enough.
                    let partials = &mut partials[if Q == 1 { pair % 2 } else { 0 }];
                    for t in 0..Q {
                        for i in 0..6 {
                            partials[t][i] =
                                simd.plane_dot(partials[t][i], planes[i], &quads[i][t]);
                        }
                    }
                }
            }
            for partials in partials {
                for (sums, partials) in sums.iter_mut().zip(partials) {
                    simd.add_partials(sums, partials);
                }
            }
        }
    }

    #[inline(always)]
    fn unpack<S: Simd, const R: usize>(
        simd: S,
        tiles: &[u8],
        planes: &mut [[PlaneBytes; R]],
        r: usize,
    ) {
        for (tile, planes) in lines(tiles).iter().zip(planes.as_chunks_mut::<PLANES>().0) {
            for (pair, out) in planes.as_chunks_mut::<6>().0.iter_mut().enumerate() {
                let planes = planes_of_pair(simd, tile, pair);
                for i in 0..6 {
                    simd.store_plane(planes[i], &mut out[i][r].0);
                }
            }
        }
    }
}

/// The planes of slots `2 · pair` and `2 · pair + 1`.
#[inline(always)]
fn planes_of_pair<S: Simd>(simd: S, tile: &[[u8; 64]; LINES], pair: usize) -> [S::Plane; 6] {
    let (line, last) = (simd.tile(&tile[pair]), simd.tile(&tile[LINES - 1]));
    let even = simd.five_bit_codes::<0>(line, last, 2 * pair);
    let odd = simd.five_bit_codes::<1>(line, last, 2 * pair + 1);
    [
        simd.digit::<0>(even),
        simd.digit::<1>(even),
        simd.digit::<2>(even),
        simd.digit::<0>(odd),
        simd.digit::<1>(odd),
        simd.digit::<2>(odd),
    ]
}

/// The tiles of a row block, line by line.
#[inline(always)]
fn lines(tiles: &[u8]) -> &[[[u8; 64]; LINES]] {
    tiles.as_chunks::<64>().0.as_chunks().0
}

/// Writes weights, padded to whole tiles, as row `r` of the tiles of a row block.
pub(super) fn pack_row(block: &mut [u8], r: usize, weights: &[i8]) {
    let tiles = block.as_chunks_mut::<64>().0.as_chunks_mut::<LINES>().0;
    for (tile, weights) in tiles.iter_mut().zip(weights.as_chunks::<COLUMNS>().0) {
        let mut fifths = [0u8; 4];
        for (pair, weights) in weights.as_chunks::<24>().0.iter().enumerate() {
            let mut line = [0u8; 4];
            for half in 0..2 {
                let slot = 2 * pair + half;
                for i in 0..4 {
                    let digit = |j: usize| weights[12 * half + 4 * j + i].wrapping_add(1) as u8;
                    let code = digit(0) + 3 * digit(1) + 9 * digit(2);
                    line[i] |= (code & 15) << (4 * half);
                    fifths[i] |= (code >> 4) << slot;
                }
            }
            tile[pair][4 * r..][..4].copy_from_slice(&line);
        }
        tile[LINES - 1][4 * r..][..4].copy_from_slice(&fifths);
    }
}

/// The code of slot `slot` at byte `at` of the lines of a tile.
fn code(tile: &[[u8; 64]; LINES], slot: usize, at: usize) -> u8 {
    let low = tile[slot / 2][at] >> (4 * (slot % 2)) & 15;
    let fifth = tile[LINES - 1][at] >> slot & 1;
    low | fifth << 4
}

/// Reads row `r` of a row block; whether all its codes stand for weights.
pub(super) fn unpack_row(block: &[u8], r: usize, out: &mut [i8]) -> bool {
    let mut valid = true;
    for (tile, out) in lines(block).iter().zip(out.chunks_mut(COLUMNS)) {
        for (slot, out) in out.chunks_mut(12).enumerate() {
            let codes = std::array::from_fn::<_, 4, _>(|i| code(tile, slot, 4 * r + i));
            valid &= codes.iter().all(|&code| code < 27);
            let digits = codes.map(|code| [code % 3, code / 3 % 3, code / 9]);
            for (place, weight) in out.iter_mut().enumerate() {
                *weight = digits[place % 4][place / 4] as i8 - 1;
            }
        }
    }
    valid
}

/// Whether every code of some tiles stands for weights: is less than 27, which are the codes with the
/// fifth bit and bit 3, and then bit 2 or both others.
pub(super) fn are_codes_valid(tiles: &[u8]) -> bool {
    lines(tiles).iter().all(|tile| {
        let mut invalid = 0;
        for at in 0..64 {
            // One bit for each slot, as the fifth bits lie.
            let spread = |bit: u32| {
                (0..4).fold(0, |slots, pair| {
                    let line = tile[pair][at];
                    let (even, odd) = (line >> bit & 1, line >> (4 + bit) & 1);
                    slots | even << (2 * pair) | odd << (2 * pair + 1)
                })
            };
            invalid |= tile[LINES - 1][at] & spread(3) & (spread(2) | spread(1) & spread(0));
        }
        invalid == 0
    })
}
