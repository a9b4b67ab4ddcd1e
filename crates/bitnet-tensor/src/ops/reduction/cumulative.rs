//! Running sums, products and extremes, and differences of neighbours.

use smallvec::smallvec;

use super::axes::one_axis;
use crate::backend::dispatch::{apply, apply_one, composed};
use crate::error::{Result, bail, error};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// What runs along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CumulativeKind {
    /// The sum so far.
    Sum,
    /// The product so far.
    Prod,
    /// The largest so far, and its place.
    Max,
    /// The smallest so far, and its place.
    Min,
}

/// A reduction along `axis` of which every step is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cumulative {
    /// What runs.
    pub kind: CumulativeKind,
    /// Along which axis.
    pub axis: usize,
}

impl CumulativeKind {
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "cumsum",
            Self::Prod => "cumprod",
            Self::Max => "cummax",
            Self::Min => "cummin",
        }
    }
}

impl Operation for Cumulative {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let x = inputs[0];
        let dtype = match (self.kind, x.dtype()) {
            (_, dtype) if dtype.is_packed() => {
                bail!(DTypeMismatch, self.name(), inputs, "takes numbers or bool")
            }
            (CumulativeKind::Max | CumulativeKind::Min, dtype) => {
                return Ok(smallvec![
                    TensorSpec::new(x.shape(), dtype),
                    TensorSpec::new(x.shape(), BitNetDType::I64)
                ]);
            }
            (_, dtype) if dtype.is_float() => dtype,
            (_, dtype) if dtype.is_unsigned_integer() => BitNetDType::U64,
            _ => BitNetDType::I64,
        };
        Ok(smallvec![TensorSpec::new(x.shape(), dtype)])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (x, axis) = (context.inputs[0], self.axis as isize);
        if !x.dtype().is_float() || context.position > 0 {
            return Ok(smallvec![None]);
        }
        let dx = match self.kind {
            CumulativeKind::Sum => from_behind(context.gradient, axis)?,
            CumulativeKind::Prod => product_gradient(x, context, axis)?,
            CumulativeKind::Max | CumulativeKind::Min => {
                x.zeros_like()?.scatter_add(axis, &context.outputs[1], context.gradient)?
            }
        };
        Ok(smallvec![Some(dx)])
    }
}

/// The sum of each element and those behind it.
fn from_behind(x: &BitNetTensor, axis: isize) -> Result<BitNetTensor> {
    x.flip(&[axis])?.cumsum(axis)?.flip(&[axis])
}

/// An element is a factor of its own product and of those behind it. Up to the first zero the
/// other factors are the product over the element; at it they are the product without it; behind
/// it all products are zero.
fn product_gradient(
    x: &BitNetTensor,
    context: &Derivative<'_>,
    axis: isize,
) -> Result<BitNetTensor> {
    let is_zero = x.eq(0)?;
    let zeros = is_zero.cumsum(axis)?;
    let before = from_behind(&context.gradient.mul(context.output())?, axis)?.div(x)?;
    let first = zeros.eq(1)?.where_(&is_zero, false)?;
    let without_first = first.where_(&x.scalar_like(1.0)?, x)?.cumprod(axis)?;
    let at = from_behind(&context.gradient.mul(&without_first)?, axis)?;
    zeros.eq(0)?.where_(&before, &first.where_(&at, 0)?)
}

/// # Running reductions
impl BitNetTensor {
    /// The sums of the elements up to each one along `axis`. Integers become `I64` or `U64`, as in
    /// [`sum`](Self::sum).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1i32, 2, 3, 4], [2, 2])?;
    /// assert_eq!(x.cumsum(1)?.to_vec::<i64>()?, [1, 3, 3, 7]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist, `DTypeMismatch` for packed types.
    pub fn cumsum(&self, axis: isize) -> Result<Self> {
        let axis = one_axis("cumsum", self, axis)?;
        apply_one(Cumulative { kind: CumulativeKind::Sum, axis }, &[self])
    }

    /// The products of the elements up to each one along `axis`. Types as in
    /// [`cumsum`](Self::cumsum).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0], [3])?;
    /// assert_eq!(x.cumprod(-1)?.to_vec::<f32>()?, [1.0, 2.0, 6.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`cumsum`](Self::cumsum).
    pub fn cumprod(&self, axis: isize) -> Result<Self> {
        let axis = one_axis("cumprod", self, axis)?;
        apply_one(Cumulative { kind: CumulativeKind::Prod, axis }, &[self])
    }

    /// The largest of the elements up to each one along `axis`, and its place (`I64`): of equal
    /// ones the last, as in PyTorch. From the first NaN on NaN.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 3.0, 2.0, 3.0], [4])?;
    /// let (values, places) = x.cummax(0)?;
    /// assert_eq!(values.to_vec::<f32>()?, [1.0, 3.0, 3.0, 3.0]);
    /// assert_eq!(places.to_vec::<i64>()?, [0, 1, 1, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`cumsum`](Self::cumsum).
    pub fn cummax(&self, axis: isize) -> Result<(Self, Self)> {
        self.running_extreme(CumulativeKind::Max, axis)
    }

    /// The smallest of the elements up to each one along `axis`, and its place; see
    /// [`cummax`](Self::cummax).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![2u8, 3, 1], [3])?;
    /// assert_eq!(x.cummin(0)?.0.to_vec::<u8>()?, [2, 2, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`cumsum`](Self::cumsum).
    pub fn cummin(&self, axis: isize) -> Result<(Self, Self)> {
        self.running_extreme(CumulativeKind::Min, axis)
    }

    fn running_extreme(&self, kind: CumulativeKind, axis: isize) -> Result<(Self, Self)> {
        let axis = one_axis(kind.name(), self, axis)?;
        let outputs = apply(Cumulative { kind, axis }, &[self])?;
        pair(kind.name(), outputs)
    }

    /// The differences of neighbours along `axis`, `n` times: each time one element fewer. Of
    /// `Bool` whether they differ; unsigned integers wrap around.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1i32, 4, 9, 16], [4])?;
    /// assert_eq!(x.diff(1, 0)?.to_vec::<i32>()?, [3, 5, 7]);
    /// assert_eq!(x.diff(2, 0)?.to_vec::<i32>()?, [2, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`cumsum`](Self::cumsum).
    pub fn diff(&self, n: usize, axis: isize) -> Result<Self> {
        let at = one_axis("diff", self, axis)?;
        composed("diff", &[self], || {
            let mut result = self.clone();
            // Nothing is left after as many times as there are elements.
            for _ in 0..n.min(self.shape()[at]) {
                let rest = result.shape()[at] - 1;
                let (behind, before) =
                    (result.narrow(axis, 1, rest)?, result.narrow(axis, 0, rest)?);
                result = if self.dtype() == BitNetDType::Bool {
                    behind.ne(&before)?
                } else {
                    behind.sub(&before)?
                };
            }
            Ok(result)
        })
    }
}

/// The two results of an operation.
pub(super) fn pair(
    name: &'static str,
    outputs: crate::ops::Outputs,
) -> Result<(BitNetTensor, BitNetTensor)> {
    let mut outputs = outputs.into_iter();
    match (outputs.next(), outputs.next()) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => Err(error!(InternalError, name, &[], "the operation has not two results")),
    }
}
