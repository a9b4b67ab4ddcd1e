//! Ternary weights in rows of 32-bit words, for devices that compute with words of four int8.
//!
//! A word holds sixteen columns as code = weight + 1 in two bits: column 4·j + b in bits 8·b + 2·j.
//! So `(word >> 2·j) & 0x03030303` is four codes in four bytes, beside the four activations of the
//! same columns. Rows begin at multiples of four words; columns beyond the last have code 1, weight 0.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::codes::are_ternary;
use crate::parallel;
use crate::quantized::{OperandError, expect_len};

const COLUMNS_PER_WORD: usize = 16;
/// Devices load four words at a time.
const WORDS_ALIGN: usize = 4;
/// Least number of weights that a thread packs at a time.
const PIECE: usize = 1 << 18;

/// The words of a row of `columns` weights.
pub const fn words_per_row(columns: usize) -> usize {
    columns.div_ceil(COLUMNS_PER_WORD).next_multiple_of(WORDS_ALIGN)
}

fn byte_len(rows: usize, columns: usize) -> Result<usize, OperandError> {
    let bytes = words_per_row(columns).checked_mul(4).and_then(|row| row.checked_mul(rows));
    bytes.ok_or(OperandError::TooLarge { rows, cols: columns })
}

/// The bytes of a matrix of `rows` × `columns` weights.
///
/// # Errors
/// [`OperandError::TooLarge`].
pub fn words_byte_len(rows: usize, columns: usize) -> Result<usize, OperandError> {
    if columns > usize::MAX / 2 {
        return Err(OperandError::TooLarge { rows, cols: columns });
    }
    byte_len(rows, columns)
}

/// Packs a matrix of `rows` × `columns` weights, little-endian.
///
/// `fill_row(row, values)` writes the weights of a row, −1, 0 or +1; `out` has
/// [`words_byte_len`] bytes.
///
/// # Errors
/// [`OperandError::Length`], or [`OperandError::NotTernary`] if `fill_row` wrote another value: `out`
/// then holds no particular codes.
///
/// ```
/// # use bitnet_kernels::ternary::{pack_words, unpack_words_row, words_byte_len};
/// let weights: [[i8; 3]; 2] = [[1, 0, -1], [-1, 1, 1]];
/// let mut packed = vec![0; words_byte_len(2, 3)?];
/// pack_words(2, 3, |row, values| values.copy_from_slice(&weights[row]), &mut packed)?;
/// let mut row = [0; 3];
/// unpack_words_row(&packed, 2, 3, 1, &mut row)?;
/// assert_eq!(row, weights[1]);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn pack_words(
    rows: usize,
    columns: usize,
    fill_row: impl Fn(usize, &mut [i8]) + Sync,
    out: &mut [u8],
) -> Result<(), OperandError> {
    expect_len("packed", words_byte_len(rows, columns)?, out.len())?;
    if out.is_empty() {
        return Ok(());
    }
    let row_bytes = 4 * words_per_row(columns);
    let rows_per_piece = PIECE.div_ceil(columns);
    let bad_row = AtomicUsize::new(usize::MAX);
    parallel::for_each_chunk_mut(out, rows_per_piece * row_bytes, |piece, bytes| {
        let mut values = vec![0i8; row_bytes * 4];
        for (i, bytes) in bytes.chunks_exact_mut(row_bytes).enumerate() {
            let row = piece * rows_per_piece + i;
            fill_row(row, &mut values[..columns]);
            if !are_ternary(&values[..columns]) {
                bad_row.fetch_min(row, Ordering::Relaxed);
                return;
            }
            for (word, values) in bytes.chunks_exact_mut(4).zip(values.chunks_exact(16)) {
                for (b, byte) in word.iter_mut().enumerate() {
                    let code = |j: usize| ((values[4 * j + b] + 1) as u8) << (2 * j);
                    *byte = code(0) | code(1) | code(2) | code(3);
                }
            }
        }
    });
    match bad_row.into_inner() {
        usize::MAX => Ok(()),
        row => Err(OperandError::NotTernary { row }),
    }
}

/// Reads one row as −1, 0, +1; the inverse of [`pack_words`].
///
/// # Errors
/// [`OperandError::Length`], [`OperandError::RowOutOfRange`], or [`OperandError::InvalidCode`] if the
/// row holds a code 3.
pub fn unpack_words_row(
    packed: &[u8],
    rows: usize,
    columns: usize,
    row: usize,
    out: &mut [i8],
) -> Result<(), OperandError> {
    expect_len("packed", words_byte_len(rows, columns)?, packed.len())?;
    expect_len("out", columns, out.len())?;
    if row >= rows {
        return Err(OperandError::RowOutOfRange { row, rows });
    }
    let row_bytes = 4 * words_per_row(columns);
    let words = packed[row * row_bytes..][..row_bytes].chunks_exact(4);
    let mut largest = 0;
    for (word, values) in words.zip(out.chunks_mut(COLUMNS_PER_WORD)) {
        for (column, value) in values.iter_mut().enumerate() {
            let code = (word[column % 4] >> (2 * (column / 4))) & 3;
            largest = largest.max(code);
            *value = code as i8 - 1;
        }
    }
    if largest < 3 { Ok(()) } else { Err(OperandError::InvalidCode { row }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_columns_lie_where_they_are_said_to() {
        for (rows, columns) in [(0, 5), (1, 1), (3, 15), (2, 16), (5, 64), (4, 65), (7, 200)] {
            let weight = |row: usize, column: usize| ((row * 7 + column * 5) % 3) as i8 - 1;
            let mut packed = vec![0xff; words_byte_len(rows, columns).expect("small")];
            let fill = |row: usize, values: &mut [i8]| {
                for (column, value) in values.iter_mut().enumerate() {
                    *value = weight(row, column);
                }
            };
            pack_words(rows, columns, fill, &mut packed).expect("ternary");
            for row in 0..rows {
                let mut out = vec![9; columns];
                unpack_words_row(&packed, rows, columns, row, &mut out).expect("packed");
                assert!((0..columns).all(|column| out[column] == weight(row, column)));
                for column in 0..words_per_row(columns) * 16 {
                    let at = (row * words_per_row(columns) + column / 16) * 4;
                    let word = u32::from_le_bytes(packed[at..][..4].try_into().expect("four"));
                    let (j, b) = (column % 16 / 4, column % 4);
                    let code = (word >> (8 * b + 2 * j)) & 3;
                    let want = if column < columns { weight(row, column) } else { 0 };
                    assert_eq!(code as i8 - 1, want, "row {row}, column {column}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (mut packed, mut out) = (vec![0; 16], vec![0; 4]);
        assert!(pack_words(1, 4, |_, values| values.fill(2), &mut packed).is_err());
        assert!(pack_words(2, 4, |_, values| values.fill(1), &mut packed).is_err());
        assert!(unpack_words_row(&[0xff; 16], 1, 4, 0, &mut out).is_err());
        assert!(unpack_words_row(&packed, 1, 4, 1, &mut out).is_err());
        assert!(words_byte_len(usize::MAX, 64).is_err());
        assert!(words_byte_len(1, usize::MAX).is_err());
    }
}
