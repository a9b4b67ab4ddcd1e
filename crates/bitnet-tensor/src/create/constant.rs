//! Tensors of one value, and tensors like another one.

use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// # Constants
impl BitNetTensor {
    /// A tensor of ones; of `true` for `Bool`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// assert_eq!(BitNetTensor::ones([2], BitNetDType::U8)?.to_vec::<u8>()?, [1, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub fn ones(shape: impl Into<TensorShape>, dtype: BitNetDType) -> Result<Self> {
        if dtype.is_packed() {
            bail!(UnsupportedOperation, "ones", &[], "a ternary tensor is made by quantizing");
        }
        Self::scalar(true)?.to_dtype(dtype)?.expand(shape)?.copy()
    }

    /// Zeros of this tensor's shape, type and device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0])?;
    /// assert_eq!(x.zeros_like()?.to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    pub fn zeros_like(&self) -> Result<Self> {
        self.constant_like("zeros_like", false)
    }

    /// Ones of this tensor's shape, type and device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0])?;
    /// assert_eq!(x.ones_like()?.to_vec::<f32>()?, [1.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`ones`](Self::ones).
    pub fn ones_like(&self) -> Result<Self> {
        self.constant_like("ones_like", true)
    }

    fn constant_like(&self, name: &'static str, value: bool) -> Result<Self> {
        if self.dtype().is_packed() {
            bail!(UnsupportedOperation, name, &[self], "not for packed weights");
        }
        let one = Self::scalar(value)?.to_dtype(self.dtype())?.to_device(self.device())?;
        one.expand(self.shape())?.copy()
    }

    /// A tensor of this shape, type and device with every element `value`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u8, 2])?;
    /// assert_eq!(x.full_like(7)?.to_vec::<u8>()?, [7, 7]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` when the type does not hold the number.
    pub fn full_like(&self, value: impl crate::ops::Operand) -> Result<Self> {
        let value = value.beside("full_like", self)?;
        value.to_dtype(self.dtype())?.expand(self.shape())?.copy()
    }

    /// A tensor of this shape, type and device with unspecified contents.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u8, 2])?;
    /// assert_eq!(x.empty_like()?.shape(), x.shape());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`empty`](Self::empty).
    pub fn empty_like(&self) -> Result<Self> {
        Self::empty(self.shape(), self.dtype(), self.device())
    }
}
