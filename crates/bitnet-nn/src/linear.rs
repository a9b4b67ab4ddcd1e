//! Linear layers, dense and ternary.

use bitnet_tensor::{BitNetDType, BitNetTensor, Device, QuantizedActivation, Result};

use crate::RmsNorm;

/// A dense linear layer: one or more weights that read the same input, their outputs side by
/// side. The weights stay where they are; a mapped file is used in place.
#[derive(Debug, Clone)]
pub struct Linear {
    weights: Vec<BitNetTensor>,
}

impl Linear {
    /// With `weights [out, in]` of any float types.
    pub fn new(weights: Vec<BitNetTensor>) -> Self {
        Self { weights }
    }

    /// `F32 [.., in]` to `F32 [.., sum of outs]`.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn forward(&self, x: &BitNetTensor) -> Result<BitNetTensor> {
        let outputs: Vec<BitNetTensor> =
            self.weights.iter().map(|weight| x.linear(weight)).collect::<Result<_>>()?;
        match outputs.as_slice() {
            [output] => Ok(output.clone()),
            outputs => BitNetTensor::cat(&outputs.iter().collect::<Vec<_>>(), -1),
        }
    }

    /// [`forward`](Self::forward) into `out`: into its storage where it fits, else it is replaced.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_out(&self, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
        match self.weights.as_slice() {
            [weight] => x.linear_out(weight, out),
            _ => {
                *out = self.forward(x)?;
                Ok(())
            }
        }
    }

    /// The weights, one below the other in the output.
    pub fn weights(&self) -> &[BitNetTensor] {
        &self.weights
    }
}

/// A linear layer with ternary weights and int8 activations (W1.58A8).
///
/// ```
/// use bitnet_nn::BitLinear;
/// use bitnet_tensor::BitNetTensor;
/// let weight = BitNetTensor::from_vec(vec![1.0f32, -1.0, 0.0, 1.0], [2, 2])?.ternarize()?;
/// let layer = BitLinear::new(&[&weight])?;
/// let y = layer.forward(&BitNetTensor::from_vec(vec![2.0f32, 1.0], [1, 2])?)?;
/// assert_eq!(*y.shape(), [1, 2]);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Debug, Clone)]
pub struct BitLinear {
    weight: BitNetTensor,
}

impl BitLinear {
    /// The ternary weights `parts [out, in]` as one layer, their outputs side by side.
    ///
    /// # Errors
    /// As [`BitNetTensor::prepare_weight`].
    pub fn new(parts: &[&BitNetTensor]) -> Result<Self> {
        Ok(Self { weight: BitNetTensor::prepare_weight(parts)? })
    }

    /// The prepared weight `[out, in]`.
    pub fn weight(&self) -> &BitNetTensor {
        &self.weight
    }

    /// Quantizes `F32 [.., in]` and multiplies: `F32 [.., out]`.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn forward(&self, x: &BitNetTensor) -> Result<BitNetTensor> {
        self.forward_quantized(&x.quantize_activation()?)
    }

    /// Multiplies an activation that is quantized already.
    ///
    /// # Errors
    /// `ShapeMismatch`.
    pub fn forward_quantized(&self, x: &QuantizedActivation) -> Result<BitNetTensor> {
        x.linear(&self.weight)
    }
}

/// Where a projection leaves its result and what it computes on the way: kept from call to call,
/// so that the next call of the same shape takes no new storage.
#[derive(Debug)]
pub struct ProjectionBuffers {
    normed: BitNetTensor,
    quantized: QuantizedActivation,
    output: BitNetTensor,
}

impl ProjectionBuffers {
    /// Buffers without storage yet.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new(device: Device) -> Result<Self> {
        let empty = || BitNetTensor::empty([0], BitNetDType::F32, device);
        let quantized = QuantizedActivation::empty(device)?;
        Ok(Self { normed: empty()?, quantized, output: empty()? })
    }

    /// The result of the last projection.
    pub fn output(&self) -> &BitNetTensor {
        &self.output
    }
}

/// A linear layer of either kind.
#[derive(Debug, Clone)]
pub enum Projection {
    /// With ternary weights.
    Ternary(BitLinear),
    /// With dense weights.
    Dense(Linear),
}

impl Projection {
    /// `F32 [.., in]`, normalised first when there is a norm, to `F32 [.., out]`, left in
    /// `buffers`. A ternary projection takes the norm's result quantized, in one pass.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn forward(
        &self,
        norm: Option<&RmsNorm>,
        x: &BitNetTensor,
        buffers: &mut ProjectionBuffers,
    ) -> Result<()> {
        let ProjectionBuffers { normed, quantized, output } = buffers;
        match (self, norm) {
            (Self::Ternary(layer), norm) => {
                match norm {
                    Some(norm) => norm.forward_quantized_out(x, quantized)?,
                    None => x.quantize_activation_out(quantized)?,
                }
                quantized.linear_out(&layer.weight, output)
            }
            (Self::Dense(layer), Some(norm)) => {
                norm.forward_out(x, normed)?;
                layer.forward_out(normed, output)
            }
            (Self::Dense(layer), None) => layer.forward_out(x, output),
        }
    }

    /// Bytes of the weights.
    pub fn byte_size(&self) -> usize {
        match self {
            Self::Ternary(layer) => layer.weight.byte_size(),
            Self::Dense(layer) => layer.weights.iter().map(BitNetTensor::byte_size).sum(),
        }
    }
}
