//! Reductions over axes.

use smallvec::smallvec;

use super::axes::{Axes, reduced_count, reduced_shape, resolve_axes, signed};
use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec, no_derivative};
use crate::{BitNetDType, BitNetTensor};

/// What a reduction computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReduceKind {
    /// The sum; 0 of nothing.
    Sum,
    /// The product; 1 of nothing.
    Prod,
    /// The arithmetic mean; NaN of nothing.
    Mean,
    /// The largest; NaN when one is; of nothing an error.
    Max,
    /// The smallest; NaN when one is; of nothing an error.
    Min,
    /// Whether one is not zero.
    Any,
    /// Whether none is zero.
    All,
    /// How many are not zero.
    CountNonzero,
}

/// A reduction over `axes`, ascending and distinct; an empty list means none.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduce {
    /// What is computed.
    pub kind: ReduceKind,
    /// The axes that disappear.
    pub axes: Axes,
    /// Whether they stay with size one.
    pub keepdims: bool,
}

impl ReduceKind {
    fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Prod => "prod",
            Self::Mean => "mean",
            Self::Max => "max",
            Self::Min => "min",
            Self::Any => "any",
            Self::All => "all",
            Self::CountNonzero => "count_nonzero",
        }
    }

    /// The type of the result: sums and products of integers have 64 bits, as in NumPy.
    fn output(self, input: BitNetDType) -> BitNetDType {
        match self {
            Self::Any | Self::All => BitNetDType::Bool,
            Self::CountNonzero => BitNetDType::I64,
            Self::Sum | Self::Prod if input.is_unsigned_integer() => BitNetDType::U64,
            Self::Sum | Self::Prod if !input.is_float() => BitNetDType::I64,
            _ => input,
        }
    }
}

impl Operation for Reduce {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype().is_packed() {
            bail!(DTypeMismatch, self.name(), inputs, "takes numbers or bool");
        }
        if self.kind == ReduceKind::Mean && !input.dtype().is_float() {
            bail!(DTypeMismatch, self.name(), inputs, "takes floats: cast with to_dtype first");
        }
        let shape = reduced_shape(input.shape(), &self.axes, self.keepdims);
        let empty = self.axes.iter().any(|&axis| input.shape()[axis] == 0);
        if empty && matches!(self.kind, ReduceKind::Max | ReduceKind::Min) && !shape.contains(&0) {
            bail!(
                ComputationError,
                self.name(),
                inputs,
                "no elements: there is no {}",
                if self.kind == ReduceKind::Max { "largest" } else { "smallest" }
            );
        }
        Ok(smallvec![TensorSpec::new(shape, self.kind.output(input.dtype()))])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let x = context.inputs[0];
        if !x.dtype().is_float() {
            return Ok(smallvec![None]);
        }
        let kept = reduced_shape(x.shape(), &self.axes, true);
        let dx = match self.kind {
            ReduceKind::Sum => context.gradient.reshape(kept)?,
            ReduceKind::Mean => {
                let dy = context.gradient.reshape(kept)?;
                dy.div(reduced_count(x.shape(), &self.axes) as f64)?
            }
            ReduceKind::Prod => product_gradient(x, &context.gradient.reshape(kept)?, &self.axes)?,
            ReduceKind::Max | ReduceKind::Min => {
                let (y, dy) = (context.output().reshape(&kept)?, context.gradient.reshape(&kept)?);
                shared(x, &y, &dy, &self.axes)?
            }
            _ => return Err(no_derivative(self.name(), context)),
        };
        Ok(smallvec![Some(dx.expand(x.shape())?)])
    }
}

/// The gradient `dy` of an extreme `y`, shared evenly by the elements that are equal to it.
pub(super) fn shared(
    x: &BitNetTensor,
    y: &BitNetTensor,
    dy: &BitNetTensor,
    axes: &[usize],
) -> Result<BitNetTensor> {
    let equal = x.eq(y)?;
    let count = equal.sum(&signed(axes), true)?.to_dtype(dy.dtype())?;
    equal.where_(&dy.div(&count)?, 0)
}

