//! Vector norms.

use smallvec::smallvec;

use super::axes::{Axes, float_spec, reduced_shape, resolve_axes};
use crate::BitNetTensor;
use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs};

/// The `p`-norm over `axes`.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// The power; 0 counts, infinities ask for the largest and smallest magnitude.
    pub p: f64,
    /// The axes that disappear, ascending.
    pub axes: Axes,
    /// Whether the axes stay with size one.
    pub keepdims: bool,
}

impl Operation for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        if self.p.is_nan() {
            bail!(ComputationError, self.name(), inputs, "there is no norm of power NaN");
        }
        let specs = float_spec(self.name(), inputs[0], &self.axes, self.keepdims)?;
        let empty = self.axes.iter().any(|&axis| inputs[0].shape()[axis] == 0);
        if empty && self.p == f64::NEG_INFINITY && !specs[0].shape.contains(&0) {
            bail!(ComputationError, self.name(), inputs, "no elements: there is no smallest");
        }
        Ok(specs)
    }

    /// d‖x‖ₚ = sign(x) |x|^(p−1) / ‖x‖ₚ^(p−1), and zero at zero; the elements whose magnitude
    /// is an infinite norm share its gradient.
    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let x = context.inputs[0];
        let kept = reduced_shape(x.shape(), &self.axes, true);
        let dy = context.gradient.reshape(&kept)?;
        let y = context.output().reshape(&kept)?;
        let zero = x.scalar_like(0.0)?;
        let dx = if self.p == 0.0 {
            zero.expand(x.shape())?
        } else if self.p == 1.0 {
            x.sign()?.mul(&dy)?
        } else if self.p.is_infinite() {
            let share = super::reduce::shared(&x.abs()?, &y, &dy, &self.axes)?;
            x.sign()?.mul(&share)?
        } else {
            // Of the quotient, so that no power overflows: |x| is at most the norm for p of 1 and
            // more.
            let quotient = x.abs()?.div(&y)?;
            let power = if self.p == 2.0 { quotient } else { quotient.pow(self.p - 1.0)? };
            let dx = power.mul(&x.sign()?)?.mul(&dy)?;
            x.eq(0)?.where_(&zero, &dx)?
        };
        Ok(smallvec![Some(dx)])
    }
}

/// # Norms
impl BitNetTensor {
    /// The vector norm over `axes`: (Σ |x|^`p`)^(1/`p`). `p` of 0 counts what is not zero,
    /// infinity is the largest magnitude and −infinity the smallest, as in NumPy.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![3.0f32, -4.0], [2])?;
    /// assert_eq!(x.norm(2.0, &[], false)?.item::<f32>()?, 5.0);
    /// assert_eq!(x.norm(f64::INFINITY, &[0], false)?.item::<f32>()?, 4.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or is named twice, `DTypeMismatch` unless
    /// the elements are floats, `ComputationError` for a `p` of NaN and for the smallest magnitude
    /// of nothing.
    pub fn norm(&self, p: f64, axes: &[isize], keepdims: bool) -> Result<Self> {
        let axes = resolve_axes("norm", self, axes)?;
        apply_one(Norm { p, axes, keepdims }, &[self])
    }
}
