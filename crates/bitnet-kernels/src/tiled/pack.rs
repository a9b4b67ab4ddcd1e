//! Packing rows of small integers into tiles, and reading them back.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{TILE_ROWS, TileEncoding, TiledLayout, five_bit, six_bit, two_bit};
use crate::parallel;
use crate::quantized::{OperandError, expect_len};
use crate::ternary::are_codes_ternary;

/// Least number of weights that a thread packs at a time.
const PIECE: usize = 1 << 18;

/// Packs a matrix, in parallel over blocks of 16 rows.
///
/// `fill_row(row, values)` writes the weights of a row, `layout.cols()` values within
/// ±[`max_weight`](TileEncoding::max_weight); it is called once for each row, in no particular order, and finds `values` with any content.
///
/// # Errors
/// [`OperandError::Length`] if `out` has not `layout.byte_len()` bytes;
/// [`OperandError::WeightOutOfRange`] if `fill_row` wrote another value: `out` then holds no
/// particular codes.
///
/// ```
/// use bitnet_kernels::tiled::{TileEncoding, TiledLayout, pack, unpack_row};
/// let weights = [[1i8, -1, 0], [0, 1, 1]];
/// let layout = TiledLayout::new(TileEncoding::TwoBit, 2, 3)?;
/// let mut tiled = vec![0; layout.byte_len()];
/// pack(layout, &mut tiled, |row, values| values.copy_from_slice(&weights[row]))?;
/// let mut row = [0; 3];
/// unpack_row(layout, &tiled, 1, &mut row)?;
/// assert_eq!(row, weights[1]);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn pack(
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
        TileEncoding::SixBit => six_bit::pack_row,
    };
    let most = layout.encoding().max_weight();
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
                    if !are_within(most, &weights) {
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
        row => Err(OperandError::WeightOutOfRange { row, most }),
    }
}

/// Whether all weights are within ±`most`.
fn are_within(most: i8, weights: &[i8]) -> bool {
    // One unsigned comparison, without a branch.
    let distance = |&weight: &i8| weight.wrapping_add(most) as u8;
    weights.iter().map(distance).fold(0, u8::max) <= 2 * most as u8
}

/// Reads the weights of one row back.
///
/// # Errors
/// [`OperandError::Length`] if `tiled` has not `layout.byte_len()` bytes or `out` not
/// `layout.cols()` elements; [`OperandError::RowOutOfRange`]; [`OperandError::InvalidCode`]
/// if the row's tiles hold a code that [`pack`] never writes.
pub fn unpack_row(
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
        TileEncoding::SixBit => six_bit::unpack_row(block, row % TILE_ROWS, out),
    };
    if valid { Ok(()) } else { Err(OperandError::InvalidCode { row }) }
}

