//! Root mean square normalisation, alone and followed by quantization.

use smallvec::smallvec;

use crate::backend::dispatch::{apply, apply_one, apply_out, composed};
use crate::error::{Result, bail};
use crate::ops::quantization::{quantized_outputs, quantized_specs};
use crate::ops::{
    Derivative, OperandGradients, Operation, Outputs, QuantizeActivation, QuantizedActivation,
    Specs, TensorSpec,
};
use crate::{BitNetDType, BitNetTensor};

/// `x / √(mean(x²) + eps) · weight` along the last axis (Zhang and Sennrich 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsNorm {
    /// Added to the mean square.
    pub eps: f32,
}

impl Operation for RmsNorm {
    fn name(&self) -> &'static str {
        "rms_norm"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        check_norm(self.name(), inputs)?;
        Ok(smallvec![TensorSpec::new(inputs[0].shape(), BitNetDType::F32)])
    }

    fn decompose(&self, inputs: &[&BitNetTensor]) -> Option<Result<Outputs>> {
        Some(rms_norm_of_parts(inputs[0], inputs[1], self.eps.into()).map(|y| smallvec![y]))
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        // With r = (mean(x²)+eps)^(-1/2) and g = dy·weight: dx = r·(g − x·r²·mean(g·x)).
        let (x, weight, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        let r = inverse_rms(x, self.eps.into())?;
        let g = dy.mul(weight)?;
        let mean = g.mul(x)?.mean(&[-1], true)?;
        let dx = g.sub(&x.mul(&r.square()?)?.mul(&mean)?)?.mul(&r)?;
        let dw = dy.mul(&x.mul(&r)?)?.sum_to(weight.shape())?;
        Ok(smallvec![Some(dx), Some(dw)])
    }
}

fn inverse_rms(x: &BitNetTensor, eps: f64) -> Result<BitNetTensor> {
    x.square()?.mean(&[-1], true)?.add(eps)?.rsqrt()
}

fn rms_norm_of_parts(x: &BitNetTensor, weight: &BitNetTensor, eps: f64) -> Result<BitNetTensor> {
    x.mul(&inverse_rms(x, eps)?)?.mul(weight)
}

/// [`RmsNorm`], then quantization of each row to int8: what every ternary layer starts with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RmsNormQuantize {
    /// Added to the mean square.
    pub eps: f32,
}

impl Operation for RmsNormQuantize {
    fn name(&self) -> &'static str {
        "rms_norm_quantize"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        check_norm(self.name(), inputs)?;
        quantized_specs(self.name(), inputs)
    }

    fn decompose(&self, inputs: &[&BitNetTensor]) -> Option<Result<Outputs>> {
        let normed = inputs[0].rms_norm(inputs[1], self.eps);
        Some(normed.and_then(|x| apply(QuantizeActivation, &[&x])))
    }
}

fn check_norm(name: &'static str, inputs: &[&BitNetTensor]) -> Result<()> {
    let (x, weight) = (inputs[0], inputs[1]);
    if x.dtype() != BitNetDType::F32 || weight.dtype() != BitNetDType::F32 {
        bail!(DTypeMismatch, name, inputs, "takes f32");
    }
    check_features(name, inputs)
}

fn check_features(name: &'static str, inputs: &[&BitNetTensor]) -> Result<()> {
    let (x, weight) = (inputs[0], inputs[1]);
    match x.shape().last() {
        Some(&features) if *weight.shape() == [features] => Ok(()),
        _ => bail!(ShapeMismatch, name, inputs, "takes [.., features] and a weight [features]"),
    }
}

/// # Normalisation
impl BitNetTensor {
    /// `x / √(mean(x²) + eps) · weight` along the last axis, for floats `[.., features]` and
    /// `[features]`; the result has the type of this tensor.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![3.0f32, -3.0])?;
    /// assert_eq!(x.rms_norm(&x.ones_like()?, 0.0)?.to_vec::<f32>()?, [1.0, -1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn rms_norm(&self, weight: &Self, eps: impl Into<f64>) -> Result<Self> {
        let wide_eps = eps.into();
        let eps = wide_eps as f32;
        let both_f32 = self.dtype() == BitNetDType::F32 && weight.dtype() == BitNetDType::F32;
        if both_f32 || !self.dtype().is_float() || !weight.dtype().is_float() {
            return apply_one(RmsNorm { eps }, &[self, weight]);
        }
        composed("rms_norm", &[self, weight], || {
            check_features("rms_norm", &[self, weight])?;
            if self.dtype() == BitNetDType::F64 {
                return rms_norm_of_parts(self, &weight.to_dtype(BitNetDType::F64)?, wide_eps);
            }
            let (x, weight) =
                (self.to_dtype(BitNetDType::F32)?, weight.to_dtype(BitNetDType::F32)?);
            apply_one(RmsNorm { eps }, &[&x, &weight])?.to_dtype(self.dtype())
        })
    }

    /// [`rms_norm`](Self::rms_norm), then [`quantize_activation`](Self::quantize_activation), in
    /// one pass; the result is the same bit for bit.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![3.0f32, -3.0], [1, 2])?;
    /// let q = x.rms_norm_quantize(&BitNetTensor::full([2], 1.0f32)?, 1e-5)?;
    /// assert_eq!(q.codes().to_vec::<i8>()?[..2], [127, -127]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn rms_norm_quantize(&self, weight: &Self, eps: f32) -> Result<QuantizedActivation> {
        let features = self.shape().last().copied().unwrap_or(0);
        quantized_outputs(apply(RmsNormQuantize { eps }, &[self, weight])?, features)
    }

    /// [`rms_norm`](Self::rms_norm) into `out`: into its storage where it fits, else it is
    /// replaced.
    ///
    /// # Errors
    /// As [`rms_norm`](Self::rms_norm).
    pub fn rms_norm_out(&self, weight: &Self, eps: f32, out: &mut Self) -> Result<()> {
        apply_out(RmsNorm { eps }, &[self, weight], std::slice::from_mut(out))
    }

    /// [`rms_norm_quantize`](Self::rms_norm_quantize) into `out`: into its storage where it fits,
    /// else it is replaced.
    ///
    /// # Errors
    /// As [`rms_norm_quantize`](Self::rms_norm_quantize).
    pub fn rms_norm_quantize_out(
        &self,
        weight: &Self,
        eps: f32,
        out: &mut QuantizedActivation,
    ) -> Result<()> {
        let features = self.shape().last().copied().unwrap_or(0);
        out.write(RmsNormQuantize { eps }, &[self, weight], features)
    }
}
