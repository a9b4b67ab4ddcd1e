//! Where the codes of a matrix lie: rows and columns cut into tiles, and how many bits a code has.

use super::six_bit;
use crate::dispatch::{Cpu, Isa};
use crate::quantized::OperandError;

/// Rows of a tile.
pub const TILE_ROWS: usize = 16;

/// How weights become codes, and codes the bytes of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TileEncoding {
    /// A weight in two bits: 16 rows × 16 columns in 64 bytes.
    TwoBit,
    /// Three weights in five bits: 16 rows × 96 columns in 320 bytes.
    FiveBit,
    /// A weight of −31 to 31 in six bits: 16 rows × 16 columns in 192 bytes.
    SixBit,
}

impl TileEncoding {
    /// Every encoding.
    pub const ALL: [Self; 3] = [Self::TwoBit, Self::FiveBit, Self::SixBit];

    /// What multiplies ternary matrices of `cols` columns fastest on this processor.
    ///
    /// Five bits need a sixth less memory, which decides where the digits of a code are one
    /// instruction away (AVX-512 VBMI); elsewhere taking them out costs more than it saves. Two
    /// bits too where padding to 96 columns would eat the gain.
    pub fn best_ternary(cpu: Cpu, cols: usize) -> TileEncoding {
        let bytes = |encoding: TileEncoding| {
            cols.div_ceil(encoding.columns()).saturating_mul(encoding.tile_bytes())
        };
        let smaller = bytes(TileEncoding::FiveBit) < bytes(TileEncoding::TwoBit);
        if matches!(cpu.isa(), Isa::Avx512Vbmi | Isa::Amx) && smaller {
            TileEncoding::FiveBit
        } else {
            TileEncoding::TwoBit
        }
    }

    /// Columns of a tile.
    pub fn columns(self) -> usize {
        match self {
            TileEncoding::TwoBit | TileEncoding::SixBit => 16,
            TileEncoding::FiveBit => 96,
        }
    }

    /// Bytes of a tile.
    pub fn tile_bytes(self) -> usize {
        match self {
            TileEncoding::TwoBit => 64,
            TileEncoding::FiveBit => 320,
            TileEncoding::SixBit => 192,
        }
    }

    /// The largest magnitude of a weight.
    pub fn max_weight(self) -> i8 {
        match self {
            TileEncoding::TwoBit | TileEncoding::FiveBit => 1,
            TileEncoding::SixBit => 31,
        }
    }

    /// What is subtracted from a code.
    pub(super) fn zero(self) -> i32 {
        match self {
            TileEncoding::TwoBit | TileEncoding::FiveBit => 1,
            TileEncoding::SixBit => i32::from(six_bit::ZERO),
        }
    }

    /// With more columns, products with −128 could overflow an `i32` sum.
    fn max_cols(self) -> usize {
        match self {
            TileEncoding::TwoBit | TileEncoding::FiveBit => (1 << 24) - 1,
            TileEncoding::SixBit => (1 << 19) - 1,
        }
    }
}

/// The shape of a tiled matrix, and where its rows lie in the bytes.
///
/// ```
/// # use bitnet_kernels::tiled::{TileEncoding, TiledLayout};
/// let layout = TiledLayout::new(TileEncoding::TwoBit, 2560, 6912)?;
/// assert_eq!(layout.byte_len(), 2560 * 6912 / 4);
/// let layout = TiledLayout::new(TileEncoding::FiveBit, 2560, 6912)?;
/// assert_eq!(layout.byte_len(), 2560 * 6912 * 5 / 3 / 8);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TiledLayout {
    encoding: TileEncoding,
    rows: usize,
    cols: usize,
    byte_len: usize,
}

impl TiledLayout {
    /// The layout of a matrix of `rows` × `cols`; either may be zero.
    ///
    /// # Errors
    /// [`OperandError::TooLarge`] if the byte length overflows, or from 2²⁴ columns on (2¹⁹ of six
    /// bits), where a sum could overflow `i32`.
    pub fn new(encoding: TileEncoding, rows: usize, cols: usize) -> Result<Self, OperandError> {
        let byte_len = rows
            .div_ceil(TILE_ROWS)
            .checked_mul(cols.div_ceil(encoding.columns()))
            .and_then(|tiles| tiles.checked_mul(encoding.tile_bytes()))
            .filter(|&bytes| cols <= encoding.max_cols() && bytes <= isize::MAX as usize)
            .ok_or(OperandError::TooLarge { rows, cols })?;
        Ok(TiledLayout { encoding, rows, cols, byte_len })
    }

    /// How the codes lie in a tile.
    pub fn encoding(self) -> TileEncoding {
        self.encoding
    }

    /// Number of rows (output features).
    pub fn rows(self) -> usize {
        self.rows
    }

    /// Number of columns (input features).
    pub fn cols(self) -> usize {
        self.cols
    }

    /// Number of columns with the padding of the last tile.
    pub fn padded_cols(self) -> usize {
        self.cols.next_multiple_of(self.encoding.columns())
    }

    /// Number of bytes of the packed matrix.
    pub fn byte_len(self) -> usize {
        self.byte_len
    }

    /// Number of row blocks, the last perhaps padded.
    pub fn row_blocks(self) -> usize {
        self.rows.div_ceil(TILE_ROWS)
    }

    /// Number of bytes of a row block: its tiles lie one after the other.
    pub fn row_block_bytes(self) -> usize {
        self.cols.div_ceil(self.encoding.columns()) * self.encoding.tile_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::TileEncoding::{FiveBit, TwoBit};
    use super::*;

    #[test]
    fn layout_pads_to_tiles_and_refuses_what_is_too_large() {
        for encoding in TileEncoding::ALL {
            assert_eq!(TiledLayout::new(encoding, 0, 5).unwrap().byte_len(), 0);
            assert_eq!(TiledLayout::new(encoding, 5, 0).unwrap().byte_len(), 0);
            for (rows, cols) in [(usize::MAX, 16), (1, 1 << 24), (usize::MAX / 64, 1 << 10)] {
                let layout = TiledLayout::new(encoding, rows, cols);
                assert_eq!(layout, Err(OperandError::TooLarge { rows, cols }));
            }
        }
        assert_eq!(TiledLayout::new(TwoBit, 17, 1).unwrap().byte_len(), 2 * 64);
        assert_eq!(TiledLayout::new(TwoBit, 16, 33).unwrap().byte_len(), 3 * 64);
        assert_eq!(TiledLayout::new(FiveBit, 16, 97).unwrap().byte_len(), 2 * 320);
    }
}
