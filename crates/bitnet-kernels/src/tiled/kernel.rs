//! The two kernels behind [`gemm`](super::gemm()), for every encoding and every tier.

use std::ops::Range;

use super::five_bit::FiveBit;
use super::panels::Panels;
use super::six_bit::SixBit;
use super::two_bit::TwoBit;
use super::{TILE_ROWS, TileEncoding, TiledMatrix};
use crate::simd::{Kernel, PlaneBytes, Simd};

/// Takes the sums of codes of a token and a row block. Called, not inlined: results need not be
/// compiled for each tier.
type FinishSums<'a> = &'a dyn Fn(usize, usize, &mut [i32; TILE_ROWS]);

/// How the planes of a row block come out of its tiles.
pub(super) trait Encoding {
    /// The largest code.
    const MAX_CODE: usize;

    /// `sums[t][row] += Σ code · q` over the columns of a row block and `Q` tokens. `quads[k][t]` are
    /// the activations of token `t` for columns `4k .. 4k + 4`, of whole tiles.
    ///
    /// One stream of weights, which is what the hardware prefetches best.
    fn stream<S: Simd, const Q: usize>(
        simd: S,
        tiles: &[u8],
        quads: &[[[i8; 4]; Q]],
        sums: &mut [[i32; TILE_ROWS]; Q],
    );

    /// Writes plane `k` of a row block to `planes[k][r]`.
    fn unpack<S: Simd, const R: usize>(
        simd: S,
        tiles: &[u8],
        planes: &mut [[PlaneBytes; R]],
        r: usize,
    );
}

/// Bytes between the weights that a stream multiplies and those that it asks memory for: the processor's own
/// looking ahead does not reach far enough where a line is multiplied with several tokens.
const AHEAD: usize = 2560;

/// Asks for the lines of weights that follow `lines`.
#[inline(always)]
pub(super) fn fetch_ahead<S: Simd>(simd: S, lines: &[[u8; 64]]) {
    for line in lines {
        simd.prefetch(line.as_ptr().wrapping_add(AHEAD));
    }
}

/// How many tokens a tier multiplies in a panel of a [`Stream`], and in a panel of [`Blocks`].
pub(super) struct TokenCounts;

impl Kernel for TokenCounts {
    type Output = (usize, usize);

    const INTEGER_DOTS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> (usize, usize) {
        (S::STREAM_TOKENS, S::PANEL_TOKENS)
    }
}

/// Writes the planes of a row block to the first of `planes`.
#[cfg(target_arch = "x86_64")]
pub(super) struct UnpackBlock<'a> {
    pub(super) w: &'a TiledMatrix<'a>,
    pub(super) block: usize,
    pub(super) planes: &'a mut [PlaneBytes],
}

#[cfg(target_arch = "x86_64")]
impl Kernel for UnpackBlock<'_> {
    type Output = ();

    const INTEGER_DOTS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        unpack(simd, self.w, self.block, self.planes.as_chunks_mut::<1>().0, 0);
    }
}

/// Writes plane `k` of a row block to `planes[k][r]`.
#[inline(always)]
fn unpack<S: Simd, const R: usize>(
    simd: S,
    w: &TiledMatrix<'_>,
    block: usize,
    planes: &mut [[PlaneBytes; R]],
    r: usize,
) {
    let tiles = row_block(w, block);
    match w.layout().encoding() {
        TileEncoding::TwoBit => TwoBit::unpack(simd, tiles, planes, r),
        TileEncoding::FiveBit => FiveBit::unpack(simd, tiles, planes, r),
        TileEncoding::SixBit => SixBit::unpack(simd, tiles, planes, r),
    }
}

/// Some row blocks × a few panels of few tokens: a row block is multiplied with every panel while the
/// first-level cache holds it.
pub(super) struct Stream<'a> {
    pub(super) w: &'a TiledMatrix<'a>,
    pub(super) panels: Panels,
    pub(super) data: &'a [i8],
    pub(super) row_blocks: Range<usize>,
    pub(super) finish: FinishSums<'a>,
}

impl Kernel for Stream<'_> {
    type Output = ();

    const INTEGER_DOTS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.w.layout().encoding() {
            TileEncoding::TwoBit => self.run_encoding::<S, TwoBit>(simd),
            TileEncoding::FiveBit => self.run_encoding::<S, FiveBit>(simd),
            TileEncoding::SixBit => self.run_encoding::<S, SixBit>(simd),
        }
    }
}

