//! The transformer: a decoder of the Llama family, with BitNet's additional norms where the
//! model has them.
//!
//! ```text
//! x = embed(ids)
//! for each layer:
//!     q, k, v = qkv(input_norm(x));  q, k = rope(q), rope(k);  cache ← k, v
//!     x = x + o(attn_sub_norm(attention(q, cache)))
//!     gate, up = gate_up(post_attention_norm(x))
//!     x = x + down(ffn_sub_norm(act(gate) · up))
//! logits = head(norm(x))
//! ```
//!
//! Token ids and positions are tensors; nothing is read back inside.

use bitnet_nn::{Embedding, Projection, RmsNorm, RotaryEmbedding};
use bitnet_tensor::ops::GateKind;
use bitnet_tensor::{BitNetTensor, Result};

use super::head::OutputHead;
use super::kv_cache::{KvCache, LayerCache};

/// Which positions the logits are wanted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogitsOf {
    /// Every token's: `F32 [batch, tokens, vocabulary]`.
    All,
    /// The last token's: `F32 [batch, 1, vocabulary]`.
    Last,
}

/// A whole model's parameters.
#[derive(Debug)]
pub struct Decoder {
    pub(super) embedding: Embedding,
    pub(super) layers: Vec<DecoderLayer>,
    pub(super) norm: RmsNorm,
    pub(super) head: OutputHead,
    pub(super) rotary: RotaryEmbedding,
}

/// One layer's parameters.
#[derive(Debug)]
pub struct DecoderLayer {
    pub(super) attention: AttentionBlock,
    pub(super) feed_forward: FeedForward,
}

/// Attention with its norms.
#[derive(Debug)]
pub(super) struct AttentionBlock {
    pub(super) input_norm: RmsNorm,
    pub(super) qkv: Projection,
    /// BitNet's norm before the output projection.
    pub(super) sub_norm: Option<RmsNorm>,
    pub(super) output: Projection,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
}

/// The gated feed-forward block with its norms.
#[derive(Debug)]
pub(super) struct FeedForward {
    pub(super) input_norm: RmsNorm,
    pub(super) gate_up: Projection,
    pub(super) activation: GateKind,
    /// BitNet's norm before the down projection.
    pub(super) sub_norm: Option<RmsNorm>,
    pub(super) down: Projection,
    pub(super) width: usize,
}

impl Decoder {
    /// The logits that follow `ids U32 [batch, tokens]` at `positions U32 [batch, tokens]`. Their
    /// keys and values are added to the cache.
    ///
    /// A token's logits do not depend on how the tokens before it were split into calls.
    ///
    /// # Errors
    /// `ComputationError` for an id or a position out of range.
    pub fn forward(
        &self,
        ids: &BitNetTensor,
        positions: &BitNetTensor,
        cache: &mut KvCache,
        logits_of: LogitsOf,
    ) -> Result<BitNetTensor> {
        let mut x = self.embedding.forward(ids)?;
        for (layer, cache) in self.layers.iter().zip(cache.layers_mut()) {
            x = layer.forward(x, positions, &self.rotary, cache)?;
        }
        if logits_of == LogitsOf::Last {
            let tokens = x.shape()[1];
            x = x.narrow(1, tokens.saturating_sub(1), tokens.min(1))?;
        }
        self.head.forward(&self.norm, &x)
    }

    /// The layers, for looking at one alone.
    pub fn layers(&self) -> &[DecoderLayer] {
        &self.layers
    }

    /// The rotary embedding that the layers take.
    pub fn rotary(&self) -> &RotaryEmbedding {
        &self.rotary
    }

    /// Bytes of weights that one token reads: all of the layers', and the head's.
    pub fn bytes_per_token(&self) -> usize {
        let layer = |layer: &DecoderLayer| {
            layer.attention.qkv.byte_size()
                + layer.attention.output.byte_size()
                + layer.feed_forward.gate_up.byte_size()
                + layer.feed_forward.down.byte_size()
        };
        self.layers.iter().map(layer).sum::<usize>() + self.head.byte_size()
    }
}

impl DecoderLayer {
    /// The layer's output for `x F32 [batch, tokens, hidden]`.
    ///
    /// # Errors
    /// `ComputationError` for a position out of range.
    pub fn forward(
        &self,
        x: BitNetTensor,
        positions: &BitNetTensor,
        rotary: &RotaryEmbedding,
        cache: &mut LayerCache,
    ) -> Result<BitNetTensor> {
        let attended = self.attention.forward(&x, positions, rotary, cache)?;
        let x = attended.into_add(&x)?;
        let transformed = self.feed_forward.forward(&x)?;
        transformed.into_add(&x)
    }
}

impl AttentionBlock {
    fn forward(
        &self,
        x: &BitNetTensor,
        positions: &BitNetTensor,
        rotary: &RotaryEmbedding,
        cache: &mut LayerCache,
    ) -> Result<BitNetTensor> {
        let (batch, tokens) = (x.shape()[0], x.shape()[1]);
        let qkv = self.qkv.forward_normed(&self.input_norm, x)?;
        // All heads side by side, [batch, tokens, heads + 2 kv_heads, head_dim]: views of one tensor.
        let heads = qkv.reshape([batch, tokens, self.heads + 2 * self.kv_heads, self.head_dim])?;
        let q = rotary.forward(&heads.narrow(2, 0, self.heads)?, positions)?;
        let k = rotary.forward(&heads.narrow(2, self.heads, self.kv_heads)?, positions)?;
        let v = heads.narrow(2, self.heads + self.kv_heads, self.kv_heads)?;
        cache.write(positions, &k, &v)?;
        let scale = 1.0 / (self.head_dim as f32).sqrt();
        let attended = q.attention(cache.keys(), cache.values(), positions, scale)?;
        let attended = attended.reshape([batch, tokens, self.heads * self.head_dim])?;
        project(&self.output, self.sub_norm.as_ref(), &attended)
    }
}

impl FeedForward {
    fn forward(&self, x: &BitNetTensor) -> Result<BitNetTensor> {
        let gate_up = self.gate_up.forward_normed(&self.input_norm, x)?;
        let gate = gate_up.narrow(-1, 0, self.width)?;
        let up = gate_up.narrow(-1, self.width, self.width)?;
        let gated = gate.gate(self.activation, &up)?;
        project(&self.down, self.sub_norm.as_ref(), &gated)
    }
}

fn project(
    projection: &Projection,
    norm: Option<&RmsNorm>,
    x: &BitNetTensor,
) -> Result<BitNetTensor> {
    match norm {
        Some(norm) => projection.forward_normed(norm, x),
        None => projection.forward(x),
    }
}
