//! From a matrix in one encoding to the bytes of another, in blocks of rows: what is in memory at
//! once does not grow with the matrix, but for the packed form of a ternary one, a quarter of a byte
//! per weight.

use bitnet_formats::RawDType;
use bitnet_kernels::blocks::{self, BlockFormat};
use bitnet_kernels::ternary::{I2sBlock, pack_blocks, pack_huggingface, pack_i2_s};
use bitnet_kernels::{Cpu, OperandError, convert, parallel};
use half::{bf16, f16};

use super::matrix::{Encoding, Matrix, RowOrder};
use super::scales::{Fault, Scales, TernaryRule};

/// Elements of a block of rows.
const BLOCK_ELEMENTS: usize = 1 << 22;

/// Why a matrix could not be encoded.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A value or shape that the encoding does not take.
    #[error(transparent)]
    Operand(#[from] OperandError),
    /// The scales of the codes are finer than the encoding has them.
    #[error("its scales differ within {unit}, and {encoding} has one for it")]
    ScalesTooFine {
        /// What the encoding has a scale for.
        unit: &'static str,
        /// The encoding.
        encoding: Encoding,
    },
    /// A number that becomes infinite.
    #[error("row {row} holds {value}, which F16 cannot hold; BF16 and F32 can")]
    Overflow {
        /// The row.
        row: usize,
        /// The number.
        value: f32,
    },
    /// An encoding that is read, not written.
    #[error("{0} is read, not written")]
    NotWritten(Encoding),
}

/// Codes for an encoding: where they come from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Codes<'a> {
    /// The codes of a ternary matrix.
    Kept(&'a Scales),
    /// Numbers, rounded to codes.
    Rounded(&'a Scales, TernaryRule),
}

impl<'a> Codes<'a> {
    fn scales(self) -> &'a Scales {
        match self {
            Self::Kept(scales) | Self::Rounded(scales, _) => scales,
        }
    }

    fn read(self, source: &Matrix<'_>, row: usize, codes: &mut [i8]) -> Result<(), OperandError> {
        match self {
            Self::Kept(_) => source.read_codes(row, codes),
            Self::Rounded(scales, rule) => source.read_rounded(row, scales, rule, codes),
        }
    }
}

/// Where encoded bytes go: called with the number of rows that are done and their bytes.
pub(super) type Write<'a, E> = dyn FnMut(usize, &[u8]) -> Result<(), E> + 'a;

/// Encodes `source` with its rows in `order` and hands the bytes to `write`, in their order.
///
/// `codes` is needed for a ternary encoding; without it numbers are quantized as the encoding's own
/// reference does.
pub(super) fn encode<E: From<EncodeError>>(
    source: &Matrix<'_>,
    target: Encoding,
    order: RowOrder,
    codes: Option<Codes<'_>>,
    write: &mut Write<'_, E>,
) -> Result<(), E> {
    let keeps_codes = !matches!(codes, Some(Codes::Rounded(..)));
    if source.encoding() == target && keeps_codes && source.stored().factor == 1.0 {
        return copy(source, order, write);
    }
    match (target, codes) {
        (Encoding::I2S | Encoding::HuggingFace, Some(codes)) => {
            let bytes = pack_tensor(source, target, order, codes)?;
            write(source.rows(), &bytes)
        }
        (Encoding::Block(format), Some(codes)) if target.is_ternary() => {
            if !codes.scales().fit(format.block_len()) {
                let unit = "a block";
                return Err(EncodeError::ScalesTooFine { unit, encoding: target }.into());
            }
            in_blocks(
                source,
                |first, rows| pack_rows(source, format, order, codes, first, rows),
                write,
            )
        }
        (Encoding::Block(format), _) => in_blocks(
            source,
            |first, rows| quantize_rows(source, format, order, first, rows),
            write,
        ),
        (Encoding::Number(dtype), _) => {
            in_blocks(source, |first, rows| narrow_rows(source, dtype, order, first, rows), write)
        }
        (Encoding::I2S | Encoding::HuggingFace, None) => {
            Err(EncodeError::NotWritten(target).into())
        }
    }
}