impl Stream<'_> {
    #[inline(always)]
    fn run_encoding<S: Simd, E: Encoding>(&self, simd: S) {
        for block in self.row_blocks.clone() {
            for panel in 0..self.panels.count {
                match self.panels.tokens(panel).len() {
                    1 => self.panel::<S, E, 1>(simd, block, panel),
                    _ if S::STREAM_TOKENS == 1 => unreachable!("this tier streams one token"),
                    2 => self.panel::<S, E, 2>(simd, block, panel),
                    3 => self.panel::<S, E, 3>(simd, block, panel),
                    4 => self.panel::<S, E, 4>(simd, block, panel),
                    tokens => unreachable!("a stream for {tokens} tokens"),
                }
            }
        }
    }

    #[inline(always)]
    fn panel<S: Simd, E: Encoding, const Q: usize>(&self, simd: S, block: usize, panel: usize) {
        let quads = self.panels.quads::<Q>(self.data, panel);
        let mut sums = [[0; TILE_ROWS]; Q];
        E::stream(simd, row_block(self.w, block), quads, &mut sums);
        for (token, sums) in self.panels.tokens(panel).zip(&mut sums) {
            (self.finish)(token, block, sums);
        }
    }
}

/// Some row blocks × some panels, in *register blocks* of one or two row blocks × a panel.
pub(super) struct Blocks<'a> {
    pub(super) w: &'a TiledMatrix<'a>,
    pub(super) panels: Panels,
    pub(super) data: &'a [i8],
    pub(super) panel_range: Range<usize>,
    pub(super) row_blocks: Range<usize>,
    /// Room for the planes of the row blocks, made even.
    pub(super) planes: &'a mut [PlaneBytes],
    pub(super) finish: FinishSums<'a>,
}

impl Kernel for Blocks<'_> {
    type Output = ();

    const INTEGER_DOTS: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if S::TWO_ROW_BLOCKS {
            self.run_blocks::<S, 2>(simd);
        } else {
            self.run_blocks::<S, 1>(simd);
        }
    }
}

impl Blocks<'_> {
    /// All register blocks, of `R` row blocks each.
    #[inline(always)]
    fn run_blocks<S: Simd, const R: usize>(self, simd: S) {
        let Blocks { w, panels, data, panel_range, row_blocks, planes, finish } = self;
        let planes = planes.as_chunks_mut::<R>().0;
        let block_planes = w.layout().padded_cols() / 4;
        for (i, block) in row_blocks.clone().enumerate() {
            unpack(simd, w, block, &mut planes[i / R * block_planes..][..block_planes], i % R);
        }
        let planes = &*planes;
        let max_code = match w.layout().encoding() {
            TileEncoding::TwoBit => TwoBit::MAX_CODE,
            TileEncoding::FiveBit => FiveBit::MAX_CODE,
            TileEncoding::SixBit => SixBit::MAX_CODE,
        };
        for panel in panel_range {
            for (i, first_block) in row_blocks.clone().step_by(R).enumerate() {
                let block = Block {
                    panels,
                    data,
                    panel,
                    planes: &planes[i * block_planes..][..block_planes],
                    max_code,
                    row_blocks: first_block..row_blocks.end.min(first_block + R),
                    finish,
                };
                match panels.tokens(panel).len() {
                    1 => block.run::<S, 1>(simd),
                    2 => block.run::<S, 2>(simd),
                    3 => block.run::<S, 3>(simd),
                    4 => block.run::<S, 4>(simd),
                    5 => block.run::<S, 5>(simd),
                    6 => block.run::<S, 6>(simd),
                    // A tier of 6 tokens has no larger panels, and no code for them.
                    size if S::PANEL_TOKENS <= 6 => unreachable!("a panel of {size} tokens"),
                    7 => block.run::<S, 7>(simd),
                    8 => block.run::<S, 8>(simd),
                    9 => block.run::<S, 9>(simd),
                    10 => block.run::<S, 10>(simd),
                    11 => block.run::<S, 11>(simd),
                    12 => block.run::<S, 12>(simd),
                    size => unreachable!("a panel of {size} tokens"),
                }
            }
        }
    }
}

/// A register block: up to `R` row blocks, whose planes are unpacked, × a panel.
struct Block<'a, const R: usize> {
    panels: Panels,
    data: &'a [i8],
    panel: usize,
    planes: &'a [[PlaneBytes; R]],
    max_code: usize,
    row_blocks: Range<usize>,
    finish: FinishSums<'a>,
}

impl<const R: usize> Block<'_, R> {
    #[inline(always)]
    fn run<S: Simd, const Q: usize>(&self, simd: S) {
        let quads = self.panels.quads::<Q>(self.data, self.panel);
        let mut sums = [[[0; TILE_ROWS]; R]; Q];
        simd.panel_dot(self.planes, quads, self.max_code, &mut sums);
        for (token, sums) in self.panels.tokens(self.panel).zip(&mut sums) {
            // A row block beyond the end is not stored.
            for (block, sums) in self.row_blocks.clone().zip(sums) {
                (self.finish)(token, block, sums);
            }
        }
    }
}

/// The bytes of a row block.
#[inline(always)]
fn row_block<'a>(w: &TiledMatrix<'a>, block: usize) -> &'a [u8] {
    let bytes = w.layout().row_block_bytes();
    &w.codes()[block * bytes..][..bytes]
}
