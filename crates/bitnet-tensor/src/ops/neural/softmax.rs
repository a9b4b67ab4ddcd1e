//! Softmax along the last axis.

use smallvec::smallvec;

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// Exponentials along the last axis, divided by their sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Softmax;

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype() != BitNetDType::F32 {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32");
        }
        if input.rank() == 0 {
            bail!(ShapeMismatch, self.name(), inputs, "a scalar has no axis");
        }
        Ok(smallvec![TensorSpec::new(input.shape(), input.dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        // dx = y (dy − Σ dy·y)
        let (y, dy) = (context.output(), context.gradient);
        let sum = dy.mul(y)?.sum(&[-1], true)?;
        Ok(smallvec![Some(dy.sub(&sum)?.mul(y)?)])
    }
}

impl BitNetTensor {
    /// Softmax along the last axis, for `F32`. A row of −∞ only gives NaN, as in PyTorch.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 0.0], [2])?;
    /// assert_eq!(x.softmax()?.to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch`; `ShapeMismatch` for a scalar.
    pub fn softmax(&self) -> Result<Self> {
        apply_one(Softmax, &[self])
    }
}
