//! The strided loop of elementwise work.
//!
//! The output is fresh and row-major, so its elements are walked in order, and each stretch of
//! the innermost axis is a *span*: per operand a slice when its elements are neighbours, one
//! number when it is broadcast there, and a small gathered copy otherwise. Axes that lie in a
//! row for all operands are merged first, so a contiguous tensor is one span. A walk can begin
//! at any element: threads split the output.
//!
//! Where the neighbours of an operand lie along the axis before the innermost (a transposed matrix),
//! the walk goes by tiles of a few rows, and the operand is transposed a tile at a time.

use std::ops::Range;

use bitnet_kernels::Cpu;
use bitnet_kernels::elementwise::Operand;
use bitnet_kernels::transpose::{Columns, transpose};
use smallvec::{SmallVec, smallvec};

use crate::TensorShape;
use crate::layout::Layout;

/// The longest span of an operand whose elements are not neighbours.
const GATHER: usize = 256;

/// Rows and columns of a tile; of smaller axes there are none.
const TILE_ROWS: usize = 32;
const TILE_COLUMNS: usize = 128;
const TILED: usize = 8;

/// `N` operands walked together over a shape that all of them broadcast to.
pub(super) struct Spans<const N: usize> {
    /// Sizes and strides of the merged axes, outermost first; there is at least one.
    axes: SmallVec<[(usize, [isize; N]); 8]>,
    offsets: [usize; N],
}

/// A stretch of elements: where each operand's begins, and how many.
pub(super) struct Span<const N: usize> {
    offsets: [usize; N],
    strides: [isize; N],
    length: usize,
    tile: Option<TileRow<N>>,
}

/// Which row of a tile a span is.
#[derive(Clone, Copy)]
struct TileRow<const N: usize> {
    row: usize,
    rows: usize,
    /// The distance from each row to the next.
    down: [isize; N],
}

impl<const N: usize> Spans<N> {
    pub(super) fn new(shape: &TensorShape, operands: [&Layout; N]) -> Self {
        if shape.contains(&0) {
            // Never walked; the other sizes may be beyond any arithmetic.
            return Self { axes: smallvec![(1, [0; N])], offsets: [0; N] };
        }
        let expanded = operands.map(|layout| layout.expand(shape));
        let mut axes: SmallVec<[(usize, [isize; N]); 8]> = SmallVec::new();
        for axis in 0..shape.rank() {
            let size = shape[axis];
            let strides: [isize; N] = std::array::from_fn(|i| expanded[i].strides()[axis]);
            if size == 1 {
                continue;
            }
            match axes.last_mut() {
                Some((outer, outer_strides))
                    if (0..N).all(|i| outer_strides[i] == strides[i] * size as isize) =>
                {
                    *outer *= size;
                    *outer_strides = strides;
                }
                _ => axes.push((size, strides)),
            }
        }
        if axes.is_empty() {
            axes.push((1, [0; N]));
        }
        Self { axes, offsets: expanded.map(|layout| layout.offset()) }
    }

    /// Calls `body` with the spans of the elements `start..start + length` and the place of
    /// each within that range.
    pub(super) fn walk(&self, start: usize, length: usize, body: impl FnMut(usize, &Span<N>)) {
        self.walk_displaced([0; N], start, length, body);
    }

