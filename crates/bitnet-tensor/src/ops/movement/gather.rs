//! Elements chosen one by one along an axis, and written there.

use smallvec::smallvec;

use super::select::index_type;
use crate::backend::dispatch::{apply_one, composed};
use crate::error::{Result, bail, error};
use crate::ops::{Derivative, OperandGradients, OperandTypes, Operation, Specs, TensorSpec};
use crate::shape::resolve_axis;
use crate::{BitNetDType, BitNetTensor};

/// `out[.., i, ..] = x[.., index[.., i, ..], ..]` along `axis`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gather {
    /// The axis, counted from the front.
    pub axis: usize,
}

/// How an element that is written meets the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ScatterKind {
    /// It replaces it; of several, the last in row-major order.
    Assign,
    /// They are added.
    Add,
    /// They are multiplied.
    Mul,
    /// The larger stays; NaN when one is.
    Max,
    /// The smaller stays; NaN when one is.
    Min,
}

/// `out = target`, then `out[.., index[.., i, ..], ..] ∘= source[.., i, ..]` along `axis`, in
/// row-major order of the indices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scatter {
    /// The axis, counted from the front.
    pub axis: usize,
    /// How elements meet.
    pub kind: ScatterKind,
}

/// The index has as many axes, and no more places outside of `axis`, than the tensor.
fn check_index(name: &'static str, axis: usize, inputs: &[&BitNetTensor]) -> Result<()> {
    let (x, index) = (inputs[0], inputs[1]);
    if x.dtype().is_packed() {
        bail!(UnsupportedOperation, name, inputs, "not for packed weights");
    }
    let fits = x.rank() == index.rank()
        && (0..x.rank()).all(|n| n == axis || index.shape()[n] <= x.shape()[n]);
    if !fits {
        bail!(ShapeMismatch, name, inputs, "the index does not fit outside of axis {axis}");
    }
    Ok(())
}

