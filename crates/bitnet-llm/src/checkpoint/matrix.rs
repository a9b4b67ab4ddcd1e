//! A tensor of a checkpoint, read row by row whatever its encoding: as numbers, or, where it is
//! ternary, as codes and scales.

use std::fmt;

use bitnet_formats::RawDType;
use bitnet_formats::gguf::GgmlType;
use bitnet_kernels::blocks::{self, BlockFormat};
use bitnet_kernels::ternary::{
    I2sBlock, i2_s_scale, unpack_block_row, unpack_huggingface_row, unpack_i2_s_row,
};
use bitnet_kernels::{Cpu, OperandError, convert};
use half::f16;

use super::scales::{Scales, TernaryRule, ternarize};

/// How the elements of a tensor lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Plain numbers.
    Number(RawDType),
    /// Blocks of codes with their scales.
    Block(BlockFormat),
    /// bitnet.cpp's ternary codes with one scale behind them.
    I2S,
    /// Hugging Face's ternary codes, four rows to a byte row; the scale is a tensor of its own.
    HuggingFace,
}

impl Encoding {
    /// The encoding of that name, as GGUF files and safetensors write it, in upper or lower case;
    /// `hf` is the packed form of Hugging Face.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name.eq_ignore_ascii_case("hf") {
            return Some(Self::HuggingFace);
        }
        Self::from_ggml(GgmlType::from_name(name)?)
    }

    /// The encoding of a type of GGUF files that can be read.
    #[must_use]
    pub fn from_ggml(ggml_type: GgmlType) -> Option<Self> {
        match ggml_type {
            GgmlType::I2_S => Some(Self::I2S),
            other => match other.raw_dtype() {
                Some(dtype) => Some(Self::Number(dtype)),
                None => other.name().parse().ok().map(Self::Block),
            },
        }
    }

    /// The type in GGUF files.
    #[must_use]
    pub fn ggml_type(self) -> Option<GgmlType> {
        match self {
            Self::Number(dtype) => GgmlType::from_raw_dtype(dtype),
            Self::Block(format) => GgmlType::from_name(format.name()),
            Self::I2S => Some(GgmlType::I2_S),
            Self::HuggingFace => None,
        }
    }

    /// Whether it holds −1, 0 and 1 with scales.
    #[must_use]
    pub fn is_ternary(self) -> bool {
        match self {
            Self::Number(_) => false,
            Self::Block(format) => format.has_ternary_codes(),
            Self::I2S | Self::HuggingFace => true,
        }
    }

    /// Bytes of `rows` rows of `cols` elements.
    ///
    /// # Errors
    /// When the shape does not fit the encoding's blocks, or the number overflows.
    pub fn byte_len(self, rows: usize, cols: usize) -> Result<usize, OperandError> {
        let too_large = OperandError::TooLarge { rows, cols };
        match self {
            Self::Number(dtype) => dtype.byte_len(&[rows, cols]).ok_or(too_large),
            Self::Block(format) => format.byte_len(rows, cols),
            Self::I2S => I2sBlock::Of128.byte_len(rows, cols),
            Self::HuggingFace if !rows.is_multiple_of(4) => {
                Err(OperandError::RowsNotMultipleOfFour { rows })
            }
            Self::HuggingFace => (rows / 4).checked_mul(cols).ok_or(too_large),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Number(dtype) => dtype.name(),
            Self::Block(format) => format.name(),
            Self::I2S => "I2_S",
            Self::HuggingFace => "HF",
        })
    }
}

/// In which order the rows of a projection to heads lie: rotary embedding turns pairs of them.
///
/// Hugging Face's models turn row `i` of a head with row `head_dim / 2 + i`. GGUF files of the
/// architecture `llama` turn rows `2 i` and `2 i + 1`, so that their rows are permuted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// As Hugging Face has them.
    Halves,
    /// The pairs side by side, in heads of so many rows.
    Pairs {
        /// Rows of a head, an even number.
        head_dim: usize,
    },
}

impl RowOrder {
    /// Where the row lies that is `row` in the order of Hugging Face.
    #[must_use]
    pub fn stored(self, row: usize) -> usize {
        match self {
            Self::Halves => row,
            Self::Pairs { head_dim } => {
                let (head, within, half) = (row / head_dim, row % head_dim, head_dim / 2);
                head * head_dim + 2 * (within % half) + within / half
            }
        }
    }