    /// [`walk`](Self::walk) with all elements of each operand moved by a distance in its storage:
    /// one set of spans serves for many parts of a tensor.
    ///
    /// Spans come in order, but for those of tiles.
    pub(super) fn walk_displaced(
        &self,
        displacement: [isize; N],
        start: usize,
        length: usize,
        mut body: impl FnMut(usize, &Span<N>),
    ) {
        let Some(((height, down), (inner, strides))) = self.tiles() else {
            return self.walk_lines(displacement, start, start..start + length, &mut body);
        };
        // Whole rows are walked by tiles, the parts of rows before and behind as they are.
        let ([before, behind], whole) = by_rows(start..start + length, inner);
        self.walk_lines(displacement, start, before, &mut body);
        let mut row = whole.start;
        while row < whole.end {
            let rows = TILE_ROWS.min(whole.end - row).min(height - row % height);
            let base = self.line(displacement, row);
            for column in (0..inner).step_by(TILE_COLUMNS) {
                for r in 0..rows {
                    let span = Span {
                        offsets: std::array::from_fn(|i| {
                            let place = r as isize * down[i] + column as isize * strides[i];
                            (base[i] + place) as usize
                        }),
                        strides,
                        length: TILE_COLUMNS.min(inner - column),
                        tile: Some(TileRow { row: r, rows, down }),
                    };
                    body((row + r) * inner + column - start, &span);
                }
            }
            row += rows;
        }
        self.walk_lines(displacement, start, behind, &mut body);
    }

    /// The last two axes, where an operand's neighbours lie along the first of them.
    #[allow(clippy::type_complexity)] // two axes
    fn tiles(&self) -> Option<((usize, [isize; N]), (usize, [isize; N]))> {
        let [.., outer, inner] = &self.axes[..] else { return None };
        let is_crossed = |i| outer.1[i] == 1 && !matches!(inner.1[i], 0 | 1);
        let large = outer.0 >= TILED && inner.0 >= TILED;
        (large && (0..N).any(is_crossed)).then_some((*outer, *inner))
    }

    /// Where a line along the innermost axis begins, numbered in row-major order.
    fn line(&self, displacement: [isize; N], mut number: usize) -> [isize; N] {
        let mut base = std::array::from_fn(|i| self.offsets[i] as isize + displacement[i]);
        for (size, strides) in self.axes.iter().rev().skip(1) {
            for i in 0..N {
                base[i] += (number % size) as isize * strides[i];
            }
            number /= size;
        }
        base
    }

    /// The spans of the elements of `range`; their places are counted from `origin`.
    fn walk_lines(
        &self,
        displacement: [isize; N],
        origin: usize,
        range: Range<usize>,
        body: &mut impl FnMut(usize, &Span<N>),
    ) {
        let Some((&(inner, strides), outer)) = self.axes.split_last() else { return };
        let (start, length) = (range.start, range.len());
        if length == 0 {
            return;
        }
        // All strides are 0 or 1 in most walks; only gathering limits the length of a span.
        let limit = if strides.iter().all(|&s| s == 0 || s == 1) { usize::MAX } else { GATHER };
        let mut index: SmallVec<[usize; 8]> = SmallVec::from_elem(0, outer.len());
        let mut rest = start / inner;
        for axis in (0..outer.len()).rev() {
            index[axis] = rest % outer[axis].0;
            rest /= outer[axis].0;
        }
        let mut within = start % inner;
        let mut base = self.line(displacement, start / inner);
        let mut done = 0;
        while done < length {
            let count = (inner - within).min(length - done).min(limit);
            let offsets =
                std::array::from_fn(|i| (base[i] + within as isize * strides[i]) as usize);
            body(start - origin + done, &Span { offsets, strides, length: count, tile: None });
            done += count;
            within += count;
            if within == inner {
                within = 0;
                for axis in (0..outer.len()).rev() {
                    let (size, axis_strides) = &outer[axis];
                    index[axis] += 1;
                    for i in 0..N {
                        base[i] += axis_strides[i];
                    }
                    if index[axis] < *size {
                        break;
                    }
                    index[axis] = 0;
                    for i in 0..N {
                        base[i] -= axis_strides[i] * *size as isize;
                    }
                }
            }
        }
    }
}

