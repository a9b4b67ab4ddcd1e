//! Rotary position embedding with its tables.

use bitnet_kernels::rope;
use bitnet_tensor::ops::RopeMode;
use bitnet_tensor::{BitNetTensor, Device, Result};

/// Cosines and sines for each position and frequency.
#[derive(Debug, Clone)]
pub struct RotaryEmbedding {
    cos: BitNetTensor,
    sin: BitNetTensor,
    mode: RopeMode,
}

impl RotaryEmbedding {
    /// Tables for `positions` positions with the frequencies `inverse_frequencies`, one per pair
    /// of a head's elements.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new(
        inverse_frequencies: &[f32],
        positions: usize,
        mode: RopeMode,
        device: Device,
    ) -> Result<Self> {
        let (cos, sin) = rope::tables(inverse_frequencies, positions);
        let shape = [positions, inverse_frequencies.len()];
        let table = |values: Vec<f32>| BitNetTensor::from_vec(values, shape)?.to_device(device);
        Ok(Self { cos: table(cos)?, sin: table(sin)?, mode })
    }

    /// Rotates `F32 [batch, tokens, heads, head_dim]` by `positions U32 [batch, tokens]`.
    ///
    /// # Errors
    /// `ComputationError` for a position outside of the tables.
    pub fn forward(&self, x: &BitNetTensor, positions: &BitNetTensor) -> Result<BitNetTensor> {
        x.rope(&self.cos, &self.sin, positions, self.mode)
    }

    /// [`forward`](Self::forward) into `out`: into its storage where it fits, else it is replaced.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_out(
        &self,
        x: &BitNetTensor,
        positions: &BitNetTensor,
        out: &mut BitNetTensor,
    ) -> Result<()> {
        x.rope_out(&self.cos, &self.sin, positions, self.mode, out)
    }
}
