//! Views: another shape or order of the same elements, without moving them.

use smallvec::{SmallVec, smallvec};

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::layout::Layout;
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// A view; axes are counted from the front.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum View {
    /// The same elements in the same order under another shape.
    Reshape(TensorShape),
    /// The axes in another order.
    Permute(SmallVec<[usize; 8]>),
    /// `length` elements of `axis` from `start`, `step` apart (negative: backwards).
    Slice {
        /// The axis.
        axis: usize,
        /// The first element.
        start: usize,
        /// The number of elements.
        length: usize,
        /// The distance between them; not zero.
        step: isize,
    },
    /// Axes of size one repeated to this shape.
    Expand(TensorShape),
}

impl Operation for View {
    fn name(&self) -> &'static str {
        match self {
            View::Reshape(_) => "reshape",
            View::Permute(_) => "permute",
            View::Slice { .. } => "slice",
            View::Expand(_) => "expand",
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype() == BitNetDType::Ternary {
            bail!(UnsupportedOperation, self.name(), inputs, "a packed weight has no views");
        }
        let shape = match self {
            View::Reshape(shape) => {
                if shape.checked_element_count() != Some(input.element_count()) {
                    bail!(ShapeMismatch, self.name(), inputs, "the elements do not fill {shape}");
                }
                shape.clone()
            }
            View::Permute(axes) => axes.iter().map(|&axis| input.shape()[axis]).collect(),
            View::Slice { axis, start, length, step } => {
                let size = input.shape()[*axis];
                let last = length.checked_sub(1).map(|steps| {
                    isize::try_from(steps).ok()?.checked_mul(*step)?.checked_add_unsigned(*start)
                });
                let inside = match last {
                    None => *start <= size,
                    Some(last) => {
                        *start < size && last.is_some_and(|last| (0..size as isize).contains(&last))
                    }
                };
                if !inside || *step == 0 {
                    bail!(
                        ShapeMismatch,
                        self.name(),
                        inputs,
                        "{length} elements from {start} with step {step} are not inside axis {axis}"
                    );
                }
                input.shape().with_size(*axis, *length)
            }
            View::Expand(shape) => {
                if input.shape().broadcast(shape).as_ref() != Ok(shape)
                    || shape.checked_element_count().is_none()
                {
                    bail!(BroadcastError, self.name(), inputs, "does not broadcast to {shape}");
                }
                shape.clone()
            }
        };
        Ok(smallvec![TensorSpec::new(shape, input.dtype())])
    }

    fn view(&self, input: &BitNetTensor) -> Option<Layout> {
        let layout = input.layout();
        match self {
            View::Reshape(shape) => layout.reshape(shape),
            View::Permute(axes) => Some(layout.permute(axes)),
            View::Slice { axis, start, length, step } => {
                Some(layout.slice(*axis, *start, *length, *step))
            }
            View::Expand(shape) => Some(layout.expand(shape)),
        }
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (x, dy) = (context.inputs[0], context.gradient);
        let dx = match self {
            View::Reshape(_) => dy.reshape(x.shape())?,
            View::Permute(axes) => {
                let mut inverse: SmallVec<[usize; 8]> = smallvec![0; axes.len()];
                for (to, &from) in axes.iter().enumerate() {
                    inverse[from] = to;
                }
                apply_one(View::Permute(inverse), &[dy])?
            }
            View::Expand(_) => dy.sum_to(x.shape())?,
            // The gradient outside of the slice is zero: cat of zeros, gradient, zeros.
            View::Slice { axis, start, length, step: 1 } => {
                let zeros = |size: usize| {
                    BitNetTensor::zeros(x.shape().with_size(*axis, size), x.dtype())?
                        .to_device(x.device())
                };
                let after = x.shape()[*axis] - start - length;
                BitNetTensor::cat(&[&zeros(*start)?, dy, &zeros(after)?], *axis as isize)?
            }
            View::Slice { .. } => {
                bail!(
                    UnsupportedOperation,
                    self.name(),
                    context.inputs,
                    "no derivative is defined for steps"
                )
            }
        };
        Ok(smallvec![Some(dx)])
    }
}

