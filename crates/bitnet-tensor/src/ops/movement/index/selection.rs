//! What an index expression means for a tensor of some shape.

use std::ops::Bound;

use smallvec::SmallVec;

use super::{Index, Slice};
use crate::error::{Result, bail};
use crate::ops::AxisSlice;
use crate::{BitNetDType, BitNetTensor, TensorShape};

/// An entry that met its axis.
pub(super) enum Part {
    /// A range of an axis, an axis of the result.
    Range(usize, AxisSlice),
    /// One place of an axis.
    At(usize, usize),
    /// An axis of the result that the tensor has not.
    New,
    /// Places of an axis by their numbers; without axis, `indices` only counts: what a truth value
    /// alone stands for.
    Chosen {
        /// The axis.
        axis: Option<usize>,
        /// Integers.
        indices: BitNetTensor,
    },
}

/// The parts in the order of the expression: together all axes of the tensor.
pub(super) struct Selection {
    pub(super) parts: Vec<Part>,
    /// The shape that index tensors broadcast to, and how many axes of the result precede its own.
    pub(super) chosen: Option<(TensorShape, usize)>,
}

impl Selection {
    pub(super) fn new(x: &BitNetTensor, entries: &[Index]) -> Result<Self> {
        let used: usize = entries.iter().map(axes_of).sum();
        let ellipses = entries.iter().filter(|entry| matches!(entry, Index::Ellipsis)).count();
        if used > x.rank() {
            bail!(ShapeMismatch, "index", &[], "{used} entries for {} axes", x.rank());
        }
        if ellipses > 1 {
            bail!(ShapeMismatch, "index", &[], "{ellipses} ellipses: only one can fill the rest");
        }
        let mut parts = Vec::with_capacity(x.rank() + 1);
        let whole = |axis: usize| Part::Range(axis, AxisSlice::all(x.shape()[axis]));
        let mut axis = 0;
        for entry in entries {
            match entry {
                Index::At(at) => parts.push(Part::At(axis, place(*at, axis, x.shape()[axis])?)),
                Index::Slice(slice) => {
                    parts.push(Part::Range(axis, range(*slice, axis, x.shape()[axis])?));
                }
                Index::NewAxis => parts.push(Part::New),
                Index::Ellipsis => {
                    parts.extend((axis..axis + x.rank() - used).map(whole));
                    axis += x.rank() - used;
                }
                Index::Tensor(mask) if mask.dtype() == BitNetDType::Bool => {
                    parts.extend(true_places(mask, axis, x.shape())?);
                }
                Index::Tensor(indices) if indices.dtype().is_integer() => {
                    parts.push(Part::Chosen { axis: Some(axis), indices: indices.clone() });
                }
                Index::Tensor(other) => {
                    bail!(
                        DTypeMismatch,
                        "index",
                        &[],
                        "an index tensor is of integers or bool, not {}",
                        other.dtype()
                    );
                }
            }
            axis += axes_of(entry);
        }
        parts.extend((axis..x.rank()).map(whole));
        let chosen =
            chosen_shape(&parts)?.map(|shape| (shape, place_of_chosen(entries, x.rank() - used)));
        Ok(Self { parts, chosen })
    }

    /// The shape of the elements that the expression names.
    pub(super) fn shape(&self) -> TensorShape {
        let mut sizes: Vec<usize> = self.basic_sizes().collect();
        if let Some((chosen, place)) = &self.chosen {
            sizes.splice(place..place, chosen.iter().copied());
        }
        sizes.into()
    }

    /// The axes of the result that no index tensor makes.
    fn basic_sizes(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|part| match part {
            Part::Range(_, slice) => Some(slice.length),
            Part::New => Some(1),
            Part::At(..) | Part::Chosen { .. } => None,
        })
    }
}

/// How many axes of the tensor an entry stands for.
fn axes_of(entry: &Index) -> usize {
    match entry {
        Index::At(_) | Index::Slice(_) => 1,
        Index::NewAxis | Index::Ellipsis => 0,
        Index::Tensor(mask) if mask.dtype() == BitNetDType::Bool => mask.rank(),
        Index::Tensor(_) => 1,
    }
}

