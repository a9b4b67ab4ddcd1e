//! Token embeddings.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

/// A table `[vocabulary, features]` of any float type, looked up by token ids.
#[derive(Debug, Clone)]
pub struct Embedding {
    weight: BitNetTensor,
}

impl Embedding {
    /// The rows of `weight` are the embeddings.
    pub fn new(weight: BitNetTensor) -> Self {
        Self { weight }
    }

    /// The table.
    pub fn weight(&self) -> &BitNetTensor {
        &self.weight
    }

    /// The embeddings of `ids U32 [..]`: `F32 [.., features]`. Only the rows that occur are read.
    ///
    /// # Errors
    /// `ComputationError` for an id outside of the table.
    pub fn forward(&self, ids: &BitNetTensor) -> Result<BitNetTensor> {
        self.weight.index_select(0, ids)?.to_dtype(BitNetDType::F32)
    }
}
