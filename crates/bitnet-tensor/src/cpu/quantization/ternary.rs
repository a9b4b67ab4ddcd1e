//! Quantization of activations and weights, and the layouts of ternary codes.

use std::sync::Mutex;

use bitnet_kernels::ternary::quantize::{
    QuantizedRowsMut, absmean_scale, quantize_rows, rms_norm_quantize_rows, ternarize_row,
};
use bitnet_kernels::ternary::{TiledLayout, pack_tiled, unpack_huggingface_row, unpack_tiled_row};
use bitnet_kernels::{Cpu, OperandError, parallel};

use crate::cpu::linalg::operand_error;
use crate::error::{Result, bail, error};
use crate::storage::TernaryLayout;
use crate::{BitNetDType, BitNetTensor, Device};

/// Codes, scales and sums of each row of `x`, normalised first when `norm` says so.
pub(in crate::cpu) fn activation(
    cpu: Cpu,
    x: &BitNetTensor,
    norm: Option<(&BitNetTensor, f32)>,
    outputs: &mut [BitNetTensor],
) -> Result<()> {
    let [codes, scales, sums] = outputs else {
        bail!(InternalError, "quantize_activation", &[x], "there are not three outputs");
    };
    let x = x.contiguous()?;
    let columns = x.shape().last().copied().unwrap_or(0);
    let stride = codes.shape().last().copied().unwrap_or(0);
    if columns == 0 {
        scales.try_mut::<f32>()?.fill(1e-5 / 127.0); // the least that a scale can be
        sums.try_mut::<i32>()?.fill(0);
        return Ok(());
    }
    let out = QuantizedRowsMut {
        codes: codes.try_mut()?,
        stride,
        scales: scales.try_mut()?,
        sums: sums.try_mut()?,
    };
    match norm {
        None => quantize_rows(cpu, x.as_slice()?, columns, out),
        Some((weight, eps)) => {
            let weight = weight.contiguous()?;
            rms_norm_quantize_rows(cpu, x.as_slice()?, columns, weight.as_slice()?, eps, out);
        }
    }
    Ok(())
}

pub(in crate::cpu) fn ternarize(
    cpu: Cpu,
    weight: &BitNetTensor,
    outputs: &mut [BitNetTensor],
) -> Result<()> {
    let [codes, scales] = outputs else {
        bail!(InternalError, "ternarize", &[weight], "there are not two outputs");
    };
    let dense = weight.to_dtype(BitNetDType::F32)?.contiguous()?;
    let dense = dense.as_slice::<f32>()?;
    // Not asked of the scale: its lower bound hides a NaN.
    if !dense.iter().all(|weight| weight.is_finite()) {
        bail!(ComputationError, "ternarize", &[weight], "a weight is NaN or infinite");
    }
    let scale = absmean_scale(cpu, dense);
    let columns = weight.shape()[1];
    let inverse = 1.0 / scale;
    if let Some(rows_at_once) = crate::cpu::GRAIN.checked_div(columns) {
        let grain = rows_at_once.max(1) * columns;
        parallel::for_each_chunk_mut(codes.try_mut::<i8>()?, grain, |piece, chunk| {
            ternarize_row(cpu, &dense[piece * grain..][..chunk.len()], inverse, chunk);
        });
    }
    scales.try_mut::<f32>()?.fill(scale);
    Ok(())
}

/// A ternary weight's codes, row by row, whatever their layout.
struct CodeRows<'a> {
    layout: TernaryLayout,
    bytes: &'a [u8],
    rows: usize,
    columns: usize,
}

impl<'a> CodeRows<'a> {
    fn new(weight: &'a BitNetTensor) -> Result<Self> {
        let Some((layout, codes, _)) = weight.ternary_parts() else {
            bail!(InternalError, "codes", &[weight], "the weight is not ternary");
        };
        let bytes = match layout {
            TernaryLayout::Bytes => bytemuck::cast_slice(codes.as_slice::<i8>()?),
            TernaryLayout::HuggingFace | TernaryLayout::Tiled => codes.as_slice::<u8>()?,
        };
        Ok(Self { layout, bytes, rows: weight.shape()[0], columns: weight.shape()[1] })
    }

