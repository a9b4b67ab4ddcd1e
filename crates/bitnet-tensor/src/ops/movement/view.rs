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
    /// Windows over an axis; their elements become a last axis.
    Windows {
        /// The axis.
        axis: usize,
        /// The elements of a window; not zero.
        size: usize,
        /// The distance between the beginnings of windows; not zero.
        step: usize,
        /// The distance between the elements of a window; not zero.
        dilation: usize,
    },
    /// The elements whose indices along two axes differ by `offset`; they become the last axis.
    Diagonal {
        /// The two axes.
        axes: [usize; 2],
        /// The second index less the first.
        offset: isize,
    },
}

/// The number of windows in an axis of `length`.
fn window_count(length: usize, size: usize, step: usize, dilation: usize) -> Option<usize> {
    let reach = size.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
    Some(length.checked_sub(reach)? / step + 1)
}

/// Where a diagonal begins along both axes, and its length.
fn diagonal_extent(rows: usize, columns: usize, offset: isize) -> ([usize; 2], usize) {
    let (down, right) = (offset.min(0).unsigned_abs(), offset.max(0).unsigned_abs());
    let length = rows.saturating_sub(down).min(columns.saturating_sub(right));
    ([down, right], length)
}

impl Operation for View {
    fn name(&self) -> &'static str {
        match self {
            View::Reshape(_) => "reshape",
            View::Permute(_) => "permute",
            View::Slice { .. } => "slice",
            View::Expand(_) => "expand",
            View::Windows { .. } => "windows",
            View::Diagonal { .. } => "diagonal",
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype().is_packed() {
            // Rows of blocks as files have them can be taken apart.
            let takes_rows = matches!(self, View::Slice { axis: 0, step: 1, .. })
                && input.rank() > 1
                && matches!(input.dtype(), BitNetDType::Block(_));
            if !takes_rows || input.grouped_parts().is_some() {
                bail!(UnsupportedOperation, self.name(), inputs, "a packed weight has no views");
            }
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
            View::Windows { axis, size, step, dilation } => {
                let length = input.shape()[*axis];
                let count = match *size > 0 && *step > 0 && *dilation > 0 {
                    true => window_count(length, *size, *step, *dilation),
                    false => None,
                };
                let Some(count) = count else {
                    bail!(
                        ShapeMismatch,
                        self.name(),
                        inputs,
                        "no windows of {size} elements, {dilation} apart, every {step}, in axis {axis}"
                    );
                };
                let shape = input.shape().with_size(*axis, count);
                let shape: TensorShape = shape.iter().copied().chain([*size]).collect();
                if shape.checked_element_count().is_none() {
                    bail!(InvalidTensor, self.name(), inputs, "the windows are too many to count");
                }
                shape
            }
            View::Diagonal { axes: [a, b], offset } => {
                let shape = input.shape();
                let (_, length) = diagonal_extent(shape[*a], shape[*b], *offset);
                let rest = (0..input.rank()).filter(|axis| axis != a && axis != b);
                rest.map(|axis| shape[axis]).chain([length]).collect()
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
            View::Windows { axis, size, step, dilation } => {
                let count = window_count(input.shape()[*axis], *size, *step, *dilation)?;
                Some(layout.windows(*axis, count, *size, [*step, *dilation]))
            }
            View::Diagonal { axes, offset } => {
                let [a, b] = *axes;
                let (start, length) = diagonal_extent(input.shape()[a], input.shape()[b], *offset);
                Some(layout.diagonal(*axes, start, length))
            }
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
            // The gradient outside of the slice is zero.
            View::Slice { axis, start, length, step } => {
                let zeros = dy.scalar_like(0.0)?.expand(x.shape())?.copy()?;
                zeros.with_slice(*axis as isize, *start, *length, *step, dy)?
            }
            // An element has the gradients of all windows that it is in.
            View::Windows { axis, size, step, dilation } => {
                let length = x.shape()[*axis];
                let count = dy.shape()[*axis];
                let places = (0..count)
                    .flat_map(|w| (0..*size).map(move |k| (w * step + k * dilation) as i64))
                    .collect::<Vec<_>>();
                let places = BitNetTensor::try_from(places)?.to_device(dy.device())?;
                // [.., count, .., size] to [.., count · size, ..].
                let dy = dy.movedim(-1, *axis as isize + 1)?.flatten(*axis, *axis + 1)?;
                dy.index_add_into(*axis, &places, length)?
            }
            View::Diagonal { axes: [a, b], offset } => {
                let (rows, columns) = (x.shape()[*a], x.shape()[*b]);
                let (start, length) = diagonal_extent(rows, columns, *offset);
                let places = (0..length)
                    .map(|n| ((start[0] + n) * columns + start[1] + n) as i64)
                    .collect::<Vec<_>>();
                let places = BitNetTensor::try_from(places)?.to_device(dy.device())?;
                let last = dy.rank() - 1;
                let flat = dy.index_add_into(last, &places, rows * columns)?;
                let mut shape = flat.shape().to_vec();
                shape.splice(last.., [rows, columns]);
                let split = flat.reshape(shape)?;
                split.movedims(&[last as isize, last as isize + 1], &[*a as isize, *b as isize])?
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
    /// let x = BitNetTensor::arange(0u32..6)?;
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
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0..24)?.reshape([2, 3, 4])?;
    /// assert_eq!(x.permute(&[2, 0, 1])?.shape()[..], [4, 2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
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
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0i32..6)?.reshape([2, 3])?;
    /// assert_eq!(x.transpose(0, -1)?.to_vec::<i32>()?, [0, 3, 1, 4, 2, 5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
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
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::arange(0i32..6)?;
    /// assert_eq!(x.narrow(0, 2, 3)?.to_vec::<i32>()?, [2, 3, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
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
    /// let x = BitNetTensor::arange(0u32..6)?;
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
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1u8, 2], [2, 1])?;
    /// assert_eq!(x.expand([2, 3])?.to_vec::<u8>()?, [1, 1, 1, 2, 2, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `BroadcastError` when the shape does not broadcast to it.
    pub fn expand(&self, shape: impl Into<TensorShape>) -> Result<Self> {
        apply_one(View::Expand(shape.into()), &[self])
    }

