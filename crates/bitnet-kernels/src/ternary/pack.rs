//! The tiled layout: packing rows of −1, 0, +1 into it, and reading them back.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{TILE_ROWS, TileEncoding, TiledLayout, five_bit, two_bit};
use crate::parallel;
use crate::quantized::{OperandError, expect_len};

/// Least number of weights that a thread packs at a time.
const PIECE: usize = 1 << 18;

/// Packs a matrix, in parallel over blocks of 16 rows.
///
/// `fill_row(row, values)` writes the weights of a row, `layout.cols()` values of −1, 0 or +1;
/// it is called once for each row, in no particular order, and finds `values` with any content.
///
/// # Errors
/// [`OperandError::Length`] if `out` has not `layout.byte_len()` bytes;
/// [`OperandError::NotTernary`] if `fill_row` wrote another value: `out` then holds no
/// particular codes.
///
/// ```
/// use bitnet_kernels::ternary::{TileEncoding, TiledLayout, pack_tiled, unpack_tiled_row};
/// let weights = [[1i8, -1, 0], [0, 1, 1]];
/// let layout = TiledLayout::new(TileEncoding::TwoBit, 2, 3)?;
/// let mut tiled = vec![0; layout.byte_len()];
/// pack_tiled(layout, &mut tiled, |row, values| values.copy_from_slice(&weights[row]))?;
/// let mut row = [0; 3];
/// unpack_tiled_row(layout, &tiled, 1, &mut row)?;
/// assert_eq!(row, weights[1]);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn pack_tiled(
    layout: TiledLayout,
    out: &mut [u8],
    fill_row: impl Fn(usize, &mut [i8]) + Sync,
) -> Result<(), OperandError> {
    expect_len("out", layout.byte_len(), out.len())?;
    let block_bytes = layout.row_block_bytes();
    if out.is_empty() {
        return Ok(());
    }
    let pack_row = match layout.encoding() {
        TileEncoding::TwoBit => two_bit::pack_row,
        TileEncoding::FiveBit => five_bit::pack_row,
    };
    let padded_cols = layout.padded_cols();
    let blocks_per_piece = (PIECE / (padded_cols * TILE_ROWS)).max(1);
    let bad_row = AtomicUsize::new(usize::MAX);
    parallel::for_each_chunk_mut(out, blocks_per_piece * block_bytes, |piece, bytes| {
        // The columns of padding keep weight 0.
        let mut weights = vec![0i8; padded_cols];
        for (i, block) in bytes.chunks_exact_mut(block_bytes).enumerate() {
            let first_row = (piece * blocks_per_piece + i) * TILE_ROWS;
            for r in 0..TILE_ROWS {
                let row = first_row + r;
                if row < layout.rows() {
                    fill_row(row, &mut weights[..layout.cols()]);
                    if !are_ternary(&weights) {
                        bad_row.fetch_min(row, Ordering::Relaxed);
                        return;
                    }
                } else {
                    weights.fill(0);
                }
                pack_row(block, r, &weights);
            }
        }
    });
    match bad_row.into_inner() {
        usize::MAX => Ok(()),
        row => Err(OperandError::NotTernary { row }),
    }
}

/// Reads one row back as −1, 0, +1.
///
/// # Errors
/// [`OperandError::Length`] if `tiled` has not `layout.byte_len()` bytes or `out` not
/// `layout.cols()` elements; [`OperandError::RowOutOfRange`]; [`OperandError::InvalidCode`]
/// if the row's tiles hold a code that [`pack_tiled`] never writes.
pub fn unpack_tiled_row(
    layout: TiledLayout,
    tiled: &[u8],
    row: usize,
    out: &mut [i8],
) -> Result<(), OperandError> {
    expect_len("tiled", layout.byte_len(), tiled.len())?;
    expect_len("out", layout.cols(), out.len())?;
    if row >= layout.rows() {
        return Err(OperandError::RowOutOfRange { row, rows: layout.rows() });
    }
    let block_bytes = layout.row_block_bytes();
    let block = &tiled[row / TILE_ROWS * block_bytes..][..block_bytes];
    let valid = match layout.encoding() {
        TileEncoding::TwoBit => two_bit::unpack_row(block, row % TILE_ROWS, out),
        TileEncoding::FiveBit => five_bit::unpack_row(block, row % TILE_ROWS, out),
    };
    if valid { Ok(()) } else { Err(OperandError::InvalidCode { row }) }
}

