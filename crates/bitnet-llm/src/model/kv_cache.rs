//! The keys and values of the tokens read so far.
//!
//! The cache owns its storage alone and is written in place; attention borrows it. Nothing is
//! copied when a token is added, but where there is no room left: then the room is doubled. So
//! memory, and the time in which the system zeroes it, are in proportion to what is used, where a
//! model's whole context can be hundreds of megabytes.

use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};

/// Keys and values of every layer, for `batch` sequences of up to `capacity` tokens.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    /// The most tokens that there may be room for.
    capacity: usize,
}

/// The tokens that there is room for at first.
const FIRST_ROOM: usize = 256;

/// Keys and values of one layer, each `F32 [batch, room, kv_heads, head_dim]`.
#[derive(Debug)]
pub struct LayerCache {
    keys: BitNetTensor,
    values: BitNetTensor,
}

impl KvCache {
    /// An empty cache, with room for the first 256 tokens.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new(
        layers: usize,
        [batch, capacity, kv_heads, head_dim]: [usize; 4],
        device: Device,
    ) -> Result<Self> {
        let layers = (0..layers)
            .map(|_| {
                let room = capacity.min(FIRST_ROOM);
                LayerCache::new([batch, room, kv_heads, head_dim], device)
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers, capacity })
    }

    /// Makes room for `tokens` tokens, or as many as the capacity allows. What is in the cache stays.
    ///
    /// # Errors
    /// When memory cannot be had: the cache is as good as before then.
    pub fn reserve(&mut self, tokens: usize) -> Result<()> {
        let doubled = tokens.checked_next_power_of_two().unwrap_or(tokens);
        let (least, room) = (tokens.min(self.capacity), doubled.min(self.capacity));
        // Layer by layer: what one gives up serves the next.
        for layer in self.layers.iter_mut().filter(|layer| layer.room() < least) {
            layer.grow(room)?;
        }
        Ok(())
    }

    /// How many sequences it is for.
    pub fn sequences(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.keys.shape()[0])
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
    /// An empty cache of one layer: `[batch, room, kv_heads, head_dim]`.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new(shape: [usize; 4], device: Device) -> Result<Self> {
        Ok(Self { keys: empty(shape, device)?, values: empty(shape, device)? })
    }

    /// The tokens that there is room for.
    pub fn room(&self) -> usize {
        self.keys.shape()[1]
    }

    /// The same keys and values with room for `room` tokens.
    fn grow(&mut self, room: usize) -> Result<()> {
        let grown = |rows: &BitNetTensor| {
            let (shape, device) = (rows.shape(), rows.device());
            let mut grown = empty([shape[0], room, shape[2], shape[3]], device)?;
            let positions = BitNetTensor::arange(0..shape[1] as u32)?.to_device(device)?;
            grown.write_rows(&positions.expand([shape[0], shape[1]])?, rows)?;
            Ok(grown)
        };
        // Both or neither.
        (self.keys, self.values) = (grown(&self.keys)?, grown(&self.values)?);
        Ok(())
    }

    /// Writes keys and values `[batch, tokens, kv_heads, head_dim]` at `positions [batch, tokens]`.
    ///
    /// # Errors
    /// `ComputationError` for a position that there is no room for.
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

/// `F32 [batch, room, kv_heads, head_dim]`. In memory each head's tokens follow each other: attention
/// reads them in a stream.
fn empty([batch, room, kv_heads, head_dim]: [usize; 4], device: Device) -> Result<BitNetTensor> {
    let heads_first = [batch, kv_heads, room, head_dim];
    BitNetTensor::empty(heads_first, BitNetDType::F32, device)?.permute(&[0, 2, 1, 3])
}
