//! What a forward pass computes on its way, kept from pass to pass: the second of two passes over
//! equally many tokens takes no new storage in its layers, and its results lie where they lay
//! before.

use bitnet_nn::ProjectionBuffers;
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};

/// The intermediate results of a layer; all layers use the same, one after the other.
#[derive(Debug)]
pub struct Activations {
    pub(super) qkv: ProjectionBuffers,
    /// Queries and keys after norms of their own, where the model has them.
    pub(super) normed: [BitNetTensor; 2],
    /// Queries and keys after the rotary embedding; queries alone where they have norms.
    pub(super) rotated: BitNetTensor,
    /// Keys after the rotary embedding where they have norms.
    pub(super) rotated_keys: BitNetTensor,
    pub(super) attended: BitNetTensor,
    pub(super) attention_output: ProjectionBuffers,
    pub(super) gate_up: ProjectionBuffers,
    pub(super) gated: BitNetTensor,
    pub(super) down: ProjectionBuffers,
}

impl Activations {
    /// Without storage yet: the first pass takes it.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new(device: Device) -> Result<Self> {
        let empty = || BitNetTensor::empty([0], BitNetDType::F32, device);
        Ok(Self {
            qkv: ProjectionBuffers::new(device)?,
            normed: [empty()?, empty()?],
            rotated: empty()?,
            rotated_keys: empty()?,
            attended: empty()?,
            attention_output: ProjectionBuffers::new(device)?,
            gate_up: ProjectionBuffers::new(device)?,
            gated: empty()?,
            down: ProjectionBuffers::new(device)?,
        })
    }
}
