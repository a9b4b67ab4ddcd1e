//! Products of a tiled matrix with int8 activations: a few tokens (decode, bound by
//! memory) or many (prefill, bound by the dot-product instruction).
//!
//! For few tokens the planes of a tile go from the registers that unpacked them straight into dot
//! products with up to four tokens; where there are more, a row block is gone through again while the
//! cache holds it. For many, the planes of some row blocks are written out once, where the L2 cache holds
//! them, and multiplied with panel after panel of activations: what is unpacked once serves hundreds
//! of tokens, and the inner loop is dot products and loads, whatever the encoding.

use std::cell::Cell;

#[cfg(target_arch = "x86_64")]
use super::amx;
use super::kernel::{self, Blocks, Stream};
use super::panels::Panels;
use super::{TILE_ROWS, TiledMatrix};
use crate::dispatch::Cpu;
use crate::parallel::{self, SharedMut};
use crate::product::{Finish, Scaled, Sums};
use crate::quantized::QuantizedRows;
use crate::simd::PlaneBytes;

/// Bytes of weights that one thread streams at a time for few tokens.
const STREAM_PIECE: usize = 1 << 16;

/// Bytes of planes that are multiplied with every panel of a piece: a part of the L2 cache.
const PLANE_BYTES: usize = 1 << 18;

/// Tokens of a piece, more or less: enough that unpacking is little beside their products.
pub(super) const PIECE_TOKENS: usize = 256;

/// A buffer larger than this is not kept for the next call.
const KEPT_BYTES: usize = 1 << 23;

/// `out[t][r] = (Σ_c weight(r, c) · q(t, c)) as f32 · (w.scales[r] · x.scales[t])`.
///
/// `out` is tokens × rows, row-major. The sum is exact and the float formula is the one
/// written here, on every tier: results do not depend on the instruction set, the number of
/// threads, or the other tokens.
///
/// # Panics
/// If `w` and `x` differ in columns, or `out` has not `x.rows() · w.rows()` elements.
///
/// ```
/// use bitnet_kernels::tiled::{TileEncoding, TiledLayout, TiledMatrix, gemm, pack};
/// use bitnet_kernels::{Cpu, QuantizedRows};
/// let layout = TiledLayout::new(TileEncoding::TwoBit, 2, 3)?;
/// let mut tiled = vec![0; layout.byte_len()];
/// pack(layout, &mut tiled, |row, w| w.copy_from_slice(&[[1, 0, -1], [1, 1, 1]][row]))?;
/// let w = TiledMatrix::new(layout, &tiled, &[0.5, 2.0])?;
///
/// let mut codes = [0; 64];
/// codes[..3].copy_from_slice(&[10, 20, -30]);
/// let x = QuantizedRows::new(&codes, 64, 3, &[0.1], &[0])?;
/// let mut out = [0.0; 2];
/// gemm(Cpu::best(), &w, &x, &mut out);
/// assert_eq!(out, [40.0 * (0.5 * 0.1), 0.0 * (2.0 * 0.1)]);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn gemm(cpu: Cpu, w: &TiledMatrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    product(cpu, w, x, out, Scaled { rows: w.scales(), tokens: x.scales() });
}

/// `out[t][r] = Σ_c weight(r, c) · q(t, c)`: the exact sums of [`gemm()`], without scales.
///
/// # Panics
/// As [`gemm()`].
pub fn gemm_i32(cpu: Cpu, w: &TiledMatrix<'_>, x: &QuantizedRows<'_>, out: &mut [i32]) {
    product(cpu, w, x, out, Sums);
}

