//! A region of a tensor replaced by other elements.

use bitnet_kernels::parallel;

use super::bits::{bits_as_they_are, with_bits_mut};
use super::convert::copy;
use crate::BitNetTensor;
use crate::cpu::GRAIN;
use crate::dtype::Number;
use crate::error::Result;
use crate::ops::SliceScatter;
use crate::shape::count;

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
        let ([_, inner @ ..], [[_, source], inner_strides @ ..]) =
            (&region.shape()[..], &strides[..])
        else {
            target.host_data_mut::<T>()?[starts[0] as usize] = from[starts[1] as usize];
            return Ok(());
        };
        let slice = op.slices[0];
        if inner.is_empty() || !target.is_contiguous() {
            let data = target.host_data_mut::<T>()?;
            write_region(data, from, starts, region.shape(), &strides);
            return Ok(());
        }
        // The lines of the first axis, several of which are a piece of work.
        let line = count(&target.shape()[1..]);
        let before = target.layout().offset() + slice.start * line;
        let first = starts[0] - before as isize;
        let grain = (GRAIN / line).max(1);
        parallel::for_each_chunk_mut(target.try_mut::<T>()?, grain * line, |piece, chunk| {
            for (n, line) in chunk.chunks_exact_mut(line).enumerate() {
                let distance = (piece * grain + n) as isize - slice.start as isize;
                let index = distance / slice.step;
                if index * slice.step == distance && (0..slice.length as isize).contains(&index) {
                    let starts = [first, starts[1] + index * source];
                    write_region(line, from, starts, inner, inner_strides);
                }
            }
        });
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
