//! Products of a tiled ternary matrix with int8 activations: one token (decode, bound by
//! memory) or many (prefill, bound by the dot-product instruction).
//!
//! A *register block* is one or two row blocks × up to [`DotSimd::TERNARY_TOKENS`] tokens:
//! its sums stay in registers over all columns, each plane of codes is unpacked once and used
//! for every token, each group of four activations is broadcast once and used for every row
//! block. The tokens of a register block are interleaved beforehand into a *panel*, four
//! columns of each token in turn, so that the loop reads two contiguous streams.
//!
//! [`DotSimd::TERNARY_TOKENS`]: crate::simd::DotSimd::TERNARY_TOKENS

use std::cell::Cell;
use std::ops::Range;

use super::{TILE, TILE_BYTES, TernaryMatrix};
use crate::dispatch::Cpu;
use crate::parallel::{self, SharedMut};
use crate::product::{Finish, Scaled, Sums};
use crate::quantized::QuantizedRows;
use crate::simd::{Kernel, Simd};

/// Bytes of weights that one thread streams at a time for one token.
const STREAM_PIECE: usize = 1 << 16;

/// Products of weight and activation that one thread computes at a time for several tokens.
const COMPUTE_PIECE: usize = 1 << 23;

/// An interleaved copy of the activations larger than this is not kept for the next call.
const KEPT_PANEL_BYTES: usize = 1 << 23;

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
/// use bitnet_kernels::ternary::{TernaryMatrix, TiledLayout, gemm, pack_tiled};
/// use bitnet_kernels::{Cpu, QuantizedRows};
/// let layout = TiledLayout::new(2, 3)?;
/// let mut tiled = vec![0; layout.byte_len()];
/// pack_tiled(layout, &mut tiled, |row, w| w.copy_from_slice(&[[1, 0, -1], [1, 1, 1]][row]))?;
/// let w = TernaryMatrix::new(layout, &tiled, &[0.5, 2.0])?;
///
/// let mut codes = [0; 64];
/// codes[..3].copy_from_slice(&[10, 20, -30]);
/// let x = QuantizedRows::new(&codes, 64, 3, &[0.1], &[0])?;
/// let mut out = [0.0; 2];
/// gemm(Cpu::best(), &w, &x, &mut out);
/// assert_eq!(out, [40.0 * (0.5 * 0.1), 0.0 * (2.0 * 0.1)]);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn gemm(cpu: Cpu, w: &TernaryMatrix<'_>, x: &QuantizedRows<'_>, out: &mut [f32]) {
    product(cpu, w, x, out, Scaled { rows: w.scales(), tokens: x.scales() });
}

/// `out[t][r] = Σ_c weight(r, c) · q(t, c)`: the exact sums of [`gemm()`], without scales.
///
/// # Panics
/// As [`gemm()`].
pub fn gemm_i32(cpu: Cpu, w: &TernaryMatrix<'_>, x: &QuantizedRows<'_>, out: &mut [i32]) {
    product(cpu, w, x, out, Sums);
}

fn product<T: Send, F: Finish<T>>(
    cpu: Cpu,
    w: &TernaryMatrix<'_>,
    x: &QuantizedRows<'_>,
    out: &mut [T],
    finish: F,
) {
    let (tokens, rows) = (x.rows(), w.rows());
    assert_eq!(w.cols(), x.cols(), "columns of the weights and of the activations");
    assert_eq!(Some(out.len()), tokens.checked_mul(rows), "out is tokens × rows");
    if out.is_empty() {
        return;
    }
    let padded_cols = w.cols().next_multiple_of(TILE);
    let panels = Panels::new(tokens, cpu.run(MaxPanelTokens), padded_cols);
    let out = SharedMut::of(out);
    let run = |data: &[i8], panel, row_blocks| {
        cpu.run(Piece { w, x, panels, data, panel, row_blocks, out: &out, finish });
    };
    if tokens == 1 {
        let grain = (STREAM_PIECE / w.layout().row_block_bytes().max(1)).next_multiple_of(4).max(4);
        let data = &x.padded_row(0)[..padded_cols];
        parallel::for_each(w.layout().row_blocks(), grain, |blocks| run(data, 0, blocks));
        return;
    }
    with_panel_buffer(tokens * padded_cols, |data| {
        panels.interleave(x, data);
        // A piece is one panel, which stays in the L1 cache, × enough row blocks to be worth a
        // thread. Panels follow each other for the same rows, whose weights stay in L2.
        let block_products = (panels.tokens(0).len() * padded_cols * TILE).max(1);
        let blocks_per_piece = (COMPUTE_PIECE / block_products).next_multiple_of(2).max(2);
        let row_blocks = w.layout().row_blocks();
        let row_pieces = row_blocks.div_ceil(blocks_per_piece);
        parallel::for_each(row_pieces * panels.count, 1, |pieces| {
            for piece in pieces {
                let first_block = piece / panels.count * blocks_per_piece;
                let end_block = row_blocks.min(first_block + blocks_per_piece);
                run(data, piece % panels.count, first_block..end_block);
            }
        });
    });
}

