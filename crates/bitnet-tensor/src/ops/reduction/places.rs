//! The derivative of choosing elements: gradients go back to the places that were chosen.
//!
//! `places` are indices along the last axis. Where a gradient belongs is found by searching the
//! sorted places for each index: everything here is said of other operations.

use crate::error::Result;
use crate::{BitNetDType, BitNetTensor};

/// The gradient of `size` elements of which those at `places` were chosen, each at most once.
pub(super) fn back_to_places(
    dy: &BitNetTensor,
    places: &BitNetTensor,
    size: usize,
) -> Result<BitNetTensor> {
    let shape = dy.shape().with_size(dy.rank() - 1, size);
    let lines = Lines::of(dy, size)?;
    if lines.length == 0 || lines.rows == 0 {
        return dy.sum(&[-1], true)?.expand(shape);
    }
    let (sorted, order) = places.reshape([lines.rows, lines.length])?.sort(-1, false)?;
    let at = sorted.searchsorted(&lines.wanted, false)?.minimum(lines.length - 1)?;
    let chosen = lines.take(&sorted, &at)?.eq(&lines.wanted)?;
    let dy = lines.take(dy, &lines.take(&order, &at)?)?;
    chosen.where_(&dy, 0)?.reshape(shape)
}

/// [`back_to_places`] where `places` may have one many times and never descend: the sum of each
/// stretch of equal ones, the difference of two running sums in `f64`.
pub(super) fn sum_to_places(
    dy: &BitNetTensor,
    places: &BitNetTensor,
    size: usize,
) -> Result<BitNetTensor> {
    let shape = dy.shape().with_size(dy.rank() - 1, size);
    let lines = Lines::of(dy, size)?;
    if lines.length == 0 || lines.rows == 0 {
        return dy.sum(&[-1], true)?.expand(shape);
    }
    let places = places.reshape([lines.rows, lines.length])?;
    let sums = dy.reshape([lines.rows, lines.length])?.to_dtype(BitNetDType::F64)?.cumsum(-1)?;
    let nothing = sums.scalar_like(0.0)?.expand([lines.rows, 1])?;
    let sums = BitNetTensor::cat(&[&nothing, &sums], 1)?;
    let until = |right| lines.take(&sums, &places.searchsorted(&lines.wanted, right)?);
    until(true)?.sub(&until(false)?)?.to_dtype(dy.dtype())?.reshape(shape)
}

/// A tensor as rows of its last axis, and the indices that are looked for in each.
struct Lines {
    rows: usize,
    length: usize,
    /// 0, 1, … below the size, for each row.
    wanted: BitNetTensor,
}

impl Lines {
    fn of(x: &BitNetTensor, size: usize) -> Result<Self> {
        let length = x.shape().last().copied().unwrap_or(1);
        let rows = x.element_count().checked_div(length).unwrap_or(0);
        let wanted = indices(size, x)?.expand([rows, size])?;
        Ok(Self { rows, length, wanted })
    }

    /// `x[row, at[row, i]]` for every row and `i`.
    fn take(&self, x: &BitNetTensor, at: &BitNetTensor) -> Result<BitNetTensor> {
        let length = x.element_count() / self.rows;
        let first = indices(self.rows, x)?.mul(length)?.reshape([self.rows, 1])?;
        let flat = at.add(&first)?.to_dtype(BitNetDType::U32)?;
        x.reshape([x.element_count()])?.index_select(0, &flat)
    }
}

/// 0, 1, … below `count` on the device of `x`.
fn indices(count: usize, x: &BitNetTensor) -> Result<BitNetTensor> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    BitNetTensor::arange(0..count)?.to_dtype(BitNetDType::I64)?.to_device(x.device())
}
