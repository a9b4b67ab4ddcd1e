//! The product of tiles with quantized activations: one token (decode, bound by memory) or many
//! (prefill, where a tile is unpacked once for up to eight tokens).

use super::{GroupedLayout, GroupedMatrix, GroupedRows, ROWS};
use crate::Cpu;
use crate::parallel::{self, SharedMut};
use crate::simd::{CodeBytes, Kernel, Simd};

/// Bytes of weights that one thread streams at a time for one token.
const STREAM_PIECE: usize = 1 << 16;

/// Products of weight and activation that one thread computes at a time for several tokens.
const COMPUTE_PIECE: usize = 1 << 22;

/// `out[t][r] = Σ_c w(r, c) · x(t, c)`, `out` tokens × rows, row-major.
///
/// # Panics
/// If `w` and `x` differ in columns, or `out` has not `x.rows() · w.layout().rows()` elements.
///
/// ```
/// use bitnet_kernels::Cpu;
/// use bitnet_kernels::blocks::{BlockFormat, quantize};
/// use bitnet_kernels::grouped::{GroupedLayout, GroupedMatrix, GroupedRows, gemm, pack_grouped};
/// let cpu = Cpu::best();
/// let mut blocks = [0; 34];
/// quantize(cpu, BlockFormat::Q8_0, 32, &[0.5; 32], &mut blocks)?;
/// let layout = GroupedLayout::new(BlockFormat::Q8_0, 1, 32)?;
/// let mut tiles = vec![0; layout.byte_len()];
/// pack_grouped(layout, |_| &blocks[..], &mut tiles)?;
/// let x = GroupedRows::quantize(cpu, &[2.0; 32], 32)?;
/// let mut out = [0.0];
/// gemm(cpu, &GroupedMatrix::new(layout, &tiles)?, &x, &mut out);
/// assert!((out[0] - 32.0).abs() < 0.02);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn gemm(cpu: Cpu, w: &GroupedMatrix<'_>, x: &GroupedRows, out: &mut [f32]) {
    let layout = w.layout;
    let (tokens, rows) = (x.rows(), layout.rows());
    if layout.cols() == 0 {
        out.fill(0.0);
        return;
    }
    assert_eq!(layout.cols(), x.cols(), "columns of the weights and of the activations");
    assert_eq!(Some(out.len()), tokens.checked_mul(rows), "out is tokens × rows");
    if out.is_empty() {
        return;
    }
    let terms = terms(layout, x);
    let out = SharedMut::of(out);
    let grain = match tokens {
        1 => STREAM_PIECE / layout.row_block_bytes(),
        _ => COMPUTE_PIECE / (tokens * layout.cols() * ROWS),
    };
    parallel::for_each(layout.row_blocks(), grain.max(1), |blocks| {
        cpu.run(Piece { w, x, terms: &terms, blocks, out: &out });
    });
}

/// What a group of an activation adds to every row.
#[derive(Clone, Copy)]
struct Term {
    scale: f32,
    /// Scale · Σ codes, for minima.
    low: f32,
    /// −zero · Σ codes, for codes that stand for negative numbers.
    start: i32,
}

/// The terms of every token and group of the weights, token after token.
fn terms(layout: GroupedLayout, x: &GroupedRows) -> Vec<Term> {
    let sixteens = layout.group() / 16;
    let zero = i32::from(layout.format().zero_code());
    let groups = x.sums.chunks_exact(sixteens).enumerate();
    let term = |(g, sums): (usize, &[i32])| {
        let (scale, sum) = (x.scales[g * sixteens / 2], sums.iter().sum::<i32>());
        Term { scale, low: scale * sum as f32, start: -zero * sum }
    };
    groups.map(term).collect()
}

/// Some row blocks × all tokens: what one thread computes at a time.
struct Piece<'a> {
    w: &'a GroupedMatrix<'a>,
    x: &'a GroupedRows,
    terms: &'a [Term],
    blocks: std::ops::Range<usize>,
    out: &'a SharedMut<'a, f32>,
}

impl Kernel for Piece<'_> {
    type Output = ();

    const INTEGER_DOTS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let layout = self.w.layout;
        // Bits of a code, sixteens of a group, minima.
        match (layout.bits(), layout.group(), layout.format().has_minima()) {
            (4, _, false) => self.blocks::<S, 4, 2, false>(s),
            (4, _, true) => self.blocks::<S, 4, 2, true>(s),
            (_, 32, false) => self.blocks::<S, 8, 2, false>(s),
            (_, 32, true) => self.blocks::<S, 8, 2, true>(s),
            (_, _, false) => self.blocks::<S, 8, 1, false>(s),
            (_, _, true) => self.blocks::<S, 8, 1, true>(s),
        }
    }
}

