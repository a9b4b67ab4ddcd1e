//! The rows of a weight with ternary or 6-bit codes, whatever the layout that holds them.

use std::sync::Mutex;

use bitnet_kernels::blocks::BlockFormat;
use bitnet_kernels::ternary::{
    unpack_block_row, unpack_huggingface_row, unpack_i2_s_row, unpack_words_row,
};
use bitnet_kernels::tiled::{self, TiledLayout};
use bitnet_kernels::{OperandError, parallel};

use crate::cpu::linalg::operand_error;
use crate::error::{Result, bail, error};
use crate::storage::{CodeLayout, INT6_MAX};
use crate::{BitNetDType, BitNetTensor};

/// Where the scales are.
enum Source<'a> {
    /// Beside the codes, one for each row.
    Rows(CodeLayout, &'a [f32]),
    /// In blocks with the codes.
    Blocks(BlockFormat),
}

/// A weight's codes, row by row.
pub(super) struct CodeRows<'a> {
    source: Source<'a>,
    bytes: &'a [u8],
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl<'a> CodeRows<'a> {
    /// Of a ternary or 6-bit weight, or of one of a block format with ternary codes.
    pub(super) fn new(weight: &'a BitNetTensor) -> Result<Self> {
        let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
        if let BitNetDType::Block(format) = weight.dtype() {
            let source = Source::Blocks(format);
            return Ok(Self { source, bytes: weight.block_bytes()?, rows, columns });
        }
        let Some((layout, codes, scales)) = weight.packed_parts() else {
            bail!(InternalError, "codes", &[weight], "the weight has no codes");
        };
        let bytes = match layout {
            CodeLayout::Bytes | CodeLayout::Int6Bytes => {
                bytemuck::cast_slice(codes.as_slice::<i8>()?)
            }
            _ => codes.as_slice::<u8>()?,
        };
        let source = Source::Rows(layout, scales.as_slice()?);
        Ok(Self { source, bytes, rows, columns })
    }

    /// Whether `weight` is what [`new`](Self::new) takes.
    pub(super) fn has(weight: &BitNetTensor) -> bool {
        match weight.dtype() {
            BitNetDType::Block(format) => {
                format.has_ternary_codes() && weight.grouped_parts().is_none()
            }
            dtype => matches!(dtype, BitNetDType::Ternary | BitNetDType::Int6),
        }
    }

    /// Writes the codes of `row` and says their scale: `None` where blocks of the
    /// row have several, or a code that is not ternary.
    pub(super) fn read(&self, row: usize, out: &mut [i8]) -> Result<Option<f32>, OperandError> {
        let (bytes, rows, columns) = (self.bytes, self.rows, self.columns);
        let (layout, scales) = match self.source {
            Source::Blocks(format) => return self.read_blocks(format, row, out),
            Source::Rows(layout, scales) => (layout, scales),
        };
        match layout {
            CodeLayout::Bytes | CodeLayout::Int6Bytes => {
                let codes = &bytes[row * columns..][..columns];
                out.copy_from_slice(bytemuck::cast_slice(codes));
                let most = if layout == CodeLayout::Bytes { 1 } else { INT6_MAX };
                if !out.iter().all(|code| (-most..=most).contains(code)) {
                    return Err(OperandError::InvalidCode { row });
                }
            }
            CodeLayout::HuggingFace => {
                unpack_huggingface_row(bytes, rows, columns, row, out)?;
            }
            CodeLayout::I2S(block) => unpack_i2_s_row(block, bytes, rows, columns, row, out)?,
            CodeLayout::Words => unpack_words_row(bytes, rows, columns, row, out)?,
            CodeLayout::Tiled(encoding) => {
                tiled::unpack_row(TiledLayout::new(encoding, rows, columns)?, bytes, row, out)?;
            }
        }
        Ok(Some(scales[row]))
    }

    fn read_blocks(
        &self,
        format: BlockFormat,
        row: usize,
        out: &mut [i8],
    ) -> Result<Option<f32>, OperandError> {
        let len = format.block_len();
        let mut scales = vec![0.0; self.columns / len];
        match unpack_block_row(format, self.bytes, self.rows, self.columns, row, out, &mut scales) {
            Err(OperandError::InvalidCode { .. }) => return Ok(None),
            other => other?,
        }
        // A block of zeros may say any scale.
        let mut blocks = out.chunks_exact(len).zip(scales);
        let mut nonzero = blocks.by_ref().filter(|(codes, _)| codes.iter().any(|&code| code != 0));
        let Some((_, scale)) = nonzero.next() else {
            return Ok(Some(0.0));
        };
        let same = nonzero.all(|(_, other)| other.to_bits() == scale.to_bits());
        Ok((same && scale.is_finite()).then_some(scale))
    }
}

/// A ternary weight as numbers.
pub(in crate::cpu) fn dequantize(weight: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let rows = CodeRows::new(weight)?;
    let columns = rows.columns;
    if columns == 0 {
        return Ok(());
    }
    let failure = Mutex::new(None);
    parallel::for_each_chunk_mut(out.try_mut::<f32>()?, columns, |row, out| {
        let mut codes = vec![0; columns];
        match rows.read(row, &mut codes) {
            Ok(scale) => {
                let scale = scale.unwrap_or(f32::NAN); // a ternary weight has one
                for (out, &code) in out.iter_mut().zip(&codes) {
                    *out = f32::from(code) * scale;
                }
            }
            Err(cause) => keep_first(&failure, row, cause),
        }
    });
    fail_if_any(failure, "to_dtype", &[weight])
}

/// Keeps the failure of the lowest row, so that the message does not depend on threads.
pub(super) fn keep_first(
    failure: &Mutex<Option<(usize, OperandError)>>,
    row: usize,
    cause: OperandError,
) {
    if let Ok(mut first) = failure.lock()
        && first.is_none_or(|(earlier, _)| row < earlier)
    {
        *first = Some((row, cause));
    }
}

pub(super) fn fail_if_any(
    failure: Mutex<Option<(usize, OperandError)>>,
    name: &'static str,
    operands: &[&BitNetTensor],
) -> Result<()> {
    match failure.into_inner() {
        Ok(None) => Ok(()),
        Ok(Some((_, cause))) => Err(operand_error(name, operands, cause)),
        Err(_) => Err(error!(InternalError, name, operands, "a thread failed")),
    }
}
