//! Small layers that other operations say: gated units, lookup, dropout, attention over a mask.

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::random::Generator;
use crate::{BitNetDType, BitNetTensor};

/// Which keys a query sees by its place: query `i` the keys from `i − before` to `i + after`, as
/// FlashAttention's `window_size`. `true` is [`CAUSAL`](Self::CAUSAL), `false` is
/// [`ALL`](Self::ALL).
///
/// ```
/// use bitnet_tensor::ops::AttentionWindow;
/// assert_eq!(AttentionWindow::from(true), AttentionWindow::CAUSAL);
/// assert_eq!(AttentionWindow::sliding(4), AttentionWindow { before: Some(3), after: Some(0) });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionWindow {
    /// How many keys before its own place; `None`: all.
    pub before: Option<usize>,
    /// How many keys behind its own place; `None`: all.
    pub after: Option<usize>,
}

impl AttentionWindow {
    /// Every key.
    pub const ALL: Self = Self { before: None, after: None };
    /// The keys up to the query's own place.
    pub const CAUSAL: Self = Self { before: None, after: Some(0) };

    /// The last `size` keys up to the query's own place, itself among them, as Mistral's
    /// `sliding_window`; a size of 0 counts as 1.
    pub const fn sliding(size: usize) -> Self {
        Self { before: Some(size.saturating_sub(1)), after: Some(0) }
    }

    /// `Bool` `[queries, keys]`, true where the query sees the key; `None` when every one does.
    fn seen(self, queries: usize, keys: usize) -> Result<Option<BitNetTensor>> {
        if self == Self::ALL {
            return Ok(None);
        }
        let diagonal = |distance: usize| isize::try_from(distance).unwrap_or(isize::MAX);
        let mut seen = BitNetTensor::ones([queries, keys], BitNetDType::Bool)?;
        if let Some(after) = self.after {
            seen = seen.tril(diagonal(after))?;
        }
        if let Some(before) = self.before {
            seen = seen.triu(-diagonal(before))?;
        }
        Ok(Some(seen))
    }
}

impl From<bool> for AttentionWindow {
    fn from(causal: bool) -> Self {
        if causal { Self::CAUSAL } else { Self::ALL }
    }
}

/// # Layers
impl BitNetTensor {
    /// `a · sigmoid(b)` of the two halves `a`, `b` of `axis` (Dauphin et al. 2017).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![3.0f32, 0.0])?;
    /// assert_eq!(x.glu(0)?.to_vec::<f32>()?, [1.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or has an odd size, `DTypeMismatch` unless
    /// it is a float.
    pub fn glu(&self, axis: isize) -> Result<Self> {
        let (a, b) = self.halves("glu", axis)?;
        composed("glu", &[self], || a.mul(&b.sigmoid()?))
    }

    /// `silu(a) · b` of the two halves `a`, `b` of `axis` (Shazeer 2020).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![0.0f32, 2.0])?;
    /// assert_eq!(x.swiglu(0)?.to_vec::<f32>()?, [0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`glu`](Self::glu).
    pub fn swiglu(&self, axis: isize) -> Result<Self> {
        let (a, b) = self.halves("swiglu", axis)?;
        composed("swiglu", &[self], || a.silu()?.mul(&b))
    }

    fn halves(&self, name: &'static str, axis: isize) -> Result<(Self, Self)> {
        let Some(at) = crate::shape::resolve_axis(axis, self.rank()) else {
            bail!(ShapeMismatch, name, &[self], "there is no axis {axis}");
        };
        let size = self.shape()[at];
        if !size.is_multiple_of(2) {
            bail!(ShapeMismatch, name, &[self], "axis {axis} of size {size} has no halves");
        }
        Ok((self.narrow(axis, 0, size / 2)?, self.narrow(axis, size / 2, size / 2)?))
    }

    /// The rows of this `[tokens, features]` that `ids` name: `[ids…, features]`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let table = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// let ids = BitNetTensor::try_from(vec![1i64])?;
    /// assert_eq!(table.embedding(&ids)?.to_vec::<f32>()?, [3.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` unless this has two axes; as [`index_select`](Self::index_select).
    pub fn embedding(&self, ids: &Self) -> Result<Self> {
        if self.rank() != 2 {
            bail!(ShapeMismatch, "embedding", &[self, ids], "takes [tokens, features]");
        }
        composed("embedding", &[self, ids], || self.index_select(0, ids))
    }