/// Whether every code of a tiled matrix stands for weights: is one that [`pack`] writes.
///
/// ```
/// # use bitnet_kernels::tiled::{TileEncoding, are_codes_valid};
/// assert!(are_codes_valid(TileEncoding::TwoBit, &[0b10_01_00_10; 64]));
/// assert!(!are_codes_valid(TileEncoding::FiveBit, &[0xff; 320]));
/// ```
pub fn are_codes_valid(encoding: TileEncoding, tiles: &[u8]) -> bool {
    match encoding {
        TileEncoding::TwoBit => are_codes_ternary(tiles),
        TileEncoding::FiveBit => five_bit::are_codes_valid(tiles),
        TileEncoding::SixBit => six_bit::are_codes_valid(tiles),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::TileEncoding::{FiveBit, SixBit, TwoBit};
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

    fn weight(encoding: TileEncoding, row: usize, col: usize) -> i8 {
        let most = encoding.max_weight() as usize;
        ((row * 7 + col * 13 + row * col) % (2 * most + 1)) as i8 - most as i8
    }

    fn layouts() -> impl Iterator<Item = TiledLayout> {
        TileEncoding::ALL.into_iter().flat_map(|encoding| {
            SHAPES.map(|(rows, cols)| TiledLayout::new(encoding, rows, cols).unwrap())
        })
    }

    fn packed(layout: TiledLayout) -> Vec<u8> {
        let mut tiled = vec![0xff; layout.byte_len()];
        pack(layout, &mut tiled, |row, values| {
            for (col, value) in values.iter_mut().enumerate() {
                *value = weight(layout.encoding(), row, col);
            }
        })
        .unwrap();
        tiled
    }

    #[test]
    fn packing_agrees_with_the_definition_of_the_layout() {
        for layout in layouts() {
            let tiled = packed(layout);
            assert!(are_codes_valid(layout.encoding(), &tiled));
            let (rows, cols) = (layout.rows(), layout.cols());
            for row in 0..rows.next_multiple_of(TILE_ROWS) {
                for col in 0..layout.padded_cols() {
                    let inside = row < rows && col < cols;
                    let expected = if inside { weight(layout.encoding(), row, col) } else { 0 };
                    let actual = reference::weight(layout, &tiled, row, col);
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
                unpack_row(layout, &tiled, row, &mut values).unwrap();
                for (col, &value) in values.iter().enumerate() {
                    assert_eq!(value, weight(layout.encoding(), row, col));
                }
            }
        }
    }

    #[test]
    fn weights_out_of_range_are_refused() {
        for encoding in TileEncoding::ALL {
            let layout = TiledLayout::new(encoding, 40, 20).unwrap();
            let mut tiled = vec![0; layout.byte_len()];
            let most = encoding.max_weight();
            for bad in [most + 1, -most - 1, 127, -128] {
                let result = pack(layout, &mut tiled, |row, values| {
                    values.fill(0);
                    values[19] = if row == 33 { bad } else { most };
                });
                assert_eq!(result, Err(OperandError::WeightOutOfRange { row: 33, most }));
            }
            assert!(pack(layout, &mut tiled[1..], |_, _| ()).is_err());
        }
    }

    #[test]
    fn reading_refuses_bad_rows_lengths_and_codes() {
        for (encoding, bad) in [(TwoBit, 0xff), (FiveBit, 0xff), (SixBit, 0)] {
            let layout = TiledLayout::new(encoding, 17, 5).unwrap();
            let mut tiled = packed(layout);
            let mut out = [0; 5];
            assert_eq!(
                unpack_row(layout, &tiled, 17, &mut out),
                Err(OperandError::RowOutOfRange { row: 17, rows: 17 })
            );
            assert!(unpack_row(layout, &tiled, 0, &mut out[1..]).is_err());
            assert!(unpack_row(layout, &tiled[1..], 0, &mut out).is_err());
            // A byte of row 1 in every line.
            tiled.chunks_mut(64).for_each(|line| line[4] = bad);
            assert_eq!(
                unpack_row(layout, &tiled, 1, &mut out),
                Err(OperandError::InvalidCode { row: 1 })
            );
            assert!(!are_codes_valid(encoding, &tiled));
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
                    assert_eq!(are_codes_valid(FiveBit, &tile), code < 27, "{code}");
                }
            }
        }
    }

    #[test]
    fn every_six_bit_code_is_judged_wherever_it_lies() {
        for code in 0..64u8 {
            for plane in 0..4 {
                for at in [0, 13, 63] {
                    let mut tile = [0xff; 192];
                    let half = 4 * (plane % 2);
                    tile[64 * (plane / 2) + at] &= !(15 << half);
                    tile[64 * (plane / 2) + at] |= (code & 15) << half;
                    tile[128 + at] &= !(3 << (2 * plane));
                    tile[128 + at] |= (code >> 4) << (2 * plane);
                    assert_eq!(are_codes_valid(SixBit, &tile), code > 0, "{code}");
                }
            }
        }
    }
}