    /// Writes the codes of `row`, each −1, 0 or 1.
    fn read(&self, row: usize, out: &mut [i8]) -> Result<(), OperandError> {
        match self.layout {
            TernaryLayout::Bytes => {
                let codes = &self.bytes[row * self.columns..][..self.columns];
                out.copy_from_slice(bytemuck::cast_slice(codes));
                match out.iter().all(|code| (-1..=1).contains(code)) {
                    true => Ok(()),
                    false => Err(OperandError::InvalidCode { row }),
                }
            }
            TernaryLayout::HuggingFace => {
                unpack_huggingface_row(self.bytes, self.rows, self.columns, row, out)
            }
            TernaryLayout::Tiled => {
                let tiles = TiledLayout::new(self.rows, self.columns)?;
                unpack_tiled_row(tiles, self.bytes, row, out)
            }
        }
    }
}

pub(in crate::cpu) fn dequantize(weight: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let Some((_, _, scales)) = weight.ternary_parts() else {
        bail!(InternalError, "to_dtype", &[weight], "the weight is not ternary");
    };
    let rows = CodeRows::new(weight)?;
    let columns = rows.columns;
    if columns == 0 {
        return Ok(());
    }
    let scales = scales.as_slice::<f32>()?;
    let failure = Mutex::new(None);
    parallel::for_each_chunk_mut(out.try_mut::<f32>()?, columns, |row, out| {
        let mut codes = vec![0; columns];
        match rows.read(row, &mut codes) {
            Ok(()) => {
                for (out, &code) in out.iter_mut().zip(&codes) {
                    *out = f32::from(code) * scales[row];
                }
            }
            Err(cause) => keep_first(&failure, row, cause),
        }
    });
    fail_if_any(failure, "to_dtype", &[weight])
}

pub(in crate::cpu) fn prepare_weight(
    parts: &[&BitNetTensor],
    device: Device,
) -> Result<BitNetTensor> {
    const NAME: &str = "prepare_weight";
    if let [weight] = parts
        && let Some((TernaryLayout::Tiled, ..)) = weight.ternary_parts()
    {
        return Ok((*weight).clone());
    }
    let sources: Vec<CodeRows<'_>> =
        parts.iter().map(|part| CodeRows::new(part)).collect::<Result<_>>()?;
    let columns = sources.first().map_or(0, |source| source.columns);
    // The rows at which each part ends.
    let ends: Vec<usize> = sources
        .iter()
        .scan(0usize, |end, source| {
            *end = end.checked_add(source.rows)?;
            Some(*end)
        })
        .collect();
    let rows = ends.last().copied().filter(|_| ends.len() == sources.len()).unwrap_or(0);
    let tiles =
        TiledLayout::new(rows, columns).map_err(|cause| operand_error(NAME, parts, cause))?;

    let mut codes = BitNetTensor::empty([tiles.byte_len()], BitNetDType::U8, device)?;
    let failure = Mutex::new(None);
    pack_tiled(tiles, codes.try_mut()?, |row, out| {
        let part = ends.partition_point(|&end| end <= row);
        let first = ends[part] - sources[part].rows;
        if let Err(cause) = sources[part].read(row - first, out) {
            out.fill(0);
            keep_first(&failure, row, cause);
        }
    })
    .map_err(|cause| operand_error(NAME, parts, cause))?;
    fail_if_any(failure, NAME, parts)?;

    let scales: Vec<&BitNetTensor> =
        parts.iter().filter_map(|part| part.ternary_parts().map(|(_, _, scales)| scales)).collect();
    let scales = BitNetTensor::cat(&scales, 0)?;
    BitNetTensor::ternary_from_parts(TernaryLayout::Tiled, codes, scales, [rows, columns])
}

/// Keeps the failure of the lowest row, so that the message does not depend on threads.
fn keep_first(failure: &Mutex<Option<(usize, OperandError)>>, row: usize, cause: OperandError) {
    if let Ok(mut first) = failure.lock()
        && first.is_none_or(|(earlier, _)| row < earlier)
    {
        *first = Some((row, cause));
    }
}

fn fail_if_any(
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