impl Spans<1> {
    /// Writes the elements of the operand from `start` on, until `out` is full.
    pub(super) fn copy<T: Copy>(&self, data: &[T], start: usize, out: &mut [T]) {
        let mut scratch = Scratch::new();
        let mut line = |out: &mut [T], span: &Span<1>| match span.operand(0, data, &mut scratch) {
            Operand::Slice(x) => out.copy_from_slice(x),
            Operand::Scalar(x) => out.fill(x),
        };
        let Some(((height, _), (inner, [stride]))) = self.tiles() else {
            return self
                .walk(start, out.len(), |at, span| line(&mut out[at..][..span.length], span));
        };
        // The rows of each matrix at once, and the parts of rows before and behind.
        let (ends, whole) = by_rows(start..start + out.len(), inner);
        for range in ends {
            self.walk_lines([0], start, range, &mut |at, span: &Span<1>| {
                line(&mut out[at..][..span.length], span);
            });
        }
        let mut row = whole.start;
        while row < whole.end {
            let rows = (whole.end - row).min(height - row % height);
            let offset = self.line([0], row)[0] as usize;
            let view = Columns { data, offset, stride, rows, columns: inner };
            transpose(Cpu::best(), view, &mut out[row * inner - start..][..rows * inner], inner);
            row += rows;
        }
    }

    /// How many elements a thread should copy at once, of about `grain`: of columns that lie in rows
    /// several rows, for which each of their cache lines is read.
    pub(super) fn grain(&self, grain: usize) -> usize {
        const ROWS: usize = 128;
        self.tiles().map_or(grain, |(_, (inner, _))| inner.saturating_mul(ROWS).max(grain))
    }
}

/// The parts of a range before and behind its whole rows of `inner` elements, and these.
fn by_rows(range: Range<usize>, inner: usize) -> ([Range<usize>; 2], Range<usize>) {
    let first = range.start.next_multiple_of(inner).min(range.end);
    let last = range.end / inner;
    ([range.start..first, first.max(last * inner)..range.end], first / inner..last)
}

impl<const N: usize> Span<N> {
    /// The number of elements.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// The elements of operand `i` in `data`, gathered into `scratch` when they must be. Called for
    /// every span of a walk with the same scratch, which holds the operand's tile.
    pub(super) fn operand<'a, T: Copy>(
        &self,
        i: usize,
        data: &'a [T],
        scratch: &'a mut Scratch<T>,
    ) -> Operand<'a, T> {
        let offset = self.offsets[i];
        match self.strides[i] {
            0 => Operand::Scalar(data[offset]),
            1 => Operand::Slice(&data[offset..][..self.length]),
            stride => {
                if let Some(tile) = self.tile.filter(|tile| tile.down[i] == 1) {
                    return Operand::Slice(tile_row(tile.row, tile.rows, self, i, data, scratch));
                }
                scratch.0.clear();
                scratch.0.extend(
                    (0..self.length as isize)
                        .map(|at| data[(offset as isize + at * stride) as usize]),
                );
                Operand::Slice(&scratch.0)
            }
        }
    }
}

/// A row of a tile whose columns lie in rows; the first brings the whole tile.
fn tile_row<'a, T: Copy, const N: usize>(
    row: usize,
    rows: usize,
    span: &Span<N>,
    i: usize,
    data: &'a [T],
    scratch: &'a mut Scratch<T>,
) -> &'a [T] {
    let (offset, columns) = (span.offsets[i], span.length);
    if row == 0 {
        scratch.0.resize(rows * columns, data[offset]);
        let view = Columns { data, offset, stride: span.strides[i], rows, columns };
        transpose(Cpu::best(), view, &mut scratch.0, columns);
    }
    &scratch.0[row * columns..][..columns]
}

/// Room for gathered elements.
pub(super) struct Scratch<T>(SmallVec<[T; GATHER]>);