/// Calls `make` for blocks of rows.
fn in_blocks<E: From<EncodeError>>(
    source: &Matrix<'_>,
    make: impl Fn(usize, usize) -> Result<Vec<u8>, EncodeError>,
    write: &mut Write<'_, E>,
) -> Result<(), E> {
    let rows_at_once = (BLOCK_ELEMENTS / source.cols().max(1)).max(1);
    for first in (0..source.rows()).step_by(rows_at_once) {
        let rows = rows_at_once.min(source.rows() - first);
        write(rows, &make(first, rows)?)?;
    }
    Ok(())
}

/// The same bytes; rows change places where the orders differ.
fn copy<E: From<EncodeError>>(
    source: &Matrix<'_>,
    order: RowOrder,
    write: &mut Write<'_, E>,
) -> Result<(), E> {
    let same = source.encoding() != Encoding::I2S || source.stored().i2_s == I2sBlock::Of128;
    if source.stored().order == order && same {
        let data = source.data();
        let pieces = data.len().div_ceil(4 * BLOCK_ELEMENTS).max(1);
        let mut rows_done = 0;
        for (index, piece) in data.chunks(4 * BLOCK_ELEMENTS).enumerate() {
            let done = source.rows() * (index + 1) / pieces;
            write(done - rows_done, piece)?;
            rows_done = done;
        }
        return Ok(());
    }
    if source.rows() > 0 && source.row_bytes(0).is_none() {
        let scales = source.scales().map_err(EncodeError::from)?;
        let bytes = pack_tensor(source, source.encoding(), order, Codes::Kept(&scales))?;
        return write(source.rows(), &bytes);
    }
    let rows = |first: usize, rows: usize| {
        let rows = first..first + rows;
        let bytes = rows.filter_map(|row| source.row_bytes(order.logical(row)));
        Ok(bytes.collect::<Vec<_>>().concat())
    };
    in_blocks(source, rows, write)
}

/// A tensor with one scale, packed as a whole.
fn pack_tensor(
    source: &Matrix<'_>,
    target: Encoding,
    order: RowOrder,
    codes: Codes<'_>,
) -> Result<Vec<u8>, EncodeError> {
    let Some(scale) = codes.scales().tensor() else {
        return Err(EncodeError::ScalesTooFine { unit: "the tensor", encoding: target });
    };
    let (rows, cols) = (source.rows(), source.cols());
    let mut bytes = vec![0; target.byte_len(rows, cols)?];
    let fault = Fault::new();
    let fill = |row: usize, values: &mut [i8]| {
        if fault.keep(codes.read(source, order.logical(row), values)).is_none() {
            values.fill(0);
        }
    };
    let packed = match target {
        Encoding::I2S => pack_i2_s(I2sBlock::Of128, rows, cols, scale, fill, &mut bytes),
        _ => pack_huggingface(rows, cols, fill, &mut bytes),
    };
    fault.into_result()?;
    packed?;
    Ok(bytes)
}

/// Rows of a ternary block format.
fn pack_rows(
    source: &Matrix<'_>,
    format: BlockFormat,
    order: RowOrder,
    codes: Codes<'_>,
    first: usize,
    rows: usize,
) -> Result<Vec<u8>, EncodeError> {
    let cols = source.cols();
    let mut bytes = vec![0; format.byte_len(rows, cols)?];
    let fault = Fault::new();
    let fill = |row: usize, values: &mut [i8], scales: &mut [f32]| {
        let row = order.logical(first + row);
        if fault.keep(codes.read(source, row, values)).is_none() {
            values.fill(0);
        }
        codes.scales().fill(row, cols, scales);
    };
    let packed = pack_blocks(format, rows, cols, fill, &mut bytes);
    fault.into_result()?;
    packed?;
    Ok(bytes)
}

