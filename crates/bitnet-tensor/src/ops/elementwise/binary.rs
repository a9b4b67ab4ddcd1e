//! Arithmetic on two tensors with NumPy's broadcasting.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, apply_reusing};
use crate::error::{Result, bail};
use crate::ops::{
    BinaryKind, Derivative, Operand, OperandGradients, OperandTypes, Operation, Specs, TensorSpec,
};
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// A function of two elements, broadcast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Binary(pub BinaryKind);

impl Operation for Binary {
    fn name(&self) -> &'static str {
        match self.0 {
            BinaryKind::Add => "add",
            BinaryKind::Sub => "sub",
            BinaryKind::Mul => "mul",
            BinaryKind::Div => "div",
            BinaryKind::Max => "maximum",
            BinaryKind::Min => "minimum",
        }
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        let dtype = common_type(self.name(), inputs)?;
        match dtype {
            BitNetDType::Ternary | BitNetDType::Bool => bail!(
                UnsupportedOperation,
                self.name(),
                inputs,
                "not for {}: convert with to_dtype first",
                inputs[0].dtype()
            ),
            dtype if self.0 == BinaryKind::Div && !dtype.is_float() => bail!(
                DTypeMismatch,
                self.name(),
                inputs,
                "true division takes floats: convert with to_dtype first"
            ),
            dtype => Ok(Some(smallvec![dtype, dtype])),
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let shape = broadcast_shape(self.name(), inputs)?;
        Ok(smallvec![TensorSpec::new(shape, inputs[0].dtype())])
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (a, b, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        let (da, db) = match self.0 {
            BinaryKind::Add => (dy.clone(), dy.clone()),
            BinaryKind::Sub => (dy.clone(), dy.neg()?),
            BinaryKind::Mul => (dy.mul(b)?, dy.mul(a)?),
            BinaryKind::Div => {
                let da = dy.div(b)?;
                let db = da.mul(context.output())?.neg()?;
                (da, db)
            }
            // Of equal elements each has half of the gradient, as in PyTorch.
            BinaryKind::Max | BinaryKind::Min => {
                let (a, b) = (&a.to_dtype(dy.dtype())?, &b.to_dtype(dy.dtype())?);
                let first = if self.0 == BinaryKind::Max { a.gt(b)? } else { a.lt(b)? };
                let half = dy.mul(0.5)?;
                let zero = dy.scalar_like(0.0)?;
                let tie = a.eq(b)?;
                let da = tie.where_(&half, first.where_(dy, &zero)?)?;
                let db = tie.where_(&half, first.where_(&zero, dy)?)?;
                (da, db)
            }
        };
        Ok(smallvec![
            Some(da.to_dtype(a.dtype())?.sum_to(a.shape())?),
            Some(db.to_dtype(b.dtype())?.sum_to(b.shape())?)
        ])
    }
}

/// The type that two operands are converted to.
pub(super) fn common_type(name: &'static str, operands: &[&BitNetTensor]) -> Result<BitNetDType> {
    let (a, b) = (operands[0].dtype(), operands[1].dtype());
    match a.promote(b) {
        Some(dtype) => Ok(dtype),
        None => bail!(
            DTypeMismatch,
            name,
            operands,
            "{a} and {b} have no common type: convert one with to_dtype"
        ),
    }
}

/// The shape that two operands broadcast to.
pub(super) fn broadcast_shape(
    name: &'static str,
    operands: &[&BitNetTensor],
) -> Result<TensorShape> {
    operands[0].shape().broadcast(operands[1].shape()).or_else(|(axis, left, right)| {
        bail!(
            BroadcastError,
            name,
            operands,
            "shapes do not broadcast: axis {axis} has sizes {left} and {right}"
        )
    })
}

macro_rules! binary_methods {
    ($($(#[$doc:meta])* $method:ident => $kind:ident;)+) => {
        /// # Arithmetic
        ///
        /// Shapes broadcast as in NumPy; types promote by [`BitNetDType::promote`]; the other
        /// operand may be a number (see [`Operand`]). Integers wrap around.
        impl BitNetTensor {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// `BroadcastError`, `DTypeMismatch`, `DeviceMismatch`.
                pub fn $method(&self, other: impl Operand) -> Result<Self> {
                    let other = other.beside(stringify!($method), self)?;
                    apply_one(Binary(BinaryKind::$kind), &[self, &other])
                }
            )+
        }
    };
}
binary_methods! {
    /// The sum.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let column = BitNetTensor::from_vec(vec![0.0f32, 10.0], [2, 1])?;
    /// let row = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0], [3])?;
    /// assert_eq!(column.add(&row)?.to_vec::<f32>()?, [1.0, 2.0, 3.0, 11.0, 12.0, 13.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    add => Add;
    /// The difference.
    sub => Sub;
    /// The product.
    mul => Mul;
    /// The quotient of floats.
    div => Div;
    /// The larger of the two; NaN when one is.
    maximum => Max;
    /// The smaller of the two; NaN when one is.
    minimum => Min;
}

impl BitNetTensor {
    /// The sum, in the storage of `self` when nobody shares it.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn into_add(self, other: impl Operand) -> Result<Self> {
        let other = other.beside("add", &self)?;
        apply_reusing(Binary(BinaryKind::Add), self, &[&other])
    }
}
