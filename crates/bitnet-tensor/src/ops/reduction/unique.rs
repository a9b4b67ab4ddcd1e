//! Which elements are different, and how often each occurs.

use smallvec::smallvec;

use super::axes::one_axis;
use crate::backend::dispatch::{apply, composed};
use crate::error::{Result, bail, error};
use crate::ops::{Operation, Specs, TensorSpec};
use crate::shape::count;
use crate::{BitNetDType, BitNetTensor};

/// The different rows of a matrix: the first of each kind in ascending order of the rows, the kind
/// of each row, how many there are of each, and how many kinds. The results are as long as there
/// are rows; behind the number of kinds they are zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UniqueRows;

impl Operation for UniqueRows {
    fn name(&self) -> &'static str {
        "unique"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let x = inputs[0];
        if x.dtype().is_packed() {
            bail!(DTypeMismatch, self.name(), inputs, "takes numbers or bool");
        }
        let [rows, _] = **x.shape() else {
            bail!(ShapeMismatch, self.name(), inputs, "takes a matrix");
        };
        let places = TensorSpec::new([rows], BitNetDType::I64);
        let number = TensorSpec::new([], BitNetDType::I64);
        Ok(smallvec![places.clone(), places.clone(), places, number])
    }

    // Places have no derivative; the values are chosen by `index_select`, which has one.
}

/// The different elements of a tensor; see [`BitNetTensor::unique`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Unique {
    /// Each once, in ascending order.
    pub values: BitNetTensor,
    /// Where each occurs first, `I64`.
    pub indices: BitNetTensor,
    /// Which of them each element is, `I64`.
    pub inverse: BitNetTensor,
    /// How often each occurs, `I64`.
    pub counts: BitNetTensor,
}

/// # Sets
impl BitNetTensor {
    /// The different elements, or with an axis the different slices along it, in ascending order;
    /// where each occurs first, which of them each element is, and how often each occurs. NaN is
    /// one value, the largest. Without an axis indices count in row-major order and `inverse` has
    /// the shape of the tensor. Waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![3i32, 1, 3, 2], [4])?;
    /// let unique = x.unique(None)?;
    /// assert_eq!(unique.values.to_vec::<i32>()?, [1, 2, 3]);
    /// assert_eq!(unique.indices.to_vec::<i64>()?, [1, 3, 0]);
    /// assert_eq!(unique.inverse.to_vec::<i64>()?, [2, 0, 2, 1]);
    /// assert_eq!(unique.counts.to_vec::<i64>()?, [1, 1, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for an axis that does not exist, `DTypeMismatch` for packed types.
    pub fn unique(&self, axis: impl Into<Option<isize>>) -> Result<Unique> {
        let axis = axis.into();
        let at = axis.map(|axis| one_axis("unique", self, axis)).transpose()?;
        composed("unique", &[self], || {
            let Some(at) = at else {
                let elements = self.reshape([self.element_count()])?;
                let mut unique = elements.unique_rows()?;
                unique.inverse = unique.inverse.reshape(self.shape())?;
                return Ok(unique);
            };
            // The axis first, the others in their order.
            let others = (0..self.rank()).filter(|&other| other != at);
            let order: Vec<isize> = std::iter::once(at).chain(others).map(|a| a as isize).collect();
            let mut unique = self.permute(&order)?.unique_rows()?;
            let back: Vec<isize> = (0..self.rank())
                .map(|axis| match axis {
                    axis if axis == at => 0,
                    axis if axis < at => axis as isize + 1,
                    axis => axis as isize,
                })
                .collect();
            unique.values = unique.values.permute(&back)?;
            Ok(unique)
        })
    }

    /// The different slices along the first axis.
    fn unique_rows(&self) -> Result<Unique> {
        let rows = self.shape()[0];
        let columns = count(&self.shape()[1..]);
        let outputs = apply(UniqueRows, &[&self.detach().reshape([rows, columns])?])?;
        let [first, inverse, counts, number] = outputs.as_slice() else {
            return Err(error!(InternalError, "unique", &[self], "has four results"));
        };
        let kinds = usize::try_from(number.item::<i64>()?).unwrap_or(0);
        let indices = first.narrow(0, 0, kinds)?;
        let values = self.index_select(0, &indices)?;
        let (inverse, counts) = (inverse.clone(), counts.narrow(0, 0, kinds)?);
        Ok(Unique { values, indices, inverse, counts })
    }
}
