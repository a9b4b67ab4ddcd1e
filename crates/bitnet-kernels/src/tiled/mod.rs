//! Matrices of small integers in tiles, and their products with int8 activations.
//!
//! The kernels of every tier read *tiles* of sixteen rows whose codes unpack to planes of 16 rows ×
//! 4 columns, one row in each 32-bit lane: what a dot-product instruction takes, with no sum across
//! lanes. Tiles are ordered by row block, then by column block; rows and columns are padded with
//! weight zero. The encodings of a tile:
//!
//! - *Two bits*, ternary: 16 columns in a line of 64 bytes. The byte `4·r + i` (row `r` < 16, `i` < 4)
//!   holds in bits `2j` and `2j + 1` the code `weight + 1` of column `4·j + i` (`j` < 4): a shift by `2j`
//!   and a mask give a plane.
//! - *Five bits for three*, ternary: 96 columns in five lines. A code `a + 3·b + 9·c` < 27 holds three
//!   weights plus one, of columns `12·s + i`, `12·s + 4 + i` and `12·s + 8 + i` (slot `s` < 8). Its low
//!   four bits are a half (the high one for odd `s`) of byte `4·r + i` of line `s / 2`; its fifth is bit
//!   `s` of that byte of the last line. Three table lookups give three planes.
//! - *Six bits*: 16 columns in three lines. The low four bits of the code `weight + 32` of column
//!   `4·j + i` are a half (the high one for odd `j`) of byte `4·r + i` of line `j / 2`, its high two bits
//!   are bits `2j` and `2j + 1` of that byte of the last line.
//!
//! Codes are unsigned, so a product is Σ weight · q = Σ code · q − zero · Σ q, and Σ q comes with
//! the quantized activations. All sums are exact.

#[cfg(target_arch = "x86_64")]
mod amx;
mod five_bit;
mod gemm;
mod kernel;
mod layout;
mod pack;
mod panels;
#[doc(hidden)]
pub mod reference;
mod six_bit;
mod two_bit;

pub use gemm::{gemm, gemm_i32};
pub use layout::{TILE_ROWS, TileEncoding, TiledLayout};
pub use pack::{are_codes_valid, pack, unpack_row};

use crate::quantized::{OperandError, expect_len};

/// A borrowed matrix: tiled codes and one scale per row.
///
/// Weight (r, c) is `(code − zero) · scales[r]`.
#[derive(Debug, Clone, Copy)]
pub struct TiledMatrix<'a> {
    layout: TiledLayout,
    codes: &'a [u8],
    scales: &'a [f32],
}

impl<'a> TiledMatrix<'a> {
    /// Describes `layout.byte_len()` bytes of tiled codes and `layout.rows()` scales.
    ///
    /// The codes are not looked at: a code that [`pack()`] never writes would count as some
    /// other number, the same on every tier. [`are_codes_valid`] checks bytes of unknown origin.
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
        Ok(TiledMatrix { layout, codes, scales })
    }

    /// The shape.
    pub fn layout(&self) -> TiledLayout {
        self.layout
    }

    /// Number of rows (output features).
    pub fn rows(&self) -> usize {
        self.layout.rows()
    }

    /// Number of columns (input features).
    pub fn cols(&self) -> usize {
        self.layout.cols()
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
    fn matrix_refuses_wrong_lengths() {
        let layout = TiledLayout::new(TileEncoding::TwoBit, 2, 3).unwrap();
        assert!(TiledMatrix::new(layout, &[0; 64], &[1.0; 2]).is_ok());
        for (codes, scales) in [(63, 2), (65, 2), (64, 1), (64, 16)] {
            assert!(TiledMatrix::new(layout, &vec![0; codes], &vec![1.0; scales]).is_err());
        }
    }
}