/// Rows as numbers.
fn read_rows(
    source: &Matrix<'_>,
    order: RowOrder,
    first: usize,
    rows: usize,
) -> Result<Vec<f32>, EncodeError> {
    let cols = source.cols();
    let mut numbers = vec![0.0; rows * cols];
    if cols == 0 {
        return Ok(numbers);
    }
    let fault = Fault::new();
    parallel::for_each_chunk_mut(&mut numbers, cols, |row, numbers| {
        fault.keep(source.read_row(order.logical(first + row), numbers));
    });
    fault.into_result()?;
    Ok(numbers)
}

fn quantize_rows(
    source: &Matrix<'_>,
    format: BlockFormat,
    order: RowOrder,
    first: usize,
    rows: usize,
) -> Result<Vec<u8>, EncodeError> {
    let cols = source.cols();
    let numbers = read_rows(source, order, first, rows)?;
    let mut bytes = vec![0; format.byte_len(rows, cols)?];
    blocks::quantize(Cpu::best(), format, cols, &numbers, &mut bytes).map_err(|error| {
        EncodeError::Operand(match error {
            OperandError::NotFinite { row } => OperandError::NotFinite { row: row + first },
            OperandError::ScaleOverflow { row, format } => {
                OperandError::ScaleOverflow { row: row + first, format }
            }
            other => other,
        })
    })?;
    Ok(bytes)
}

