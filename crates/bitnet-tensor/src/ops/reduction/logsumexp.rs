//! Sums of numbers that are given by their logarithms.

use smallvec::smallvec;

use super::axes::{Axes, float_spec, reduced_shape, resolve_axes};
use crate::BitNetTensor;
use crate::backend::dispatch::apply_one;
use crate::error::Result;
use crate::ops::{Derivative, OperandGradients, Operation, Specs};

/// ln Σ e^x over `axes`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogSumExp {
    /// The axes that disappear, ascending.
    pub axes: Axes,
    /// Whether the axes stay with size one.
    pub keepdims: bool,
}

impl Operation for LogSumExp {
    fn name(&self) -> &'static str {
        "logsumexp"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        float_spec(self.name(), inputs[0], &self.axes, self.keepdims)
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let x = context.inputs[0];
        let kept = reduced_shape(x.shape(), &self.axes, true);
        let y = context.output().reshape(&kept)?;
        let share = x.sub(&y)?.exp()?;
        Ok(smallvec![Some(share.mul(&context.gradient.reshape(&kept)?)?)])
    }
}

/// # Logarithms of sums
impl BitNetTensor {
    /// ln Σ e^x over `axes`, without overflow; −∞ of nothing and of −∞.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1000.0f32, 1000.0], [2])?;
    /// assert_eq!(x.logsumexp(&[], false)?.item::<f32>()?, 1000.0 + 2f32.ln());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or is named twice, `DTypeMismatch` unless
    /// the elements are floats.
    pub fn logsumexp(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        let axes = resolve_axes("logsumexp", self, axes)?;
        apply_one(LogSumExp { axes, keepdims }, &[self])
    }
}
