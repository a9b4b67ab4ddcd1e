//! Tiles with a weight in six bits: 16 rows × 16 columns in 192 bytes.
//!
//! The low four bits of two planes share a line, the high two bits of all four planes have the third.

use super::TILE_ROWS;
use super::kernel::{Encoding, fetch_ahead};
use crate::simd::{PlaneBytes, Simd};

/// Columns of a tile.
const COLUMNS: usize = 16;

/// Lines of a tile: two of low bits, one of high bits.
const LINES: usize = 3;

/// The code of weight 0.
pub(super) const ZERO: u8 = 32;

/// [`TileEncoding::SixBit`](super::TileEncoding::SixBit).
#[derive(Clone, Copy)]
pub(super) struct SixBit;

impl Encoding for SixBit {
    const MAX_CODE: usize = 63;

    /// Chains of sums, one for each plane of two tiles, hide the latency of the dot product.
    #[inline(always)]
    fn stream<S: Simd, const Q: usize>(
        simd: S,
        tiles: &[u8],
        quads: &[[[i8; 4]; Q]],
        sums: &mut [[i32; TILE_ROWS]; Q],
    ) {
        // `steps[k][j][t]` are the activations of token `t` for plane `j` of the `k`-th tile.
        let (tiles, steps) = (lines(tiles), quads.as_chunks::<4>().0);
        let chunk = S::planes_per_partial(Self::MAX_CODE);
        for (tiles, steps) in tiles.chunks(chunk).zip(steps.chunks(chunk)) {
            let mut partials = [[[simd.partial_zero(); 4]; Q]; 2];
            let ((pairs, odd_tiles), (step_pairs, odd_steps)) =
                (tiles.as_chunks::<2>(), steps.as_chunks::<2>());
            for (tiles, steps) in pairs.iter().zip(step_pairs) {
                fetch_ahead(simd, tiles.as_flattened());
                add_tile(simd, &mut partials[0], &tiles[0], &steps[0]);
                // More tokens have chains enough.
                let second = usize::from(Q == 1);
                add_tile(simd, &mut partials[second], &tiles[1], &steps[1]);
            }
            for (tile, step) in odd_tiles.iter().zip(odd_steps) {
                add_tile(simd, &mut partials[0], tile, step);
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
        out: &mut [[PlaneBytes; R]],
        r: usize,
    ) {
        for (tile, out) in lines(tiles).iter().zip(out.as_chunks_mut::<4>().0) {
            let planes = planes(simd, tile);
            for j in 0..4 {
                simd.store_plane(planes[j], &mut out[j][r].0);
            }
        }
    }
}

/// The products of one tile, in one sum for each token and plane.
#[inline(always)]
fn add_tile<S: Simd, const Q: usize>(
    simd: S,
    partials: &mut [[S::Partial; 4]; Q],
    tile: &[[u8; 64]; LINES],
    step: &[[[i8; 4]; Q]; 4],
) {
    let planes = planes(simd, tile);
    for t in 0..Q {
        for j in 0..4 {
            partials[t][j] = simd.plane_dot(partials[t][j], planes[j], &step[j][t]);
        }
    }
}

/// The planes of a tile.
#[inline(always)]
fn planes<S: Simd>(simd: S, tile: &[[u8; 64]; LINES]) -> [S::Plane; 4] {
    let [first, second, high] = [simd.tile(&tile[0]), simd.tile(&tile[1]), simd.tile(&tile[2])];
    [
        simd.six_bit_plane::<0>(first, high),
        simd.six_bit_plane::<1>(first, high),
        simd.six_bit_plane::<2>(second, high),
        simd.six_bit_plane::<3>(second, high),
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
        let codes = weights.map(|weight| weight.wrapping_add(ZERO as i8) as u8);
        for i in 0..4 {
            let (code, at) = (|plane: usize| codes[4 * plane + i], 4 * r + i);
            tile[0][at] = code(0) & 15 | code(1) << 4;
            tile[1][at] = code(2) & 15 | code(3) << 4;
            tile[2][at] = (0..4).fold(0, |high, plane| high | (code(plane) >> 4) << (2 * plane));
        }
    }
}

/// Reads row `r` of a row block; whether all its codes stand for weights.
pub(super) fn unpack_row(block: &[u8], r: usize, out: &mut [i8]) -> bool {
    let mut valid = true;
    for (tile, out) in lines(block).iter().zip(out.chunks_mut(COLUMNS)) {
        for (place, weight) in out.iter_mut().enumerate() {
            let (plane, at) = (place / 4, 4 * r + place % 4);
            let low = tile[plane / 2][at] >> (4 * (plane % 2)) & 15;
            let code = low | (tile[2][at] >> (2 * plane) & 3) << 4;
            valid &= code != 0;
            *weight = code.wrapping_sub(ZERO) as i8;
        }
    }
    valid
}

/// Whether no code of some tiles is 0, which would be −32.
pub(super) fn are_codes_valid(tiles: &[u8]) -> bool {
    lines(tiles).iter().all(|tile| {
        let mut zeros = false;
        for at in 0..64 {
            let high = tile[2][at];
            for (line, pair) in [(tile[0][at], high & 15), (tile[1][at], high >> 4)] {
                zeros |= line & 15 == 0 && pair & 3 == 0;
                zeros |= line >> 4 == 0 && pair >> 2 == 0;
            }
        }
        !zeros
    })
}
