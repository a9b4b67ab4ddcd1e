//! The elements that an index expression names.

use super::selection::{Part, Selection};
use super::{Index, operands};
use crate::backend::dispatch::composed;
use crate::error::Result;
use crate::ops::AxisSlice;
use crate::shape::count;
use crate::{BitNetTensor, TensorShape};

/// # Indexing
impl BitNetTensor {
    /// The elements that an index expression names, written with [`s!`](crate::s), which says what
    /// may stand in it and how index tensors meet.
    ///
    /// Numbers, ranges and new axes make a view. Index tensors copy what they choose.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, s};
    /// let x = BitNetTensor::arange(0u32..6)?.reshape([2, 3])?;
    /// let column = x.index(s![.., -1])?;
    /// assert_eq!(column.to_vec::<u32>()?, [2, 5]);
    /// assert!(column.shares_storage_with(&x));
    /// let rows = BitNetTensor::try_from(vec![1i64, 1, 0])?;
    /// assert_eq!(x.index(s![&rows, 0])?.to_vec::<u32>()?, [3, 3, 0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ComputationError` for a number outside of its axis (ranges are cut to it); `ShapeMismatch`
    /// for more entries than axes, two ellipses, a step of zero, a mask of other sizes;
    /// `DTypeMismatch` for index tensors of floats; `BroadcastError` when they do not broadcast;
    /// `UnsupportedOperation` for packed weights.
    pub fn index(&self, entries: impl AsRef<[Index]>) -> Result<Self> {
        let entries = entries.as_ref();
        composed("index", &operands(self, entries), || Selection::new(self, entries)?.read(self))
    }
}

impl Selection {
    fn read(&self, x: &BitNetTensor) -> Result<BitNetTensor> {
        let view = self.basic_view(x)?;
        let Some((shape, place)) = &self.chosen else { return Ok(view) };
        let (axes, indices) = self.chosen_axes();
        let (from, read) = match (axes.as_slice(), indices.as_slice()) {
            (&[axis], &[indices]) => (axis, view.index_select(axis as isize, indices)?),
            _ => {
                let places = flat_places(&view, &axes, &indices)?.expand(shape)?;
                let in_front: Vec<isize> = (0..axes.len() as isize).collect();
                let axes: Vec<isize> = axes.iter().map(|&axis| axis as isize).collect();
                let merged = view.movedims(&axes, &in_front)?.with_merged_axes(axes.len())?;
                (0, merged.index_select(0, &places)?)
            }
        };
        if from == *place {
            return Ok(read);
        }
        let block = |start: usize| (start..start + shape.rank()).map(|axis| axis as isize);
        read.movedims(&block(from).collect::<Vec<_>>(), &block(*place).collect::<Vec<_>>())
    }

    /// Everything but the index tensors: their axes are whole.
    fn basic_view(&self, x: &BitNetTensor) -> Result<BitNetTensor> {
        let (mut view, mut sizes) = (x.clone(), Vec::with_capacity(self.parts.len()));
        let mut narrow = |axis: usize, slice: AxisSlice| -> Result<()> {
            if slice != AxisSlice::all(x.shape()[axis]) {
                view = view.slice(axis as isize, slice.start, slice.length, slice.step)?;
            }
            Ok(())
        };
        for part in &self.parts {
            match part {
                Part::Range(axis, slice) => {
                    narrow(*axis, *slice)?;
                    sizes.push(slice.length);
                }
                Part::At(axis, place) => {
                    narrow(*axis, AxisSlice { start: *place, length: 1, step: 1 })?;
                }
                Part::New | Part::Chosen { axis: None, .. } => sizes.push(1),
                Part::Chosen { axis: Some(axis), .. } => sizes.push(x.shape()[*axis]),
            }
        }
        let shape = TensorShape::from(sizes);
        if shape == *view.shape() { Ok(view) } else { view.reshape(shape) }
    }

    /// The axes of the view that index tensors choose from, and the tensors.
    fn chosen_axes(&self) -> (Vec<usize>, Vec<&BitNetTensor>) {
        let stay = self.parts.iter().filter(|part| !matches!(part, Part::At(..)));
        let chosen = stay.enumerate().filter_map(|(axis, part)| match part {
            Part::Chosen { indices, .. } => Some((axis, indices)),
            _ => None,
        });
        chosen.unzip()
    }
}

/// The positions among `axes` of `x`, merged, that an index for each of them names.
pub(in crate::ops::movement) fn flat_places(
    x: &BitNetTensor,
    axes: &[usize],
    indices: &[&BitNetTensor],
) -> Result<BitNetTensor> {
    let sizes: Vec<usize> = axes.iter().map(|&axis| x.shape()[axis]).collect();
    let mut places = BitNetTensor::scalar(0i64)?.to_device(x.device())?;
    for (n, (&axis, &indices)) in axes.iter().zip(indices).enumerate() {
        let stride = count(&sizes[n + 1..]) as i64;
        places = places.add(&steps_of(x, axis, stride, indices)?)?;
    }
    Ok(places)
}

/// `index · stride` for each of `indices` along `axis` of `x`. A table of the axis is what they
/// choose from: so they are checked where they lie, and negative ones mean what they mean there.
pub(super) fn steps_of(
    x: &BitNetTensor,
    axis: usize,
    stride: i64,
    indices: &BitNetTensor,
) -> Result<BitNetTensor> {
    let table: Vec<i64> = (0..x.shape()[axis] as i64).map(|n| n.saturating_mul(stride)).collect();
    // Of the axis's number, for the message about an index outside of it.
    let mut shape = vec![1; axis + 1];
    shape[axis] = table.len();
    let table = BitNetTensor::from_vec(table, shape)?.to_device(x.device())?;
    table.index_select(axis as isize, indices)?.reshape(indices.shape())
}
