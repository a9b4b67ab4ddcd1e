//! Index expressions: `x.index(s![.., -1, 2..5;2, NewAxis])`.
//!
//! What may stand in one is here; `s.rs` is the macro that writes it, `selection.rs` what it means
//! for a tensor of some shape, `read.rs` and `write.rs` take and replace the elements.

mod read;
mod s;
mod selection;
mod write;

use std::ops::{Bound, Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::BitNetTensor;

pub(super) use read::flat_places;

/// One entry of an index expression, as [`s!`](crate::s) makes it from what stands there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Index {
    /// One place of an axis, negative from the end; the result does not have the axis.
    At(isize),
    /// A range of an axis.
    Slice(Slice),
    /// A new axis of size one.
    NewAxis,
    /// As many whole axes as the other entries leave.
    Ellipsis,
    /// Places of an axis by an integer tensor, or of its axes by a `Bool` one.
    Tensor(BitNetTensor),
}

/// A new axis of size one, in an index expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NewAxis;

/// As many whole axes as the other entries leave, in an index expression; also written `...`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ellipsis;

/// `start..end;step` in an index expression, with the meaning of Python's `start:end:step`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slice {
    start: Option<isize>,
    end: Bound<isize>,
    step: isize,
}

impl Slice {
    /// Every `step`-th element, backwards when it is negative.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, ops::{Index, Slice}};
    /// let x = BitNetTensor::arange(0u32..6)?;
    /// let odd_backwards = Index::from(Slice::from(..).every(-2));
    /// assert_eq!(x.index([odd_backwards])?.to_vec::<u32>()?, [5, 3, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn every(self, step: isize) -> Self {
        Self { step, ..self }
    }
}

/// A number of any integer type; what `isize` does not hold is beyond every axis as well.
fn place(number: i128) -> isize {
    number.clamp(isize::MIN as i128, isize::MAX as i128) as isize
}

macro_rules! places {
    ($($integer:ty),+) => {$(
        impl From<$integer> for Index {
            fn from(at: $integer) -> Self {
                Self::At(place(at as i128))
            }
        }

        impl From<Range<$integer>> for Slice {
            fn from(range: Range<$integer>) -> Self {
                let (start, end) = (place(range.start as i128), place(range.end as i128));
                Self { start: Some(start), end: Bound::Excluded(end), step: 1 }
            }
        }

        impl From<RangeInclusive<$integer>> for Slice {
            fn from(range: RangeInclusive<$integer>) -> Self {
                let (start, end) = (place(*range.start() as i128), place(*range.end() as i128));
                Self { start: Some(start), end: Bound::Included(end), step: 1 }
            }
        }

        impl From<RangeFrom<$integer>> for Slice {
            fn from(range: RangeFrom<$integer>) -> Self {
                Self { start: Some(place(range.start as i128)), end: Bound::Unbounded, step: 1 }
            }
        }

        impl From<RangeTo<$integer>> for Slice {
            fn from(range: RangeTo<$integer>) -> Self {
                Self { start: None, end: Bound::Excluded(place(range.end as i128)), step: 1 }
            }
        }

        impl From<RangeToInclusive<$integer>> for Slice {
            fn from(range: RangeToInclusive<$integer>) -> Self {
                Self { start: None, end: Bound::Included(place(range.end as i128)), step: 1 }
            }
        }

        ranges!(Range<$integer>, RangeInclusive<$integer>, RangeFrom<$integer>,
            RangeTo<$integer>, RangeToInclusive<$integer>);
    )+};
}

macro_rules! ranges {
    ($($range:ty),+) => {$(
        impl From<$range> for Index {
            fn from(range: $range) -> Self {
                Self::Slice(range.into())
            }
        }
    )+};
}

// Literals are `i32` where several types would do.
places!(isize, usize, i32, i64, u32);
ranges!(RangeFull);

impl From<RangeFull> for Slice {
    fn from(_: RangeFull) -> Self {
        Self { start: None, end: Bound::Unbounded, step: 1 }
    }
}

impl From<Slice> for Index {
    fn from(slice: Slice) -> Self {
        Self::Slice(slice)
    }
}

impl From<NewAxis> for Index {
    fn from(_: NewAxis) -> Self {
        Self::NewAxis
    }
}

impl From<Ellipsis> for Index {
    fn from(_: Ellipsis) -> Self {
        Self::Ellipsis
    }
}

impl From<&BitNetTensor> for Index {
    fn from(tensor: &BitNetTensor) -> Self {
        Self::Tensor(tensor.clone())
    }
}

impl From<BitNetTensor> for Index {
    fn from(tensor: BitNetTensor) -> Self {
        Self::Tensor(tensor)
    }
}

/// The tensors of an operation over `x`: itself, then those of its index expression.
fn operands<'a>(x: &'a BitNetTensor, entries: &'a [Index]) -> Vec<&'a BitNetTensor> {
    let indices = entries.iter().filter_map(|entry| match entry {
        Index::Tensor(tensor) => Some(tensor),
        _ => None,
    });
    std::iter::once(x).chain(indices).collect()
}