/// The derivative by an element is the product of the others: zero when one of them is zero, else
/// the product of all that are not zero over the element itself.
fn product_gradient(x: &BitNetTensor, dy: &BitNetTensor, axes: &[usize]) -> Result<BitNetTensor> {
    let axes = signed(axes);
    let is_zero = x.eq(0)?;
    let other_zeros = is_zero.sum(&axes, true)?.sub(&is_zero.to_dtype(BitNetDType::I64)?)?;
    let not_zero = is_zero.where_(&x.scalar_like(1.0)?, x)?;
    let others = dy.mul(&not_zero.prod(&axes, true)?)?.div(&not_zero)?;
    other_zeros.eq(0)?.where_(&others, 0)
}

/// # Reductions
///
/// `axes` may be negative; an empty list means all of them. With `keepdims` the axes stay with
/// size one. `F16` and `BF16` are accumulated in more bits and rounded once.
impl BitNetTensor {
    fn reduce(&self, kind: ReduceKind, axes: &[isize], keepdims: bool) -> Result<Self> {
        let axes = resolve_axes(kind.name(), self, axes)?;
        apply_one(Reduce { kind, axes, keepdims }, &[self])
    }

    /// The sum over `axes`; 0 of nothing. Signed integers and `Bool` are summed as `I64`, unsigned
    /// ones as `U64`, and wrap around.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(x.sum(&[0], false)?.to_vec::<f32>()?, [4.0, 6.0]);
    /// assert_eq!(x.sum(&[], false)?.item::<f32>()?, 10.0);
    /// let bytes = BitNetTensor::from_vec(vec![200u8, 100], [2])?;
    /// assert_eq!(bytes.sum(&[], false)?.item::<u64>()?, 300);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist or is named twice, `DTypeMismatch` for
    /// packed types.
    pub fn sum(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Sum, axes, keepdims)
    }

    /// The product over `axes`; 1 of nothing. Types as in [`sum`](Self::sum).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1i32, 2, 3, 4], [2, 2])?;
    /// assert_eq!(x.prod(&[1], false)?.to_vec::<i64>()?, [2, 12]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn prod(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Prod, axes, keepdims)
    }

    /// The mean over `axes`; NaN of nothing.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// assert_eq!(x.mean(&[-1], true)?.to_vec::<f32>()?, [1.5, 3.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sum`](Self::sum), and `DTypeMismatch` unless the elements are floats.
    pub fn mean(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Mean, axes, keepdims)
    }

    /// The largest element over `axes`; NaN when there is one.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1i8, -2, 3, 4], [2, 2])?;
    /// assert_eq!(x.max(&[1], false)?.to_vec::<i8>()?, [1, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sum`](Self::sum), and `ComputationError` of nothing.
    pub fn max(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Max, axes, keepdims)
    }

    /// The smallest element over `axes`; NaN when there is one.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f64, f64::NAN, 3.0, 4.0], [2, 2])?;
    /// assert!(x.min(&[], false)?.item::<f64>()?.is_nan());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sum`](Self::sum), and `ComputationError` of nothing.
    pub fn min(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Min, axes, keepdims)
    }

    /// Whether an element over `axes` is not zero, `Bool`; false of nothing. NaN is not zero.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![true, false, false, false], [2, 2])?;
    /// assert_eq!(x.any(&[1], false)?.to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn any(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::Any, axes, keepdims)
    }

    /// Whether no element over `axes` is zero, `Bool`; true of nothing. NaN is not zero.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1i32, 2, 0, 3], [2, 2])?;
    /// assert_eq!(x.all(&[1], false)?.to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn all(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::All, axes, keepdims)
    }

    /// How many elements over `axes` are not zero, `I64`. NaN is not zero.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.0f32, -0.0, f32::NAN, 2.0], [4])?;
    /// assert_eq!(x.count_nonzero(&[], false)?.item::<i64>()?, 2);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sum`](Self::sum).
    pub fn count_nonzero(&self, axes: &[isize], keepdims: bool) -> Result<Self> {
        self.reduce(ReduceKind::CountNonzero, axes, keepdims)
    }
}
