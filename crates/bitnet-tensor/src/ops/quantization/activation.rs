//! Quantization of activations to int8 with a scale per row (W1.58A8), as BitNet b1.58 defines it
//! (Ma et al. 2024, "The Era of 1-bit LLMs").

use smallvec::smallvec;

use crate::backend::dispatch::{apply, apply_one, apply_out};
use crate::error::{Result, bail, error};
use crate::ops::{LinearInt8, Op, Operation, Outputs, PackedLinear, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor, Device, TensorShape};

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

pub(crate) fn quantized_specs(name: &'static str, inputs: &[&BitNetTensor]) -> Result<Specs> {
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

pub(crate) fn quantized_outputs(outputs: Outputs, features: usize) -> Result<QuantizedActivation> {
    match <[BitNetTensor; 3]>::try_from(outputs.into_vec()) {
        Ok(parts) => Ok(QuantizedActivation { parts, features }),
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
    /// Codes, scales and sums, as the operation returns them.
    parts: [BitNetTensor; 3],
    features: usize,
}

impl QuantizedActivation {
    /// The codes, `I8 [.., padded]`; see [`padded_features`].
    pub fn codes(&self) -> &BitNetTensor {
        &self.parts[0]
    }

    /// The scale of each row, `F32 [..]`: value = code × scale.
    pub fn scales(&self) -> &BitNetTensor {
        &self.parts[1]
    }

    /// The sum of the codes of each row, `I32 [..]`.
    pub fn sums(&self) -> &BitNetTensor {
        &self.parts[2]
    }

    /// The number of values in a row.
    pub fn features(&self) -> usize {
        self.features
    }

    /// `self · weightᵀ` for a ternary or 6-bit weight `[out, in]`: `F32 [.., out]`. The products are
    /// summed exactly, in integers.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![2.0f32, -1.0], [1, 2])?;
    /// let weight = BitNetTensor::from_vec(vec![1.0f32, -1.0, 0.0, 1.0], [2, 2])?.ternarize()?;
    /// let weight = BitNetTensor::prepare_weight(&[&weight])?;
    /// let y = x.quantize_activation()?.linear(&weight)?;
    /// assert_eq!(y.shape()[..], [1, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn linear(&self, weight: &BitNetTensor) -> Result<BitNetTensor> {
        let [codes, scales, sums] = &self.parts;
        apply_one(PackedLinear { features: self.features }, &[codes, scales, sums, weight])
    }

    /// [`linear`](Self::linear) into `out`: into its storage where it fits, else it is replaced.
    ///
    /// # Errors
    /// As [`linear`](Self::linear).
    pub fn linear_out(&self, weight: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
        let [codes, scales, sums] = &self.parts;
        let op = PackedLinear { features: self.features };
        apply_out(op, &[codes, scales, sums, weight], std::slice::from_mut(out))
    }

    /// `self · weightᵀ` for `I8 [out, in]` with a scale per row, `F32 [out]`: `F32 [.., out]`.
    /// The products are summed exactly, in integers.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![127.0f32, -127.0], [1, 2])?.quantize_activation()?;
    /// let weight = BitNetTensor::from_vec(vec![3i8, 1], [1, 2])?;
    /// let y = x.linear_int8(&weight, &BitNetTensor::try_from(vec![0.5f32])?)?;
    /// assert_eq!(y.to_vec::<f32>()?, [127.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn linear_int8(
        &self,
        weight: &BitNetTensor,
        weight_scales: &BitNetTensor,
    ) -> Result<BitNetTensor> {
        let [codes, scales, sums] = &self.parts;
        let op = LinearInt8 { features: self.features };
        apply_one(op, &[codes, scales, sums, weight, weight_scales])
    }

    /// An activation without rows on `device`, for the forms that write into one they are given.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Device, QuantizedActivation};
    /// let mut kept = QuantizedActivation::empty(Device::CPU)?;
    /// BitNetTensor::full([1, 2], 3.0f32)?.quantize_activation_out(&mut kept)?;
    /// assert_eq!(kept.codes().to_vec::<i8>()?[..2], [127, 127]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn empty(device: Device) -> Result<Self> {
        let part = |dtype| BitNetTensor::empty([0], dtype, device);
        let parts = [part(BitNetDType::I8)?, part(BitNetDType::F32)?, part(BitNetDType::I32)?];
        Ok(Self { parts, features: 0 })
    }

    /// Replaces this by the results of `op`, in its storage where it fits.
    pub(crate) fn write(
        &mut self,
        op: impl Into<Op>,
        inputs: &[&BitNetTensor],
        features: usize,
    ) -> Result<()> {
        apply_out(op, inputs, &mut self.parts)?;
        self.features = features;
        Ok(())
    }
}

/// # Quantization of activations
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

    /// [`quantize_activation`](Self::quantize_activation) into `out`: into its storage where it
    /// fits, else it is replaced.
    ///
    /// # Errors
    /// As [`quantize_activation`](Self::quantize_activation).
    pub fn quantize_activation_out(&self, out: &mut QuantizedActivation) -> Result<()> {
        let features = self.shape().last().copied().unwrap_or(0);
        out.write(QuantizeActivation, &[self], features)
    }
}
