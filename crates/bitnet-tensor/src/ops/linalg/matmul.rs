//! The matrix product.

use smallvec::smallvec;

use crate::backend::dispatch::{apply_one, composed};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, OperandTypes, Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// The matrix product of the last two axes; leading axes broadcast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatMul;

impl Operation for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let dtype = inputs[0].dtype();
        if inputs[1].dtype() != dtype || !(dtype.is_float() || dtype.is_integer()) {
            bail!(
                DTypeMismatch,
                self.name(),
                inputs,
                "takes two float or two integer operands that have a common type"
            );
        }
        Ok(smallvec![TensorSpec::new(product_shape(self.name(), inputs)?, dtype)])
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        // What has no common type is refused by the shape rule.
        Ok(inputs[0].dtype().promote(inputs[1].dtype()).map(|dtype| smallvec![dtype; 2]))
    }

    fn flops(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        let inner = *inputs[0].shape().last()?;
        Some(product_flops(&outputs[0], inner))
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (a, b, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        let da = dy.matmul(&b.transpose(-1, -2)?)?.sum_to(a.shape())?;
        let db = a.transpose(-1, -2)?.matmul(dy)?.sum_to(b.shape())?;
        Ok(smallvec![Some(da.to_dtype(a.dtype())?), Some(db.to_dtype(b.dtype())?),])
    }
}

/// The matrix product of `I8` as `I32`: no step of it overflows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatMulI32;

impl MatMulI32 {
    /// Products of up to this many terms of (−128)² fit an `i32`.
    const LONGEST: usize = (i32::MAX / (128 * 128)) as usize;
}

impl Operation for MatMulI32 {
    fn name(&self) -> &'static str {
        "matmul_i32"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        if inputs.iter().any(|input| input.dtype() != BitNetDType::I8) {
            bail!(DTypeMismatch, self.name(), inputs, "takes two i8 operands");
        }
        let shape = product_shape(self.name(), inputs)?;
        let inner = inputs[0].shape()[inputs[0].rank() - 1];
        if inner > Self::LONGEST {
            bail!(
                ShapeMismatch,
                self.name(),
                inputs,
                "sums of {inner} products may not fit i32: {} at most",
                Self::LONGEST
            );
        }
        Ok(smallvec![TensorSpec::new(shape, BitNetDType::I32)])
    }

    fn flops(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        let inner = *inputs[0].shape().last()?;
        Some(product_flops(&outputs[0], inner))
    }
}

/// The shape of the product of the matrices in the last two axes.
fn product_shape(name: &'static str, inputs: &[&BitNetTensor]) -> Result<TensorShape> {
    let (a, b) = (inputs[0], inputs[1]);
    let (a_rank, b_rank) = (a.rank(), b.rank());
    if a_rank < 2 || b_rank < 2 {
        bail!(ShapeMismatch, name, inputs, "takes operands of one or more axes");
    }
    let (rows, inner) = (a.shape()[a_rank - 2], a.shape()[a_rank - 1]);
    let (b_inner, columns) = (b.shape()[b_rank - 2], b.shape()[b_rank - 1]);
    if inner != b_inner {
        bail!(ShapeMismatch, name, inputs, "{inner} columns meet {b_inner} rows");
    }
    let batch = |t: &BitNetTensor| TensorShape::from(&t.shape()[..t.rank() - 2]);
    match batch(a).broadcast(&batch(b)) {
        Ok(batch) => Ok(batch.iter().copied().chain([rows, columns]).collect()),
        Err((axis, left, right)) => bail!(
            BroadcastError,
            name,
            inputs,
            "batch shapes do not broadcast: axis {axis} has sizes {left} and {right}"
        ),
    }
}

/// # Matrix products
impl BitNetTensor {
    /// The matrix product over the last two axes; leading axes broadcast. A vector `[n]` on the left
    /// is a row, on the right a column, and the axis of one is taken away again, as in NumPy.
    ///
    /// Types promote. `F16` and `BF16` are computed in `F32` and rounded once; integers wrap in their
    /// own type (see [`matmul_i32`](Self::matmul_i32)).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(a.matmul(&a)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `BroadcastError`, `DTypeMismatch`; `UnsupportedOperation` for packed weights,
    /// whose product is [`linear`](Self::linear).
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        if [self, other].iter().any(|x| x.dtype().is_packed()) {
            bail!(
                UnsupportedOperation,
                "matmul",
                &[self, other],
                "the product with a packed weight is x.linear(weight): x · weightᵀ"
            );
        }
        product("matmul", self, other, |a, b| apply_one(MatMul, &[a, b]))
    }

    /// [`matmul`](Self::matmul) of two `I8` operands as `I32`: exact.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![-128i8, -128], [2])?;
    /// assert_eq!(x.matmul_i32(&x)?.item::<i32>()?, 32_768);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As `matmul`, and `ShapeMismatch` for sums of more than 131,071 products.
    pub fn matmul_i32(&self, other: &Self) -> Result<Self> {
        product("matmul_i32", self, other, |a, b| apply_one(MatMulI32, &[a, b]))
    }
}

/// `matrices` of the operands, vectors being a row on the left and a column on the right.
fn product(
    name: &'static str,
    a: &BitNetTensor,
    b: &BitNetTensor,
    matrices: impl Fn(&BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>,
) -> Result<BitNetTensor> {
    let (row, column) = (a.rank() == 1, b.rank() == 1);
    if (!row && !column) || a.rank() == 0 || b.rank() == 0 {
        return matrices(a, b);
    }
    if row && a.shape()[0] != b.shape()[b.rank().saturating_sub(2)] {
        let (left, right) = (a.shape()[0], b.shape()[b.rank().saturating_sub(2)]);
        bail!(ShapeMismatch, name, &[a, b], "{left} elements meet {right} rows");
    }
    if column && a.shape()[a.rank() - 1] != b.shape()[0] {
        let (left, right) = (a.shape()[a.rank() - 1], b.shape()[0]);
        bail!(ShapeMismatch, name, &[a, b], "{left} columns meet {right} elements");
    }
    composed(name, &[a, b], || {
        let left = if row { a.unsqueeze(0)? } else { a.clone() };
        let right = if column { b.unsqueeze(-1)? } else { b.clone() };
        let mut result = matrices(&left, &right)?;
        if column {
            result = result.squeeze(-1)?;
        }
        if row {
            result = result.squeeze(if column { -1 } else { -2 })?;
        }
        Ok(result)
    })
}

/// A multiplication and an addition for each element of `output` and each of `inner`.
pub(super) fn product_flops(output: &BitNetTensor, inner: usize) -> u64 {
    2 * output.element_count() as u64 * inner as u64
}
