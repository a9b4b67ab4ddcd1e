//! Ternary weights: packed layouts and their products with int8 activations.
//!
//! The kernels read one layout on every tier, *tiled*: 16 × 16 weights in 64 bytes. The byte
//! `4·r + i` of a tile (row `r` < 16, `i` < 4) holds in bits `2j` and `2j + 1` the code
//! `weight + 1` of column `4·j + i` (`j` < 4). Shifting a tile right by `2j` and masking
//! therefore gives four consecutive columns of each of sixteen rows, one row in each 32-bit
//! lane: what a dot-product instruction takes, with no sum across lanes. Tiles are ordered
//! by row block, then by column block; rows and columns are padded to 16 with weight zero.
//!
//! Codes are unsigned, so a product is Σ weight · q = Σ code · q − Σ q, and Σ q comes with
//! the quantized activations.

mod blocks;
mod gemm;
mod huggingface;
mod i2_s;
mod pack;
pub mod quantize;
#[doc(hidden)]
pub mod reference;

pub use blocks::{pack_blocks, unpack_block_row};
pub use gemm::{gemm, gemm_i32};
pub use huggingface::{pack_huggingface, unpack_huggingface_row};
pub use i2_s::{I2sBlock, i2_s_block_evidence, i2_s_scale, pack_i2_s, unpack_i2_s_row};
pub use pack::{are_codes_ternary, pack_tiled, unpack_tiled_row};

use crate::quantized::{OperandError, expect_len};

/// Rows and columns of a tile.
pub const TILE: usize = 16;

/// Bytes of a tile: 256 codes of two bits.
pub(crate) const TILE_BYTES: usize = 64;

/// With more columns, 2²⁴ products of −1 · −128 could overflow an `i32` sum.
const MAX_COLS: usize = (1 << 24) - 1;

/// The shape of a tiled matrix, and where its rows lie in the bytes.
///
/// ```
/// # use bitnet_kernels::ternary::TiledLayout;
/// let layout = TiledLayout::new(2560, 6912)?;
/// assert_eq!(layout.byte_len(), 2560 * 6912 / 4);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TiledLayout {
    rows: usize,
    cols: usize,
    byte_len: usize,
}

impl TiledLayout {
    /// The layout of a matrix of `rows` × `cols`; either may be zero.
    ///
    /// # Errors
    /// [`OperandError::TooLarge`] if the byte length overflows, or from 2²⁴ columns on, where
    /// a sum could overflow `i32`.
    pub fn new(rows: usize, cols: usize) -> Result<Self, OperandError> {
        let byte_len = rows
            .div_ceil(TILE)
            .checked_mul(cols.div_ceil(TILE))
            .and_then(|tiles| tiles.checked_mul(TILE_BYTES))
            .filter(|&bytes| cols <= MAX_COLS && bytes <= isize::MAX as usize)
            .ok_or(OperandError::TooLarge { rows, cols })?;
        Ok(TiledLayout { rows, cols, byte_len })
    }

    /// Number of rows (output features).
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Number of columns (input features).
    pub fn cols(self) -> usize {
        self.cols
    }

    /// Number of bytes of the packed matrix.
    pub fn byte_len(self) -> usize {
        self.byte_len
    }

    /// Number of row blocks, the last perhaps padded.
    pub fn row_blocks(self) -> usize {
        self.rows.div_ceil(TILE)
    }

    /// Number of bytes of a row block: its tiles lie one after the other.
    pub fn row_block_bytes(self) -> usize {
        self.cols.div_ceil(TILE) * TILE_BYTES
    }
}

/// A borrowed ternary matrix: tiled codes and one scale per row.
///
/// Weight (r, c) is `(code − 1) · scales[r]`.
#[derive(Debug, Clone, Copy)]
pub struct TernaryMatrix<'a> {
    layout: TiledLayout,
    codes: &'a [u8],
    scales: &'a [f32],
}

impl<'a> TernaryMatrix<'a> {
    /// Describes `layout.byte_len()` bytes of tiled codes and `layout.rows()` scales.
    ///
    /// The codes are not looked at: a code 3, which [`pack_tiled`] never writes, would count
    /// as weight +2 on every tier. [`are_codes_ternary`] checks bytes of unknown origin.
    ///
    /// # Errors
    /// [`OperandError::Length`] if a length is not as described.
    pub fn new(
        layout: TiledLayout,
        codes: &'a [u8],
        scales: &'a [f32],
    ) -> Result<Self, OperandError> {
        expect_len("codes", layout.byte_len(), codes.len())?;
        expect_len("scales", layout.rows(), scales.len())?;
        Ok(TernaryMatrix { layout, codes, scales })
    }

    /// The shape.
    pub fn layout(&self) -> TiledLayout {
        self.layout
    }

    /// Number of rows (output features).
    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    /// Number of columns (input features).
    pub fn cols(&self) -> usize {
        self.layout.cols
    }

    /// The tiled codes.
    pub fn codes(&self) -> &'a [u8] {
        self.codes
    }

    /// The scale of each row.
    pub fn scales(&self) -> &'a [f32] {
        self.scales
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_pads_to_tiles_and_refuses_what_is_too_large() {
        assert_eq!(TiledLayout::new(0, 5).unwrap().byte_len(), 0);
        assert_eq!(TiledLayout::new(5, 0).unwrap().byte_len(), 0);
        assert_eq!(TiledLayout::new(17, 1).unwrap().byte_len(), 2 * 64);
        assert_eq!(TiledLayout::new(16, 33).unwrap().byte_len(), 3 * 64);
        for (rows, cols) in [(usize::MAX, 16), (1, 1 << 24), (usize::MAX / 64, 1 << 10)] {
            assert_eq!(TiledLayout::new(rows, cols), Err(OperandError::TooLarge { rows, cols }));
        }
    }

    #[test]
    fn matrix_refuses_wrong_lengths() {
        let layout = TiledLayout::new(2, 3).unwrap();
        assert!(TernaryMatrix::new(layout, &[0; 64], &[1.0; 2]).is_ok());
        for (codes, scales) in [(63, 2), (65, 2), (64, 1), (64, 16)] {
            assert!(TernaryMatrix::new(layout, &vec![0; codes], &vec![1.0; scales]).is_err());
        }
    }
}
