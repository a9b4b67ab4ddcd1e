//! Weights of block formats: as numbers, row by row, and in products.

use bitnet_kernels::blocks;
use bitnet_kernels::grouped::{GroupedLayout, GroupedMatrix, GroupedRows, gemm};
use bitnet_kernels::{Cpu, parallel};

use crate::cpu::GRAIN;
use crate::cpu::linalg::operand_error;
use crate::cpu::movement::resolved;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn dequantize_blocks(
    cpu: Cpu,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let BitNetDType::Block(format) = x.dtype() else {
        bail!(InternalError, "to_dtype", &[x], "the elements are not in blocks");
    };
    let [_, columns] = x.block_rows();
    blocks::dequantize(cpu, format, columns, x.block_bytes()?, out.try_mut()?)
        .map_err(|cause| operand_error("to_dtype", &[x], cause))
}

/// The rows of a matrix that indices name, as numbers: only they are read.
pub(in crate::cpu) fn select_rows(
    cpu: Cpu,
    x: &BitNetTensor,
    indices: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    const NAME: &str = "index_select";
    let BitNetDType::Block(format) = x.dtype() else {
        bail!(InternalError, NAME, &[x], "the elements are not in blocks");
    };
    let places = resolved(NAME, &[x, indices], indices, 0, x.shape()[0])?;
    let places = places.as_slice()?;
    let [_, columns] = x.block_rows();
    let bytes = x.block_bytes()?;
    let failed = |cause| operand_error(NAME, &[x], cause);
    let row_bytes = format.row_bytes(columns).map_err(failed)?;
    if out.element_count() == 0 {
        return Ok(());
    }
    let grain = (GRAIN / columns).max(1);
    parallel::for_each_chunk_mut(out.try_mut::<f32>()?, grain * columns, |piece, chunk| {
        for (n, out) in chunk.chunks_exact_mut(columns).enumerate() {
            let row = &bytes[places[piece * grain + n] as usize * row_bytes..][..row_bytes];
            // The lengths were checked above: it cannot fail.
            let done = blocks::dequantize(cpu, format, columns, row, out);
            debug_assert!(done.is_ok());
        }
    });
    Ok(())
}

pub(in crate::cpu) fn grouped_linear(
    cpu: Cpu,
    x: &BitNetTensor,
    weight: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    const NAME: &str = "linear";
    let Some((format, tiles)) = weight.grouped_parts() else {
        bail!(
            UnsupportedOperation,
            NAME,
            &[weight],
            "the weight is not prepared: see BitNetTensor::prepare_weight"
        );
    };
    let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
    let failed = |cause| operand_error(NAME, &[x, weight], cause);
    let layout = GroupedLayout::new(format, rows, columns).map_err(failed)?;
    let matrix = GroupedMatrix::new(layout, tiles.as_slice()?).map_err(failed)?;
    let x = x.contiguous()?;
    let activation = GroupedRows::quantize(cpu, x.as_slice()?, columns).map_err(failed)?;
    gemm(cpu, &matrix, &activation, out.try_mut()?);
    Ok(())
}
