//! The transformer: a decoder of the Llama family, with the additional norms of BitNet (`…sub_norm`)
//! and of Qwen 3 (`q_norm`, `k_norm`) where the model has them.
//!
//! ```text
//! x = embed(ids)
//! for each layer:
//!     q, k, v = qkv(input_norm(x));  q, k = rope(q_norm(q)), rope(k_norm(k));  cache ← k, v
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

use super::activations::Activations;
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
    pub(super) head_norms: Option<HeadNorms>,
    /// BitNet's norm before the output projection.
    pub(super) sub_norm: Option<RmsNorm>,
    pub(super) output: Projection,
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_dim: usize,
}

/// Qwen 3's norms of each query head and each key head.
#[derive(Debug)]
pub(super) struct HeadNorms {
    pub(super) query: RmsNorm,
    pub(super) key: RmsNorm,
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
    /// keys and values are added to the cache, which [has room](KvCache::reserve) for them;
    /// `activations` is where it computes.
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
        activations: &mut Activations,
        logits_of: LogitsOf,
    ) -> Result<BitNetTensor> {
        let mut x = self.embedding.forward(ids)?;
        for (layer, cache) in self.layers.iter().zip(cache.layers_mut()) {
            x = layer.forward(x, positions, &self.rotary, cache, activations)?;
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
    /// The layer's output for `x F32 [batch, tokens, hidden]`, in the storage of `x` when nobody
    /// else sees it.
    ///
    /// # Errors
    /// `ComputationError` for a position out of range.
    pub fn forward(
        &self,
        x: BitNetTensor,
        positions: &BitNetTensor,
        rotary: &RotaryEmbedding,
        cache: &mut LayerCache,
        activations: &mut Activations,
    ) -> Result<BitNetTensor> {
        self.attention.forward(&x, positions, rotary, cache, activations)?;
        let x = x.into_add(activations.attention_output.output())?;
        self.feed_forward.forward(&x, activations)?;
        x.into_add(activations.down.output())
    }
}

impl AttentionBlock {
    fn forward(
        &self,
        x: &BitNetTensor,
        positions: &BitNetTensor,
        rotary: &RotaryEmbedding,
        cache: &mut LayerCache,
        activations: &mut Activations,
    ) -> Result<()> {
        let Activations { qkv, normed, rotated, rotated_keys, attended, attention_output, .. } =
            activations;
        let (batch, tokens) = (x.shape()[0], x.shape()[1]);
        self.qkv.forward(Some(&self.input_norm), x, qkv)?;
        // All heads side by side, [batch, tokens, heads + 2 kv_heads, head_dim]: views of one tensor.
        let all = [batch, tokens, self.heads + 2 * self.kv_heads, self.head_dim];
        let heads = qkv.output().reshape(all)?;
        let with_keys = self.heads + self.kv_heads;
        let (q, k) = match &self.head_norms {
            None => {
                rotary.forward_out(&heads.narrow(2, 0, with_keys)?, positions, rotated)?;
                (rotated.narrow(2, 0, self.heads)?, rotated.narrow(2, self.heads, self.kv_heads)?)
            }
            Some(norms) => {
                let [normed_queries, normed_keys] = normed;
                norms.query.forward_out(&heads.narrow(2, 0, self.heads)?, normed_queries)?;
                rotary.forward_out(normed_queries, positions, rotated)?;
                norms.key.forward_out(&heads.narrow(2, self.heads, self.kv_heads)?, normed_keys)?;
                rotary.forward_out(normed_keys, positions, rotated_keys)?;
                (rotated.clone(), rotated_keys.clone())
            }
        };
        let v = heads.narrow(2, with_keys, self.kv_heads)?;
        cache.write(positions, &k, &v)?;
        let scale = 1.0 / (self.head_dim as f32).sqrt();
        q.attention_out(cache.keys(), cache.values(), positions, scale, attended)?;
        let attended = attended.reshape([batch, tokens, self.heads * self.head_dim])?;
        self.output.forward(self.sub_norm.as_ref(), &attended, attention_output)
    }
}

impl FeedForward {
    fn forward(&self, x: &BitNetTensor, activations: &mut Activations) -> Result<()> {
        let Activations { gate_up, gated, down, .. } = activations;
        self.gate_up.forward(Some(&self.input_norm), x, gate_up)?;
        let gate = gate_up.output().narrow(-1, 0, self.width)?;
        let up = gate_up.output().narrow(-1, self.width, self.width)?;
        gate.gate_out(self.activation, &up, gated)?;
        self.down.forward(self.sub_norm.as_ref(), gated, down)
    }
}
