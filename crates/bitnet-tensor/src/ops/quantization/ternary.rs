//! Weights to −1, 0, +1 and a scale, as BitNet b1.58 defines it (Ma et al. 2024, "The Era of
//! 1-bit LLMs").

use smallvec::smallvec;

use crate::backend::dispatch::apply;
use crate::backend::registry;
use crate::error::{Result, bail, error};
use crate::ops::{Operation, Specs, TensorSpec};
use crate::storage::CodeLayout;
use crate::{BitNetDType, BitNetTensor};

/// A dense weight `[rows, columns]` to codes `I8` −1, 0, +1 and one scale, `F32 [rows]`, the same
/// for each row: `m = max(mean|w|, 1e-5)`, code = `w · (1/m)` rounded half to even and clamped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ternarize;

impl Operation for Ternarize {
    fn name(&self) -> &'static str {
        "ternarize"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let weight = inputs[0];
        if !matches!(weight.dtype(), BitNetDType::F32 | BitNetDType::BF16 | BitNetDType::F16) {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32, f16 or bf16");
        }
        let &[rows, _] = &**weight.shape() else {
            bail!(ShapeMismatch, self.name(), inputs, "takes a matrix");
        };
        Ok(smallvec![
            TensorSpec::new(weight.shape(), BitNetDType::I8),
            TensorSpec::new([rows], BitNetDType::F32),
        ])
    }
}

/// # Ternary weights
impl BitNetTensor {
    /// This dense matrix `[rows, columns]` as a ternary weight (absmean, one scale for all). Other
    /// scales: [`quantize`](Self::quantize), then [`to_weight`](crate::Quantized::to_weight), whose mean
    /// is summed in `f64` (here in `f32`: the last bit of the scale may differ).
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let w = BitNetTensor::from_vec(vec![0.9f32, -0.1, 0.0, -1.0], [2, 2])?;
    /// let t = w.ternarize()?; // mean |w| = 0.5
    /// assert_eq!(t.to_dtype(BitNetDType::F32)?.to_vec::<f32>()?, [0.5, 0.0, 0.0, -0.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch`, `ShapeMismatch`; `ComputationError` when a weight is NaN or infinite.
    pub fn ternarize(&self) -> Result<Self> {
        let outputs = apply(Ternarize, &[self])?;
        let &[rows, columns] = &**self.shape() else {
            bail!(ShapeMismatch, "ternarize", &[self], "takes a matrix");
        };
        match <[BitNetTensor; 2]>::try_from(outputs.into_vec()) {
            Ok([codes, scales]) => {
                Self::packed_from_parts(CodeLayout::Bytes, codes, scales, [rows, columns])
            }
            Err(_) => Err(error!(InternalError, "ternarize", &[], "there are not two outputs")),
        }
    }

    /// The ternary weights, `Int6` weights or weights of one block format `parts`, of equal columns, one below the
    /// other, in the layout that the kernels of their device want. Done once, when a model is
    /// loaded.
    ///
    /// Block formats of ternary codes whose blocks all have the scale of their row become
    /// `Ternary`: their products are sums of integers, the same in every format.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let query = BitNetTensor::full([4, 8], 0.5f32)?.ternarize()?;
    /// let key = BitNetTensor::full([2, 8], -0.5f32)?.ternarize()?;
    /// let both = BitNetTensor::prepare_weight(&[&query, &key])?;
    /// assert_eq!(both.shape()[..], [6, 8]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` for none, `DTypeMismatch` for dense weights and for different block formats,
    /// `ShapeMismatch`, `DeviceMismatch`; `ComputationError` when a code stands for no weight.
    pub fn prepare_weight(parts: &[&Self]) -> Result<Self> {
        const NAME: &str = "prepare_weight";
        let Some(first) = parts.first() else {
            bail!(InvalidTensor, NAME, parts, "there is nothing to prepare");
        };
        if parts.iter().any(|part| !part.dtype().is_packed()) {
            bail!(DTypeMismatch, NAME, parts, "takes ternary, int6 and block weights");
        }
        if parts.iter().any(|part| part.rank() != 2) {
            bail!(ShapeMismatch, NAME, parts, "takes matrices");
        }
        if parts.len() > 1 && parts.iter().any(|part| part.grouped_parts().is_some()) {
            bail!(UnsupportedOperation, NAME, parts, "prepared block weights are not joined");
        }
        if parts.iter().any(|part| part.device() != first.device()) {
            bail!(DeviceMismatch, NAME, parts, "the weights are on different devices");
        }
        if parts.iter().any(|part| part.shape()[1] != first.shape()[1]) {
            bail!(ShapeMismatch, NAME, parts, "the weights have different numbers of columns");
        }
        registry::entry(first.device())?.prepare_weight(parts)
    }
}
