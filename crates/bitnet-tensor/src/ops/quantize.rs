//! Quantization of activations to int8 and of weights to −1, 0, +1 (W1.58A8), as BitNet b1.58
//! defines it (Ma et al. 2024, "The Era of 1-bit LLMs").

use smallvec::smallvec;

use super::{LinearInt8, Operation, Outputs, Specs, TensorSpec, TernaryLinear};
use crate::backend::dispatch::{apply, apply_one};
use crate::backend::registry;
use crate::error::{Result, bail, error};
use crate::storage::TernaryLayout;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// The length of a row of activation codes for `features` values: rounded up to what the
/// kernels read at once, and filled with zeros.
pub fn padded_features(features: usize) -> usize {
    features.next_multiple_of(bitnet_kernels::QUANTIZED_ROW_ALIGN)
}

/// Each row of `F32 [.., features]` to int8: with `s = 127 / max(absmax, 1e-5)`, codes are
/// `x·s` rounded half to even and clamped to [−128, 127]. Outputs: codes `I8 [.., padded]`, scales
/// `F32 [..]` (value = code × scale), sums of codes `I32 [..]`. A row with a
/// NaN or an infinity has the scale NaN.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantizeActivation;

impl Operation for QuantizeActivation {
    fn name(&self) -> &'static str {
        "quantize_activation"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        if inputs[0].dtype() != BitNetDType::F32 {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32");
        }
        quantized_specs(self.name(), inputs)
    }
}

pub(super) fn quantized_specs(name: &'static str, inputs: &[&BitNetTensor]) -> Result<Specs> {
    let Some((&features, leading)) = inputs[0].shape().split_last() else {
        bail!(ShapeMismatch, name, inputs, "a scalar has no rows");
    };
    // With more, a sum of codes of −128 could overflow an i32.
    if features >= 1 << 24 {
        bail!(ShapeMismatch, name, inputs, "the sum of {features} codes may overflow an i32");
    }
    let codes: TensorShape = leading.iter().copied().chain([padded_features(features)]).collect();
    Ok(smallvec![
        TensorSpec::new(codes, BitNetDType::I8),
        TensorSpec::new(leading, BitNetDType::F32),
        TensorSpec::new(leading, BitNetDType::I32),
    ])
}

pub(super) fn quantized_outputs(outputs: Outputs, features: usize) -> Result<QuantizedActivation> {
    match <[BitNetTensor; 3]>::try_from(outputs.into_vec()) {
        Ok([codes, scales, sums]) => Ok(QuantizedActivation { codes, scales, sums, features }),
        Err(_) => {
            Err(error!(InternalError, "quantize_activation", &[], "there are not three outputs"))
        }
    }
}

/// Activations as int8 codes with one scale per row.
///
/// A type of its own, so that normalisation and quantization happen once for all the weights
/// that read the same activation.
#[derive(Debug, Clone)]
pub struct QuantizedActivation {
    codes: BitNetTensor,
    scales: BitNetTensor,
    sums: BitNetTensor,
    features: usize,
}

impl QuantizedActivation {
    /// The codes, `I8 [.., padded]`; see [`padded_features`].
    pub fn codes(&self) -> &BitNetTensor {
        &self.codes
    }

    /// The scale of each row, `F32 [..]`: value = code × scale.
    pub fn scales(&self) -> &BitNetTensor {
        &self.scales
    }

    /// The sum of the codes of each row, `I32 [..]`.
    pub fn sums(&self) -> &BitNetTensor {
        &self.sums
    }

    /// The number of values in a row.
    pub fn features(&self) -> usize {
        self.features
    }

    /// `self · weightᵀ` for a ternary weight `[out, in]`: `F32 [.., out]`. The products are
    /// summed exactly, in integers.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn linear(&self, weight: &BitNetTensor) -> Result<BitNetTensor> {
        let op = TernaryLinear { features: self.features };
        apply_one(op, &[&self.codes, &self.scales, &self.sums, weight])
    }

    /// `self · weightᵀ` for `I8 [out, in]` with a scale per row, `F32 [out]`: `F32 [.., out]`.
    /// The products are summed exactly, in integers.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn linear_int8(
        &self,
        weight: &BitNetTensor,
        weight_scales: &BitNetTensor,
    ) -> Result<BitNetTensor> {
        let op = LinearInt8 { features: self.features };
        apply_one(op, &[&self.codes, &self.scales, &self.sums, weight, weight_scales])
    }
}

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

/// # Quantization
impl BitNetTensor {
    /// Each row to int8 with a scale, as the input of ternary and int8 layers.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.5f32, -1.0, 0.25], [1, 3])?;
    /// let q = x.quantize_activation()?;
    /// assert_eq!(q.codes().to_vec::<i8>()?[..3], [64, -127, 32]); // 63.5 rounds to even
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless `F32`; `ShapeMismatch` for a scalar, and from 2²⁴ features on, whose
    /// sum of codes could overflow.
    pub fn quantize_activation(&self) -> Result<QuantizedActivation> {
        let features = self.shape().last().copied().unwrap_or(0);
        quantized_outputs(apply(QuantizeActivation, &[self])?, features)
    }

    /// This dense matrix `[rows, columns]` as a ternary weight (absmean, one scale for all).
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
                Self::ternary_from_parts(TernaryLayout::Bytes, codes, scales, [rows, columns])
            }
            Err(_) => Err(error!(InternalError, "ternarize", &[], "there are not two outputs")),
        }
    }

    /// The ternary weights `parts`, of equal columns, one below the other, in the layout that
    /// the kernels of their device want. Done once, when a model is loaded.
    ///
    /// # Errors
    /// `InvalidTensor` for none, `DTypeMismatch`, `ShapeMismatch`, `DeviceMismatch`;
    /// `ComputationError` when a code is none of −1, 0 and 1.
    pub fn prepare_weight(parts: &[&Self]) -> Result<Self> {
        const NAME: &str = "prepare_weight";
        let Some(first) = parts.first() else {
            bail!(InvalidTensor, NAME, parts, "there is nothing to prepare");
        };
        if parts.iter().any(|part| part.dtype() != BitNetDType::Ternary) {
            bail!(DTypeMismatch, NAME, parts, "takes ternary weights");
        }
        if parts.iter().any(|part| part.device() != first.device()) {
            bail!(DeviceMismatch, NAME, parts, "the weights are on different devices");
        }
        if parts.iter().any(|part| part.shape()[1] != first.shape()[1]) {
            bail!(ShapeMismatch, NAME, parts, "the weights have different numbers of columns");
        }
        registry::backend(first.device())?.prepare_weight(parts)
    }
}
