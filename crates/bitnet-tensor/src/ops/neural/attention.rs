//! Causal grouped-query attention over a key-value cache.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, apply_out};
use crate::error::{Result, bail};
use crate::ops::{Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// Operands: queries `F32 [batch, tokens, heads, head_dim]`, keys and values
/// `F32 [batch, capacity, kv_heads, head_dim]`, positions `U32 [batch, tokens]`. Query `t` sees
/// keys `0..=positions[t]`; what lies beyond is never read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Attention {
    /// Multiplies the scores: usually `1 / √head_dim`.
    pub scale: f32,
}

impl Operation for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    /// Positions, which the device knows, decide how many keys are read.
    fn bytes(&self, _: &[&BitNetTensor], _: &[BitNetTensor]) -> Option<u64> {
        None
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let &[q, k, v, positions] = inputs else {
            bail!(InternalError, self.name(), inputs, "takes four operands");
        };
        if [q, k, v].iter().any(|t| t.dtype() != BitNetDType::F32)
            || positions.dtype() != BitNetDType::U32
        {
            bail!(
                DTypeMismatch,
                self.name(),
                inputs,
                "takes f32 queries, keys, values and u32 positions"
            );
        }
        let (&[batch, tokens, heads, head_dim], &[kv_batch, _, kv_heads, kv_dim]) =
            (&**q.shape(), &**k.shape())
        else {
            bail!(ShapeMismatch, self.name(), inputs, "queries and keys have four axes");
        };
        if k.shape() != v.shape() || batch != kv_batch || head_dim != kv_dim {
            bail!(ShapeMismatch, self.name(), inputs, "queries, keys and values do not fit");
        }
        if kv_heads == 0 || heads % kv_heads != 0 {
            bail!(
                ShapeMismatch,
                self.name(),
                inputs,
                "{heads} heads cannot share {kv_heads} key heads"
            );
        }
        if *positions.shape() != [batch, tokens] {
            bail!(ShapeMismatch, self.name(), inputs, "positions are [batch, tokens]");
        }
        Ok(smallvec![TensorSpec::new(q.shape(), BitNetDType::F32)])
    }
}

impl BitNetTensor {
    /// Attention of these queries `[batch, tokens, heads, head_dim]` to `keys` and `values`
    /// `[batch, capacity, kv_heads, head_dim]`: `softmax(q·kᵀ·scale)·v` per head, where the
    /// query at `positions[batch, tokens]` sees the keys up to its own position. `heads` is a
    /// multiple of `kv_heads`; consecutive heads share one. All are `F32`, positions `U32`. This is
    /// what inference needs over a cache; it has no derivative, which
    /// [`scaled_dot_product_attention`](Self::scaled_dot_product_attention) has.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let q = BitNetTensor::full([1, 1, 2, 4], 1.0f32)?; // one token, two heads
    /// let keys = BitNetTensor::zeros([1, 8, 1, 4], BitNetDType::F32)?; // room for eight, one head
    /// let values = BitNetTensor::full([1, 8, 1, 4], 3.0f32)?;
    /// let positions = BitNetTensor::from_vec(vec![5u32], [1, 1])?;
    /// let y = q.attention(&keys, &values, &positions, 0.5)?;
    /// assert_eq!(y.to_vec::<f32>()?, [3.0; 8]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`; `ComputationError` for a position outside the capacity.
    pub fn attention(
        &self,
        keys: &Self,
        values: &Self,
        positions: &Self,
        scale: f32,
    ) -> Result<Self> {
        apply_one(Attention { scale }, &[self, keys, values, positions])
    }

    /// [`attention`](Self::attention) into `out`: into its storage where it fits, else it is
    /// replaced.
    ///
    /// # Errors
    /// As [`attention`](Self::attention).
    pub fn attention_out(
        &self,
        keys: &Self,
        values: &Self,
        positions: &Self,
        scale: f32,
        out: &mut Self,
    ) -> Result<()> {
        apply_out(Attention { scale }, &[self, keys, values, positions], std::slice::from_mut(out))
    }
}
