//! Root mean square normalisation.

use bitnet_tensor::{BitNetDType, BitNetTensor, QuantizedActivation, Result};

/// `x / √(mean(x²) + eps) · weight` along the last axis.
#[derive(Debug, Clone)]
pub struct RmsNorm {
    weight: BitNetTensor,
    eps: f32,
}

impl RmsNorm {
    /// With `weight [features]` of any float type.
    ///
    /// # Errors
    /// When the weight cannot be converted to `F32`.
    pub fn new(weight: &BitNetTensor, eps: f32) -> Result<Self> {
        Ok(Self { weight: weight.to_dtype(BitNetDType::F32)?, eps })
    }

    /// `F32 [.., features]` to the same.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn forward(&self, x: &BitNetTensor) -> Result<BitNetTensor> {
        x.rms_norm(&self.weight, self.eps)
    }

    /// [`forward`](Self::forward), then quantization to int8: the input of ternary and int8
    /// layers.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn forward_quantized(&self, x: &BitNetTensor) -> Result<QuantizedActivation> {
        x.rms_norm_quantize(&self.weight, self.eps)
    }

    /// [`forward`](Self::forward) into `out`: into its storage where it fits, else it is replaced.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_out(&self, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
        x.rms_norm_out(&self.weight, self.eps, out)
    }

    /// [`forward_quantized`](Self::forward_quantized) into `out`: into its storage where it fits,
    /// else it is replaced.
    ///
    /// # Errors
    /// As [`forward_quantized`](Self::forward_quantized).
    pub fn forward_quantized_out(
        &self,
        x: &BitNetTensor,
        out: &mut QuantizedActivation,
    ) -> Result<()> {
        x.rms_norm_quantize_out(&self.weight, self.eps, out)
    }
}