/// # Views
///
/// All of these share the storage, except [`reshape`](Self::reshape) where the layout does not
/// allow it. An axis may be negative: it counts from the end.
impl BitNetTensor {
    /// The same elements in row-major order under another shape: a view when the layout allows
    /// it, else a copy.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0..6)?;
    /// let y = x.reshape([2, 3])?;
    /// assert!(y.shares_storage_with(&x));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` when the number of elements differs.
    pub fn reshape(&self, shape: impl Into<TensorShape>) -> Result<Self> {
        let view = View::Reshape(shape.into());
        view.infer(&[self])?;
        if view.view(self).is_some() {
            return apply_one(view, &[self]);
        }
        apply_one(view, &[&self.copy()?])
    }

    /// The axes in the order of `axes`, a permutation.
    ///
    /// # Errors
    /// `ShapeMismatch` when `axes` is no permutation of the axes.
    pub fn permute(&self, axes: &[isize]) -> Result<Self> {
        let mut resolved: SmallVec<[usize; 8]> = SmallVec::new();
        for &axis in axes {
            match resolve_axis(axis, self.rank()) {
                Some(axis) if !resolved.contains(&axis) => resolved.push(axis),
                _ => bail!(
                    ShapeMismatch,
                    "permute",
                    &[self],
                    "{axes:?} is no permutation of the axes"
                ),
            }
        }
        if resolved.len() != self.rank() {
            bail!(ShapeMismatch, "permute", &[self], "{axes:?} is no permutation of the axes");
        }
        apply_one(View::Permute(resolved), &[self])
    }

    /// Two axes exchanged.
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist.
    pub fn transpose(&self, first: isize, second: isize) -> Result<Self> {
        let (Some(a), Some(b)) =
            (resolve_axis(first, self.rank()), resolve_axis(second, self.rank()))
        else {
            bail!(ShapeMismatch, "transpose", &[self], "there are no axes {first} and {second}");
        };
        let mut axes: SmallVec<[usize; 8]> = (0..self.rank()).collect();
        axes.swap(a, b);
        apply_one(View::Permute(axes), &[self])
    }

    /// `length` elements of `axis` from `start`.
    ///
    /// # Errors
    /// `ShapeMismatch` when they are not inside the axis.
    pub fn narrow(&self, axis: isize, start: usize, length: usize) -> Result<Self> {
        self.slice(axis, start, length, 1)
    }

    /// `length` elements of `axis` from `start`, `step` apart; backwards if it is negative.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0..6)?;
    /// assert_eq!(x.slice(0, 5, 3, -2)?.to_vec::<u32>()?, [5, 3, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` when they are not inside the axis, or `step` is zero.
    pub fn slice(&self, axis: isize, start: usize, length: usize, step: isize) -> Result<Self> {
        let Some(axis) = resolve_axis(axis, self.rank()) else {
            bail!(ShapeMismatch, "slice", &[self], "there is no axis {axis}");
        };
        apply_one(View::Slice { axis, start, length, step }, &[self])
    }

    /// Axes of size one, and missing leading axes, repeated to `shape`.
    ///
    /// # Errors
    /// `BroadcastError` when the shape does not broadcast to it.
    pub fn expand(&self, shape: impl Into<TensorShape>) -> Result<Self> {
        apply_one(View::Expand(shape.into()), &[self])
    }

    /// Without `axis`, whose size is one.
    ///
    /// # Errors
    /// `ShapeMismatch` when there is no such axis or its size is not one.
    pub fn squeeze(&self, axis: isize) -> Result<Self> {
        let Some(at) = resolve_axis(axis, self.rank()).filter(|&at| self.shape()[at] == 1) else {
            bail!(ShapeMismatch, "squeeze", &[self], "there is no axis {axis} of size one");
        };
        let sizes = self.shape().iter().enumerate();
        let shape: TensorShape =
            sizes.filter(|&(axis, _)| axis != at).map(|(_, &size)| size).collect();
        apply_one(View::Reshape(shape), &[self])
    }

    /// With a new axis of size one at `axis` of the result.
    ///
    /// # Errors
    /// `ShapeMismatch` when the result has no such axis.
    pub fn unsqueeze(&self, axis: isize) -> Result<Self> {
        let Some(at) = resolve_axis(axis, self.rank() + 1) else {
            bail!(ShapeMismatch, "unsqueeze", &[self], "the result has no axis {axis}");
        };
        let (before, after) = self.shape().split_at(at);
        let shape: TensorShape = before.iter().chain(&[1]).chain(after).copied().collect();
        apply_one(View::Reshape(shape), &[self])
    }
}
