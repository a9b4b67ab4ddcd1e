//! The keys and values of the tokens read so far.
//!
//! The cache owns its storage alone and is written in place; attention borrows it. Nothing is
//! copied when a token is added.

use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};

/// Keys and values of every layer, for `batch` sequences of up to `capacity` tokens.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    capacity: usize,
}

/// Keys and values of one layer, each `F32 [batch, capacity, kv_heads, head_dim]`.
#[derive(Debug)]
pub struct LayerCache {
    keys: BitNetTensor,
    values: BitNetTensor,
}

impl KvCache {
    /// An empty cache. Its memory is touched as tokens are written.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new(
        layers: usize,
        [batch, capacity, kv_heads, head_dim]: [usize; 4],
        device: Device,
    ) -> Result<Self> {
        let layers = (0..layers)
            .map(|_| LayerCache::new([batch, capacity, kv_heads, head_dim], device))
            .collect::<Result<_>>()?;
        Ok(Self { layers, capacity })
    }

    /// The most tokens of a sequence.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The layers, for the forward pass.
    pub fn layers_mut(&mut self) -> &mut [LayerCache] {
        &mut self.layers
    }
}

impl LayerCache {
    /// An empty cache of one layer: `[batch, capacity, kv_heads, head_dim]`.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new([batch, capacity, kv_heads, head_dim]: [usize; 4], device: Device) -> Result<Self> {
        // In memory each head's tokens follow each other: attention reads them in a stream.
        let buffer = || {
            let heads_first = [batch, kv_heads, capacity, head_dim];
            BitNetTensor::empty(heads_first, BitNetDType::F32, device)?.permute(&[0, 2, 1, 3])
        };
        Ok(Self { keys: buffer()?, values: buffer()? })
    }

    /// Writes keys and values `[batch, tokens, kv_heads, head_dim]` at `positions [batch, tokens]`.
    ///
    /// # Errors
    /// `ComputationError` for a position outside of the capacity.
    pub fn write(
        &mut self,
        positions: &BitNetTensor,
        keys: &BitNetTensor,
        values: &BitNetTensor,
    ) -> Result<()> {
        self.keys.write_rows(positions, keys)?;
        self.values.write_rows(positions, values)
    }

    /// All keys.
    pub fn keys(&self) -> &BitNetTensor {
        &self.keys
    }

    /// All values.
    pub fn values(&self) -> &BitNetTensor {
        &self.values
    }
}
