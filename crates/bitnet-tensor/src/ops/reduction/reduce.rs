//! Reductions over axes.

use smallvec::{SmallVec, smallvec};

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// What a reduction computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReduceKind {
    /// The sum; 0 of nothing.
    Sum,
    /// The arithmetic mean; NaN of nothing.
    Mean,
    /// The largest; NaN when one is; of nothing an error.
    Max,
    /// The smallest; NaN when one is; of nothing an error.
    Min,
}

/// A reduction over `axes`, ascending and distinct; an empty list means none.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduce {
    /// What is computed.
    pub kind: ReduceKind,
    /// The axes that disappear.
    pub axes: SmallVec<[usize; 4]>,
    /// Whether they stay with size one.
    pub keepdims: bool,
}

fn reduced_shape(shape: &TensorShape, axes: &[usize], keepdims: bool) -> TensorShape {
    (0..shape.rank())
        .filter(|axis| keepdims || !axes.contains(axis))
        .map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] })
        .collect()
}

impl Operation for Reduce {
    fn name(&self) -> &'static str {
        match self.kind {
            ReduceKind::Sum => "sum",
            ReduceKind::Mean => "mean",
            ReduceKind::Max => "max",
            ReduceKind::Min => "min",
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if !matches!(input.dtype(), BitNetDType::F32 | BitNetDType::F64) {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32 or f64");
        }
        let shape = reduced_shape(input.shape(), &self.axes, self.keepdims);
        let empty = self.axes.iter().any(|&axis| input.shape()[axis] == 0);
        if empty && matches!(self.kind, ReduceKind::Max | ReduceKind::Min) && !shape.contains(&0) {
            bail!(ComputationError, self.name(), inputs, "nothing has no {}", self.name());
        }
        Ok(smallvec![TensorSpec::new(shape, input.dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let x = context.inputs[0];
        let kept = reduced_shape(x.shape(), &self.axes, true);
        let dy = context.gradient.reshape(kept)?;
        let dy = match self.kind {
            ReduceKind::Sum => dy,
            ReduceKind::Mean => {
                let count: usize = self.axes.iter().map(|&axis| x.shape()[axis]).product();
                dy.mul(&dy.full_like(1.0 / count as f64)?)?
            }
            // They need comparisons, which the library does not have yet.
            ReduceKind::Max | ReduceKind::Min => {
                bail!(UnsupportedOperation, self.name(), context.inputs, "no derivative is defined")
            }
        };
        Ok(smallvec![Some(dy.expand(x.shape())?)])
    }
}

/// The index of the first maximum along the last axis; of the first NaN if there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArgMax;

impl Operation for ArgMax {
    fn name(&self) -> &'static str {
        "argmax"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype() != BitNetDType::F32 {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32");
        }
        match input.shape().split_last() {
            Some((&size, leading)) if (1..=u32::MAX as usize).contains(&size) => {
                Ok(smallvec![TensorSpec::new(leading, BitNetDType::U32)])
            }
            _ => bail!(
                ShapeMismatch,
                self.name(),
                inputs,
                "the last axis is missing, empty or too long"
            ),
        }
    }
}

/// # Reductions
///
/// `axes` may be negative; an empty list means all of them. With `keepdims` the axes stay with
/// size one.
impl BitNetTensor {
    fn reduce(&self, kind: ReduceKind, axes: &[isize], keepdims: bool) -> Result<Self> {
        let mut resolved: SmallVec<[usize; 4]> = SmallVec::new();
        for &axis in axes {
            match resolve_axis(axis, self.rank()) {
                Some(axis) if !resolved.contains(&axis) => resolved.push(axis),
                Some(_) => bail!(ShapeMismatch, "reduce", &[self], "axis {axis} is named twice"),
                None => bail!(ShapeMismatch, "reduce", &[self], "there is no axis {axis}"),
            }
        }
        if axes.is_empty() {
            resolved = (0..self.rank()).collect();
        }
        resolved.sort_unstable();
        apply_one(Reduce { kind, axes: resolved, keepdims }, &[self])
    }

    /// The sum over `axes`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(x.sum(&[0], false)?.to_vec::<f32>()?, [4.0, 6.0]);
    /// assert_eq!(x.sum(&[], false)?.item::<f32>()?, 10.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or is named twice, `DTypeMismatch` unless
    /// `F32` or `F64`.
    pub fn sum(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Sum, axes, keepdims)
    }

    /// The mean over `axes`; NaN of nothing.
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn mean(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Mean, axes, keepdims)
    }

    /// The largest element over `axes`.
    ///
    /// # Errors
    /// As [`sum`](Self::sum), and `ComputationError` of nothing.
    pub fn max(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Max, axes, keepdims)
    }

    /// The smallest element over `axes`.
    ///
    /// # Errors
    /// As [`sum`](Self::sum), and `ComputationError` of nothing.
    pub fn min(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Min, axes, keepdims)
    }

    /// The index of the first maximum along the last axis, `U32`; of the first NaN if there is
    /// one, as in NumPy.
    ///
    /// # Errors
    /// `DTypeMismatch` unless `F32`, `ShapeMismatch` for a scalar or an empty axis.
    pub fn argmax(&self) -> Result<Self> {
        apply_one(ArgMax, &[self])
    }
}
