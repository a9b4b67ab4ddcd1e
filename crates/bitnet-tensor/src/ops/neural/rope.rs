//! Rotary position embedding (Su et al. 2021).

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, apply_out, composed};
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

    /// Of the tables only the rows of the positions are read.
    fn bytes(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        let (x, positions) = (inputs[0], inputs[3]);
        let row = inputs[1].byte_size() / inputs[1].shape()[0].max(1);
        let tables = 2 * row * positions.element_count();
        Some((x.byte_size() + positions.byte_size() + tables + outputs[0].byte_size()) as u64)
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

/// The rotation by its formula, in the type of `x`.
fn rotated(
    x: &BitNetTensor,
    cos: &BitNetTensor,
    sin: &BitNetTensor,
    positions: &BitNetTensor,
    mode: RopeMode,
) -> Result<BitNetTensor> {
    let of_tokens =
        |table: &BitNetTensor| table.to_dtype(x.dtype())?.index_select(0, positions)?.unsqueeze(2);
    let (cos, sin) = (of_tokens(cos)?, of_tokens(sin)?);
    let half = x.shape()[3] / 2;
    let (a, b) = match mode {
        RopeMode::RotateHalf => (x.narrow(3, 0, half)?, x.narrow(3, half, half)?),
        RopeMode::AdjacentPairs => (x.slice(3, 0, half, 2)?, x.slice(3, half.min(1), half, 2)?),
    };
    let turned = [a.mul(&cos)?.sub(b.mul(&sin)?)?, b.mul(&cos)?.add(a.mul(&sin)?)?];
    let [first, second] = &turned;
    match mode {
        RopeMode::RotateHalf => BitNetTensor::cat(&[first, second], 3),
        RopeMode::AdjacentPairs => BitNetTensor::stack(&[first, second], 4)?.reshape(x.shape()),
    }
}

impl BitNetTensor {
    /// Rotates the pairs of each head of these floats `[batch, tokens, heads, head_dim]` by the angles
    /// of its position: `cos` and `sin` are floats `[positions, head_dim/2]`, `positions` is
    /// `U32 [batch, tokens]`. The half types are computed in `F32` and rounded once; the result has
    /// the type of this tensor.
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
        let floats = [self, cos, sin];
        if floats.iter().all(|x| x.dtype() == BitNetDType::F32)
            || !floats.iter().all(|x| x.dtype().is_float())
        {
            return apply_one(Rope { mode }, &[self, cos, sin, positions]);
        }
        composed("rope", &[self, cos, sin, positions], || {
            if self.dtype() == BitNetDType::F64 {
                // What fits and what does not is the operation's to say, of operands as it takes them.
                let narrow = |x: &Self| x.detach().to_dtype(BitNetDType::F32);
                let operands = [narrow(self)?, narrow(cos)?, narrow(sin)?];
                let [x, narrow_cos, narrow_sin] = &operands;
                Rope { mode }.infer(&[x, narrow_cos, narrow_sin, positions])?;
                return rotated(self, cos, sin, positions, mode);
            }
            let wide = |x: &Self| x.to_dtype(BitNetDType::F32);
            let operands = [wide(self)?, wide(cos)?, wide(sin)?];
            let [x, cos, sin] = &operands;
            apply_one(Rope { mode }, &[x, cos, sin, positions])?.to_dtype(self.dtype())
        })
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