    /// Which row of Hugging Face's order lies at `stored`: the inverse of [`stored`](Self::stored).
    #[must_use]
    pub fn logical(self, stored: usize) -> usize {
        match self {
            Self::Halves => stored,
            Self::Pairs { head_dim } => {
                let (head, within, half) = (stored / head_dim, stored % head_dim, head_dim / 2);
                head * head_dim + within % 2 * half + within / 2
            }
        }
    }
}

/// What the bytes of a matrix do not say themselves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stored {
    /// The scale of [`Encoding::HuggingFace`]; other encodings have theirs among the bytes.
    pub scale: f32,
    /// What a tensor beside it multiplies the numbers of a ternary encoding by; 1 where there is none.
    pub factor: f32,
    /// The order of the rows.
    pub order: RowOrder,
    /// The length of the blocks of [`Encoding::I2S`].
    pub i2_s: I2sBlock,
}

impl Default for Stored {
    fn default() -> Self {
        Self { scale: 1.0, factor: 1.0, order: RowOrder::Halves, i2_s: I2sBlock::Of128 }
    }
}

/// A matrix in a file. A vector is a matrix of one row.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    rows: usize,
    cols: usize,
    encoding: Encoding,
    data: &'a [u8],
    stored: Stored,
}

impl<'a> Matrix<'a> {
    /// The matrix whose bytes are `data`.
    ///
    /// # Errors
    /// When the bytes are not as many as the shape needs.
    pub fn new(
        [rows, cols]: [usize; 2],
        encoding: Encoding,
        data: &'a [u8],
        mut stored: Stored,
    ) -> Result<Self, OperandError> {
        let expected = match encoding {
            Encoding::I2S => stored.i2_s.byte_len(rows, cols)?,
            other => other.byte_len(rows, cols)?,
        };
        if data.len() != expected {
            return Err(OperandError::Length { operand: "data", expected, actual: data.len() });
        }
        if let RowOrder::Pairs { head_dim } = stored.order
            && (head_dim < 2 || head_dim % 2 == 1 || !rows.is_multiple_of(head_dim))
        {
            return Err(OperandError::Length { operand: "rows", expected: head_dim, actual: rows });
        }
        if encoding == Encoding::I2S {
            stored.scale = i2_s_scale(stored.i2_s, data, rows, cols)? * stored.factor;
        }
        Ok(Self { rows, cols, encoding, data, stored })
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    #[must_use]
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How the elements lie in the file.
    #[must_use]
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// What the bytes do not say.
    #[must_use]
    pub fn stored(&self) -> Stored {
        self.stored
    }

    /// The bytes in the file.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// The bytes of row `row` of Hugging Face's order, of encodings in which a row has its own. They
    /// do not say the factor.
    #[must_use]
    pub fn row_bytes(&self, row: usize) -> Option<&'a [u8]> {
        let len = match self.encoding {
            Encoding::Number(dtype) => dtype.size() * self.cols,
            Encoding::Block(format) => format.row_bytes(self.cols).ok()?,
            Encoding::I2S | Encoding::HuggingFace => return None,
        };
        self.data.get(self.stored.order.stored(row) * len..)?.get(..len)
    }

    /// Writes row `row`, of Hugging Face's order, as numbers.
    ///
    /// # Errors
    /// A row that does not exist, codes that are none, numbers that are no floats.
    pub fn read_row(&self, row: usize, out: &mut [f32]) -> Result<(), OperandError> {
        if row >= self.rows {
            return Err(OperandError::RowOutOfRange { row, rows: self.rows });
        }
        match self.encoding {
            Encoding::Number(dtype) => {
                let size = dtype.size();
                let first = self.stored.order.stored(row) * self.cols * size;
                read_numbers(dtype, &self.data[first..][..self.cols * size], out)
            }
            Encoding::Block(format) => {
                let len = format.row_bytes(self.cols)?;
                let bytes = &self.data[self.stored.order.stored(row) * len..][..len];
                blocks::dequantize(Cpu::best(), format, self.cols, bytes, out)?;
                if self.stored.factor != 1.0 {
                    out.iter_mut().for_each(|number| *number *= self.stored.factor);
                }
                Ok(())
            }
            Encoding::I2S | Encoding::HuggingFace => {
                let mut codes = vec![0; self.cols];
                self.read_tensor_codes(row, &mut codes)?;
                for (out, code) in out.iter_mut().zip(codes) {
                    *out = f32::from(code) * self.stored.scale;
                }
                Ok(())
            }
        }
    }

