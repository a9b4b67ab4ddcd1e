//! The matrix product.

use smallvec::smallvec;

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// The matrix product of the last two axes; leading axes broadcast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatMul;

impl Operation for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (a, b) = (inputs[0], inputs[1]);
        let dtype = a.dtype();
        if b.dtype() != dtype || !matches!(dtype, BitNetDType::F32 | BitNetDType::F64) {
            bail!(DTypeMismatch, self.name(), inputs, "takes two f32 or two f64 operands");
        }
        let (a_rank, b_rank) = (a.rank(), b.rank());
        if a_rank < 2 || b_rank < 2 {
            bail!(ShapeMismatch, self.name(), inputs, "takes operands of two or more axes");
        }
        let (rows, inner) = (a.shape()[a_rank - 2], a.shape()[a_rank - 1]);
        let (b_inner, columns) = (b.shape()[b_rank - 2], b.shape()[b_rank - 1]);
        if inner != b_inner {
            bail!(ShapeMismatch, self.name(), inputs, "{inner} columns meet {b_inner} rows");
        }
        let batch = |t: &BitNetTensor| TensorShape::from(&t.shape()[..t.rank() - 2]);
        match batch(a).broadcast(&batch(b)) {
            Ok(batch) => {
                let shape: TensorShape = batch.iter().copied().chain([rows, columns]).collect();
                Ok(smallvec![TensorSpec::new(shape, dtype)])
            }
            Err((axis, left, right)) => bail!(
                BroadcastError,
                self.name(),
                inputs,
                "batch shapes do not broadcast: axis {axis} has sizes {left} and {right}"
            ),
        }
    }

    fn flops(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        let inner = *inputs[0].shape().last()?;
        Some(product_flops(&outputs[0], inner))
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (a, b, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        let da = dy.matmul(&b.transpose(-1, -2)?)?.sum_to(a.shape())?;
        let db = a.transpose(-1, -2)?.matmul(dy)?.sum_to(b.shape())?;
        Ok(smallvec![Some(da), Some(db)])
    }
}

/// # Matrix products
impl BitNetTensor {
    /// The matrix product over the last two axes; leading axes broadcast. Both `F32` or both
    /// `F64`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(a.matmul(&a)?.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `BroadcastError`, `DTypeMismatch`.
    pub fn matmul(&self, other: &Self) -> Result<Self> {
        apply_one(MatMul, &[self, other])
    }
}

/// A multiplication and an addition for each element of `output` and each of `inner`.
pub(super) fn product_flops(output: &BitNetTensor, inner: usize) -> u64 {
    2 * output.element_count() as u64 * inner as u64
}