/// Whether every code of a tiled matrix stands for weights: is one that [`pack_tiled`] writes.
///
/// ```
/// # use bitnet_kernels::ternary::{TileEncoding, are_tiles_ternary};
/// assert!(are_tiles_ternary(TileEncoding::TwoBit, &[0b10_01_00_10; 64]));
/// assert!(!are_tiles_ternary(TileEncoding::FiveBit, &[0xff; 320]));
/// ```
pub fn are_tiles_ternary(encoding: TileEncoding, tiles: &[u8]) -> bool {
    match encoding {
        TileEncoding::TwoBit => are_codes_ternary(tiles),
        TileEncoding::FiveBit => five_bit::are_codes_valid(tiles),
    }
}

/// Whether none of the two-bit codes in `bytes`, four to a byte, is 3, which is no ternary
/// value. Applies to every layout of two-bit codes; reads at memory speed.
///
/// ```
/// # use bitnet_kernels::ternary::are_codes_ternary;
/// assert!(are_codes_ternary(&[0b10_01_00_10, 0b01_01_10_01]));
/// assert!(!are_codes_ternary(&[0b10_01_00_10, 0b01_11_10_01]));
/// ```
pub fn are_codes_ternary(bytes: &[u8]) -> bool {
    // Blocks: an early end without a branch for each byte.
    bytes.chunks(4096).all(|block| {
        let (words, rest) = block.as_chunks::<8>();
        let threes = words.iter().fold(0, |threes, &word| {
            let word = u64::from_ne_bytes(word);
            threes | (word & (word >> 1) & 0x5555_5555_5555_5555)
        });
        let rest_threes = rest.iter().fold(0, |threes, byte| threes | (byte & (byte >> 1) & 0x55));
        threes == 0 && rest_threes == 0
    })
}