    /// Each element zero with probability `p`, the others divided by `1 − p` (Srivastava et al.
    /// 2014): for training.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, random::Generator};
    /// let x = BitNetTensor::full([4], 1.0f32)?;
    /// let y = x.dropout(0.5, &mut Generator::new(7))?;
    /// assert!(y.to_vec::<f32>()?.iter().all(|&value| value == 0.0 || value == 2.0));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` unless `p` is of [0, 1); `DTypeMismatch` unless it is a float.
    pub fn dropout(&self, p: f64, generator: &mut Generator) -> Result<Self> {
        if !(0.0..1.0).contains(&p) {
            bail!(InvalidTensor, "dropout", &[self], "the probability {p} is not of [0, 1)");
        }
        if !self.dtype().is_float() {
            bail!(DTypeMismatch, "dropout", &[self], "takes floats: cast with to_dtype first");
        }
        composed("dropout", &[self], || {
            let kept = generator.bernoulli(self.shape(), 1.0 - p)?.to_device(self.device())?;
            kept.where_(&self.div(1.0 - p)?, 0.0)
        })
    }

    /// `softmax(q · kᵀ · scale + mask) · v` for `q [.., queries, size]`, `k [.., keys, size]` and
    /// `v [.., keys, features]`; leading axes broadcast, and heads of `k` and `v` are shared by as
    /// many of `q` as there are more of them. A mask is `Bool` (true: seen) or added; the window is
    /// `false` for all keys, `true` for those up to the query's own place (PyTorch's `is_causal`), or
    /// an [`AttentionWindow`]. The scale is `1 / √size` unless given. A query that sees nothing gets
    /// zeros. Half types are computed in `F32` and rounded once.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let q = BitNetTensor::from_vec(vec![0.0f32, 0.0], [1, 2])?;
    /// let k = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// let y = q.scaled_dot_product_attention(&k, &k, None, false, None)?;
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 3.0]);
    /// // Each of two queries sees its own key only.
    /// use bitnet_tensor::ops::AttentionWindow;
    /// let y = k.scaled_dot_product_attention(&k, &k, None, AttentionWindow::sliding(1), None)?;
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` and `BroadcastError` when the parts do not fit, `DTypeMismatch` unless they
    /// are floats of one type.
    pub fn scaled_dot_product_attention(
        &self,
        k: &Self,
        v: &Self,
        mask: Option<&Self>,
        window: impl Into<AttentionWindow>,
        scale: Option<f64>,
    ) -> Result<Self> {
        const NAME: &str = "scaled_dot_product_attention";
        let window = window.into();
        let operands = &[self, k, v];
        let dtype = self.dtype();
        if !dtype.is_float() || k.dtype() != dtype || v.dtype() != dtype {
            bail!(DTypeMismatch, NAME, operands, "takes floats of one type");
        }
        if operands.iter().any(|operand| operand.rank() < 2) {
            bail!(ShapeMismatch, NAME, operands, "takes operands of two or more axes");
        }
        let size = self.shape()[self.rank() - 1];
        composed(NAME, operands, || {
            if !matches!(dtype, BitNetDType::F32 | BitNetDType::F64) {
                let wide = |x: &Self| x.to_dtype(BitNetDType::F32);
                let mask = match mask {
                    Some(mask) if mask.dtype().is_float() => Some(wide(mask)?),
                    mask => mask.cloned(),
                };
                let (q, k, v) = (wide(self)?, wide(k)?, wide(v)?);
                let y = q.scaled_dot_product_attention(&k, &v, mask.as_ref(), window, scale)?;
                return y.to_dtype(dtype);
            }
            let (k, v) = (shared_heads(self, k)?, shared_heads(self, v)?);
            let scale = scale.unwrap_or(1.0 / (size as f64).sqrt());
            let mut scores = self.mul(scale)?.matmul(&k.transpose(-2, -1)?)?;
            let (queries, keys) = (self.shape()[self.rank() - 2], k.shape()[k.rank() - 2]);
            let never = scores.detach().full_like(f64::NEG_INFINITY)?;
            if let Some(mask) = mask {
                scores = match mask.dtype() {
                    BitNetDType::Bool => mask.where_(&scores, &never)?,
                    _ => scores.add(mask)?,
                };
            }
            if let Some(seen) = window.seen(queries, keys)? {
                scores = seen.to_device(self.device())?.where_(&scores, &never)?;
            }
            if keys == 0 || scores.element_count() == 0 {
                return scores.matmul(&v);
            }
            let sees = scores.detach().max(&[-1], true)?.ne(f64::NEG_INFINITY)?;
            // A row that sees nothing is made of equal scores first: no NaN reaches a gradient.
            let weights = sees.where_(&scores, 0.0)?.softmax(-1)?;
            sees.where_(&weights, 0.0)?.matmul(&v)
        })
    }
}

/// The heads of `x`, the third axis from the end, each as often as `q` has more of them.
fn shared_heads(q: &BitNetTensor, x: &BitNetTensor) -> Result<BitNetTensor> {
    let heads = |x: &BitNetTensor| x.rank().checked_sub(3).map(|axis| x.shape()[axis]);
    match (heads(q), heads(x)) {
        (Some(many), Some(few)) if few > 1 && many > few && many.is_multiple_of(few) => {
            x.repeat_interleave(many / few, -3)
        }
        _ => Ok(x.clone()),
    }
}
