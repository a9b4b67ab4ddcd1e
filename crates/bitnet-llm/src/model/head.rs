//! The output head: from the last hidden state to a logit per token of the vocabulary.
//!
//! It is as large as the embedding, half of the bytes that a token of a 2B model reads, so it can
//! be quantized to int8 with a scale per row.

use std::fmt;
use std::str::FromStr;

use bitnet_nn::{Linear, RmsNorm};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};

/// How the output head is computed; with it, how a model whose layers have weights in blocks takes
/// their inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadPrecision {
    /// With the weights as the file has them, and activations as floats. Weights in blocks (`Q4_0`,
    /// `Q6_K`, …), of the layers too, become floats in memory: 32 bits each.
    Exact,
    /// With activations of 8 bits, and float weights as 8 bits. Weights in blocks stay in their few
    /// bits.
    #[default]
    Int8,
}

impl FromStr for HeadPrecision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Self::Exact),
            "int8" => Ok(Self::Int8),
            other => Err(format!("{other} is neither exact nor int8")),
        }
    }
}

impl fmt::Display for HeadPrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Int8 => "int8",
        })
    }
}

/// The output head's weights `[vocabulary, hidden]`.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one")]
pub(super) enum OutputHead {
    Exact(Linear),
    Int8 {
        /// `I8 [vocabulary, hidden]`.
        codes: BitNetTensor,
        /// `F32 [vocabulary]`.
        scales: BitNetTensor,
    },
}

/// Rows that are quantized at once: bounds the memory for their `f32` form.
const ROWS_AT_ONCE: usize = 2048;

impl OutputHead {
    pub(super) fn new(weight: BitNetTensor, precision: HeadPrecision) -> Result<Self> {
        match precision {
            HeadPrecision::Exact if weight.dtype().is_packed() => {
                Ok(Self::Exact(Linear::new(vec![weight.to_dtype(BitNetDType::F32)?])))
            }
            // Codes of few bits already.
            HeadPrecision::Int8 if weight.dtype().is_packed() => {
                let prepared = BitNetTensor::prepare_weight(&[&weight])?;
                Ok(Self::Exact(Linear::new(vec![prepared])))
            }
            HeadPrecision::Exact => Ok(Self::Exact(Linear::new(vec![weight]))),
            HeadPrecision::Int8 => Self::quantized(&weight),
        }
    }

    /// Each row with the scale of its largest weight, as activations are quantized.
    fn quantized(weight: &BitNetTensor) -> Result<Self> {
        let (rows, features) = (weight.shape()[0], weight.shape()[1]);
        let device = weight.device();
        let weight = weight.to_device(Device::CPU)?;
        let mut codes = BitNetTensor::empty([rows, features], BitNetDType::I8, Device::CPU)?;
        let mut scales = BitNetTensor::empty([rows], BitNetDType::F32, Device::CPU)?;
        for start in (0..rows).step_by(ROWS_AT_ONCE) {
            let count = ROWS_AT_ONCE.min(rows - start);
            let part = weight.narrow(0, start, count)?.to_dtype(BitNetDType::F32)?;
            let part = part.quantize_activation()?;
            let part_codes = part.codes().narrow(1, 0, features)?.contiguous()?;
            codes.try_mut::<i8>()?[start * features..][..count * features]
                .copy_from_slice(part_codes.as_slice()?);
            scales.try_mut::<f32>()?[start..][..count].copy_from_slice(part.scales().as_slice()?);
        }
        Ok(Self::Int8 { codes: codes.to_device(device)?, scales: scales.to_device(device)? })
    }

    pub(super) fn forward(&self, norm: &RmsNorm, x: &BitNetTensor) -> Result<BitNetTensor> {
        match self {
            Self::Exact(linear) => linear.forward(&norm.forward(x)?),
            Self::Int8 { codes, scales } => norm.forward_quantized(x)?.linear_int8(codes, scales),
        }
    }

    pub(super) fn byte_size(&self) -> usize {
        match self {
            Self::Exact(linear) => linear.weights().iter().map(BitNetTensor::byte_size).sum(),
            Self::Int8 { codes, scales } => codes.byte_size() + scales.byte_size(),
        }
    }
}
