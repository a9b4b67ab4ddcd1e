//! Quantization of activations to int8 and of weights to −1, 0, 1.

use std::sync::atomic::{AtomicBool, Ordering};

use bitnet_kernels::ternary::quantize::{
    QuantizedRowsMut, absmean_scale, quantize_rows, rms_norm_quantize_rows, ternarize_row,
};
use bitnet_kernels::{Cpu, parallel};

use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

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
    let finite = AtomicBool::new(true);
    parallel::for_each(dense.len(), crate::cpu::GRAIN, |range| {
        // No short cut: vectors have none.
        let all = dense[range].iter().fold(true, |all, weight| all & weight.is_finite());
        finite.fetch_and(all, Ordering::Relaxed);
    });
    if !finite.into_inner() {
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
