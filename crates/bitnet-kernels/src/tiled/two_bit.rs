//! Tiles with a weight in two bits: 16 rows × 16 columns in 64 bytes.

use super::TILE_ROWS;
use super::kernel::{Encoding, fetch_ahead};
use crate::simd::{PlaneBytes, Simd};

/// Columns of a tile.
const COLUMNS: usize = 16;

/// Bytes of a tile: 256 codes of two bits.
const BYTES: usize = 64;

/// [`TileEncoding::TwoBit`](super::TileEncoding::TwoBit).
#[derive(Clone, Copy)]
pub(super) struct TwoBit;

impl Encoding for TwoBit {
    const MAX_CODE: usize = 3;

    /// Several chains of sums, one for each plane of one or two tiles, hide the latency of the dot
    /// product.
    #[inline(always)]
    fn stream<S: Simd, const Q: usize>(
        simd: S,
        tiles: &[u8],
        quads: &[[[i8; 4]; Q]],
        sums: &mut [[i32; TILE_ROWS]; Q],
    ) {
        // `steps[k][j][t]` are the activations of token `t` for plane `j` of the `k`-th tile.
        let (tiles, steps) = (tiles.as_chunks().0, quads.as_chunks().0);
        if S::TWO_ROW_BLOCKS && Q == 1 {
            stream::<S, Q, 2>(simd, tiles, steps, sums);
        } else {
            stream::<S, Q, 1>(simd, tiles, steps, sums);
        }
    }

    #[inline(always)]
    fn unpack<S: Simd, const R: usize>(
        simd: S,
        tiles: &[u8],
        planes: &mut [[PlaneBytes; R]],
        r: usize,
    ) {
        let tiles = tiles.as_chunks::<BYTES>().0;
        for (tile, planes) in tiles.iter().zip(planes.as_chunks_mut::<4>().0) {
            let tile = simd.tile(tile);
            simd.store_plane(simd.plane::<0>(tile), &mut planes[0][r].0);
            simd.store_plane(simd.plane::<1>(tile), &mut planes[1][r].0);
            simd.store_plane(simd.plane::<2>(tile), &mut planes[2][r].0);
            simd.store_plane(simd.plane::<3>(tile), &mut planes[3][r].0);
        }
    }
}

#[inline(always)]
fn stream<S: Simd, const Q: usize, const U: usize>(
    simd: S,
    tiles: &[[u8; BYTES]],
    steps: &[[[[i8; 4]; Q]; 4]],
    sums: &mut [[i32; TILE_ROWS]; Q],
) {
    let chunk = S::PLANES_PER_PLACED_PARTIAL;
    for (tiles, steps) in tiles.chunks(chunk).zip(steps.chunks(chunk)) {
        let mut partials = [[[simd.partial_zero(); 4]; Q]; U];
        let (tile_groups, odd_tiles) = tiles.as_chunks::<U>();
        let (step_groups, odd_steps) = steps.as_chunks::<U>();
        for (tiles, steps) in tile_groups.iter().zip(step_groups) {
            fetch_ahead(simd, tiles);
            for i in 0..U {
                add_placed_planes(simd, &mut partials[i], &tiles[i], &steps[i]);
            }
        }
        for (tile, step) in odd_tiles.iter().zip(odd_steps) {
            add_placed_planes(simd, &mut partials[0], tile, step);
        }
        for partials in partials {
            for (sums, partials) in sums.iter_mut().zip(partials) {
                simd.add_placed_partial::<0>(sums, partials[0]);
                simd.add_placed_partial::<1>(sums, partials[1]);
                simd.add_placed_partial::<2>(sums, partials[2]);
                simd.add_placed_partial::<3>(sums, partials[3]);
            }
        }
    }
}

/// The products of one tile, in one sum for each token and plane.
#[inline(always)]
fn add_placed_planes<S: Simd, const Q: usize>(
    simd: S,
    partials: &mut [[S::Partial; 4]; Q],
    tile: &[u8; BYTES],
    step: &[[[i8; 4]; Q]; 4],
) {
    let tile = simd.tile(tile);
    let planes = [
        simd.placed_plane::<0>(tile),
        simd.placed_plane::<1>(tile),
        simd.placed_plane::<2>(tile),
        simd.placed_plane::<3>(tile),
    ];
    for t in 0..Q {
        for j in 0..4 {
            partials[t][j] = simd.plane_dot(partials[t][j], planes[j], &step[j][t]);
        }
    }
}

/// Writes weights, padded to whole tiles, as row `r` of the tiles of a row block.
pub(super) fn pack_row(block: &mut [u8], r: usize, weights: &[i8]) {
    let groups = weights.as_chunks::<COLUMNS>().0;
    for (tile, weights) in block.as_chunks_mut::<BYTES>().0.iter_mut().zip(groups) {
        let codes = weights.map(|weight| weight.wrapping_add(1) as u8);
        // A byte of column group j moves up by 2j bits and stays within its byte.
        let word = |j: usize| {
            u32::from_le_bytes([codes[4 * j], codes[4 * j + 1], codes[4 * j + 2], codes[4 * j + 3]])
        };
        let packed = word(0) | word(1) << 2 | word(2) << 4 | word(3) << 6;
        tile[4 * r..][..4].copy_from_slice(&packed.to_le_bytes());
    }
}

/// Reads row `r` of a row block; whether all its codes stand for weights.
pub(super) fn unpack_row(block: &[u8], r: usize, out: &mut [i8]) -> bool {
    let mut invalid = 0;
    for (tile, out) in block.as_chunks::<BYTES>().0.iter().zip(out.chunks_mut(COLUMNS)) {
        let packed = &tile[4 * r..][..4];
        for (j, out) in out.chunks_mut(4).enumerate() {
            for (weight, &byte) in out.iter_mut().zip(packed) {
                let code = (byte >> (2 * j)) & 3;
                invalid |= code & (code >> 1);
                *weight = code as i8 - 1;
            }
        }
    }
    invalid == 0
}
