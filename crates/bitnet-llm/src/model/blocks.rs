//! Tensors from the block formats of GGUF files: codes of few bits with their scales.
//!
//! A ternary one with a single scale per row keeps its codes, so that its sums are exact integers
//! in every format; anything else becomes numbers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use bitnet_formats::gguf::GgmlType;
use bitnet_kernels::blocks::{BlockFormat, dequantize};
use bitnet_kernels::ternary::{
    I2sBlock, i2_s_block_evidence, i2_s_scale, unpack_block_row, unpack_i2_s_row,
};
use bitnet_kernels::{Cpu, OperandError, parallel};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, TernaryLayout};

/// Weights that a thread unpacks at a time.
const PIECE: usize = 1 << 18;

/// By how much a block length of I2_S has to explain the weights better than the other before it is
/// believed against the one that published files have.
const I2_S_EVIDENCE: f64 = 0.1;

/// Whether a tensor of that type can be ternary: by definition, or by the codes that occur.
pub(super) fn may_be_ternary(ty: GgmlType) -> bool {
    ty == GgmlType::I2_S || format(ty).is_some_and(BlockFormat::has_ternary_codes)
}

/// The numbers of a tensor in blocks.
pub(super) fn dense(ty: GgmlType, bytes: &[u8], shape: &[usize]) -> Result<BitNetTensor, String> {
    if ty == GgmlType::I2_S {
        return Err("is I2_S, which only projections of a model can be".to_owned());
    }
    let format = format(ty).ok_or_else(|| refusal(ty))?;
    let columns = shape.last().copied().unwrap_or(1);
    let failed = |error: bitnet_tensor::TensorOpError| error.to_string();
    let mut tensor = BitNetTensor::empty(shape, BitNetDType::F32, Device::CPU).map_err(failed)?;
    let out = tensor.try_mut::<f32>().map_err(failed)?;
    dequantize(Cpu::best(), format, columns, bytes, out).map_err(|error| error.to_string())?;
    Ok(tensor)
}

/// The codes and row scales of a tensor in blocks; `None` where a row has several scales, or codes
/// that are not ternary.
pub(super) fn ternary(
    ty: GgmlType,
    bytes: &[u8],
    [rows, columns]: [usize; 2],
    i2_s_block: I2sBlock,
) -> Result<Option<BitNetTensor>, String> {
    match format(ty) {
        _ if ty == GgmlType::I2_S => {
            let shape = [rows, columns];
            let failed = |error: OperandError| error.to_string();
            let scale = i2_s_scale(i2_s_block, bytes, rows, columns).map_err(failed)?;
            unpacked(shape, |row, codes| {
                unpack_i2_s_row(i2_s_block, bytes, rows, columns, row, codes)?;
                Ok(Some(scale))
            })
        }
        Some(format) => {
            let block = format.block_len();
            unpacked([rows, columns], |row, codes| {
                let mut scales = vec![0.0; columns / block];
                match unpack_block_row(format, bytes, rows, columns, row, codes, &mut scales) {
                    // The code 3 of two bits, which is the weight 2.
                    Err(OperandError::InvalidCode { .. }) => return Ok(None),
                    other => other?,
                }
                Ok(one_scale(codes, &scales, block))
            })
        }
        None => Err(refusal(ty)),
    }
}

/// The scale of all blocks of a row that have one: a block of zeros may say any.
fn one_scale(codes: &[i8], scales: &[f32], block: usize) -> Option<f32> {
    let mut row_scale = None;
    for (codes, &scale) in codes.chunks(block).zip(scales) {
        if codes.iter().all(|&code| code == 0) {
            continue;
        }
        match row_scale {
            None => row_scale = Some(scale),
            Some(other) if f32::to_bits(other) == scale.to_bits() => {}
            Some(_) => return None,
        }
    }
    Some(row_scale.unwrap_or(0.0))
}

/// A ternary weight from a function that writes the codes of a row and says its scale.
fn unpacked(
    [rows, columns]: [usize; 2],
    unpack: impl Fn(usize, &mut [i8]) -> Result<Option<f32>, OperandError> + Sync,
) -> Result<Option<BitNetTensor>, String> {
    let failed = |error: bitnet_tensor::TensorOpError| error.to_string();
    let shape = [rows, columns];
    let mut codes = BitNetTensor::empty(shape, BitNetDType::I8, Device::CPU).map_err(failed)?;
    let scales: Vec<AtomicU32> = (0..rows).map(|_| AtomicU32::new(0)).collect();
    let several = Mutex::new(false);
    let fault = Mutex::new(None);
    if rows * columns > 0 {
        let piece_rows = (PIECE / columns).max(1);
        let out = codes.try_mut::<i8>().map_err(failed)?;
        parallel::for_each_chunk_mut(out, piece_rows * columns, |piece, out| {
            for (i, codes) in out.chunks_mut(columns).enumerate() {
                let row = piece * piece_rows + i;
                match unpack(row, codes) {
                    Ok(Some(scale)) => scales[row].store(scale.to_bits(), Ordering::Relaxed),
                    Ok(None) => return set(&several, true),
                    Err(error) => return set(&fault, Some((row, error))),
                }
            }
        });
    }
    if let Some((_, error)) = take(fault) {
        return Err(error.to_string());
    }
    if take(several) {
        return Ok(None);
    }
    let scales: Vec<f32> =
        scales.into_iter().map(|bits| f32::from_bits(bits.into_inner())).collect();
    if let Some(row) = scales.iter().position(|scale| !scale.is_finite()) {
        return Err(format!("the scale of row {row} is {}", scales[row]));
    }
    let scales = BitNetTensor::from_vec(scales, [rows]).map_err(failed)?;
    BitNetTensor::ternary_from_parts(TernaryLayout::Bytes, codes, scales, shape)
        .map(Some)
        .map_err(failed)
}

fn set<T>(cell: &Mutex<T>, value: T) {
    *cell.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = value;
}

fn take<T>(cell: Mutex<T>) -> T {
    cell.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// How far one tensor speaks for blocks of 64 values in I2_S, and against blocks of 128: the
/// difference of what each explains. `norm` is the weight of the norm before it.
pub(super) fn evidence_for_64(
    bytes: &[u8],
    [rows, columns]: [usize; 2],
    norm: &[f32],
) -> Option<f64> {
    let magnitudes: Vec<f32> = norm.iter().map(|weight| weight.abs()).collect();
    let (of_128, of_64) = i2_s_block_evidence(bytes, rows, columns, &magnitudes).ok()?;
    Some(of_64.abs() - of_128.abs())
}

/// The block length that the mean of [`evidence_for_64`] speaks for; without evidence, that of
/// published files.
pub(super) fn i2_s_block(evidence: &[f64]) -> I2sBlock {
    let mean = evidence.iter().sum::<f64>() / evidence.len().max(1) as f64;
    if mean > I2_S_EVIDENCE { I2sBlock::Of64 } else { I2sBlock::Of128 }
}

fn format(ty: GgmlType) -> Option<BlockFormat> {
    BlockFormat::ALL.into_iter().find(|format| format.name() == ty.name())
}

pub(super) fn refusal(ty: GgmlType) -> String {
    match ty.refusal() {
        Some(reason) => format!("is {ty}, which {reason}"),
        None => {
            let names: Vec<_> = BlockFormat::ALL.iter().map(|format| format.name()).collect();
            format!("is {ty}, which is not supported (supported: I2_S, {})", names.join(", "))
        }
    }
}
