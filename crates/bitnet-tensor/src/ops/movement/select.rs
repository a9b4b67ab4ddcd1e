//! Elements chosen by their positions along an axis, and the sum into such places.

use smallvec::smallvec;

use super::index::flat_places;
use crate::backend::dispatch::{apply_one, composed};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, OperandTypes, Operation, Specs, TensorSpec};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// Slices of `axis` chosen by indices of any shape: the axis is replaced by the axes of the indices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IndexSelect {
    /// The axis, counted from the front.
    pub axis: usize,
}

/// The type that indices are converted to: `U32` and `I64` stay.
pub(super) fn index_type(name: &'static str, inputs: &[&BitNetTensor]) -> Result<BitNetDType> {
    match inputs[1].dtype() {
        BitNetDType::U32 => Ok(BitNetDType::U32),
        dtype if dtype.is_integer() => Ok(BitNetDType::I64),
        _ => bail!(DTypeMismatch, name, inputs, "indices are integers"),
    }
}

impl Operation for IndexSelect {
    fn name(&self) -> &'static str {
        "index_select"
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        Ok(Some(smallvec![inputs[0].dtype(), index_type(self.name(), inputs)?]))
    }

    fn bytes(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        // Only what is chosen is read.
        Some((2 * outputs[0].byte_size() + inputs[1].byte_size()) as u64)
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (x, indices) = (inputs[0], inputs[1]);
        let is_rows_of_blocks = matches!(x.dtype(), BitNetDType::Block(_))
            && x.grouped_parts().is_none()
            && (x.rank(), self.axis) == (2, 0);
        if x.dtype().is_packed() && !is_rows_of_blocks {
            bail!(UnsupportedOperation, self.name(), inputs, "not for packed weights");
        }
        let dtype = if is_rows_of_blocks { BitNetDType::F32 } else { x.dtype() };
        let (before, after) = (&x.shape()[..self.axis], &x.shape()[self.axis + 1..]);
        let shape: TensorShape =
            before.iter().chain(indices.shape().iter()).chain(after).copied().collect();
        Ok(smallvec![TensorSpec::new(shape, dtype)])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (x, indices, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        // The axes of the indices as one.
        let count = indices.element_count();
        let (before, after) = (&x.shape()[..self.axis], &x.shape()[self.axis + 1..]);
        let shape: TensorShape = before.iter().chain(&[count]).chain(after).copied().collect();
        let dy = dy.reshape(shape)?;
        let dx = dy.index_add_into(self.axis, &indices.reshape([count])?, x.shape()[self.axis])?;
        Ok(smallvec![Some(dx), None])
    }
}

/// # Choosing along an axis
impl BitNetTensor {
    /// The slices of `axis` that `indices` name, as NumPy's `take`: the axis is replaced by the axes
    /// of the indices. Indices are integers of any type; negative ones count from the end. The rows of a
    /// matrix of a block format become `F32`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// let y = x.index_select(1, &BitNetTensor::try_from(vec![-1i64])?)?;
    /// assert_eq!(y.to_vec::<f32>()?, [2.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist, `DTypeMismatch` for indices that are no
    /// integers, `ComputationError` for an index out of range.
    pub fn index_select(&self, axis: isize, indices: &Self) -> Result<Self> {
        let Some(axis) = resolve_axis(axis, self.rank()) else {
            bail!(ShapeMismatch, "index_select", &[self, indices], "there is no axis {axis}");
        };
        apply_one(IndexSelect { axis }, &[self, indices])
    }

    /// Zeros with `length` places in `axis`, to which the slices of this tensor are added at
    /// `places [slices]`.
    pub(crate) fn index_add_into(&self, axis: usize, places: &Self, length: usize) -> Result<Self> {
        let zeros = self.scalar_like(0.0)?.expand(self.shape().with_size(axis, length))?.copy()?;
        let mut shape = vec![1; self.rank()];
        shape[axis] = places.element_count();
        let places = places.reshape(shape)?.expand(self.shape())?;
        zeros.scatter_add(axis as isize, &places, self)
    }

    /// Elements chosen by positions along the first axes: the last axis of `indices [.., k]` holds
    /// an index for each of the first `k` axes, and the result is `[.., rest of the axes]`, as ONNX's
    /// `GatherND`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// let at = BitNetTensor::from_vec(vec![0i64, 1, 1, -2], [2, 2])?;
    /// assert_eq!(x.gather_nd(&at)?.to_vec::<f32>()?, [2.0, 3.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` when `k` exceeds the number of axes; as [`index_select`](Self::index_select).
    pub fn gather_nd(&self, indices: &Self) -> Result<Self> {
        composed("gather_nd", &[self, indices], || {
            let (places, depth) = self.flat_places(indices)?;
            self.with_merged_axes(depth)?.index_select(0, &places)
        })
    }

    /// The first `depth` axes as one.
    pub(super) fn with_merged_axes(&self, depth: usize) -> Result<Self> {
        let (first, rest) = self.shape().split_at(depth);
        let merged = crate::shape::count(first);
        self.reshape([&[merged], rest].concat())
    }

    /// Positions among the first `k` axes, merged, from an index for each, `[.., k]`; and `k`.
    pub(super) fn flat_places(&self, indices: &Self) -> Result<(Self, usize)> {
        let operands = &[self, indices];
        let Some(&depth) = indices.shape().last().filter(|&&depth| depth <= self.rank()) else {
            bail!(ShapeMismatch, "gather_nd", operands, "an index is longer than the axes");
        };
        if !indices.dtype().is_integer() {
            bail!(DTypeMismatch, "gather_nd", operands, "indices are integers");
        }
        let leading = TensorShape::from(&indices.shape()[..indices.rank() - 1]);
        let along: Vec<Self> = (0..depth)
            .map(|axis| indices.narrow(-1, axis, 1)?.reshape(leading.clone()))
            .collect::<Result<_>>()?;
        let axes: Vec<usize> = (0..depth).collect();
        let places = flat_places(self, &axes, &along.iter().collect::<Vec<_>>())?;
        let places = places.expand(leading)?;
        Ok((places, depth))
    }
}
