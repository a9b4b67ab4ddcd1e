//! Operands of the integer products: rows of int8 activations, and what can be wrong with
//! an operand.

use std::fmt;

/// The stride of [`QuantizedRows`] is at least the number of columns rounded up to this, so
/// that kernels read whole registers.
pub const QUANTIZED_ROW_ALIGN: usize = 64;

/// Rows of int8 codes with one scale each: value = code · scale.
///
/// The result of quantizing activations, one row per token; shared by every product with
/// ternary or int8 weights that reads the same activations.
#[derive(Debug, Clone, Copy)]
pub struct QuantizedRows<'a> {
    codes: &'a [i8],
    stride: usize,
    cols: usize,
    scales: &'a [f32],
    sums: &'a [i32],
}

impl<'a> QuantizedRows<'a> {
    /// Describes `scales.len()` rows.
    ///
    /// - `codes`: rows × `stride`; in each row the elements from `cols` on are zero.
    /// - `stride`: elements from one row to the next, at least `cols` rounded up to
    ///   [`QUANTIZED_ROW_ALIGN`].
    /// - `scales`: one per row.
    /// - `sums`: Σ codes of each row. The values are the caller's promise (asserted in debug
    ///   builds): wrong ones give wrong products.
    ///
    /// # Errors
    /// [`OperandError`] if a length, the stride or the padding is not as described.
    pub fn new(
        codes: &'a [i8],
        stride: usize,
        cols: usize,
        scales: &'a [f32],
        sums: &'a [i32],
    ) -> Result<Self, OperandError> {
        let rows = scales.len();
        let too_large = OperandError::TooLarge { rows, cols };
        let least = cols.checked_next_multiple_of(QUANTIZED_ROW_ALIGN).ok_or(too_large)?;
        if stride < least {
            return Err(OperandError::Stride { least, actual: stride });
        }
        expect_len("codes", rows.checked_mul(stride).ok_or(too_large)?, codes.len())?;
        expect_len("sums", rows, sums.len())?;
        for row in 0..rows {
            let codes = &codes[row * stride..][..stride];
            if codes[cols..].iter().any(|&code| code != 0) {
                return Err(OperandError::Padding { row });
            }
            debug_assert_eq!(
                codes.iter().fold(0i32, |sum, &code| sum.wrapping_add(i32::from(code))),
                sums[row],
                "sum of the codes of row {row}"
            );
        }
        Ok(QuantizedRows { codes, stride, cols, scales, sums })
    }

    /// Number of rows (tokens).
    pub fn rows(&self) -> usize {
        self.scales.len()
    }

    /// Number of columns, without the padding.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Elements from one row of codes to the next.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All codes, `rows × stride`.
    pub fn codes(&self) -> &'a [i8] {
        self.codes
    }

    /// The codes of one row with its padding: `stride` elements.
    ///
    /// # Panics
    /// If `row` is out of range.
    pub fn padded_row(&self, row: usize) -> &'a [i8] {
        assert!(row < self.rows(), "row {row} of {}", self.rows());
        &self.codes[row * self.stride..][..self.stride]
    }

    /// The scale of each row.
    pub fn scales(&self) -> &'a [f32] {
        self.scales
    }

    /// Σ codes of each row.
    pub fn sums(&self) -> &'a [i32] {
        self.sums
    }
}

/// Why a slice cannot be an operand of an integer product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperandError {
    /// A slice does not have the length that the shape asks for.
    Length {
        /// Which slice.
        operand: &'static str,
        /// The length that the shape asks for.
        expected: usize,
        /// The length that was given.
        actual: usize,
    },
    /// The shape overflows a length, or so many columns that a sum could overflow `i32`.
    TooLarge {
        /// Rows asked for.
        rows: usize,
        /// Columns asked for.
        cols: usize,
    },
    /// The rows lie too close together.
    Stride {
        /// The least stride for this number of columns.
        least: usize,
        /// The stride that was given.
        actual: usize,
    },
    /// The padding behind a row of codes is not zero.
    Padding {
        /// The row.
        row: usize,
    },
    /// A row index is out of range.
    RowOutOfRange {
        /// The row asked for.
        row: usize,
        /// The number of rows.
        rows: usize,
    },
    /// The Hugging Face packed layout holds four rows to a byte row.
    RowsNotMultipleOfFour {
        /// Rows asked for.
        rows: usize,
    },
    /// A code that stands for no weight.
    InvalidCode {
        /// The row in which it was found.
        row: usize,
    },
    /// A value to be packed is not −1, 0 or +1.
    NotTernary {
        /// The row in which it was found.
        row: usize,
    },
    /// A weight to be packed has too many bits.
    WeightOutOfRange {
        /// The row in which it was found.
        row: usize,
        /// The largest magnitude that can be packed.
        most: i8,
    },
    /// A value to be quantized is infinite or NaN.
    NotFinite {
        /// The row in which it was found.
        row: usize,
    },
    /// The columns are no multiple of a format's block.
    BlockColumns {
        /// The format's name.
        format: &'static str,
        /// Columns asked for.
        cols: usize,
        /// The numbers of a block.
        block: usize,
    },
    /// A scale would be infinite in the `f16` of a format.
    ScaleOverflow {
        /// The row in which it was found.
        row: usize,
        /// The format's name.
        format: &'static str,
    },
    /// A format that is read, not written.
    CannotQuantize {
        /// The format's name.
        format: &'static str,
    },
    /// A format whose codes are not ternary.
    NoTernaryCodes {
        /// The format's name.
        format: &'static str,
    },
    /// The scales of a row differ where a format has one for all.
    ScalesDiffer {
        /// The format's name.
        format: &'static str,
    },
}

