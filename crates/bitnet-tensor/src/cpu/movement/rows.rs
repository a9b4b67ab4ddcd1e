//! Rows written where positions say.

use super::bits::{bits_as_they_are, with_bits_mut};
use crate::BitNetTensor;
use crate::dtype::Number;
use crate::error::{Result, bail};
use crate::shape::count;

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
    let rows = bits_as_they_are(rows);
    with_bits_mut!(target, T => write_typed::<T>(target, &positions, &rows))
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
pub(super) fn write_strided<T: Copy>(
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