/// Whether all values are −1, 0 or +1.
pub(super) fn are_ternary(values: &[i8]) -> bool {
    values.iter().fold(0, |most, &v| (v.wrapping_add(1) as u8).max(most)) <= 2
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::TileEncoding::{FiveBit, TwoBit};
    use super::*;

    const SHAPES: [(usize, usize); 10] = [
        (1, 1),
        (1, 3),
        (15, 15),
        (16, 16),
        (17, 17),
        (33, 65),
        (5, 95),
        (16, 97),
        (40, 640),
        (300, 2560),
    ];

    fn weight(row: usize, col: usize) -> i8 {
        ((row * 7 + col * 13 + row * col) % 3) as i8 - 1
    }

    fn layouts() -> impl Iterator<Item = TiledLayout> {
        let encodings = [TwoBit, FiveBit].into_iter();
        encodings.flat_map(|encoding| {
            SHAPES.map(|(rows, cols)| TiledLayout::new(encoding, rows, cols).unwrap())
        })
    }

    fn packed(layout: TiledLayout) -> Vec<u8> {
        let mut tiled = vec![0xff; layout.byte_len()];
        pack_tiled(layout, &mut tiled, |row, values| {
            for (col, value) in values.iter_mut().enumerate() {
                *value = weight(row, col);
            }
        })
        .unwrap();
        tiled
    }

    #[test]
    fn packing_agrees_with_the_definition_of_the_layout() {
        for layout in layouts() {
            let tiled = packed(layout);
            assert!(are_tiles_ternary(layout.encoding(), &tiled));
            let (rows, cols) = (layout.rows(), layout.cols());
            for row in 0..rows.next_multiple_of(TILE_ROWS) {
                for col in 0..layout.padded_cols() {
                    let expected = if row < rows && col < cols { weight(row, col) } else { 0 };
                    let actual = reference::tiled_weight(layout, &tiled, row, col);
                    assert_eq!(actual, expected, "({row}, {col}) of {layout:?}");
                }
            }
        }
    }

    #[test]
    fn unpacking_is_the_inverse_of_packing() {
        for layout in layouts() {
            let tiled = packed(layout);
            let mut values = vec![0; layout.cols()];
            for row in 0..layout.rows() {
                unpack_tiled_row(layout, &tiled, row, &mut values).unwrap();
                assert!((0..layout.cols()).all(|col| values[col] == weight(row, col)));
            }
        }
    }

    #[test]
    fn values_that_are_not_ternary_are_refused() {
        for encoding in [TwoBit, FiveBit] {
            let layout = TiledLayout::new(encoding, 40, 20).unwrap();
            let mut tiled = vec![0; layout.byte_len()];
            for bad in [2, -2, 127, -128] {
                let result = pack_tiled(layout, &mut tiled, |row, values| {
                    values.fill(0);
                    values[19] = if row == 33 { bad } else { 1 };
                });
                assert_eq!(result, Err(OperandError::NotTernary { row: 33 }));
            }
            assert!(pack_tiled(layout, &mut tiled[1..], |_, _| ()).is_err());
        }
    }

    #[test]
    fn reading_refuses_bad_rows_lengths_and_codes() {
        for (encoding, byte, bits) in [(TwoBit, 4, 0b1100), (FiveBit, 4, 0xff)] {
            let layout = TiledLayout::new(encoding, 17, 5).unwrap();
            let mut tiled = packed(layout);
            let mut out = [0; 5];
            assert_eq!(
                unpack_tiled_row(layout, &tiled, 17, &mut out),
                Err(OperandError::RowOutOfRange { row: 17, rows: 17 })
            );
            assert!(unpack_tiled_row(layout, &tiled, 0, &mut out[1..]).is_err());
            assert!(unpack_tiled_row(layout, &tiled[1..], 0, &mut out).is_err());
            tiled[byte] |= bits; // Of row 1.
            if encoding == FiveBit {
                tiled[256 + byte] |= 1;
            }
            assert_eq!(
                unpack_tiled_row(layout, &tiled, 1, &mut out),
                Err(OperandError::InvalidCode { row: 1 })
            );
            assert!(!are_tiles_ternary(encoding, &tiled));
        }
    }

    #[test]
    fn every_five_bit_code_is_judged_wherever_it_lies() {
        for code in 0..32u8 {
            for slot in 0..8 {
                for at in [0, 13, 63] {
                    let mut tile = [0; 320];
                    tile[64 * (slot / 2) + at] = (code & 15) << (4 * (slot % 2));
                    tile[256 + at] = (code >> 4) << slot;
                    assert_eq!(are_tiles_ternary(FiveBit, &tile), code < 27, "{code}");
                }
            }
        }
    }

    #[test]
    fn every_code_three_is_found_wherever_it_lies() {
        for len in [1, 7, 8, 9, 4095, 4096, 4097, 9000] {
            let mut bytes = vec![0b10_01_10_00u8; len];
            assert!(are_codes_ternary(&bytes));
            for at in [0, len / 2, len - 1] {
                for shift in [0, 2, 4, 6] {
                    let kept = bytes[at];
                    bytes[at] |= 3 << shift;
                    assert!(!are_codes_ternary(&bytes));
                    bytes[at] = kept;
                }
            }
        }
        // Adjacent bits of two codes are no code 3.
        assert!(are_codes_ternary(&[0b00_10_01_10, 0b01_10_01_10]));
    }
}
