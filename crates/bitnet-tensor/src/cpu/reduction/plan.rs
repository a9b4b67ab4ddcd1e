//! Which elements are folded into which result, and in what order memory is read.
//!
//! Where the elements of one result are the neighbours in memory they are read *along*: a stretch
//! of them at a time. Where elements of neighbouring results are the neighbours (the sum over the
//! rows of a row-major matrix) a row at a time is taken in *across* many results: nothing is
//! transposed and nothing is copied. Long reductions are cut into pieces by their shape alone, so
//! that they do not depend on the number of threads.

use std::ops::Range;

use smallvec::SmallVec;

use crate::cpu::GRAIN;
use crate::cpu::spans::Spans;
use crate::layout::Layout;
use crate::shape::count;

/// Results from which on reading across is worth it.
const ACROSS: usize = 16;
/// Reductions shorter than this are not read along when there are many of them.
const SHORT: usize = 32;
/// Elements of one piece of a long reduction that is read along.
const PIECE: usize = 1 << 16;
/// Elements of one piece that is read across few results.
const WIDE_PIECE: usize = 1 << 16;
/// Results that give threads enough to share without cutting the reductions.
const MANY: usize = 1 << 12;

/// Some of the axes of a layout.
pub(super) struct Side {
    layout: Layout,
    /// The elements along these axes; displaced by an index of the other axes.
    pub(super) spans: Spans<1>,
    pub(super) count: usize,
}

impl Side {
    pub(super) fn new(layout: &Layout, axes: &[usize]) -> Self {
        // Without elements nothing is walked, and other sizes may be beyond any arithmetic.
        let walked = if layout.shape().contains(&0) { &[][..] } else { axes };
        let spans = Spans::new(layout.permute(walked).shape(), [&layout.permute(walked)]);
        let layout = layout.permute(axes);
        let count = count(layout.shape());
        Self { layout, spans, count }
    }

    /// How far from the first the `n`-th element lies in storage.
    pub(super) fn displacement(&self, mut n: usize) -> isize {
        let mut sum = 0;
        for (&size, &stride) in self.layout.shape().iter().zip(self.layout.strides()).rev() {
            sum += (n % size) as isize * stride;
            n /= size;
        }
        sum
    }

    /// The distance from each element to the next, where it is the same for all and not backwards.
    fn single_stride(&self) -> Option<usize> {
        let axes = self.layout.shape().iter().zip(self.layout.strides());
        let mut axes = axes.filter(|&(&size, _)| size > 1).rev();
        let Some((&size, &stride)) = axes.next() else { return Some(0) };
        let mut reach = stride.checked_mul(size as isize)?;
        for (&size, &outer) in axes {
            if outer != reach {
                return None;
            }
            reach = reach.checked_mul(size as isize)?;
        }
        usize::try_from(stride).ok()
    }

    /// How many elements from the first on, and from each multiple of that, are neighbours.
    fn side_by_side(&self) -> usize {
        let mut together = 1usize;
        for (&size, &stride) in self.layout.shape().iter().zip(self.layout.strides()).rev() {
            if size != 1 && stride != together as isize {
                break;
            }
            together = together.saturating_mul(size);
        }
        together
    }

    /// The shortest way between two different elements.
    fn stride(&self) -> usize {
        let axes = self.layout.shape().iter().zip(self.layout.strides());
        let steps = axes.filter(|&(&size, &stride)| size > 1 && stride != 0);
        steps.map(|(_, stride)| stride.unsigned_abs()).min().unwrap_or(usize::MAX)
    }
}

/// How a reduction over some axes is carried out.
pub(super) struct Plan {
    pub(super) kept: Side,
    pub(super) reduced: Side,
    /// Whether a row is taken in across results.
    pub(super) across: bool,
    /// Elements of each result in one piece.
    pub(super) piece: usize,
}

impl Plan {
    /// The reduction of `layout` over `axes`, in the order of those axes.
    pub(super) fn new(layout: &Layout, axes: &[usize]) -> Self {
        let rank = layout.shape().rank();
        let others: SmallVec<[usize; 8]> = (0..rank).filter(|axis| !axes.contains(axis)).collect();
        let (kept, reduced) = (Side::new(layout, &others), Side::new(layout, axes));
        let across =
            kept.count >= ACROSS && (kept.stride() < reduced.stride() || reduced.count < SHORT);
        let piece = match across {
            false => PIECE,
            true if kept.count >= MANY => reduced.count.max(1),
            true => (WIDE_PIECE / kept.count).max(64),
        };
        Self { kept, reduced, across, piece }
    }

    /// The elements of each result that are in a piece.
    pub(super) fn range(&self, piece: usize) -> Range<usize> {
        let first = piece * self.piece;
        first..self.reduced.count.min(first.saturating_add(self.piece))
    }

    pub(super) fn pieces(&self) -> usize {
        self.reduced.count.div_ceil(self.piece).max(1)
    }

    /// How many results one thread takes at once.
    pub(super) fn grain(&self) -> usize {
        let results = (GRAIN / self.piece.min(self.reduced.count).max(1)).max(1);
        if self.across { results.max(self.kept.count.min(256)) } else { results }
    }

    /// How many results lie side by side, and the distance from their first elements to their
    /// second ones, and so on: when rows across so many results are worth a kernel.
    pub(super) fn columns(&self) -> Option<(usize, usize)> {
        let stride = self.reduced.single_stride()?;
        let together = self.kept.side_by_side();
        (self.across && together >= ACROSS).then_some((together, stride))
    }

    /// Where the first element of a result lies.
    pub(super) fn start(&self, output: usize) -> usize {
        self.kept.layout.offset().wrapping_add_signed(self.kept.displacement(output))
    }

    /// Where the elements of each result begin, when they are neighbours in order.
    pub(super) fn rows(&self) -> Option<impl Fn(usize) -> usize + Sync + '_> {
        let together = self.reduced.layout.is_contiguous() && !self.across;
        together.then_some(|row| self.start(row))
    }
}
