//! Orders of elements.

use smallvec::smallvec;

use super::axes::one_axis;
use super::cumulative::pair;
use crate::backend::dispatch::{apply, composed};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor};

/// The elements of the last axis in order, and the place of each before. Equal ones keep their
/// order; NaN counts as the largest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sort {
    /// Whether the largest is first.
    pub descending: bool,
    /// How many are wanted; `None` for all.
    pub count: Option<usize>,
}

impl Operation for Sort {
    fn name(&self) -> &'static str {
        if self.count.is_some() { "topk" } else { "sort" }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let x = inputs[0];
        if x.dtype().is_packed() {
            bail!(DTypeMismatch, self.name(), inputs, "takes numbers or bool");
        }
        let Some((last, &size)) = x.rank().checked_sub(1).zip(x.shape().last()) else {
            bail!(ShapeMismatch, self.name(), inputs, "a scalar has no axis");
        };
        let count = self.count.unwrap_or(size);
        if count > size {
            bail!(ShapeMismatch, self.name(), inputs, "the axis has {size} elements, not {count}");
        }
        let shape = x.shape().with_size(last, count);
        Ok(smallvec![
            TensorSpec::new(shape.clone(), x.dtype()),
            TensorSpec::new(shape, BitNetDType::I64)
        ])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let x = context.inputs[0];
        if !x.dtype().is_float() || context.position > 0 {
            return Ok(smallvec![None]);
        }
        let dx = x.zeros_like()?.scatter(-1, &context.outputs[1], context.gradient)?;
        Ok(smallvec![Some(dx)])
    }
}

/// # Sorting
///
/// Equal elements keep their order, and NaN counts as larger than every number, as in NumPy and
/// PyTorch.
impl BitNetTensor {
    fn sort_along(
        &self,
        name: &'static str,
        axis: isize,
        descending: bool,
        count: Option<usize>,
    ) -> Result<(Self, Self)> {
        one_axis(name, self, axis)?;
        composed(name, &[self], || {
            let lines = self.transpose(axis, -1)?;
            let (values, places) = pair(name, apply(Sort { descending, count }, &[&lines])?)?;
            Ok((values.transpose(axis, -1)?, places.transpose(axis, -1)?))
        })
    }

    /// The elements in ascending or descending order along `axis`, and the place where each was
    /// (`I64`).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![2.0f32, f32::NAN, 1.0], [3])?;
    /// let (values, places) = x.sort(0, false)?;
    /// assert_eq!(values.to_vec::<f32>()?[..2], [1.0, 2.0]);
    /// assert_eq!(places.to_vec::<i64>()?, [2, 0, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist, `DTypeMismatch` for packed types.
    pub fn sort(&self, axis: isize, descending: bool) -> Result<(Self, Self)> {
        self.sort_along("sort", axis, descending, None)
    }

    /// The places of the elements in the order of [`sort`](Self::sort), `I64`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![2u8, 3, 1], [3])?;
    /// assert_eq!(x.argsort(0, true)?.to_vec::<i64>()?, [1, 0, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sort`](Self::sort).
    pub fn argsort(&self, axis: isize, descending: bool) -> Result<Self> {
        Ok(self.sort_along("argsort", axis, descending, None)?.1)
    }

    /// The `k` largest (or smallest) elements along `axis`, the best first, and their places
    /// (`I64`).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![2i32, 7, 1, 5], [4])?;
    /// let (values, places) = x.topk(2, -1, true)?;
    /// assert_eq!(values.to_vec::<i32>()?, [7, 5]);
    /// assert_eq!(places.to_vec::<i64>()?, [1, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`sort`](Self::sort), and `ShapeMismatch` when the axis has fewer than `k` elements.
    pub fn topk(&self, k: usize, axis: isize, largest: bool) -> Result<(Self, Self)> {
        self.sort_along("topk", axis, largest, Some(k))
    }

    /// The `k`-th smallest element along `axis`, counted from 1, and its place (`I64`).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![2i32, 7, 1, 5], [4])?;
    /// let (value, place) = x.kthvalue(3, 0, false)?;
    /// assert_eq!((value.item::<i32>()?, place.item::<i64>()?), (5, 3));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`topk`](Self::topk), and `ShapeMismatch` for a `k` of 0.
    pub fn kthvalue(&self, k: usize, axis: isize, keepdims: bool) -> Result<(Self, Self)> {
        if k == 0 {
            bail!(ShapeMismatch, "kthvalue", &[self], "k counts from 1");
        }
        let (values, places) = self.sort_along("kthvalue", axis, false, Some(k))?;
        composed("kthvalue", &[self], || {
            let last = |x: &Self| {
                let kth = x.narrow(axis, k - 1, 1)?;
                if keepdims { Ok(kth) } else { kth.squeeze(axis) }
            };
            Ok((last(&values)?, last(&places)?))
        })
    }
}