impl fmt::Display for OperandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            OperandError::Length { operand, expected, actual } => {
                write!(f, "{operand}: expected {expected} elements, got {actual}")
            }
            OperandError::TooLarge { rows, cols } => {
                write!(f, "a matrix of {rows} × {cols} is too large")
            }
            OperandError::Stride { least, actual } => {
                write!(f, "a row stride of {actual} is less than {least}")
            }
            OperandError::Padding { row } => write!(f, "the padding of row {row} is not zero"),
            OperandError::RowOutOfRange { row, rows } => write!(f, "row {row} of {rows} rows"),
            OperandError::RowsNotMultipleOfFour { rows } => {
                write!(f, "{rows} rows: the Hugging Face packed layout needs a multiple of 4")
            }
            OperandError::InvalidCode { row } => {
                write!(f, "row {row} holds a code that stands for no weight")
            }
            OperandError::NotTernary { row } => {
                write!(f, "row {row} holds a value other than -1, 0 and 1")
            }
            OperandError::WeightOutOfRange { row, most } => {
                write!(f, "row {row} holds a weight outside of -{most} to {most}")
            }
            OperandError::NotFinite { row } => {
                write!(f, "row {row} holds a value that is not finite")
            }
            OperandError::BlockColumns { format, cols, block } => {
                write!(f, "{cols} columns are no multiple of the {block} of a {format} block")
            }
            OperandError::ScaleOverflow { row, format } => {
                write!(f, "row {row} holds values too large for the f16 scales of {format}")
            }
            OperandError::CannotQuantize { format } => {
                write!(f, "{format} is read, not written")
            }
            OperandError::NoTernaryCodes { format } => {
                write!(f, "the codes of {format} are not ternary")
            }
            OperandError::ScalesDiffer { format } => {
                write!(f, "the scales of a row differ, and {format} has one for the row")
            }
        }
    }
}

impl std::error::Error for OperandError {}

/// `Ok` if a slice has the length that the shape asks for.
pub(crate) fn expect_len(
    operand: &'static str,
    expected: usize,
    actual: usize,
) -> Result<(), OperandError> {
    if expected == actual {
        Ok(())
    } else {
        Err(OperandError::Length { operand, expected, actual })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_rows_as_described() {
        let mut codes = vec![0i8; 2 * 64];
        codes[..3].copy_from_slice(&[1, -2, 3]);
        codes[64..67].copy_from_slice(&[-128, 127, 0]);
        let x = QuantizedRows::new(&codes, 64, 3, &[0.5, 0.25], &[2, -1]).unwrap();
        assert_eq!((x.rows(), x.cols(), x.stride()), (2, 3, 64));
        assert_eq!(x.padded_row(1)[..3], [-128, 127, 0]);
    }

    #[test]
    fn refuses_what_is_not_as_described() {
        let mut codes = vec![0i8; 64];
        let scale = [1.0];
        let error = |codes: &[i8], stride, cols, sums: &[i32]| {
            QuantizedRows::new(codes, stride, cols, &scale, sums).unwrap_err()
        };
        assert_eq!(error(&codes, 64, 65, &[0]), OperandError::Stride { least: 128, actual: 64 });
        assert_eq!(
            error(&codes[1..], 64, 3, &[0]),
            OperandError::Length { operand: "codes", expected: 64, actual: 63 }
        );
        assert_eq!(
            error(&codes, 64, 3, &[]),
            OperandError::Length { operand: "sums", expected: 1, actual: 0 }
        );
        assert_eq!(
            error(&codes, usize::MAX, usize::MAX, &[0]),
            OperandError::TooLarge { rows: 1, cols: usize::MAX }
        );
        codes[3] = 1;
        assert_eq!(error(&codes, 64, 3, &[0]), OperandError::Padding { row: 0 });
    }
}
