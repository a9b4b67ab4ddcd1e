//! Weights of block formats as the kernels want them, and their products with activations of 16
//! bits.
//!
//! Weights have a scale (and a minimum) for each group of 32 or 16 columns, activations a scale for
//! each 32: `y = Σ_groups s · (d · Σ (code − zero)·q + m · Σ q)`. The inner sums are exact integers; the
//! floats are added group after group in a lane for each row, so that results do not depend on
//! the instruction set, the threads, or the other tokens.
//!
//! The layout is one for every tier: *tiles* of 16 rows × one group, by row block, then by group.
//! A tile begins with the scales of its rows and, where the format has them, their minima, `f16`
//! or `f32`; then the codes in 64-byte lines of 16 rows × 4 columns, byte `4·r + i` for column `i` of
//! row `r`; codes of four bits share a line, columns 4 to 7 in the high halves. Rows are padded to 16
//! with zero.

mod gemm;
mod pack;
mod quantize;

pub use gemm::gemm;
pub use pack::pack_grouped;
pub use quantize::{ACTIVATION_GROUP, GroupedRows};

use crate::blocks::BlockFormat;
use crate::quantized::{OperandError, expect_len};

/// Rows of a tile.
pub(crate) const ROWS: usize = 16;

/// The shape of a matrix of block weights in tiles, and what a tile holds.
///
/// ```
/// use bitnet_kernels::blocks::BlockFormat;
/// use bitnet_kernels::grouped::GroupedLayout;
/// let layout = GroupedLayout::new(BlockFormat::Q4_1, 1536, 576)?;
/// assert_eq!(layout.byte_len(), 1536 * 576 * 5 / 8); // as in the file
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GroupedLayout {
    format: BlockFormat,
    rows: usize,
    cols: usize,
    byte_len: usize,
}

impl GroupedLayout {
    /// The layout of a matrix of `rows` × `cols`; either may be zero.
    ///
    /// # Errors
    /// [`OperandError::BlockColumns`] if `cols` is no multiple of the format's block,
    /// [`OperandError::TooLarge`] if the byte length overflows.
    pub fn new(format: BlockFormat, rows: usize, cols: usize) -> Result<Self, OperandError> {
        format.row_bytes(cols)?;
        let mut layout = GroupedLayout { format, rows, cols, byte_len: 0 };
        layout.byte_len = (cols / layout.group())
            .checked_mul(layout.tile_bytes())
            .and_then(|bytes| bytes.checked_mul(rows.div_ceil(ROWS)))
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .ok_or(OperandError::TooLarge { rows, cols })?;
        Ok(layout)
    }

    /// The format that the weights come from.
    pub fn format(self) -> BlockFormat {
        self.format
    }

    /// Number of rows (output features).
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Number of columns (input features).
    pub fn cols(self) -> usize {
        self.cols
    }

    /// Number of bytes of the tiles.
    pub fn byte_len(self) -> usize {
        self.byte_len
    }

    /// Columns of a tile.
    pub(crate) fn group(self) -> usize {
        self.format.part_len().min(32)
    }

    /// Bits of a code: 4 or 8.
    pub(crate) fn bits(self) -> usize {
        match self.format {
            BlockFormat::Q8_0
            | BlockFormat::Q5_0
            | BlockFormat::Q5_1
            | BlockFormat::Q2K
            | BlockFormat::Q3K
            | BlockFormat::Q5K
            | BlockFormat::Q6K => 8,
            _ => 4,
        }
    }

    /// Whether scales need `f32`: where they are products, or `f32` in the file.
    pub(crate) fn has_wide_scales(self) -> bool {
        self.format.part_len() < self.format.block_len() || self.format == BlockFormat::Iq2Bn
    }

    /// Bytes of the scales of a tile, or of its minima.
    pub(crate) fn scale_bytes(self) -> usize {
        if self.has_wide_scales() { 4 * ROWS } else { 2 * ROWS }
    }

    /// Bytes before the codes of a tile.
    pub(crate) fn head_bytes(self) -> usize {
        self.scale_bytes() * (1 + usize::from(self.format.has_minima()))
    }

    /// Bytes of a tile.
    pub(crate) fn tile_bytes(self) -> usize {
        self.head_bytes() + ROWS * self.group() * self.bits() / 8
    }

    /// Number of row blocks, the last perhaps padded.
    pub(crate) fn row_blocks(self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Bytes of a row block.
    pub(crate) fn row_block_bytes(self) -> usize {
        self.cols / self.group() * self.tile_bytes()
    }
}

/// A borrowed matrix of block weights in tiles.
#[derive(Debug, Clone, Copy)]
pub struct GroupedMatrix<'a> {
    layout: GroupedLayout,
    tiles: &'a [u8],
}

impl<'a> GroupedMatrix<'a> {
    /// Describes `layout.byte_len()` bytes, as [`pack_grouped`] writes them.
    ///
    /// # Errors
    /// [`OperandError::Length`] if there are more or fewer.
    pub fn new(layout: GroupedLayout, tiles: &'a [u8]) -> Result<Self, OperandError> {
        expect_len("tiles", layout.byte_len(), tiles.len())?;
        Ok(GroupedMatrix { layout, tiles })
    }

    /// The shape.
    pub fn layout(&self) -> GroupedLayout {
        self.layout
    }
}
