//! Softmax along an axis.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, composed};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::shape::resolve_axis;
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

/// # Softmax
impl BitNetTensor {
    /// Exponentials along `axis`, divided by their sum. All −∞ give NaN, as in PyTorch. Half types
    /// are computed in `F32` and rounded once.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 0.0], [2])?;
    /// assert_eq!(x.softmax(-1)?.to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless it is a float; `ShapeMismatch` for an axis that does not exist.
    pub fn softmax(&self, axis: isize) -> Result<Self> {
        let at = float_axis("softmax", self, axis)?;
        if self.dtype() == BitNetDType::F32 && at + 1 == self.rank() {
            return apply_one(Softmax, &[self]);
        }
        composed("softmax", &[self], || match self.dtype() {
            BitNetDType::F32 => {
                apply_one(Softmax, &[&self.transpose(axis, -1)?])?.transpose(axis, -1)
            }
            BitNetDType::F64 if self.element_count() > 0 => {
                let largest = self.detach().max(&[axis], true)?;
                let powers = self.sub(&largest)?.exp()?;
                powers.div(&powers.sum(&[axis], true)?)
            }
            BitNetDType::F64 => Ok(self.clone()),
            dtype => self.to_dtype(BitNetDType::F32)?.softmax(axis)?.to_dtype(dtype),
        })
    }

    /// The logarithm of [`softmax`](Self::softmax), without computing it: `x − logsumexp(x)`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 1000.0], [2])?;
    /// assert_eq!(x.log_softmax(-1)?.to_vec::<f32>()?, [-1000.0, 0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`softmax`](Self::softmax).
    pub fn log_softmax(&self, axis: isize) -> Result<Self> {
        float_axis("log_softmax", self, axis)?;
        composed("log_softmax", &[self], || match self.dtype() {
            BitNetDType::F32 | BitNetDType::F64 => self.sub(&self.logsumexp(&[axis], true)?),
            dtype => self.to_dtype(BitNetDType::F32)?.log_softmax(axis)?.to_dtype(dtype),
        })
    }
}

/// `axis` of a tensor of floats, counted from the front.
fn float_axis(name: &'static str, x: &BitNetTensor, axis: isize) -> Result<usize> {
    if !x.dtype().is_float() {
        bail!(DTypeMismatch, name, &[x], "takes floats: cast with to_dtype first");
    }
    match resolve_axis(axis, x.rank()) {
        Some(axis) => Ok(axis),
        None => bail!(ShapeMismatch, name, &[x], "there is no axis {axis}"),
    }
}
