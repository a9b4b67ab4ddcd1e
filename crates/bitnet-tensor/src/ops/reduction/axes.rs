//! The axes that a reduction is asked for, and the shape that it leaves.

use smallvec::{SmallVec, smallvec};

use crate::error::{Result, bail, error};
use crate::ops::{Specs, TensorSpec};
use crate::shape::resolve_axis;
use crate::{BitNetTensor, TensorShape};

/// Distinct axes, ascending.
pub(crate) type Axes = SmallVec<[usize; 4]>;

/// The axes of `x` that `axes` names, ascending; all of them for an empty list.
pub(crate) fn resolve_axes(name: &'static str, x: &BitNetTensor, axes: &[isize]) -> Result<Axes> {
    if axes.is_empty() {
        return Ok((0..x.rank()).collect());
    }
    let mut resolved = Axes::new();
    for &axis in axes {
        let found = one_axis(name, x, axis)?;
        if resolved.contains(&found) {
            bail!(ShapeMismatch, name, &[x], "axis {axis} is named twice");
        }
        resolved.push(found);
    }
    resolved.sort_unstable();
    Ok(resolved)
}

/// The axis of `x` that `axis` names.
pub(crate) fn one_axis(name: &'static str, x: &BitNetTensor, axis: isize) -> Result<usize> {
    resolve_axis(axis, x.rank())
        .ok_or_else(|| error!(ShapeMismatch, name, &[x], "there is no axis {axis}"))
}

/// `shape` without `axes`, or with size one there.
pub(crate) fn reduced_shape(shape: &TensorShape, axes: &[usize], keepdims: bool) -> TensorShape {
    (0..shape.rank())
        .filter(|axis| keepdims || !axes.contains(axis))
        .map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] })
        .collect()
}

/// How many elements of `shape` become one.
pub(crate) fn reduced_count(shape: &TensorShape, axes: &[usize]) -> usize {
    axes.iter().fold(1, |product: usize, &axis| product.saturating_mul(shape[axis]))
}

/// The result of a reduction of floats to their own type.
pub(crate) fn float_spec(
    name: &'static str,
    x: &BitNetTensor,
    axes: &[usize],
    keepdims: bool,
) -> Result<Specs> {
    if !x.dtype().is_float() {
        bail!(DTypeMismatch, name, &[x], "takes floats: cast with to_dtype first");
    }
    Ok(smallvec![TensorSpec::new(reduced_shape(x.shape(), axes, keepdims), x.dtype())])
}

/// Resolved axes as methods take them.
pub(crate) fn signed(axes: &[usize]) -> SmallVec<[isize; 4]> {
    axes.iter().map(|&axis| axis as isize).collect()
}