/// Calls `f` with `len` bytes of any content, kept by this thread from call to call.
fn with_panel_buffer(len: usize, f: impl FnOnce(&mut [i8])) {
    thread_local! {
        static BUFFER: Cell<Vec<i8>> = const { Cell::new(Vec::new()) };
    }
    let mut buffer = BUFFER.take();
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    f(&mut buffer[..len]);
    if buffer.len() <= KEPT_PANEL_BYTES {
        BUFFER.set(buffer);
    }
}

/// How the tokens are divided into panels: as few as possible, of sizes that differ by at
/// most one.
#[derive(Clone, Copy)]
struct Panels {
    tokens: usize,
    count: usize,
    padded_cols: usize,
}

impl Panels {
    fn new(tokens: usize, max_tokens: usize, padded_cols: usize) -> Panels {
        Panels { tokens, count: tokens.div_ceil(max_tokens), padded_cols }
    }

    /// The tokens of panel `i`; its data are as many times `padded_cols` activations, from
    /// `start · padded_cols` on.
    fn tokens(self, i: usize) -> Range<usize> {
        let (size, larger) = (self.tokens / self.count, self.tokens % self.count);
        let start = i * size + i.min(larger);
        start..start + size + usize::from(i < larger)
    }

    fn data_range(self, i: usize) -> Range<usize> {
        let Range { start, end } = self.tokens(i);
        start * self.padded_cols..end * self.padded_cols
    }

    /// Writes every panel: columns `4k .. 4k + 4` of its first token, of its second, …
    fn interleave(self, x: &QuantizedRows<'_>, data: &mut [i8]) {
        let data = SharedMut::of(data);
        parallel::for_each(self.count, 4, |panels| {
            for i in panels {
                // SAFETY: the data of different panels are disjoint.
                let panel = unsafe { data.range(self.data_range(i)) };
                let panel = panel.as_chunks_mut::<4>().0;
                let tokens = self.tokens(i);
                let size = tokens.len();
                for (t, token) in tokens.enumerate() {
                    let row = x.padded_row(token).as_chunks::<4>().0;
                    for (step, quad) in panel.chunks_exact_mut(size).zip(row) {
                        step[t] = *quad;
                    }
                }
            }
        });
    }
}

/// [`DotSimd::TERNARY_TOKENS`](crate::simd::DotSimd::TERNARY_TOKENS) of the tier.
struct MaxPanelTokens;

impl Kernel for MaxPanelTokens {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> usize {
        S::TERNARY_TOKENS
    }
}

/// Some row blocks × one panel: what one thread computes at a time.
struct Piece<'a, T, F> {
    w: &'a TernaryMatrix<'a>,
    x: &'a QuantizedRows<'a>,
    panels: Panels,
    data: &'a [i8],
    panel: usize,
    row_blocks: Range<usize>,
    out: &'a SharedMut<'a, T>,
    finish: F,
}

impl<T, F: Finish<T>> Kernel for Piece<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if S::HAS_32_REGISTERS {
            self.run_blocks::<S, 2>(simd);
        } else {
            self.run_blocks::<S, 1>(simd);
        }
    }
}

