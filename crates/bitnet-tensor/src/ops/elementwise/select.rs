//! One of two elements, by a condition.

use smallvec::smallvec;

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::elementwise::binary::common_type;
use crate::ops::{
    Derivative, Operand, OperandGradients, OperandTypes, Operation, Specs, TensorSpec,
};
use crate::{BitNetDType, BitNetTensor};

/// The second operand where the first is true, else the third; all three broadcast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Where;

impl Operation for Where {
    fn name(&self) -> &'static str {
        "where"
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        if inputs[0].dtype() != BitNetDType::Bool {
            bail!(DTypeMismatch, self.name(), inputs, "the condition is bool: compare first");
        }
        let dtype = common_type(self.name(), &inputs[1..])?;
        if dtype.is_packed() {
            bail!(UnsupportedOperation, self.name(), inputs, "not for ternary: dequantize first");
        }
        Ok(Some(smallvec![BitNetDType::Bool, dtype, dtype]))
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let mut shape = inputs[0].shape().clone();
        for input in &inputs[1..] {
            shape = match shape.broadcast(input.shape()) {
                Ok(shape) => shape,
                Err((axis, left, right)) => bail!(
                    BroadcastError,
                    self.name(),
                    inputs,
                    "shapes do not broadcast: axis {axis} has sizes {left} and {right}"
                ),
            };
        }
        Ok(smallvec![TensorSpec::new(shape, inputs[1].dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (condition, a, b) = (context.inputs[0], context.inputs[1], context.inputs[2]);
        let dy = context.gradient;
        let zero = dy.scalar_like(0.0)?;
        let da = condition.where_(dy, &zero)?.to_dtype(a.dtype())?.sum_to(a.shape())?;
        let db = condition.where_(&zero, dy)?.to_dtype(b.dtype())?.sum_to(b.shape())?;
        Ok(smallvec![None, Some(da), Some(db)])
    }
}

/// # Selection
impl BitNetTensor {
    /// `a` where this `Bool` tensor is true, else `b`: NumPy's `where`. Shapes broadcast; `a` and
    /// `b` promote to one type, and a number takes the type of `a`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![-1.0f32, 2.0], [2])?;
    /// assert_eq!(x.gt(0.0)?.where_(&x, 0.0)?.to_vec::<f32>()?, [0.0, 2.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless this is `Bool` and the others have a common type; `BroadcastError`,
    /// `DeviceMismatch`.
    pub fn where_(&self, a: &Self, b: impl Operand) -> Result<Self> {
        let b = b.beside("where", a)?;
        apply_one(Where, &[self, a, &b])
    }
}
