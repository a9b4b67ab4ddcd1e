//! Arithmetic of three operands, made of that of two.

use crate::BitNetTensor;
use crate::backend::dispatch::composed;
use crate::error::Result;
use crate::ops::Operand;

/// # Arithmetic of three operands
impl BitNetTensor {
    /// `min(max(x, low), high)`: NaN stays NaN, and where `low` is greater, `high` wins, as in NumPy.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![-1.0f32, 0.5, 3.0])?;
    /// assert_eq!(x.clamp(0.0, 1.0)?.to_vec::<f32>()?, [0.0, 0.5, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`maximum`](Self::maximum).
    pub fn clamp(&self, low: impl Operand, high: impl Operand) -> Result<Self> {
        let (low, high) = (low.beside("clamp", self)?, high.beside("clamp", self)?);
        composed("clamp", &[self, &low, &high], || self.maximum(&*low)?.minimum(&*high))
    }

    /// `self · factor + summand`; the product is rounded before the sum.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0])?;
    /// assert_eq!(x.mul_add(3.0, &x)?.to_vec::<f32>()?, [4.0, 8.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn mul_add(&self, factor: impl Operand, summand: impl Operand) -> Result<Self> {
        let factor = factor.beside("mul_add", self)?;
        let summand = summand.beside("mul_add", self)?;
        composed("mul_add", &[self, &factor, &summand], || self.mul(&*factor)?.into_add(&*summand))
    }

    /// `self + weight · (end − self)`: this at weight 0, `end` at 1.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![0.0f32, 2.0])?;
    /// assert_eq!(x.lerp(4.0, 0.25)?.to_vec::<f32>()?, [1.0, 2.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn lerp(&self, end: impl Operand, weight: impl Operand) -> Result<Self> {
        let end = end.beside("lerp", self)?;
        let weight = weight.beside("lerp", self)?;
        composed("lerp", &[self, &end, &weight], || end.sub(self)?.mul(&*weight)?.into_add(self))
    }
}