    /// Writes the elements `first..first + out.len()` of the file's order, of plain numbers.
    ///
    /// # Errors
    /// Elements that are no floats, or are not there.
    pub fn read_elements(&self, first: usize, out: &mut [f32]) -> Result<(), OperandError> {
        let Encoding::Number(dtype) = self.encoding else {
            return Err(OperandError::NoTernaryCodes { format: "a block format" });
        };
        let size = dtype.size();
        let expected = out.len() * size;
        let bytes = self.data.get(first * size..).and_then(|data| data.get(..expected));
        let missing = OperandError::Length { operand: "data", expected, actual: self.data.len() };
        read_numbers(dtype, bytes.ok_or(missing)?, out)
    }

    /// Writes the codes of row `row`, of Hugging Face's order: −1, 0, 1. Where a scale is zero, so
    /// are the codes.
    ///
    /// # Errors
    /// As [`read_row`](Self::read_row); an encoding that is not ternary.
    pub fn read_codes(&self, row: usize, codes: &mut [i8]) -> Result<(), OperandError> {
        match self.encoding {
            Encoding::Number(_) => Err(OperandError::NoTernaryCodes { format: "plain numbers" }),
            Encoding::Block(format) => {
                let mut scales = vec![0.0; self.cols / format.block_len().max(1)];
                self.read_block_codes(format, row, codes, &mut scales)?;
                for (codes, &scale) in codes.chunks_exact_mut(format.block_len()).zip(&scales) {
                    if scale == 0.0 {
                        codes.fill(0);
                    }
                }
                Ok(())
            }
            Encoding::I2S | Encoding::HuggingFace => {
                self.read_tensor_codes(row, codes)?;
                if self.stored.scale == 0.0 {
                    codes.fill(0);
                }
                Ok(())
            }
        }
    }

    /// Writes the codes that numbers have under `scales`.
    ///
    /// # Errors
    /// As [`read_row`](Self::read_row).
    pub fn read_rounded(
        &self,
        row: usize,
        scales: &Scales,
        rule: TernaryRule,
        codes: &mut [i8],
    ) -> Result<(), OperandError> {
        let mut numbers = vec![0.0; self.cols];
        self.read_row(row, &mut numbers)?;
        ternarize(&numbers, scales.of_row(row, self.cols), rule.scale, codes);
        Ok(())
    }

    /// The scales of a ternary encoding, in as few numbers as say them all.
    ///
    /// # Errors
    /// An encoding that is not ternary, codes that are none.
    pub fn scales(&self) -> Result<Scales, OperandError> {
        match self.encoding {
            Encoding::Number(_) => Err(OperandError::NoTernaryCodes { format: "plain numbers" }),
            Encoding::I2S | Encoding::HuggingFace => Ok(Scales::Tensor(self.stored.scale)),
            Encoding::Block(format) => {
                let groups = self.cols / format.block_len();
                let mut values = vec![0.0; self.rows * groups];
                let mut codes = vec![0; self.cols];
                if groups > 0 {
                    for (row, scales) in values.chunks_exact_mut(groups).enumerate() {
                        self.read_block_codes(format, row, &mut codes, scales)?;
                    }
                }
                Ok(Scales::Groups { len: format.block_len(), values }.simplified(self.cols))
            }
        }
    }

    fn read_block_codes(
        &self,
        format: BlockFormat,
        row: usize,
        codes: &mut [i8],
        scales: &mut [f32],
    ) -> Result<(), OperandError> {
        let stored = self.stored.order.stored(row);
        unpack_block_row(format, self.data, self.rows, self.cols, stored, codes, scales)?;
        scales.iter_mut().for_each(|scale| *scale *= self.stored.factor);
        Ok(())
    }

