//! Rows written where positions say.

use smallvec::SmallVec;

use super::assign::write_region;
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
    // Both are walked by their strides, whatever they are: nothing is copied on the way.
    let (batch, tokens) = (positions.shape()[0], positions.shape()[1]);
    let positions = positions.as_slice::<u32>()?;
    let (to, from) = (target.layout().clone(), rows.layout());
    let shape = &to.shape()[2..];
    let strides: SmallVec<[[isize; 2]; 4]> =
        to.strides().iter().copied().zip(from.strides().iter().copied()).map(Into::into).collect();
    let data = target.host_data_mut::<T>()?;
    if count(shape) == 0 {
        return Ok(());
    }
    let source = rows.host_data::<T>()?;
    for b in 0..batch {
        for t in 0..tokens {
            let position = positions[b * tokens + t] as isize;
            let (b, t) = (b as isize, t as isize);
            let at = to.offset() as isize + b * strides[0][0] + position * strides[1][0];
            let start = from.offset() as isize + b * strides[0][1] + t * strides[1][1];
            write_region(data, source, [at, start], shape, &strides[2..]);
        }
    }
    Ok(())
}