impl Operation for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        Ok(Some(smallvec![inputs[0].dtype(), index_type(self.name(), inputs)?]))
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        check_index(self.name(), self.axis, inputs)?;
        Ok(smallvec![TensorSpec::new(inputs[1].shape(), inputs[0].dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (x, index, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        let zeros = dy.scalar_like(0.0)?.expand(x.shape())?.copy()?;
        Ok(smallvec![Some(zeros.scatter_add(self.axis as isize, index, dy)?), None])
    }
}

impl Operation for Scatter {
    fn name(&self) -> &'static str {
        match self.kind {
            ScatterKind::Assign => "scatter",
            ScatterKind::Add => "scatter_add",
            _ => "scatter_reduce",
        }
    }

    fn works_in_place(&self) -> bool {
        self.kind == ScatterKind::Assign
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        let dtype = inputs[0].dtype();
        if inputs[2].dtype() != dtype {
            bail!(DTypeMismatch, self.name(), inputs, "target and source differ in type");
        }
        if dtype == BitNetDType::Bool && self.kind != ScatterKind::Assign {
            bail!(UnsupportedOperation, self.name(), inputs, "not for bool: convert first");
        }
        Ok(Some(smallvec![dtype, index_type(self.name(), inputs)?, dtype]))
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        check_index(self.name(), self.axis, inputs)?;
        let (target, index, source) = (inputs[0], inputs[1], inputs[2]);
        if index.shape() != source.shape() {
            bail!(ShapeMismatch, self.name(), inputs, "index and source have different shapes");
        }
        Ok(smallvec![TensorSpec::new(target.shape(), target.dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (target, index, source) = (context.inputs[0], context.inputs[1], context.inputs[2]);
        let (y, dy, axis) = (context.output(), context.gradient, self.axis as isize);
        let zeros = || source.scalar_like(0.0)?.expand(source.shape())?.copy();
        let d_source = dy.gather(axis, index)?;
        Ok(match self.kind {
            ScatterKind::Assign => {
                smallvec![Some(dy.scatter(axis, index, &zeros()?)?), None, Some(d_source)]
            }
            ScatterKind::Add => smallvec![Some(dy.clone()), None, Some(d_source)],
            // y = target · Π source, where no factor is zero.
            ScatterKind::Mul => {
                let d_source = dy.mul(y)?.gather(axis, index)?.div(source)?;
                smallvec![Some(dy.mul(y)?.div(target)?), None, Some(d_source)]
            }
            // Those that are the extreme share the gradient evenly.
            ScatterKind::Max | ScatterKind::Min => {
                let ones = |mask: &BitNetTensor| mask.to_dtype(dy.dtype());
                let here = ones(&y.eq(target)?)?;
                let there = ones(&y.gather(axis, index)?.eq(source)?)?;
                let share = dy.div(here.scatter_add(axis, index, &there)?)?;
                let d_source = share.gather(axis, index)?.mul(there)?;
                smallvec![Some(share.mul(here)?), None, Some(d_source)]
            }
        })
    }
}

/// # Elements along an axis
impl BitNetTensor {
    fn axis_of(&self, name: &'static str, axis: isize, operands: &[&Self]) -> Result<usize> {
        match resolve_axis(axis, self.rank()) {
            Some(axis) => Ok(axis),
            None => bail!(ShapeMismatch, name, operands, "there is no axis {axis}"),
        }
    }

    /// For each place of `index` the element of that index along `axis`, as PyTorch's `gather`: the
    /// result has the shape of the index, which outside of the axis may be smaller than this tensor
    /// and is not broadcast. Indices are integers of any type; negative ones count from the end.
    /// NumPy's broadcasting of both is [`take_along_axis`](Self::take_along_axis).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// let index = BitNetTensor::from_vec(vec![1i64, 0], [2, 1])?;
    /// assert_eq!(x.gather(1, &index)?.to_vec::<f32>()?, [2.0, 3.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` when the index does not fit, `DTypeMismatch` when it is no integer,
    /// `ComputationError` for an index out of range.
    pub fn gather(&self, axis: isize, index: &Self) -> Result<Self> {
        let axis = self.axis_of("gather", axis, &[self, index])?;
        apply_one(Gather { axis }, &[self, index])
    }

    /// For each place of `index` the element of that index along `axis`, as NumPy's
    /// `take_along_axis`: outside of the axis this tensor and the index are broadcast to each other
    /// first, where [`gather`](Self::gather) reads a size of one as that many places.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
    /// let first_column = BitNetTensor::from_vec(vec![0i64], [1, 1])?;
    /// assert_eq!(x.take_along_axis(1, &first_column)?.to_vec::<f32>()?, [1.0, 3.0]);
    /// assert_eq!(x.gather(1, &first_column)?.to_vec::<f32>()?, [1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`gather`](Self::gather); `BroadcastError` when the sizes outside of the axis do not fit.
    pub fn take_along_axis(&self, axis: isize, index: &Self) -> Result<Self> {
        let operands = &[self, index];
        let axis = self.axis_of("take_along_axis", axis, operands)?;
        composed("take_along_axis", operands, || {
            if index.rank() != self.rank() {
                bail!(ShapeMismatch, "take_along_axis", operands, "the numbers of axes differ");
            }
            let one = |x: &Self| x.shape().with_size(axis, 1);
            let common = one(self).broadcast(&one(index)).map_err(|(axis, a, b)| {
                let reason = "shapes do not broadcast: axis";
                error!(
                    BroadcastError,
                    "take_along_axis", operands, "{reason} {axis} has sizes {a} and {b}"
                )
            })?;
            let whole = |x: &Self| x.expand(common.with_size(axis, x.shape()[axis]));
            whole(self)?.gather(axis as isize, &whole(index)?)
        })
    }

    /// This tensor with the elements of `source` at the places that `index` names along `axis`, as
    /// PyTorch's `scatter`; of several for one place, the last in row-major order.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![0.0f32, 0.0, 0.0])?;
    /// let index = BitNetTensor::try_from(vec![2i64, 0])?;
    /// let source = BitNetTensor::try_from(vec![5.0f32, 7.0])?;
    /// assert_eq!(x.scatter(0, &index, &source)?.to_vec::<f32>()?, [7.0, 0.0, 5.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`gather`](Self::gather), and when the source does not fit index or type.
    pub fn scatter(&self, axis: isize, index: &Self, source: &Self) -> Result<Self> {
        let axis = self.axis_of("scatter", axis, &[self, index, source])?;
        apply_one(Scatter { axis, kind: ScatterKind::Assign }, &[self, index, source])
    }

    /// [`scatter`](Self::scatter) that adds.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 1.0])?;
    /// let index = BitNetTensor::try_from(vec![0i64, 0, 1])?;
    /// let source = BitNetTensor::try_from(vec![1.0f32, 2.0, 4.0])?;
    /// assert_eq!(x.scatter_add(0, &index, &source)?.to_vec::<f32>()?, [4.0, 5.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`scatter`](Self::scatter).
    pub fn scatter_add(&self, axis: isize, index: &Self, source: &Self) -> Result<Self> {
        self.scatter_reduce(axis, index, source, ScatterKind::Add)
    }

    /// [`scatter`](Self::scatter) with a rule for how elements meet.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::ScatterKind};
    /// let x = BitNetTensor::try_from(vec![1.0f32, 1.0])?;
    /// let index = BitNetTensor::try_from(vec![0i64, 0, 1])?;
    /// let source = BitNetTensor::try_from(vec![3.0f32, 2.0, 0.0])?;
    /// let y = x.scatter_reduce(0, &index, &source, ScatterKind::Max)?;
    /// assert_eq!(y.to_vec::<f32>()?, [3.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`scatter`](Self::scatter).
    pub fn scatter_reduce(
        &self,
        axis: isize,
        index: &Self,
        source: &Self,
        kind: ScatterKind,
    ) -> Result<Self> {
        let axis = self.axis_of("scatter_reduce", axis, &[self, index, source])?;
        apply_one(Scatter { axis, kind }, &[self, index, source])
    }

    /// This tensor with `updates [.., rest of the axes]` at the places that `indices [.., k]` name
    /// along the first `k` axes, as ONNX's `ScatterND`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::ScatterKind};
    /// let x = BitNetTensor::from_vec(vec![0.0f32; 4], [2, 2])?;
    /// let at = BitNetTensor::from_vec(vec![1i64, 0], [1, 2])?;
    /// let y = x.scatter_nd(&at, &BitNetTensor::try_from(vec![5.0f32])?, ScatterKind::Assign)?;
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 0.0, 5.0, 0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`gather_nd`](Self::gather_nd), and when the updates do not fit.
    pub fn scatter_nd(&self, indices: &Self, updates: &Self, kind: ScatterKind) -> Result<Self> {
        composed("scatter_nd", &[self, indices, updates], || {
            let (places, depth) = self.flat_places(indices)?;
            let merged = self.with_merged_axes(depth)?;
            let count = places.element_count();
            let mut shape = merged.shape().to_vec();
            shape[0] = count;
            let updates = updates.reshape(shape.clone())?;
            let mut column = vec![1; shape.len()];
            column[0] = count;
            let places = places.reshape(column)?.expand(shape)?;
            merged.scatter_reduce(0, &places, &updates, kind)?.reshape(self.shape())
        })
    }
}