    fn read_tensor_codes(&self, row: usize, codes: &mut [i8]) -> Result<(), OperandError> {
        let (rows, cols, row) = (self.rows, self.cols, self.stored.order.stored(row));
        match self.encoding {
            Encoding::I2S => unpack_i2_s_row(self.stored.i2_s, self.data, rows, cols, row, codes),
            _ => unpack_huggingface_row(self.data, rows, cols, row, codes),
        }
    }
}

/// Widens plain numbers to `f32`; `F64` is rounded.
fn read_numbers(dtype: RawDType, bytes: &[u8], out: &mut [f32]) -> Result<(), OperandError> {
    match dtype {
        RawDType::F32 => {
            for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = f32::from_le_bytes(*bytes);
            }
        }
        RawDType::BF16 => {
            for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = f32::from_bits(u32::from(u16::from_le_bytes(*bytes)) << 16);
            }
        }
        RawDType::F16 => {
            // Through a buffer: the bytes of a file need not be aligned.
            let mut buffer = [f16::ZERO; 1024];
            for (out, bytes) in out.chunks_mut(1024).zip(bytes.chunks(2048)) {
                let buffer = &mut buffer[..out.len()];
                for (number, bytes) in buffer.iter_mut().zip(bytes.as_chunks().0) {
                    *number = f16::from_le_bytes(*bytes);
                }
                convert::f16_to_f32(Cpu::best(), buffer, out);
            }
        }
        RawDType::F64 => {
            for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                *out = f64::from_le_bytes(*bytes) as f32;
            }
        }
        _ => return Err(OperandError::NoTernaryCodes { format: dtype.name() }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_orders_are_inverse_and_known() {
        let order = RowOrder::Pairs { head_dim: 6 };
        // transformers: view(heads, 2, head_dim / 2).transpose(1, 2) of rows 0 to 5.
        let stored: Vec<usize> = (0..6).map(|row| order.logical(row)).collect();
        assert_eq!(stored, [0, 3, 1, 4, 2, 5]);
        for row in 0..24 {
            assert_eq!(order.logical(order.stored(row)), row);
            assert_eq!(RowOrder::Halves.stored(row), row);
        }
    }

    #[test]
    fn numbers_are_read_from_any_place() {
        let values = [1.0f32, -0.5, 65504.0, 1e-7];
        let mut bytes = vec![0u8];
        bytes.extend(values.iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()));
        let f16 = Encoding::Number(RawDType::F16);
        let matrix = Matrix::new([2, 2], f16, &bytes[1..], Stored::default()).unwrap();
        let mut row = [0.0; 2];
        matrix.read_row(1, &mut row).unwrap();
        assert_eq!(row, [65504.0, half::f16::from_f32(1e-7).to_f32()]);
        let mut elements = [0.0; 3];
        matrix.read_elements(1, &mut elements).unwrap();
        assert_eq!(elements[..2], [-0.5, 65504.0]);
        assert!(matrix.read_elements(2, &mut elements).is_err());
        assert!(matrix.read_row(2, &mut row).is_err());
        assert!(matrix.read_codes(0, &mut [0; 2]).is_err());
        assert!(Matrix::new([2, 3], f16, &bytes[1..], Stored::default()).is_err());
        let odd = Stored { order: RowOrder::Pairs { head_dim: 3 }, ..Stored::default() };
        assert!(Matrix::new([2, 2], f16, &bytes[1..], odd).is_err());
    }

    #[test]
    fn names_are_those_of_the_files() {
        for (name, encoding) in [
            ("i2_s", Encoding::I2S),
            ("TQ2_0", Encoding::Block(BlockFormat::Tq2_0)),
            ("q6_k", Encoding::Block(BlockFormat::Q6K)),
            ("bf16", Encoding::Number(RawDType::BF16)),
            ("hf", Encoding::HuggingFace),
        ] {
            assert_eq!(Encoding::from_name(name), Some(encoding));
            assert!(encoding.to_string().eq_ignore_ascii_case(name));
        }
        assert_eq!(Encoding::from_name("TL1"), None);
        for format in BlockFormat::ALL {
            let ggml = Encoding::Block(format).ggml_type().expect("a type of GGUF");
            assert_eq!(ggml.block_len(), format.block_len());
            assert_eq!(ggml.block_bytes(), format.block_bytes());
            assert_eq!(ggml.row_header_bytes(), format.row_prefix_bytes());
        }
    }
}