    /// Without `axis`, whose size is one.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::zeros([1, 3], BitNetDType::F32)?;
    /// assert_eq!(x.squeeze(0)?.shape()[..], [3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
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
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::zeros([3], BitNetDType::F32)?;
    /// assert_eq!(x.unsqueeze(-1)?.shape()[..], [3, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
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

    /// Windows of `size` elements over `axis`, `dilation` apart, the beginnings `step` apart: `axis`
    /// counts them, and their elements become a last axis. Windows overlap without copies.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u32, 2, 3, 4, 5])?;
    /// let y = x.windows(0, 2, 1, 2)?;
    /// assert_eq!((y.to_vec::<u32>()?, y.shares_storage_with(&x)), (vec![1, 3, 2, 4, 3, 5], true));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist, when not one window fits, and for a size,
    /// step or dilation of zero.
    pub fn windows(&self, axis: isize, size: usize, step: usize, dilation: usize) -> Result<Self> {
        let Some(axis) = resolve_axis(axis, self.rank()) else {
            bail!(ShapeMismatch, "windows", &[self], "there is no axis {axis}");
        };
        apply_one(View::Windows { axis, size, step, dilation }, &[self])
    }

    /// [`windows`](Self::windows) of neighbouring elements, as PyTorch's `unfold`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u32, 2, 3])?;
    /// assert_eq!(x.unfold(0, 2, 1)?.to_vec::<u32>()?, [1, 2, 2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`windows`](Self::windows).
    pub fn unfold(&self, axis: isize, size: usize, step: usize) -> Result<Self> {
        self.windows(axis, size, step, 1)
    }

    /// The elements whose indices along `second` exceed those along `first` by `offset`; they become
    /// the last axis.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1u32, 2, 3, 4], [2, 2])?;
    /// assert_eq!(x.diagonal(0, 0, 1)?.to_vec::<u32>()?, [1, 4]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` unless there are two such axes.
    pub fn diagonal(&self, offset: isize, first: isize, second: isize) -> Result<Self> {
        match (resolve_axis(first, self.rank()), resolve_axis(second, self.rank())) {
            (Some(a), Some(b)) if a != b => {
                apply_one(View::Diagonal { axes: [a, b], offset }, &[self])
            }
            _ => bail!(
                ShapeMismatch,
                "diagonal",
                &[self],
                "there are no two axes {first} and {second}"
            ),
        }
    }
}
