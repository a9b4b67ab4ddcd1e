//! The output head: from the last hidden state to a logit per token of the vocabulary.
//!
//! It is as large as the embedding, two fifths of the bytes that a token of a 2B model reads, so it is
//! quantized, with a scale per row.

use std::fmt;
use std::str::FromStr;

use bitnet_kernels::tiled::{TileEncoding, TiledLayout};
use bitnet_nn::{Linear, RmsNorm};
use bitnet_tensor::{
    BitNetDType, BitNetTensor, CodeLayout, Device, Granularity, QuantizationScheme, Result,
};

/// How an output head of floats is computed. One in blocks (`Q8_0`, `Q6_K`, …) has few bits already:
/// it is taken as it is, with activations of 16 bits, as the layers' blocks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HeadPrecision {
    /// With the weights as the file has them.
    Exact,
    /// With weights and activations of 8 bits.
    Int8,
    /// With activations of 8 bits and weights of 6.
    #[default]
    Int6,
}

impl HeadPrecision {
    /// Bytes that the float weights `[vocabulary, hidden]` of a file take beside the file.
    pub fn byte_size(self, vocabulary: usize, hidden: usize) -> u64 {
        let codes = match self {
            Self::Exact => return 0,
            Self::Int8 => Some(vocabulary.saturating_mul(hidden)),
            Self::Int6 => TiledLayout::new(TileEncoding::SixBit, vocabulary, hidden)
                .ok()
                .map(TiledLayout::byte_len),
        };
        let scales = vocabulary.saturating_mul(size_of::<f32>());
        codes.unwrap_or(usize::MAX).saturating_add(scales) as u64
    }
}

impl FromStr for HeadPrecision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exact" => Ok(Self::Exact),
            "int8" => Ok(Self::Int8),
            "int6" => Ok(Self::Int6),
            other => Err(format!("{other} is none of exact, int8 and int6")),
        }
    }
}

impl fmt::Display for HeadPrecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exact => "exact",
            Self::Int8 => "int8",
            Self::Int6 => "int6",
        })
    }
}

/// The output head's weights `[vocabulary, hidden]`.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one")]
pub(super) enum OutputHead {
    Exact(Linear),
    /// `Int6 [vocabulary, hidden]`.
    Int6(BitNetTensor),
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
            _ if weight.dtype().is_packed() => {
                let prepared = BitNetTensor::prepare_weight(&[&weight])?;
                Ok(Self::Exact(Linear::new(vec![prepared])))
            }
            HeadPrecision::Exact => Ok(Self::Exact(Linear::new(vec![weight]))),
            HeadPrecision::Int8 => {
                let (codes, scales) = quantize_rows(&weight, 8)?;
                let device = weight.device();
                Ok(Self::Int8 {
                    codes: codes.to_device(device)?,
                    scales: scales.to_device(device)?,
                })
            }
            HeadPrecision::Int6 => {
                let shape = [weight.shape()[0], weight.shape()[1]];
                let (codes, scales) = quantize_rows(&weight, 6)?;
                let weight6 =
                    BitNetTensor::packed_from_parts(CodeLayout::Int6Bytes, codes, scales, shape)?;
                let weight6 = weight6.to_device(weight.device())?;
                Ok(Self::Int6(BitNetTensor::prepare_weight(&[&weight6])?))
            }
        }
    }

    pub(super) fn forward(&self, norm: &RmsNorm, x: &BitNetTensor) -> Result<BitNetTensor> {
        match self {
            Self::Exact(linear) => linear.forward(&norm.forward(x)?),
            Self::Int6(weight) => norm.forward_quantized(x)?.linear(weight),
            Self::Int8 { codes, scales } => norm.forward_quantized(x)?.linear_int8(codes, scales),
        }
    }

    pub(super) fn byte_size(&self) -> usize {
        match self {
            Self::Exact(linear) => linear.weights().iter().map(BitNetTensor::byte_size).sum(),
            Self::Int6(weight) => weight.byte_size(),
            Self::Int8 { codes, scales } => codes.byte_size() + scales.byte_size(),
        }
    }
}

/// A weight's rows as codes of so many bits, `I8 [vocabulary, hidden]`, and the scale of each: its
/// largest magnitude gets the largest code.
fn quantize_rows(weight: &BitNetTensor, bits: u32) -> Result<(BitNetTensor, BitNetTensor)> {
    let (rows, features) = (weight.shape()[0], weight.shape()[1]);
    let weight = weight.to_device(Device::CPU)?;
    let mut codes = BitNetTensor::empty([rows, features], BitNetDType::I8, Device::CPU)?;
    let mut scales = BitNetTensor::empty([rows], BitNetDType::F32, Device::CPU)?;
    for start in (0..rows).step_by(ROWS_AT_ONCE) {
        let count = ROWS_AT_ONCE.min(rows - start);
        let part = weight.narrow(0, start, count)?.to_dtype(BitNetDType::F32)?;
        let part = part.quantize(QuantizationScheme::Symmetric { bits }, Granularity::Row)?;
        codes.try_mut::<i8>()?[start * features..][..count * features]
            .copy_from_slice(part.codes().contiguous()?.as_slice()?);
        scales.try_mut::<f32>()?[start..][..count].copy_from_slice(part.scales().as_slice()?);
    }
    Ok((codes, scales))
}