impl<T: Copy> Scratch<T> {
    pub(super) fn new() -> Self {
        Self(SmallVec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_and_length_gives_the_elements_in_order() {
        // A transposed, a broadcast and a backwards operand over [3, 2, 4].
        let shape = TensorShape::from([3, 2, 4]);
        let transposed = Layout::contiguous([4, 2, 3].into()).permute(&[2, 1, 0]);
        let broadcast = Layout::contiguous([2, 1].into());
        let backwards = Layout::contiguous([3, 2, 4].into()).slice(2, 3, 4, -1);
        let data: Vec<usize> = (0..24).collect();
        let expected: Vec<[usize; 3]> = (0..24)
            .map(|n| {
                let (a, b, c) = (n / 8, n / 4 % 2, n % 4);
                [c * 6 + b * 3 + a, b, a * 8 + b * 4 + 3 - c]
            })
            .collect();
        let spans = Spans::new(&shape, [&transposed, &broadcast, &backwards]);
        for start in 0..24 {
            for length in 0..=24 - start {
                let mut seen = Vec::new();
                spans.walk(start, length, |at, span| {
                    assert_eq!(at, seen.len());
                    let mut scratch: [Scratch<usize>; 3] = std::array::from_fn(|_| Scratch::new());
                    let [s0, s1, s2] = &mut scratch;
                    let operands = [
                        span.operand(0, &data, s0),
                        span.operand(1, &data, s1),
                        span.operand(2, &data, s2),
                    ];
                    for k in 0..span.length() {
                        seen.push(operands.map(|operand| match operand {
                            Operand::Slice(slice) => slice[k],
                            Operand::Scalar(value) => value,
                        }));
                    }
                });
                assert_eq!(seen, expected[start..start + length]);
            }
        }
    }

    #[test]
    fn tiles_have_every_element_once() {
        // [2, 70, 150] of which the last two axes are exchanged, beside a contiguous operand.
        let shape = TensorShape::from([2, 70, 150]);
        let crossed = Layout::contiguous([2, 150, 70].into()).permute(&[0, 2, 1]);
        let contiguous = Layout::contiguous(shape.clone());
        let data: Vec<usize> = (0..shape.iter().product()).collect();
        let spans = Spans::new(&shape, [&crossed, &contiguous]);
        for (start, length) in [(0, data.len()), (1, 0), (7, 100), (149, 302), (3000, 12_345)] {
            let mut seen = vec![None; length];
            let (mut scratch, mut other) = (Scratch::new(), Scratch::new());
            spans.walk(start, length, |at, span| {
                let a = span.operand(0, &data, &mut scratch);
                let b = span.operand(1, &data, &mut other);
                for k in 0..span.length() {
                    assert_eq!(seen[at + k].replace([a.at(k), b.at(k)]), None);
                }
            });
            for (k, seen) in seen.into_iter().enumerate() {
                let n = start + k;
                let (b, r, c) = (n / 10_500, n / 150 % 70, n % 150);
                assert_eq!(seen, Some([b * 10_500 + c * 70 + r, n]));
            }
        }
    }

    #[test]
    fn copies_begin_and_end_anywhere() {
        let shape = TensorShape::from([2, 70, 33]);
        let crossed = Layout::contiguous([2, 33, 70].into()).permute(&[0, 2, 1]);
        let backwards = Layout::contiguous([2, 70, 66].into()).slice(2, 65, 33, -2);
        let data: Vec<usize> = (0..2 * 70 * 66).collect();
        for layout in [crossed, backwards] {
            let strides = [0, 1, 2].map(|axis| layout.strides()[axis]);
            let spans = Spans::new(&shape, [&layout]);
            for (start, length) in [(0, 4620), (5, 3), (33, 2277), (31, 4000), (100, 0)] {
                let mut out = vec![usize::MAX; length];
                spans.copy(&data, start, &mut out);
                for (k, &x) in out.iter().enumerate() {
                    let n = start + k;
                    let index = [n / 2310, n / 33 % 70, n % 33];
                    let place = index.iter().zip(strides).map(|(&i, stride)| i as isize * stride);
                    assert_eq!(x as isize, layout.offset() as isize + place.sum::<isize>());
                }
            }
        }
    }

    #[test]
    fn a_contiguous_tensor_is_one_span() {
        let shape = TensorShape::from([3, 1, 5, 7]);
        let layout = Layout::contiguous(shape.clone());
        let mut lengths = Vec::new();
        Spans::new(&shape, [&layout]).walk(0, 105, |_, span| lengths.push(span.length()));
        assert_eq!(lengths, [105]);
    }
}
