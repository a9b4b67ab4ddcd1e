//! Rotary position embedding (Su et al. 2021).

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, apply_out};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, RopeMode, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// Operands: `x F32 [batch, tokens, heads, head_dim]`, cosines and sines
/// `F32 [positions, head_dim/2]`, positions `U32 [batch, tokens]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Which elements form the pairs that are rotated.
    pub mode: RopeMode,
}

impl Operation for Rope {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let &[x, cos, sin, positions] = inputs else {
            bail!(InternalError, self.name(), inputs, "takes four operands");
        };
        let floats = [x, cos, sin].iter().all(|t| t.dtype() == BitNetDType::F32);
        if !floats || positions.dtype() != BitNetDType::U32 {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32 and u32 positions");
        }
        let &[batch, tokens, _, head_dim] = &**x.shape() else {
            bail!(ShapeMismatch, self.name(), inputs, "takes [batch, tokens, heads, head_dim]");
        };
        let half = head_dim / 2;
        let tables =
            matches!(&**cos.shape(), &[_, width] if width == half) && cos.shape() == sin.shape();
        if !head_dim.is_multiple_of(2) || !tables || *positions.shape() != [batch, tokens] {
            bail!(
                ShapeMismatch,
                self.name(),
                inputs,
                "tables are [positions, head_dim/2], positions [batch, tokens]"
            );
        }
        Ok(smallvec![TensorSpec::new(x.shape(), BitNetDType::F32)])
    }

    /// Turned back: the transpose of a rotation is its inverse.
    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (cos, sin, positions) = (context.inputs[1], context.inputs[2], context.inputs[3]);
        let dx = context.gradient.rope(cos, &sin.neg()?, positions, self.mode)?;
        Ok(smallvec![Some(dx), None, None, None])
    }
}

impl BitNetTensor {
    /// Rotates the pairs of each head of `F32 [batch, tokens, heads, head_dim]` by the angles of
    /// its position: `cos` and `sin` are `F32 [positions, head_dim/2]`, `positions` is
    /// `U32 [batch, tokens]`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::RopeMode};
    /// // A quarter turn at position 1.
    /// let cos = BitNetTensor::from_vec(vec![1.0f32, 0.0], [2, 1])?;
    /// let sin = BitNetTensor::from_vec(vec![0.0f32, 1.0], [2, 1])?;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0], [1, 1, 1, 2])?;
    /// let positions = BitNetTensor::from_vec(vec![1u32], [1, 1])?;
    /// let y = x.rope(&cos, &sin, &positions, RopeMode::RotateHalf)?;
    /// assert_eq!(y.to_vec::<f32>()?, [-2.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`; `ComputationError` for a position outside the tables.
    pub fn rope(&self, cos: &Self, sin: &Self, positions: &Self, mode: RopeMode) -> Result<Self> {
        apply_one(Rope { mode }, &[self, cos, sin, positions])
    }

    /// [`rope`](Self::rope) into `out`: into its storage where it fits, else it is replaced.
    ///
    /// # Errors
    /// As [`rope`](Self::rope).
    pub fn rope_out(
        &self,
        cos: &Self,
        sin: &Self,
        positions: &Self,
        mode: RopeMode,
        out: &mut Self,
    ) -> Result<()> {
        apply_out(Rope { mode }, &[self, cos, sin, positions], std::slice::from_mut(out))
    }
}
