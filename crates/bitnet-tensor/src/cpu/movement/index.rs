//! Joining, choosing and writing rows: movements of bytes, whatever the type.

use bitnet_kernels::parallel;

use crate::cpu::GRAIN;
use crate::cpu::movement::as_number_mut;
use crate::dtype::{Number, with_number_type};
use crate::error::{Result, bail};
use crate::shape::count;
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn cat(
    axis: usize,
    inputs: &[&BitNetTensor],
    out: &mut BitNetTensor,
) -> Result<()> {
    fn typed<T: Number>(
        axis: usize,
        inputs: &[&BitNetTensor],
        out: &mut BitNetTensor,
    ) -> Result<()> {
        let inner = count(&out.shape()[axis + 1..]);
        let row = count(&out.shape()[axis..]);
        let out = out.try_mut::<T>()?;
        let mut start = 0;
        for input in inputs {
            let length = input.shape()[axis].saturating_mul(inner);
            let input = input.contiguous()?;
            if length > 0 && row > 0 {
                let rows = input.as_slice::<T>()?.chunks_exact(length);
                for (out, input) in out.chunks_exact_mut(row).zip(rows) {
                    out[start..][..length].copy_from_slice(input);
                }
            }
            start = start.saturating_add(length);
        }
        Ok(())
    }
    let inputs: Vec<BitNetTensor> = inputs.iter().map(|input| bytes_of_bool(input)).collect();
    let inputs: Vec<&BitNetTensor> = inputs.iter().collect();
    as_number_mut(
        out,
        |out| with_number_type!(out.dtype(), T => typed::<T>(axis, &inputs, out), Ok(())),
    )
}

pub(in crate::cpu) fn index_select(
    table: &BitNetTensor,
    indices: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    fn typed<T: Number>(
        table: &BitNetTensor,
        indices: &[u32],
        out: &mut BitNetTensor,
    ) -> Result<()> {
        let row = count(&table.shape()[1..]);
        let table = table.as_slice::<T>()?;
        if row == 0 {
            return Ok(());
        }
        let grain = (GRAIN / row).max(1);
        parallel::for_each_chunk_mut(out.try_mut::<T>()?, grain * row, |piece, chunk| {
            for (out, &index) in chunk.chunks_exact_mut(row).zip(&indices[piece * grain..]) {
                out.copy_from_slice(&table[index as usize * row..][..row]);
            }
        });
        Ok(())
    }
    let indices = indices.contiguous()?;
    let list = indices.as_slice::<u32>()?;
    let rows = table.shape()[0];
    if let Some(index) = list.iter().find(|&&index| index as usize >= rows) {
        bail!(
            ComputationError,
            "index_select",
            &[table, &indices],
            "index {index} is outside of {rows} rows"
        );
    }
    let table = bytes_of_bool(&table.contiguous()?);
    as_number_mut(
        out,
        |out| with_number_type!(out.dtype(), T => typed::<T>(&table, list, out), Ok(())),
    )
}

pub(in crate::cpu) fn write_rows(
    target: &mut BitNetTensor,
    positions: &BitNetTensor,
    rows: &BitNetTensor,
) -> Result<()> {
    let capacity = target.shape()[1];
    let positions = positions.contiguous()?;
    if let Some(position) = positions.as_slice::<u32>()?.iter().find(|&&p| p as usize >= capacity) {
        bail!(
            ComputationError,
            "write_rows",
            &[&positions, rows],
            "position {position} is outside of the capacity {capacity}"
        );
    }
    let rows = bytes_of_bool(rows);
    as_number_mut(
        target,
        |target| with_number_type!(target.dtype(), T => write_typed::<T>(target, &positions, &rows), Ok(())),
    )
}

fn write_typed<T: Number>(
    target: &mut BitNetTensor,
    positions: &BitNetTensor,
    rows: &BitNetTensor,
) -> Result<()> {
    // Rows are read in logical order; the target is walked by its strides, whatever they are.
    let rows = rows.contiguous()?;
    let rows = rows.as_slice::<T>()?;
    let (batch, tokens) = (positions.shape()[0], positions.shape()[1]);
    let positions = positions.as_slice::<u32>()?;
    let layout = target.layout().clone();
    let row = count(&layout.shape()[2..]);
    let data = target.host_data_mut::<T>()?;
    if row == 0 {
        return Ok(());
    }
    for b in 0..batch {
        for t in 0..tokens {
            let from = &rows[(b * tokens + t) * row..][..row];
            let position = positions[b * tokens + t] as isize;
            let base = layout.offset() as isize
                + b as isize * layout.strides()[0]
                + position * layout.strides()[1];
            write_strided(data, base, &layout.shape()[2..], &layout.strides()[2..], from);
        }
    }
    Ok(())
}

/// Writes `values`, in row-major order of `shape`, to the places that `strides` give.
fn write_strided<T: Copy>(
    data: &mut [T],
    base: isize,
    shape: &[usize],
    strides: &[isize],
    values: &[T],
) {
    match (shape, strides) {
        ([_], [1]) => data[base as usize..][..values.len()].copy_from_slice(values),
        ([_, inner_shape @ ..], [stride, inner_strides @ ..]) => {
            let inner = inner_shape.iter().product::<usize>().max(1);
            for (i, part) in values.chunks_exact(inner).enumerate() {
                write_strided(data, base + i as isize * stride, inner_shape, inner_strides, part);
            }
        }
        _ => data[base as usize] = values[0],
    }
}

/// `Bool` as its bytes, whatever they are: they are moved, not read.
fn bytes_of_bool(x: &BitNetTensor) -> BitNetTensor {
    if x.dtype() == BitNetDType::Bool { x.reinterpreted(BitNetDType::U8) } else { x.clone() }
}
