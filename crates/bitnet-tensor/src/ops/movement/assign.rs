//! A region of a tensor replaced by other elements.

use smallvec::{SmallVec, smallvec};

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, OperandTypes, Operation, Specs, TensorSpec, View};
use crate::shape::resolve_axis;
use crate::{BitNetTensor, TensorShape};

/// `length` elements of an axis from `start`, `step` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisSlice {
    /// The first element.
    pub start: usize,
    /// The number of elements.
    pub length: usize,
    /// The distance between them; not zero.
    pub step: isize,
}

impl AxisSlice {
    /// All of an axis.
    pub(crate) fn all(size: usize) -> Self {
        Self { start: 0, length: size, step: 1 }
    }
}

/// The first operand with a region, a slice of each axis, replaced by the second.
#[derive(Debug, Clone, PartialEq)]
pub struct SliceScatter {
    /// One per axis.
    pub slices: SmallVec<[AxisSlice; 4]>,
}

impl SliceScatter {
    fn region(&self) -> TensorShape {
        self.slices.iter().map(|slice| slice.length).collect()
    }
}

impl Operation for SliceScatter {
    fn name(&self) -> &'static str {
        "slice_scatter"
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        let dtype = inputs[0].dtype();
        if inputs[1].dtype() != dtype || dtype.is_packed() {
            bail!(DTypeMismatch, self.name(), inputs, "takes two operands of one dense type");
        }
        Ok(None)
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        self.operand_types(inputs)?;
        let (target, values) = (inputs[0], inputs[1]);
        for (axis, slice) in self.slices.iter().enumerate() {
            let AxisSlice { start, length, step } = *slice;
            View::Slice { axis, start, length, step }.infer(&[target])?;
        }
        let region = self.region();
        if values.shape().broadcast(&region).as_ref() != Ok(&region) {
            bail!(BroadcastError, self.name(), inputs, "the values do not broadcast to {region}");
        }
        Ok(smallvec![TensorSpec::new(target.shape(), target.dtype())])
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (values, dy) = (context.inputs[1], context.gradient);
        let mut part = dy.clone();
        for (axis, slice) in self.slices.iter().enumerate() {
            part = part.slice(axis as isize, slice.start, slice.length, slice.step)?;
        }
        let zero = dy.scalar_like(0.0)?;
        let d_target = apply_one(self.clone(), &[dy, &zero])?;
        Ok(smallvec![Some(d_target), Some(part.sum_to(values.shape())?)])
    }
}

/// # Writing to a region
impl BitNetTensor {
    /// This tensor with `length` elements of `axis` from `start`, `step` apart, replaced by
    /// `values`, which broadcast to them: the opposite of [`slice`](Self::slice).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0, 3.0, 4.0])?;
    /// let y = x.with_slice(0, 0, 2, 2, &BitNetTensor::scalar(0.0f32)?)?;
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 2.0, 0.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`slice`](Self::slice); `BroadcastError`, `DTypeMismatch` when the values do not fit.
    pub fn with_slice(
        &self,
        axis: isize,
        start: usize,
        length: usize,
        step: isize,
        values: &Self,
    ) -> Result<Self> {
        let Some(axis) = resolve_axis(axis, self.rank()) else {
            bail!(ShapeMismatch, "slice_scatter", &[self, values], "there is no axis {axis}");
        };
        let mut slices: SmallVec<[AxisSlice; 4]> =
            self.shape().iter().map(|&size| AxisSlice::all(size)).collect();
        slices[axis] = AxisSlice { start, length, step };
        apply_one(SliceScatter { slices }, &[self, values])
    }
}