fn narrow_rows(
    source: &Matrix<'_>,
    dtype: RawDType,
    order: RowOrder,
    first: usize,
    rows: usize,
) -> Result<Vec<u8>, EncodeError> {
    let numbers = read_rows(source, order, first, rows)?;
    let cpu = Cpu::best();
    Ok(match dtype {
        RawDType::F32 => numbers.iter().flat_map(|v| v.to_le_bytes()).collect(),
        RawDType::BF16 => {
            let mut narrow = vec![bf16::ZERO; numbers.len()];
            convert::f32_to_bf16(cpu, &numbers, &mut narrow);
            narrow.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
        RawDType::F16 => {
            let mut narrow = vec![f16::ZERO; numbers.len()];
            convert::f32_to_f16(cpu, &numbers, &mut narrow);
            let became_infinite =
                |(narrow, wide): (&f16, &f32)| narrow.is_infinite() && wide.is_finite();
            if let Some(index) = narrow.iter().zip(&numbers).position(became_infinite) {
                let row = first + index / source.cols();
                return Err(EncodeError::Overflow { row, value: numbers[index] });
            }
            narrow.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
        other => return Err(EncodeError::NotWritten(Encoding::Number(other))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::matrix::Stored;
    use crate::checkpoint::scales::{ScaleUnit, scales_of};
    use bitnet_tensor::TernaryScale;

    const F32: Encoding = Encoding::Number(RawDType::F32);

    fn encoded(
        source: &Matrix<'_>,
        target: Encoding,
        order: RowOrder,
        codes: Option<Codes<'_>>,
    ) -> Result<Vec<u8>, EncodeError> {
        let (mut bytes, mut rows) = (Vec::new(), 0);
        encode(source, target, order, codes, &mut |done, piece: &[u8]| {
            rows += done;
            bytes.extend_from_slice(piece);
            Ok::<_, EncodeError>(())
        })?;
        assert_eq!(rows, source.rows());
        Ok(bytes)
    }

    fn rows_of(matrix: &Matrix<'_>) -> Vec<f32> {
        let mut numbers = vec![0.0; matrix.rows() * matrix.cols()];
        for (row, numbers) in numbers.chunks_exact_mut(matrix.cols()).enumerate() {
            matrix.read_row(row, numbers).unwrap();
        }
        numbers
    }

    /// Codes times a scale that f16 holds.
    fn ternary_numbers(rows: usize, cols: usize) -> Vec<u8> {
        let code = |i: usize| ((i * 7 + i / 3 + i * i % 11) % 3) as f32 - 1.0;
        (0..rows * cols).flat_map(|i| (code(i) * 0.75).to_le_bytes()).collect()
    }

    #[test]
    fn ternary_encodings_hold_the_same_and_rows_keep_their_meaning() {
        let (rows, cols) = (24, 256);
        let bytes = ternary_numbers(rows, cols);
        let source = Matrix::new([rows, cols], F32, &bytes, Stored::default()).unwrap();
        let scales = Scales::Tensor(0.75);
        let round = Some(Codes::Rounded(&scales, TernaryRule::default()));
        let encodings = [
            Encoding::I2S,
            Encoding::HuggingFace,
            Encoding::Block(BlockFormat::Tq1_0),
            Encoding::Block(BlockFormat::Tq2_0),
            Encoding::Block(BlockFormat::Iq2Bn),
        ];
        let pairs = RowOrder::Pairs { head_dim: 6 };
        let stored = |order| Stored { scale: 0.75, order, ..Stored::default() };
        let expected = rows_of(&source);
        for first in encodings {
            let a = encoded(&source, first, pairs, round).unwrap();
            let a = Matrix::new([rows, cols], first, &a, stored(pairs)).unwrap();
            assert_eq!(rows_of(&a), expected, "{first}");
            let kept = a.scales().unwrap();
            assert_eq!(kept, scales, "{first}");
            for second in encodings {
                for order in [pairs, RowOrder::Halves] {
                    let b = encoded(&a, second, order, Some(Codes::Kept(&kept))).unwrap();
                    let b = Matrix::new([rows, cols], second, &b, stored(order)).unwrap();
                    assert_eq!(rows_of(&b), expected, "{first} to {second}");
                }
            }
        }
    }

    #[test]
    fn scales_per_row_need_an_encoding_that_has_them() {
        let (rows, cols) = (8, 512);
        let bytes: Vec<u8> = (0..rows * cols)
            .flat_map(|i| (((i % 5) as f32 - 2.0) * (1 + i / cols) as f32).to_le_bytes())
            .collect();
        let source = Matrix::new([rows, cols], F32, &bytes, Stored::default()).unwrap();
        let rule = TernaryRule { scale: TernaryScale::AbsMean, unit: ScaleUnit::Row };
        let scales = scales_of(&source, rule).unwrap();
        let codes = Some(Codes::Rounded(&scales, rule));
        let tq2_0 = Encoding::Block(BlockFormat::Tq2_0);
        let blocks = encoded(&source, tq2_0, RowOrder::Halves, codes).unwrap();
        let blocks = Matrix::new([rows, cols], tq2_0, &blocks, Stored::default()).unwrap();
        assert!(matches!(blocks.scales().unwrap(), Scales::Groups { len: 512, .. }));
        for target in [Encoding::I2S, Encoding::HuggingFace] {
            let error = encoded(&source, target, RowOrder::Halves, codes).unwrap_err();
            assert!(error.to_string().contains("differ within the tensor"), "{error}");
        }
        let rule = TernaryRule { unit: ScaleUnit::Group(64), ..rule };
        let scales = scales_of(&source, rule).unwrap();
        let codes = Some(Codes::Rounded(&scales, rule));
        let error = encoded(&source, tq2_0, RowOrder::Halves, codes).unwrap_err();
        assert!(error.to_string().contains("TQ2_0 has one"), "{error}");
    }

    #[test]
    fn numbers_are_narrowed_with_care() {
        let bytes: Vec<u8> =
            [1.0f32, 1e-32, -3.25, 70000.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let source = Matrix::new([2, 2], F32, &bytes, Stored::default()).unwrap();
        let f16 = Encoding::Number(RawDType::F16);
        let error = encoded(&source, f16, RowOrder::Halves, None).unwrap_err();
        assert_eq!(error, EncodeError::Overflow { row: 1, value: 70000.0 });
        let top = Matrix::new([1, 3], F32, &bytes[..12], Stored::default()).unwrap();
        let narrow = encoded(&top, f16, RowOrder::Halves, None).unwrap();
        let narrow = Matrix::new([1, 3], f16, &narrow, Stored::default()).unwrap();
        assert_eq!(rows_of(&narrow), [1.0, 0.0, -3.25]);
        let q8_0 = Encoding::Block(BlockFormat::Q8_0);
        assert!(encoded(&top, q8_0, RowOrder::Halves, None).is_err());
    }
}
