//! The product of many tokens by AMX: sixteen tokens × sixteen rows × 64 columns at a time.
//!
//! A plane of codes is what AMX takes as a row of its second operand, and the codes of an activation
//! lie as it takes those of a row of its first, so that neither is rearranged: sixteen planes are a
//! tile of codes, 64 columns of sixteen tokens a tile of activations. Two tiles of each give four
//! products for four loads.

use std::ops::Range;

use super::gemm::{PIECE_TOKENS, PLANES, blocks_per_piece, with_buffer};
use super::kernel::UnpackBlock;
use super::{TILE_ROWS, TiledMatrix};
use crate::dispatch::{Cpu, Isa};
use crate::parallel;
use crate::quantized::QuantizedRows;
use crate::simd::PlaneBytes;
use crate::simd::amx::{self, Products, Tiles};

/// Tokens of two tiles.
const PANEL_TOKENS: usize = 2 * amx::ROWS;

/// With fewer tokens most of a tile would be empty: measured from one to thirty-two, tiles are as fast as
/// registers for eight.
const LEAST_TOKENS: usize = 8;

/// Whether this CPU multiplies so many tokens by [`product`].
pub(super) fn is_for(cpu: Cpu, tokens: usize) -> bool {
    cpu.isa() == Isa::Amx && tokens >= LEAST_TOKENS
}

/// All row blocks × all tokens, of a CPU with [`Isa::Amx`]; `finish` takes the sums of codes.
///
/// # Panics
/// If the CPU has another tier, or `w` and `x` differ in columns.
pub(super) fn product(
    cpu: Cpu,
    w: &TiledMatrix<'_>,
    x: &QuantizedRows<'_>,
    finish: &(impl Fn(usize, usize, &mut [i32; TILE_ROWS]) + Sync),
) {
    assert_eq!(cpu.isa(), Isa::Amx);
    assert_eq!(w.cols(), x.cols(), "columns of the weights and of the activations");
    let row_blocks = w.layout().row_blocks();
    // Planes of whole steps: those beyond the columns meet activations of zero.
    let block_lines = (w.layout().padded_cols() / 4).max(1).next_multiple_of(amx::ROWS);
    let blocks_per_piece = blocks_per_piece(block_lines);
    let token_pieces = x.rows().div_ceil(PIECE_TOKENS);
    let row_pieces = row_blocks.div_ceil(blocks_per_piece);
    parallel::for_each(row_pieces * token_pieces, 1, |pieces| {
        with_buffer(&PLANES, block_lines * blocks_per_piece, |planes| {
            for piece in pieces {
                let block = piece / token_pieces * blocks_per_piece;
                let row_blocks = block..row_blocks.min(block + blocks_per_piece);
                let token = piece % token_pieces * PIECE_TOKENS;
                let tokens = token..x.rows().min(token + PIECE_TOKENS);
                for (planes, block) in planes.chunks_exact_mut(block_lines).zip(row_blocks.clone())
                {
                    cpu.run(UnpackBlock { w, block, planes });
                }
                multiply(x, tokens, planes, block_lines, row_blocks, finish);
            }
        });
    });
}

/// Some tokens × some row blocks, each of `block_lines` planes.
fn multiply(
    x: &QuantizedRows<'_>,
    tokens: Range<usize>,
    planes: &[PlaneBytes],
    block_lines: usize,
    row_blocks: Range<usize>,
    finish: &impl Fn(usize, usize, &mut [i32; TILE_ROWS]),
) {
    let steps = x.cols().div_ceil(amx::ROW_BYTES);
    let mut products = Products::ZERO;
    for first in tokens.clone().step_by(PANEL_TOKENS) {
        let panel = first..tokens.end.min(first + PANEL_TOKENS);
        // A second tile that would be empty is the first one again.
        let starts = [first, if panel.len() > amx::ROWS { first + amx::ROWS } else { first }];
        let counts = starts.map(|start| (panel.end - start).min(amx::ROWS));
        let q = starts.map(|start| &x.codes()[start * x.stride()..]);
        // SAFETY: only the product of a `Cpu` of this tier comes here, which exists only after
        // detection; these are this thread's only tiles.
        let tiles = unsafe { Tiles::configure(counts) };
        for pair in row_blocks.clone().step_by(2) {
            let blocks = [pair, if pair + 1 < row_blocks.end { pair + 1 } else { pair }];
            let codes = blocks
                .map(|block| &planes[(block - row_blocks.start) * block_lines..][..block_lines]);
            tiles.multiply(q, x.stride(), codes, steps, &mut products);
            for i in 0..if starts[1] == first { 1 } else { 2 } {
                for j in 0..if blocks[1] == pair { 1 } else { 2 } {
                    for t in 0..counts[i] {
                        finish(starts[i] + t, blocks[j], &mut products.0[2 * i + j][t]);
                    }
                }
            }
        }
    }
}
