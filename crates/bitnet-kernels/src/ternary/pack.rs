//! The tiled layout: packing rows of −1, 0, +1 into it, and reading them back.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{TILE, TILE_BYTES, TiledLayout};
use crate::parallel;
use crate::quantized::{OperandError, expect_len};

/// Least number of weights that a thread packs at a time.
const PIECE: usize = 1 << 18;

/// Sixteen codes of one row as four words: word `j` holds columns `4j .. 4j + 4`.
const ZERO_ROW: u32 = 0b01_01_01_01 * 0x0101_0101;

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
/// use bitnet_kernels::ternary::{TiledLayout, pack_tiled, unpack_tiled_row};
/// let weights = [[1i8, -1, 0], [0, 1, 1]];
/// let layout = TiledLayout::new(2, 3)?;
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
    let blocks_per_piece = (PIECE / (block_bytes * 4)).max(1);
    let bad_row = AtomicUsize::new(usize::MAX);
    parallel::for_each_chunk_mut(out, blocks_per_piece * block_bytes, |piece, bytes| {
        // The columns of padding keep weight 0.
        let mut row_values = vec![0i8; block_bytes / 4];
        for (i, block) in bytes.chunks_exact_mut(block_bytes).enumerate() {
            let first_row = (piece * blocks_per_piece + i) * TILE;
            for r in 0..TILE {
                let row = first_row + r;
                if row < layout.rows() {
                    fill_row(row, &mut row_values[..layout.cols()]);
                    if !are_ternary(&row_values) {
                        bad_row.fetch_min(row, Ordering::Relaxed);
                        return;
                    }
                    pack_row(block, r, &row_values);
                } else {
                    for tile in block.as_chunks_mut::<TILE_BYTES>().0 {
                        tile[4 * r..][..4].copy_from_slice(&ZERO_ROW.to_le_bytes());
                    }
                }
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
/// if the row holds a code 3, which [`pack_tiled`] never writes.
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
    let block = &tiled[row / TILE * block_bytes..][..block_bytes];
    let mut invalid = 0;
    for (tile, out) in block.as_chunks::<TILE_BYTES>().0.iter().zip(out.chunks_mut(TILE)) {
        let packed = &tile[4 * (row % TILE)..][..4];
        for (j, out) in out.chunks_mut(4).enumerate() {
            for (value, &byte) in out.iter_mut().zip(packed) {
                let code = (byte >> (2 * j)) & 3;
                invalid |= code & (code >> 1);
                *value = code as i8 - 1;
            }
        }
    }
    if invalid == 0 { Ok(()) } else { Err(OperandError::InvalidCode { row }) }
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

/// Writes one row, padded to whole tiles, as row `r` of the tiles of a row block.
fn pack_row(block: &mut [u8], r: usize, values: &[i8]) {
    let groups = values.as_chunks::<TILE>().0;
    for (tile, values) in block.as_chunks_mut::<TILE_BYTES>().0.iter_mut().zip(groups) {
        let codes = values.map(|v| v.wrapping_add(1) as u8);
        // A byte of column group j moves up by 2j bits and stays within its byte.
        let word = |j: usize| {
            u32::from_le_bytes([codes[4 * j], codes[4 * j + 1], codes[4 * j + 2], codes[4 * j + 3]])
        };
        let packed = word(0) | word(1) << 2 | word(2) << 4 | word(3) << 6;
        tile[4 * r..][..4].copy_from_slice(&packed.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    const SHAPES: [(usize, usize); 8] =
        [(1, 1), (1, 3), (15, 15), (16, 16), (17, 17), (33, 65), (40, 640), (300, 2560)];

    fn weight(row: usize, col: usize) -> i8 {
        ((row * 7 + col * 13 + row * col) % 3) as i8 - 1
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
        for (rows, cols) in SHAPES {
            let layout = TiledLayout::new(rows, cols).unwrap();
            let tiled = packed(layout);
            assert!(are_codes_ternary(&tiled));
            let (padded_rows, padded_cols) = (rows.div_ceil(16) * 16, cols.div_ceil(16) * 16);
            for row in 0..padded_rows {
                for col in 0..padded_cols {
                    let expected = if row < rows && col < cols { weight(row, col) } else { 0 };
                    let actual = reference::tiled_weight(layout, &tiled, row, col);
                    assert_eq!(actual, expected, "({row}, {col}) of {rows} × {cols}");
                }
            }
        }
    }

    #[test]
    fn unpacking_is_the_inverse_of_packing() {
        for (rows, cols) in SHAPES {
            let layout = TiledLayout::new(rows, cols).unwrap();
            let tiled = packed(layout);
            let mut values = vec![0; cols];
            for row in 0..rows {
                unpack_tiled_row(layout, &tiled, row, &mut values).unwrap();
                assert!((0..cols).all(|col| values[col] == weight(row, col)));
            }
        }
    }

    #[test]
    fn values_that_are_not_ternary_are_refused() {
        let layout = TiledLayout::new(40, 20).unwrap();
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

    #[test]
    fn reading_refuses_bad_rows_lengths_and_codes() {
        let layout = TiledLayout::new(17, 5).unwrap();
        let mut tiled = packed(layout);
        let mut out = [0; 5];
        assert_eq!(
            unpack_tiled_row(layout, &tiled, 17, &mut out),
            Err(OperandError::RowOutOfRange { row: 17, rows: 17 })
        );
        assert!(unpack_tiled_row(layout, &tiled, 0, &mut out[1..]).is_err());
        assert!(unpack_tiled_row(layout, &tiled[1..], 0, &mut out).is_err());
        tiled[4] |= 0b1100; // Column 4 of row 1.
        assert_eq!(
            unpack_tiled_row(layout, &tiled, 1, &mut out),
            Err(OperandError::InvalidCode { row: 1 })
        );
        assert!(!are_codes_ternary(&tiled));
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
