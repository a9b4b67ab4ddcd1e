//! Conversions of the element type and of the layout.

use smallvec::smallvec;

use crate::backend::dispatch::apply_one;
use crate::backend::metrics;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// The same values in another type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cast(pub BitNetDType);

impl Operation for Cast {
    fn name(&self) -> &'static str {
        "to_dtype"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        let operation = self.name();
        if matches!(self.0, BitNetDType::Ternary | BitNetDType::Int6) {
            bail!(
                UnsupportedOperation,
                operation,
                inputs,
                "{} weights are made by `quantize` and `to_weight`",
                self.0
            );
        }
        if self.0.is_packed() {
            bail!(
                UnsupportedOperation,
                operation,
                inputs,
                "{} is made by the kernels' `blocks::quantize` and `from_foreign`",
                self.0
            );
        }
        if input.dtype().is_packed() && self.0 != BitNetDType::F32 {
            bail!(
                UnsupportedOperation,
                operation,
                inputs,
                "a {} weight is dequantized to f32",
                input.dtype()
            );
        }
        if input.grouped_parts().is_some() {
            bail!(
                UnsupportedOperation,
                operation,
                inputs,
                "a prepared weight is for products: keep the one that it was prepared from"
            );
        }
        Ok(smallvec![TensorSpec::new(input.shape(), self.0)])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let gradient = context.gradient.to_dtype(context.inputs[0].dtype())?;
        Ok(smallvec![Some(gradient)])
    }
}

/// The same values in row-major order in storage of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Copy;

impl Operation for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype().is_packed() {
            bail!(
                UnsupportedOperation,
                self.name(),
                inputs,
                "a packed weight is shared, not copied"
            );
        }
        Ok(smallvec![TensorSpec::new(input.shape(), input.dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        Ok(smallvec![Some(context.gradient.clone())])
    }
}

/// # Conversions
impl BitNetTensor {
    /// The same values as `dtype`; this tensor itself when it has that type already.
    ///
    /// | from | to | |
    /// |---|---|---|
    /// | float | float | rounds to nearest even; what is too large becomes infinite |
    /// | float | integer | truncates toward zero, saturates at the ends of the type; NaN becomes 0 |
    /// | integer | integer | keeps the low bits: `300` becomes `44` as `U8`, `-1` its greatest |
    /// | integer | float | rounds to nearest even, once |
    /// | number | `Bool` | everything but 0 is true, NaN too |
    /// | `Bool` | number | 0 or 1 |
    /// | `Ternary` | `F32` | code × scale of its row |
    /// | `Block` | `F32` | what its codes and scales stand for |
    ///
    /// That is NumPy's `astype` where the standard of C defines it (not so for floats outside of the
    /// range of an integer type), and Rust's `as`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::from_vec(vec![-1.5f32, 300.0, f32::NAN], [3])?;
    /// assert_eq!(x.to_dtype(BitNetDType::U8)?.to_vec::<u8>()?, [0, 255, 0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` to packed types, from packed types to anything but `F32`, and of weights of
    /// a block format that are prepared.
    pub fn to_dtype(&self, dtype: BitNetDType) -> Result<Self> {
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        apply_one(Cast(dtype), &[self])
    }

    /// The same values in row-major order: this tensor itself when they already are.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0..6)?.reshape([2, 3])?;
    /// assert!(x.contiguous()?.shares_storage_with(&x));
    /// assert!(x.transpose(0, 1)?.contiguous()?.is_contiguous());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub fn contiguous(&self) -> Result<Self> {
        if self.is_contiguous() { Ok(self.clone()) } else { self.copy() }
    }

    /// The same values in row-major order in storage of their own.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0..3)?;
    /// assert!(!x.copy()?.shares_storage_with(&x));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `MemoryError`; `UnsupportedOperation` for packed weights.
    pub fn copy(&self) -> Result<Self> {
        let copy = apply_one(Copy, &[self])?;
        metrics::record_copy(copy.byte_size());
        Ok(copy)
    }
}
