//! A region of a tensor replaced by other elements.

use super::bits::{bits_as_they_are, with_bits_mut};
use super::convert::copy;
use crate::BitNetTensor;
use crate::dtype::Number;
use crate::error::Result;
use crate::ops::SliceScatter;

pub(in crate::cpu) fn slice_scatter(
    op: &SliceScatter,
    target: &BitNetTensor,
    values: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    copy(target, out)?;
    slice_scatter_in_place(op, out, values)
}

pub(in crate::cpu) fn slice_scatter_in_place(
    op: &SliceScatter,
    target: &mut BitNetTensor,
    values: &BitNetTensor,
) -> Result<()> {
    fn typed<T: Number>(
        op: &SliceScatter,
        target: &mut BitNetTensor,
        values: &BitNetTensor,
    ) -> Result<()> {
        let mut region = target.layout().clone();
        for (axis, slice) in op.slices.iter().enumerate() {
            region = region.slice(axis, slice.start, slice.length, slice.step);
        }
        if region.shape().contains(&0) {
            return Ok(());
        }
        let strides: Vec<[isize; 2]> = region
            .strides()
            .iter()
            .copied()
            .zip(values.layout().strides().iter().copied())
            .map(|(to, from)| [to, from])
            .collect();
        let starts = [region.offset() as isize, values.layout().offset() as isize];
        let from = values.host_data::<T>()?;
        write_region(target.host_data_mut::<T>()?, from, starts, region.shape(), &strides);
        Ok(())
    }
    let region: crate::TensorShape = op.slices.iter().map(|slice| slice.length).collect();
    let values = bits_as_they_are(&values.expand(region)?);
    with_bits_mut!(target, T => typed::<T>(op, target, &values))
}

/// Copies the elements of `shape` from one layout to another, `[to, from]` each: what is broadcast
/// is read where it lies.
pub(super) fn write_region<T: Copy>(
    to: &mut [T],
    from: &[T],
    [at, source]: [isize; 2],
    shape: &[usize],
    strides: &[[isize; 2]],
) {
    match (shape, strides) {
        ([size], [[1, 1]]) => {
            to[at as usize..][..*size].copy_from_slice(&from[source as usize..][..*size]);
        }
        ([size], [[1, 0]]) => to[at as usize..][..*size].fill(from[source as usize]),
        ([size, shape @ ..], [[stride, source_stride], strides @ ..]) => {
            for n in 0..*size as isize {
                let starts = [at + n * stride, source + n * source_stride];
                write_region(to, from, starts, shape, strides);
            }
        }
        _ => to[at as usize] = from[source as usize],
    }
}
