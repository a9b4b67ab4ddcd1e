//! Vector norms.

use super::axes::{Axes, float_spec, resolve_axes};
use crate::BitNetTensor;
use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::{Operation, Specs};

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
