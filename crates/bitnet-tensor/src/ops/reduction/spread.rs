//! How far elements lie from their mean.

use smallvec::smallvec;

use super::axes::{Axes, float_spec, reduced_count, reduced_shape, resolve_axes, signed};
use crate::BitNetTensor;
use crate::backend::dispatch::apply_one;
use crate::error::Result;
use crate::ops::{Derivative, OperandGradients, Operation, Specs};

/// The variance over `axes`, or its root.
#[derive(Debug, Clone, PartialEq)]
pub struct Variance {
    /// The axes that disappear, ascending.
    pub axes: Axes,
    /// What is subtracted from the number of elements.
    pub ddof: usize,
    /// Whether the axes stay with size one.
    pub keepdims: bool,
    /// Whether the standard deviation is computed.
    pub root: bool,
}

impl Operation for Variance {
    fn name(&self) -> &'static str {
        if self.root { "std" } else { "var" }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        float_spec(self.name(), inputs[0], &self.axes, self.keepdims)
    }

    /// d var = 2 (x − mean) / (n − ddof); a deviation of zero has the derivative zero, as in
    /// PyTorch.
    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let x = context.inputs[0];
        let kept = reduced_shape(x.shape(), &self.axes, true);
        let count = reduced_count(x.shape(), &self.axes);
        let degrees = (count as f64 - self.ddof as f64).max(0.0);
        let deviation = x.sub(&x.mean(&signed(&self.axes), true)?)?;
        let dy = context.gradient.reshape(&kept)?;
        let factor = if self.root {
            let root = context.output().reshape(&kept)?;
            let factor = dy.div(&root)?.div(degrees)?;
            root.eq(0)?.where_(&factor.scalar_like(0.0)?, &factor)?
        } else {
            dy.mul(2.0 / degrees)?
        };
        Ok(smallvec![Some(deviation.mul(&factor)?)])
    }
}

/// # Variance
impl BitNetTensor {
    /// The variance over `axes`: Σ (x − mean)² / (n − `ddof`), by two passes. `ddof` of 1 is the
    /// unbiased estimate. NaN when nothing is left to divide by.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [4])?;
    /// assert_eq!(x.var(&[], 0, false)?.item::<f32>()?, 1.25);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or is named twice, `DTypeMismatch` unless
    /// the elements are floats.
    pub fn var(&self, axes: &[isize], ddof: usize, keepdims: bool) -> Result<Self> {
        let axes = resolve_axes("var", self, axes)?;
        apply_one(Variance { axes, ddof, keepdims, root: false }, &[self])
    }

    /// The standard deviation over `axes`: the root of [`var`](Self::var).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![2.0f32, 4.0, 6.0], [3])?;
    /// assert_eq!(x.std(&[0], 1, true)?.to_vec::<f32>()?, [2.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`var`](Self::var).
    pub fn std(&self, axes: &[isize], ddof: usize, keepdims: bool) -> Result<Self> {
        let axes = resolve_axes("std", self, axes)?;
        apply_one(Variance { axes, ddof, keepdims, root: true }, &[self])
    }
}