impl<T, F: Finish<T>> Piece<'_, T, F> {
    /// All register blocks of the piece, of `R` row blocks each.
    #[inline(always)]
    fn run_blocks<S: Simd, const R: usize>(&self, simd: S) {
        if self.x.rows() == 1 {
            for block in self.row_blocks.clone() {
                self.register_block::<S, 1, 1, true>(simd, block);
            }
            return;
        }
        let size = self.panels.tokens(self.panel).len();
        for first_block in self.row_blocks.clone().step_by(R) {
            match size {
                1 => self.register_block::<S, R, 1, false>(simd, first_block),
                2 => self.register_block::<S, R, 2, false>(simd, first_block),
                3 => self.register_block::<S, R, 3, false>(simd, first_block),
                4 => self.register_block::<S, R, 4, false>(simd, first_block),
                // A tier of 4 tokens has no larger panels, and no code for them.
                _ if S::TERNARY_TOKENS <= 4 => unreachable!("a panel of {size} tokens"),
                5 => self.register_block::<S, R, 5, false>(simd, first_block),
                6 => self.register_block::<S, R, 6, false>(simd, first_block),
                7 => self.register_block::<S, R, 7, false>(simd, first_block),
                8 => self.register_block::<S, R, 8, false>(simd, first_block),
                9 => self.register_block::<S, R, 9, false>(simd, first_block),
                10 => self.register_block::<S, R, 10, false>(simd, first_block),
                11 => self.register_block::<S, R, 11, false>(simd, first_block),
                12 => self.register_block::<S, R, 12, false>(simd, first_block),
                _ => unreachable!("a panel of {size} tokens"),
            }
        }
    }

    /// `R` row blocks × the `Q` tokens of a panel.
    #[inline(always)]
    fn register_block<S: Simd, const R: usize, const Q: usize, const STREAM: bool>(
        &self,
        simd: S,
        first_block: usize,
    ) {
        let block_bytes = self.w.layout().row_block_bytes();
        let last_block = self.row_blocks.end - 1;
        let mut tiles: [&[[u8; TILE_BYTES]]; R] = [&[]; R];
        for r in 0..R {
            // Beyond the end the last block is computed again, and not stored.
            let block = (first_block + r).min(last_block);
            tiles[r] = self.w.codes()[block * block_bytes..][..block_bytes].as_chunks().0;
        }
        let data = &self.data[self.panels.data_range(self.panel)];
        let steps = data.as_chunks::<4>().0.as_chunks::<Q>().0.as_chunks::<4>().0;
        let mut sums = [[[0; TILE]; R]; Q];
        if STREAM {
            if S::HAS_32_REGISTERS {
                accumulate_stream::<S, Q, 2>(simd, tiles[0], steps, &mut sums[0][0]);
            } else {
                accumulate_stream::<S, Q, 1>(simd, tiles[0], steps, &mut sums[0][0]);
            }
        } else {
            accumulate(simd, tiles, steps, &mut sums);
        }

        let rows = self.w.rows();
        for (token, sums) in self.panels.tokens(self.panel).zip(&mut sums) {
            for (block, sums) in (first_block..=last_block).zip(sums) {
                // The codes counted each weight plus one.
                for sum in sums.iter_mut() {
                    *sum = sum.wrapping_sub(self.x.sums()[token]);
                }
                let first_row = block * TILE;
                let used = TILE.min(rows - first_row);
                let start = token * rows + first_row;
                // SAFETY: pieces are disjoint in row blocks or panels, hence in (token, row).
                let out = unsafe { self.out.range(start..start + used) };
                self.finish.finish(&sums[..used], first_row, token, out);
            }
        }
    }
}