fn place(at: isize, axis: usize, size: usize) -> Result<usize> {
    let from_front = if at < 0 { at.checked_add_unsigned(size) } else { Some(at) };
    let place = from_front.and_then(|place| usize::try_from(place).ok());
    match place.filter(|&place| place < size) {
        Some(place) => Ok(place),
        None => bail!(
            ComputationError,
            "index",
            &[],
            "index {at} is outside of axis {axis} of size {size}"
        ),
    }
}

/// The elements that Python's `range(size)[start:end:step]` names.
fn range(slice: Slice, axis: usize, size: usize) -> Result<AxisSlice> {
    let Slice { start, end, step } = slice;
    if step == 0 {
        bail!(ShapeMismatch, "index", &[], "the range of axis {axis} has a step of zero");
    }
    let (size, backwards) = (size as isize, step < 0);
    // Backwards, the ends are one place before the first element.
    let (low, high) = if backwards { (-1, size - 1) } else { (0, size) };
    let from_front = |at: isize| if at < 0 { at.saturating_add(size) } else { at };
    let start = start.map_or(if backwards { high } else { low }, from_front).clamp(low, high);
    let end = match end {
        Bound::Unbounded => {
            if backwards {
                low
            } else {
                high
            }
        }
        Bound::Excluded(end) => from_front(end),
        Bound::Included(end) => from_front(end).saturating_add(if backwards { -1 } else { 1 }),
    };
    let end = end.clamp(low, high);
    let distance = if backwards { start - end } else { end - start };
    let length = usize::try_from(distance).unwrap_or(0).div_ceil(step.unsigned_abs());
    // Of one element the step says nothing; of none, neither does the start.
    Ok(match length {
        0 => AxisSlice { start: 0, length, step: 1 },
        1 => AxisSlice { start: start.unsigned_abs(), length, step: 1 },
        _ => AxisSlice { start: start.unsigned_abs(), length, step },
    })
}

/// The axes from `axis` on chosen where `mask` is true. Their number is read back.
fn true_places(mask: &BitNetTensor, axis: usize, shape: &TensorShape) -> Result<Vec<Part>> {
    let covered = &shape[axis..axis + mask.rank()];
    if mask.shape() != covered {
        bail!(
            ShapeMismatch,
            "index",
            &[],
            "the mask {} does not fit the sizes {covered:?} from axis {axis}",
            mask.shape()
        );
    }
    let places = mask.nonzero()?;
    let count = places.shape()[0];
    if mask.rank() == 0 {
        let indices = BitNetTensor::zeros([count], BitNetDType::I64)?.to_device(mask.device())?;
        return Ok(vec![Part::Chosen { axis: None, indices }]);
    }
    let along = |n: usize| {
        let indices = places.narrow(1, n, 1)?.reshape([count])?;
        Ok(Part::Chosen { axis: Some(axis + n), indices })
    };
    (0..mask.rank()).map(along).collect()
}

fn chosen_shape(parts: &[Part]) -> Result<Option<TensorShape>> {
    let mut common: Option<TensorShape> = None;
    for part in parts {
        let Part::Chosen { indices, .. } = part else { continue };
        common = Some(match common {
            None => indices.shape().clone(),
            Some(shape) => match shape.broadcast(indices.shape()) {
                Ok(shape) => shape,
                Err((axis, a, b)) => bail!(
                    BroadcastError,
                    "index",
                    &[],
                    "the index tensors do not broadcast: axis {axis} has sizes {a} and {b}"
                ),
            },
        });
    }
    Ok(common)
}

/// How many axes of the result precede those of the index tensors: where the first of them stands,
/// or none when something else stands between them. A number beside them is one of them; `rest` axes
/// are those of an ellipsis.
fn place_of_chosen(entries: &[Index], rest: usize) -> usize {
    let stands = |entry: &Index| matches!(entry, Index::At(_) | Index::Tensor(_));
    let runs: SmallVec<[&[Index]; 4]> =
        entries.split(|entry| !stands(entry)).filter(|run| !run.is_empty()).collect();
    if runs.len() != 1 {
        return 0;
    }
    let before = entries.iter().take_while(|entry| !stands(entry));
    before.map(|entry| if matches!(entry, Index::Ellipsis) { rest } else { 1 }).sum()
}
