//! The places of the largest and the smallest.

use smallvec::smallvec;

use super::axes::{one_axis, reduced_shape};
use crate::backend::dispatch::{apply_one, composed};
use crate::error::{Result, bail};
use crate::ops::{Operation, Specs, TensorSpec};
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// The index of the first largest or smallest element along an axis; of the first NaN if there
/// is one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArgExtreme {
    /// The axis that disappears.
    pub axis: usize,
    /// Whether the largest is sought.
    pub largest: bool,
    /// Whether the axis stays with size one.
    pub keepdims: bool,
}

impl Operation for ArgExtreme {
    fn name(&self) -> &'static str {
        if self.largest { "argmax" } else { "argmin" }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype().is_packed() {
            bail!(DTypeMismatch, self.name(), inputs, "takes numbers or bool");
        }
        let shape = reduced_shape(input.shape(), &[self.axis], self.keepdims);
        if input.shape()[self.axis] == 0 && !shape.contains(&0) {
            let extreme = if self.largest { "largest" } else { "smallest" };
            bail!(ComputationError, self.name(), inputs, "no elements: there is no {extreme}");
        }
        Ok(smallvec![TensorSpec::new(shape, BitNetDType::I64)])
    }
}

/// # Places of extremes
impl BitNetTensor {
    /// The index of the largest element along `axis`, `I64`: of the first one, or of the first
    /// NaN if there is one, as in NumPy. `None` counts through all elements in row-major order.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 5.0, 2.0, 7.0, 0.0, 7.0], [2, 3])?;
    /// assert_eq!(x.argmax(-1, false)?.to_vec::<i64>()?, [1, 0]);
    /// assert_eq!(x.argmax(None, false)?.item::<i64>()?, 3);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist, `ComputationError` when there is no
    /// element, `DTypeMismatch` for packed types.
    pub fn argmax(&self, axis: impl Into<Option<isize>>, keepdims: bool) -> Result<Self> {
        self.arg_extreme("argmax", axis.into(), true, keepdims)
    }

    /// The index of the smallest element along `axis`; see [`argmax`](Self::argmax).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![3u8, 1, 2], [3])?;
    /// assert_eq!(x.argmin(0, true)?.to_vec::<i64>()?, [1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`argmax`](Self::argmax).
    pub fn argmin(&self, axis: impl Into<Option<isize>>, keepdims: bool) -> Result<Self> {
        self.arg_extreme("argmin", axis.into(), false, keepdims)
    }

    fn arg_extreme(
        &self,
        name: &'static str,
        axis: Option<isize>,
        largest: bool,
        keepdims: bool,
    ) -> Result<Self> {
        if let Some(axis) = axis {
            let axis = one_axis(name, self, axis)?;
            return apply_one(ArgExtreme { axis, largest, keepdims }, &[self]);
        }
        composed(name, &[self], || {
            let flat = self.reshape([self.element_count()])?;
            let place = apply_one(ArgExtreme { axis: 0, largest, keepdims: false }, &[&flat])?;
            let ones: TensorShape = self.shape().iter().map(|_| 1).collect();
            if keepdims { place.reshape(ones) } else { Ok(place) }
        })
    }
}