/// `sums[t][r][lane] += Σ code · q` over the columns of `R` row blocks and `Q` tokens.
///
/// `steps[k][j][t]` are the activations of token `t` for plane `j` of the `k`-th tile.
#[inline(always)]
fn accumulate<S: Simd, const R: usize, const Q: usize>(
    simd: S,
    tiles: [&[[u8; TILE_BYTES]]; R],
    steps: &[[[[i8; 4]; Q]; 4]],
    sums: &mut [[[i32; TILE]; R]; Q],
) {
    let count = steps.len();
    for tiles in &tiles {
        assert_eq!(tiles.len(), count); // Lets the loop index without bounds checks.
    }
    let mut first = 0;
    while first < count {
        let end = count.min(first.saturating_add(S::TILES_PER_PARTIAL));
        let mut partials = [[simd.partial_zero(); R]; Q];
        for k in first..end {
            let step = &steps[k];
            let mut tile = [simd.tile(&tiles[0][k]); R];
            for r in 1..R {
                tile[r] = simd.tile(&tiles[r][k]);
            }
            add_plane::<S, R, Q, 0>(simd, &mut partials, &tile, &step[0]);
            add_plane::<S, R, Q, 1>(simd, &mut partials, &tile, &step[1]);
            add_plane::<S, R, Q, 2>(simd, &mut partials, &tile, &step[2]);
            add_plane::<S, R, Q, 3>(simd, &mut partials, &tile, &step[3]);
        }
        for t in 0..Q {
            for r in 0..R {
                simd.add_partial(&mut sums[t][r], partials[t][r]);
            }
        }
        first = end;
    }
}

/// `sums[lane] += Σ code · q` over the columns of one row block and one token.
///
/// One stream of weights, which is what the hardware prefetches best, and so several chains
/// of sums, one for each plane of `U` tiles, to hide the latency of the dot product.
#[inline(always)]
fn accumulate_stream<S: Simd, const Q: usize, const U: usize>(
    simd: S,
    tiles: &[[u8; TILE_BYTES]],
    steps: &[[[[i8; 4]; Q]; 4]],
    sums: &mut [i32; TILE],
) {
    let chunk = S::TILES_PER_PLACED_PARTIAL;
    for (tiles, steps) in tiles.chunks(chunk).zip(steps.chunks(chunk)) {
        let mut partials = [[simd.partial_zero(); 4]; U];
        let (tile_groups, odd_tiles) = tiles.as_chunks::<U>();
        let (step_groups, odd_steps) = steps.as_chunks::<U>();
        for (tiles, steps) in tile_groups.iter().zip(step_groups) {
            for i in 0..U {
                add_placed_planes(simd, &mut partials[i], &tiles[i], &steps[i]);
            }
        }
        for (tile, step) in odd_tiles.iter().zip(odd_steps) {
            add_placed_planes(simd, &mut partials[0], tile, step);
        }
        for partials in partials {
            simd.add_placed_partial::<0>(sums, partials[0]);
            simd.add_placed_partial::<1>(sums, partials[1]);
            simd.add_placed_partial::<2>(sums, partials[2]);
            simd.add_placed_partial::<3>(sums, partials[3]);
        }
    }
}

/// The products of one tile and one token, in one sum for each plane.
#[inline(always)]
fn add_placed_planes<S: Simd, const Q: usize>(
    simd: S,
    partials: &mut [S::Partial; 4],
    tile: &[u8; TILE_BYTES],
    step: &[[[i8; 4]; Q]; 4],
) {
    let tile = simd.tile(tile);
    partials[0] = simd.ternary_dot(partials[0], simd.placed_plane::<0>(tile), &step[0][0]);
    partials[1] = simd.ternary_dot(partials[1], simd.placed_plane::<1>(tile), &step[1][0]);
    partials[2] = simd.ternary_dot(partials[2], simd.placed_plane::<2>(tile), &step[2][0]);
    partials[3] = simd.ternary_dot(partials[3], simd.placed_plane::<3>(tile), &step[3][0]);
}

/// The products of plane `J` of one tile of each row block.
#[inline(always)]
fn add_plane<S: Simd, const R: usize, const Q: usize, const J: usize>(
    simd: S,
    partials: &mut [[S::Partial; R]; Q],
    tiles: &[S::Tile; R],
    step: &[[i8; 4]; Q],
) {
    let mut planes = [simd.plane::<J>(tiles[0]); R];
    for r in 1..R {
        planes[r] = simd.plane::<J>(tiles[r]);
    }
    for t in 0..Q {
        for r in 0..R {
            partials[t][r] = simd.ternary_dot(partials[t][r], planes[r], &step[t]);
        }
    }
}
