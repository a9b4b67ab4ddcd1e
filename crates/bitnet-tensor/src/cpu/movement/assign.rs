//! A region of a tensor replaced by other elements.

use super::bits::{bits_as_they_are, with_bits_mut};
use super::convert::copy;
use super::rows::write_strided;
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
        let values = values.as_slice::<T>()?;
        let data = target.host_data_mut::<T>()?;
        let offset = region.offset() as isize;
        write_strided(data, offset, region.shape(), region.strides(), values);
        Ok(())
    }
    let region: crate::TensorShape = op.slices.iter().map(|slice| slice.length).collect();
    let values = bits_as_they_are(&values.expand(region)?.contiguous()?);
    with_bits_mut!(target, T => typed::<T>(op, target, &values))
}
