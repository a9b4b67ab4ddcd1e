//! The elements that an index expression names, replaced.

use smallvec::SmallVec;

use super::read::steps_of;
use super::selection::{Part, Selection};
use super::{Index, operands};
use crate::backend::dispatch::apply_assign;
use crate::error::{Result, bail};
use crate::ops::{AxisSlice, Operand, Scatter, ScatterKind, SliceScatter};
use crate::shape::count;
use crate::{BitNetTensor, TensorShape};

/// # Writing by index
impl BitNetTensor {
    /// Replaces the elements that an index expression names by `values`, a number or a tensor of
    /// the same type that broadcasts to [`index`](Self::index) of the same expression. It writes
    /// into the storage of this tensor when nobody shares it, else into a copy: other tensors,
    /// views of it among them, keep their elements. Where index tensors name a place more than
    /// once the last value in row-major order stays.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, s};
    /// let mut x = BitNetTensor::arange(0u32..6)?.reshape([2, 3])?;
    /// let before = x.clone();
    /// x.set_index(s![.., 0], 9)?;
    /// assert_eq!(x.to_vec::<u32>()?, [9, 1, 2, 9, 4, 5]);
    /// x.set_index(s![&x.gt(4)?], &BitNetTensor::try_from(vec![6u32, 7, 8])?)?;
    /// assert_eq!(x.to_vec::<u32>()?, [6, 1, 2, 7, 4, 8]);
    /// assert_eq!(before.to_vec::<u32>()?, [0, 1, 2, 3, 4, 5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`index`](Self::index); `BroadcastError` and `DTypeMismatch` when the values do not fit.
    /// Then the tensor is as it was.
    pub fn set_index(&mut self, entries: impl AsRef<[Index]>, values: impl Operand) -> Result<()> {
        const NAME: &str = "set_index";
        let entries = entries.as_ref();
        let values = values.beside(NAME, self)?;
        let outcome =
            Selection::new(self, entries).and_then(|selection| selection.write(self, &values));
        outcome.map_err(|error| {
            let mut operands = operands(self, entries);
            operands.insert(1, &values);
            error.inside(NAME, &operands)
        })
    }

    /// This tensor with the elements that an index expression names replaced by `values`: as
    /// [`set_index`](Self::set_index), in storage of its own.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, s};
    /// let x = BitNetTensor::arange(0u32..4)?;
    /// assert_eq!(x.with_index(s![..;2], 9)?.to_vec::<u32>()?, [9, 1, 9, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`set_index`](Self::set_index).
    pub fn with_index(&self, entries: impl AsRef<[Index]>, values: impl Operand) -> Result<Self> {
        let mut written = self.clone();
        written.set_index(entries, values)?;
        Ok(written)
    }
}

impl Selection {
    fn write(&self, x: &mut BitNetTensor, values: &BitNetTensor) -> Result<()> {
        let values = self.fitted(x, values)?;
        if self.chosen.is_none() {
            let slices = self.slices(x);
            let region: TensorShape = slices.iter().map(|slice| slice.length).collect();
            return apply_assign(SliceScatter { slices }, x, &[&values.reshape(region)?]);
        }
        let places = self.positions(x)?;
        let count = places.element_count();
        if count == 0 {
            return Ok(());
        }
        let (places, values) = (places.reshape([count])?, values.reshape([count])?);
        let shape = x.shape().clone();
        // Reassigned, so that nobody else holds the storage that is written to.
        *x = x.reshape([x.element_count()])?;
        let written =
            apply_assign(Scatter { axis: 0, kind: ScatterKind::Assign }, x, &[&places, &values]);
        *x = x.reshape(shape)?;
        written
    }

    /// The values in the shape of what they replace. As in NumPy, they may have more leading axes
    /// of size one.
    fn fitted(&self, x: &BitNetTensor, values: &BitNetTensor) -> Result<BitNetTensor> {
        if values.dtype() != x.dtype() {
            let (from, to) = (values.dtype(), x.dtype());
            bail!(
                DTypeMismatch,
                "set_index",
                &[],
                "the values are {from}, not {to}: convert them with to_dtype"
            );
        }
        let shape = self.shape();
        let mut values = values.clone();
        while values.rank() > shape.rank() && values.shape()[0] == 1 {
            values = values.squeeze(0)?;
        }
        if values.shape().broadcast(&shape).as_ref() != Ok(&shape) {
            bail!(BroadcastError, "set_index", &[], "the values do not broadcast to {shape}");
        }
        values.expand(shape)
    }

    /// One slice for each axis of the tensor, of an expression without index tensors.
    fn slices(&self, x: &BitNetTensor) -> SmallVec<[AxisSlice; 4]> {
        let mut slices: SmallVec<[AxisSlice; 4]> =
            x.shape().iter().map(|&size| AxisSlice::all(size)).collect();
        for part in &self.parts {
            match part {
                Part::Range(axis, slice) => slices[*axis] = *slice,
                Part::At(axis, place) => {
                    slices[*axis] = AxisSlice { start: *place, length: 1, step: 1 };
                }
                Part::New | Part::Chosen { .. } => {}
            }
        }
        slices
    }

    /// The row-major positions in `x` of the elements that the expression names: the sum of what
    /// each part says, broadcast.
    fn positions(&self, x: &BitNetTensor) -> Result<BitNetTensor> {
        let shape = self.shape();
        let (chosen, place) = match &self.chosen {
            Some((chosen, place)) => (chosen.rank(), *place),
            None => (0, 0),
        };
        let stride = |axis: usize| count(&x.shape()[axis + 1..]) as i64;
        let zero = BitNetTensor::scalar(0i64)?.to_device(x.device())?;
        let (mut sum, mut sum_of_chosen, mut axis_of_result) = (zero.clone(), zero, 0);
        for part in &self.parts {
            if axis_of_result == place {
                axis_of_result += chosen;
            }
            match part {
                Part::Range(axis, slice) => {
                    let at = |n| slice.start as i64 + n as i64 * slice.step as i64;
                    let steps: Vec<i64> =
                        (0..slice.length).map(|n| at(n).saturating_mul(stride(*axis))).collect();
                    let mut along = vec![1; shape.rank() - axis_of_result];
                    along[0] = slice.length;
                    sum = sum.add(&BitNetTensor::from_vec(steps, along)?.to_device(x.device())?)?;
                    axis_of_result += 1;
                }
                Part::At(axis, place) => {
                    sum = sum.add((*place as i64).saturating_mul(stride(*axis)))?;
                }
                Part::New => axis_of_result += 1,
                Part::Chosen { axis: Some(axis), indices } => {
                    let steps = steps_of(x, *axis, stride(*axis), indices)?;
                    sum_of_chosen = sum_of_chosen.add(&steps)?;
                }
                Part::Chosen { axis: None, .. } => {}
            }
        }
        let after = shape.rank() - place - chosen;
        let of_chosen = sum_of_chosen.shape().iter().copied().chain((0..after).map(|_| 1));
        let of_chosen = sum_of_chosen.reshape(of_chosen.collect::<TensorShape>())?;
        sum.add(&of_chosen)?.expand(shape)
    }
}
