//! The packed layout of Hugging Face's BitNet checkpoints.
//!
//! A `u8` matrix of `rows / 4` × `cols`: the weight of (row, col) is in byte
//! `[row mod (rows / 4)][col]`, bits `2·(row div (rows / 4))` and the next, as code =
//! weight + 1. A byte row thus holds four rows that lie a quarter of the matrix apart.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::codes::are_ternary;
use crate::parallel;
use crate::quantized::{OperandError, expect_len};

/// Least number of bytes that a thread packs at a time.
const PIECE: usize = 1 << 16;

/// Reads one row of a packed matrix of `rows` × `cols` weights as −1, 0, +1.
///
/// `packed` has `rows / 4 · cols` bytes, `out` has `cols` elements.
///
/// # Errors
/// [`OperandError::RowsNotMultipleOfFour`], [`OperandError::Length`],
/// [`OperandError::RowOutOfRange`], or [`OperandError::InvalidCode`] if the row holds a code 3.
///
/// ```
/// # use bitnet_kernels::ternary::unpack_huggingface_row;
/// let packed = [0b10_01_00_10, 0b00_10_01_01]; // 4 × 2
/// let mut row = [0; 2];
/// unpack_huggingface_row(&packed, 4, 2, 3, &mut row)?;
/// assert_eq!(row, [1, -1]);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn unpack_huggingface_row(
    packed: &[u8],
    rows: usize,
    cols: usize,
    row: usize,
    out: &mut [i8],
) -> Result<(), OperandError> {
    let byte_rows = byte_rows(packed, rows, cols)?;
    expect_len("out", cols, out.len())?;
    if row >= rows {
        return Err(OperandError::RowOutOfRange { row, rows });
    }
    let shift = 2 * (row / byte_rows) as u32;
    let bytes = &packed[row % byte_rows * cols..][..cols];
    let mut largest = 0;
    for (value, &byte) in out.iter_mut().zip(bytes) {
        let code = (byte >> shift) & 3;
        largest = largest.max(code);
        *value = code as i8 - 1;
    }
    if largest < 3 { Ok(()) } else { Err(OperandError::InvalidCode { row }) }
}

/// Packs a matrix of `rows` × `cols` weights; the inverse of [`unpack_huggingface_row`].
///
/// `fill_row(row, values)` writes the weights of a row, −1, 0 or +1, as in
/// [`tiled::pack`](crate::tiled::pack()); `out` has `rows / 4 · cols` bytes.
///
/// # Errors
/// [`OperandError::RowsNotMultipleOfFour`], [`OperandError::Length`], or
/// [`OperandError::NotTernary`] if `fill_row` wrote another value: `out` then holds no
/// particular codes.
pub fn pack_huggingface(
    rows: usize,
    cols: usize,
    fill_row: impl Fn(usize, &mut [i8]) + Sync,
    out: &mut [u8],
) -> Result<(), OperandError> {
    let byte_rows = byte_rows(out, rows, cols)?;
    if out.is_empty() {
        return Ok(());
    }
    let rows_per_piece = PIECE.div_ceil(cols);
    let bad_row = AtomicUsize::new(usize::MAX);
    parallel::for_each_chunk_mut(out, rows_per_piece.saturating_mul(cols), |piece, bytes| {
        let mut values = vec![0i8; cols];
        for (i, bytes) in bytes.chunks_exact_mut(cols).enumerate() {
            bytes.fill(0);
            for quarter in 0..4 {
                let row = quarter * byte_rows + piece * rows_per_piece + i;
                fill_row(row, &mut values);
                if !are_ternary(&values) {
                    bad_row.fetch_min(row, Ordering::Relaxed);
                    return;
                }
                for (byte, &value) in bytes.iter_mut().zip(&values) {
                    *byte |= ((value + 1) as u8) << (2 * quarter);
                }
            }
        }
    });
    match bad_row.into_inner() {
        usize::MAX => Ok(()),
        row => Err(OperandError::NotTernary { row }),
    }
}

/// Rows of bytes of a packed matrix, its length checked.
fn byte_rows(packed: &[u8], rows: usize, cols: usize) -> Result<usize, OperandError> {
    if !rows.is_multiple_of(4) {
        return Err(OperandError::RowsNotMultipleOfFour { rows });
    }
    let len = (rows / 4).checked_mul(cols).ok_or(OperandError::TooLarge { rows, cols })?;
    expect_len("packed", len, packed.len())?;
    Ok(rows / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights whose packed form was written down by hand from the layout's definition.
    #[test]
    fn agrees_with_a_matrix_packed_by_hand() {
        let weights: [[i8; 3]; 8] = [
            [-1, 0, 1],
            [0, 0, 0],
            [1, 1, 1],
            [-1, -1, -1],
            [1, 0, -1],
            [0, 1, 0],
            [-1, 1, 0],
            [1, -1, 0],
        ];
        // Byte row 0 holds rows 0, 2, 4, 6 from the low bits up; byte row 1 rows 1, 3, 5, 7.
        let packed = [
            0b00_10_10_00,
            0b10_01_10_01,
            0b01_00_10_10,
            0b10_01_00_01,
            0b00_10_00_01,
            0b01_01_00_01,
        ];
        let mut out = [0xff; 6];
        pack_huggingface(8, 3, |row, values| values.copy_from_slice(&weights[row]), &mut out)
            .unwrap();
        assert_eq!(out, packed);
        for row in 0..8 {
            let mut values = [0; 3];
            unpack_huggingface_row(&packed, 8, 3, row, &mut values).unwrap();
            assert_eq!(values, weights[row]);
        }
    }

    #[test]
    fn round_trip_over_several_pieces() {
        let (rows, cols) = (4 * 150, 1001);
        let weight = |row: usize, col: usize| ((row * 5 + col * 11 + row * col) % 3) as i8 - 1;
        let mut packed = vec![0; rows / 4 * cols];
        let fill = |row: usize, values: &mut [i8]| {
            (0..cols).for_each(|col| values[col] = weight(row, col));
        };
        pack_huggingface(rows, cols, fill, &mut packed).unwrap();
        let mut values = vec![0; cols];
        for row in 0..rows {
            unpack_huggingface_row(&packed, rows, cols, row, &mut values).unwrap();
            assert!((0..cols).all(|col| values[col] == weight(row, col)));
        }
    }

    #[test]
    fn refuses_what_is_not_such_a_matrix() {
        let mut out = [0; 2];
        let mut unpack = |packed: &[u8], rows, row| {
            unpack_huggingface_row(packed, rows, 2, row, &mut out).unwrap_err()
        };
        assert_eq!(unpack(&[0; 2], 6, 0), OperandError::RowsNotMultipleOfFour { rows: 6 });
        assert_eq!(unpack(&[0; 2], 4, 4), OperandError::RowOutOfRange { row: 4, rows: 4 });
        assert_eq!(unpack(&[0, 0b11_0000], 4, 2), OperandError::InvalidCode { row: 2 });
        assert!(matches!(unpack(&[0; 3], 4, 0), OperandError::Length { .. }));
        assert!(unpack_huggingface_row(&[], 0, 2, 0, &mut out).is_err());
        let rows = usize::MAX - 3;
        assert_eq!(
            unpack_huggingface_row(&[], rows, 8, 0, &mut out),
            Err(OperandError::TooLarge { rows, cols: 8 })
        );
        assert!(pack_huggingface(0, 3, |_, _| (), &mut []).is_ok());
        assert_eq!(
            pack_huggingface(4, 1, |row, values| values[0] = 2 * (row == 3) as i8, &mut [0]),
            Err(OperandError::NotTernary { row: 3 })
        );
    }
}