impl Piece<'_> {
    /// Tokens inside: a row block stays in the L1 cache for all of them.
    #[inline(always)]
    fn blocks<S: Simd, const BITS: usize, const SIXTEENS: usize, const MIN: bool>(&self, s: S) {
        let tokens = self.x.rows();
        for block in self.blocks.clone() {
            let mut token = 0;
            if S::WIDE {
                while token + 8 <= tokens {
                    self.block::<S, BITS, SIXTEENS, MIN, 8>(s, block, token);
                    token += 8;
                }
            }
            while token + 4 <= tokens {
                self.block::<S, BITS, SIXTEENS, MIN, 4>(s, block, token);
                token += 4;
            }
            while token < tokens {
                self.block::<S, BITS, SIXTEENS, MIN, 1>(s, block, token);
                token += 1;
            }
        }
    }

    /// One row block × `T` tokens.
    #[inline(always)]
    fn block<S: Simd, const BITS: usize, const SIXTEENS: usize, const MIN: bool, const T: usize>(
        &self,
        s: S,
        block: usize,
        first_token: usize,
    ) {
        let layout = self.w.layout;
        let (cols, groups) = (layout.cols(), layout.cols() / (16 * SIXTEENS));
        let tile_bytes = layout.tile_bytes();
        let tiles = &self.w.tiles[block * layout.row_block_bytes()..][..groups * tile_bytes];
        let mut codes: [&[[CodeBytes; SIXTEENS]]; T] = [&[]; T];
        let mut terms: [&[Term]; T] = [&[]; T];
        for t in 0..T {
            let token = first_token + t;
            let row = &self.x.codes[token * (cols / 16)..][..cols / 16];
            codes[t] = row.as_chunks().0;
            terms[t] = &self.terms[token * groups..][..groups];
            assert_eq!(codes[t].len(), groups); // lets the loop index without bounds checks
        }

        let mut products = [s.splat(0.0); T];
        let mut minima = [s.splat(0.0); T];
        for g in 0..groups {
            let tile = &tiles[g * tile_bytes..][..tile_bytes];
            let (head, lines) = tile.split_at(layout.head_bytes());
            let (d, m) = head.split_at(layout.scale_bytes());
            let d = load_scales(s, layout, d);
            let m = if MIN { load_scales(s, layout, m) } else { d };
            let planes = planes::<S, BITS, SIXTEENS>(s, lines);
            // Written out: the compiler keeps the accumulators of a loop this long in memory.
            macro_rules! tokens {
                ($($t:literal)*) => {$(
                    if $t < T {
                        let (q, term) = (&codes[$t % T][g], &terms[$t % T][g]);
                        let sums = if BITS == 4 {
                            s.dot_nibbles(&planes, q, term.start)
                        } else {
                            s.dot_bytes(&planes, q, term.start)
                        };
                        let scaled = s.mul(s.sums_to_f32(sums), s.splat(term.scale));
                        products[$t % T] = s.add(products[$t % T], s.mul(scaled, d));
                        if MIN {
                            let low = s.mul(s.splat(term.low), m);
                            minima[$t % T] = s.add(minima[$t % T], low);
                        }
                    }
                )*};
            }
            tokens!(0 1 2 3 4 5 6 7);
        }

        let first_row = block * ROWS;
        let used = ROWS.min(layout.rows() - first_row);
        for t in 0..T {
            let start = (first_token + t) * layout.rows() + first_row;
            // SAFETY: pieces are disjoint in row blocks, hence in (token, row).
            let out = unsafe { self.out.range(start..start + used) };
            let y = if MIN { s.add(products[t], minima[t]) } else { products[t] };
            s.store_partial(y, out);
        }
    }
}

#[inline(always)]
fn load_scales<S: Simd>(s: S, layout: GroupedLayout, bytes: &[u8]) -> S::F32 {
    if layout.has_wide_scales() {
        let mut scales = [0.0; ROWS];
        for (scale, bytes) in scales.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *scale = f32::from_le_bytes(*bytes);
        }
        s.load(&scales)
    } else {
        let mut scales = [0; ROWS];
        for (scale, bytes) in scales.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *scale = u16::from_le_bytes(*bytes);
        }
        s.load_f16(&scales)
    }
}

/// The codes of a tile, four columns to a plane.
#[inline(always)]
fn planes<S: Simd, const BITS: usize, const SIXTEENS: usize>(
    s: S,
    lines: &[u8],
) -> [[S::Plane; 4]; SIXTEENS] {
    let lines = &lines.as_chunks::<64>().0[..SIXTEENS * BITS / 2];
    let first = s.tile(&lines[0]);
    if BITS == 4 {
        let mut planes = [[s.low_nibbles(first); 4]; SIXTEENS];
        for (k, line) in lines.iter().enumerate() {
            let tile = s.tile(line);
            planes[k / 2][2 * k % 4] = s.low_nibbles(tile);
            planes[k / 2][2 * k % 4 + 1] = s.high_nibbles(tile);
        }
        planes
    } else {
        let mut planes = [[s.bytes(first); 4]; SIXTEENS];
        for (k, line) in lines.iter().enumerate() {
            planes[k / 4][k % 4] = s.bytes(s.tile(line));
        }
        planes
    }
}
