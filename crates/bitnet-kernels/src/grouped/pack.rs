//! From the rows of a block format to tiles.

use super::{GroupedLayout, ROWS};
use crate::blocks::{Parts, read_block};
use crate::parallel;
use crate::quantized::{OperandError, expect_len};

/// Least number of bytes of tiles that a thread writes at a time.
const PIECE: usize = 1 << 17;

/// Packs the rows of a matrix, in parallel over blocks of 16 rows.
///
/// `row(r)` gives the bytes of row `r` in `layout.format()`, so that rows can come from several
/// matrices.
///
/// # Errors
/// [`OperandError::Length`] if `out` has not `layout.byte_len()` bytes.
///
/// # Panics
/// If a row is not as long as [`BlockFormat::row_bytes`](crate::blocks::BlockFormat::row_bytes) says.
pub fn pack_grouped<'a>(
    layout: GroupedLayout,
    row: impl Fn(usize) -> &'a [u8] + Sync,
    out: &mut [u8],
) -> Result<(), OperandError> {
    expect_len("out", layout.byte_len(), out.len())?;
    let block_bytes = layout.row_block_bytes();
    if out.is_empty() {
        return Ok(());
    }
    let row_bytes = layout.format().row_bytes(layout.cols())?;
    let blocks_per_piece = (PIECE / block_bytes).max(1);
    parallel::for_each_chunk_mut(out, blocks_per_piece * block_bytes, |piece, bytes| {
        for (i, block) in bytes.chunks_exact_mut(block_bytes).enumerate() {
            block.fill(0); // scales of padding
            let first_row = (piece * blocks_per_piece + i) * ROWS;
            for r in 0..ROWS.min(layout.rows() - first_row) {
                let row = row(first_row + r);
                assert_eq!(row.len(), row_bytes, "bytes of row {}", first_row + r);
                pack_row(layout, row, r, block);
            }
        }
    });
    Ok(())
}

/// Writes one row as row `r` of the tiles of a row block.
fn pack_row(layout: GroupedLayout, row: &[u8], r: usize, block: &mut [u8]) {
    let format = layout.format();
    let (group, tile_bytes) = (layout.group(), layout.tile_bytes());
    let (len, part_len) = (format.block_len(), format.part_len());
    let (mut codes, mut parts) = ([0u8; 256], Parts::default());
    let mut tiles = block.chunks_exact_mut(tile_bytes);
    for i in 0..layout.cols() / len {
        read_block(format, row, i, &mut codes, &mut parts);
        for (g, (codes, tile)) in codes[..len].chunks_exact(group).zip(&mut tiles).enumerate() {
            let part = g * group / part_len;
            let (scales, rest) = tile.split_at_mut(layout.scale_bytes());
            put_scale(layout, scales, r, parts.scales[part]);
            if format.has_minima() {
                put_scale(layout, rest, r, parts.mins[part]);
            }
            let lines = &mut tile[layout.head_bytes()..];
            if layout.bits() == 8 {
                for (line, quad) in lines.as_chunks_mut::<64>().0.iter_mut().zip(quads(codes)) {
                    line[4 * r..4 * r + 4].copy_from_slice(quad);
                }
            } else {
                let pairs = codes.as_chunks::<8>().0;
                for (line, pair) in lines.as_chunks_mut::<64>().0.iter_mut().zip(pairs) {
                    for i in 0..4 {
                        line[4 * r + i] = pair[i] | pair[4 + i] << 4;
                    }
                }
            }
        }
    }
}

fn quads(codes: &[u8]) -> &[[u8; 4]] {
    codes.as_chunks().0
}

fn put_scale(layout: GroupedLayout, scales: &mut [u8], r: usize, scale: f32) {
    if layout.has_wide_scales() {
        scales[4 * r..4 * r + 4].copy_from_slice(&scale.to_le_bytes());
    } else {
        // It was an f16 in the file.
        scales[2 * r..2 * r + 2].copy_from_slice(&half::f16::from_f32(scale).to_le_bytes());
    }
}
