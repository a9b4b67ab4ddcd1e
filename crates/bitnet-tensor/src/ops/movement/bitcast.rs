//! The bits of the elements read as another type.

use smallvec::smallvec;

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::layout::Layout;
use crate::ops::{Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// The same bits as elements of another type of the same size. It has no derivative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bitcast(pub BitNetDType);

impl Operation for Bitcast {
    fn name(&self) -> &'static str {
        "bitcast"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        let same_size = input.dtype().size_in_bytes() == self.0.size_in_bytes();
        if !same_size || input.dtype().is_packed() || self.0.is_packed() {
            bail!(
                DTypeMismatch,
                self.name(),
                inputs,
                "{} and {} are not dense types of one size",
                input.dtype(),
                self.0
            );
        }
        // Not every byte is a bool.
        if self.0 == BitNetDType::Bool && input.dtype() != BitNetDType::Bool {
            bail!(DTypeMismatch, self.name(), inputs, "bytes become bool by `ne(0)`");
        }
        Ok(smallvec![TensorSpec::new(input.shape(), self.0)])
    }

    fn view(&self, input: &BitNetTensor) -> Option<Layout> {
        Some(input.layout().clone())
    }
}

impl BitNetTensor {
    /// The same bits as elements of `dtype`, which is of the same size: a view, as NumPy's
    /// `x.view(dtype)`. The values are converted by [`to_dtype`](Self::to_dtype).
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::from_vec(vec![1.0f32, -0.0], [2])?;
    /// assert_eq!(x.bitcast(BitNetDType::U32)?.to_vec::<u32>()?, [0x3f80_0000, 0x8000_0000]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` for types of another size, for packed ones and to `Bool`.
    pub fn bitcast(&self, dtype: BitNetDType) -> Result<Self> {
        apply_one(Bitcast(dtype), &[self])
    }
}