fn product<T: Send, F: Finish<T>>(
    cpu: Cpu,
    w: &TiledMatrix<'_>,
    x: &QuantizedRows<'_>,
    out: &mut [T],
    finish: F,
) {
    let (layout, tokens, rows) = (w.layout(), x.rows(), w.rows());
    assert_eq!(w.cols(), x.cols(), "columns of the weights and of the activations");
    assert_eq!(Some(out.len()), tokens.checked_mul(rows), "out is tokens × rows");
    if out.is_empty() {
        return;
    }
    let out = SharedMut::of(out);
    let finish = |token: usize, block: usize, sums: &mut [i32; TILE_ROWS]| {
        let excess = x.sums()[token].wrapping_mul(layout.encoding().zero());
        for sum in sums.iter_mut() {
            *sum = sum.wrapping_sub(excess);
        }
        let first_row = block * TILE_ROWS;
        let used = TILE_ROWS.min(rows - first_row);
        let start = token * rows + first_row;
        // SAFETY: pieces are disjoint in row blocks or panels, hence in (token, row).
        let out = unsafe { out.range(start..start + used) };
        finish.finish(&sums[..used], first_row, token, out);
    };
    #[cfg(target_arch = "x86_64")]
    if amx::is_for(cpu, tokens) {
        return amx::product(cpu, w, x, &finish);
    }
    let (stream_tokens, panel_tokens) = cpu.run(kernel::TokenCounts);
    let padded_cols = layout.padded_cols();
    let row_blocks = layout.row_blocks();
    with_buffer(&PANELS, tokens * padded_cols, |data: &mut [i8]| {
        if tokens <= most_streamed(stream_tokens) {
            let panels = Panels::new(tokens, stream_tokens, padded_cols);
            panels.interleave(x, data);
            let grain = (STREAM_PIECE / layout.row_block_bytes().max(1)).next_multiple_of(4).max(4);
            return parallel::for_each(row_blocks, grain, |row_blocks| {
                cpu.run(Stream { w, panels, data, row_blocks, finish: &finish });
            });
        }
        let panels = Panels::new(tokens, panel_tokens, padded_cols);
        panels.interleave(x, data);
        let block_lines = padded_cols / 4;
        let blocks_per_piece = blocks_per_piece(block_lines);
        let panels_per_piece = PIECE_TOKENS.div_ceil(panel_tokens);
        let panel_pieces = panels.count.div_ceil(panels_per_piece);
        let row_pieces = row_blocks.div_ceil(blocks_per_piece);
        parallel::for_each(row_pieces * panel_pieces, 1, |pieces| {
            with_buffer(&PLANES, block_lines * blocks_per_piece, |planes| {
                for piece in pieces {
                    let block = piece / panel_pieces * blocks_per_piece;
                    let row_blocks = block..row_blocks.min(block + blocks_per_piece);
                    let panel = piece % panel_pieces * panels_per_piece;
                    let panel_range = panel..panels.count.min(panel + panels_per_piece);
                    let finish = &finish;
                    cpu.run(Blocks { w, panels, data, panel_range, row_blocks, planes, finish });
                }
            });
        });
    });
}

/// The most tokens that are streamed where a panel has several: unpacking a row block for each panel costs
/// less than writing its planes and reading them, until there are many.
fn most_streamed(panel_tokens: usize) -> usize {
    const MANY: usize = 16;
    if panel_tokens == 1 { 1 } else { MANY }
}

/// Row blocks whose planes, so many lines each, are unpacked at a time: an even number.
pub(super) fn blocks_per_piece(block_lines: usize) -> usize {
    let blocks = PLANE_BYTES / size_of::<PlaneBytes>() / block_lines.max(1);
    blocks.next_multiple_of(2).clamp(2, 1 << 10)
}

thread_local! {
    static PANELS: Cell<Vec<i8>> = const { Cell::new(Vec::new()) };
    pub(super) static PLANES: Cell<Vec<PlaneBytes>> = const { Cell::new(Vec::new()) };
}

/// Calls `f` with `len` elements of any content, kept by this thread from call to call.
pub(super) fn with_buffer<T: Copy + Default>(
    buffer: &'static std::thread::LocalKey<Cell<Vec<T>>>,
    len: usize,
    f: impl FnOnce(&mut [T]),
) {
    let mut elements = buffer.take();
    if elements.len() < len {
        elements.resize(len, T::default());
    }
    f(&mut elements[..len]);
    if size_of_val(elements.as_slice()) <= KEPT_BYTES {
        buffer.set(elements);
    }
}
