//! Columns that lie in rows: a strided view written out row by row.
//!
//! Whole cache lines are read and written, in tiles that are as wide as a line has numbers: lines whose
//! distance is a power of two fall into the same few places of a cache, and would be gone before their
//! rest is used. Tiles go down the columns, which are asked for two tiles ahead: no processor foresees
//! sixteen streams.

use std::array;

use crate::Cpu;
use crate::simd::{Kernel, Simd};

/// Numbers in each direction of what is transposed in registers.
const SQUARE: usize = 4;

/// Rows and columns that are finished before others begin: their pages stay in the processor's table.
const BLOCK: usize = 256;

/// Tiles between what is read and what is asked for.
const AHEAD: usize = 2;

/// A strided view of a matrix in `data`: element (r, c) is `data[offset + r + c · stride]`.
#[derive(Debug, Clone, Copy)]
pub struct Columns<'a, T> {
    /// The buffer that the view lies in.
    pub data: &'a [T],
    /// Where element (0, 0) is.
    pub offset: usize,
    /// Elements from one column to the next; within a column they are neighbours.
    pub stride: isize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
}

impl<T> Columns<'_, T> {
    /// Where column `column` begins, and its elements from `row` on.
    #[inline(always)]
    fn column(&self, row: usize, column: usize) -> &[T] {
        let start = self.offset as isize + column as isize * self.stride;
        &self.data[start as usize + row..]
    }
}

/// Writes element (r, c) of the view to `out[r · row + c]`.
///
/// # Panics
/// If `row` is less than the number of columns, `out` is too short or the view reaches outside of its
/// buffer.
///
/// ```
/// use bitnet_kernels::{Cpu, transpose::{Columns, transpose}};
/// let view = Columns { data: &[1, 2, 3, 4, 5, 6], offset: 0, stride: 2, rows: 2, columns: 3 };
/// let mut out = [0; 6];
/// transpose(Cpu::best(), view, &mut out, 3);
/// assert_eq!(out, [1, 3, 5, 2, 4, 6]);
/// ```
pub fn transpose<T: Copy>(cpu: Cpu, view: Columns<'_, T>, out: &mut [T], row: usize) {
    assert!(row >= view.columns, "transpose: rows are shorter than the columns are many");
    cpu.run(Transpose { view, out, row });
}

struct Transpose<'a, T> {
    view: Columns<'a, T>,
    out: &'a mut [T],
    row: usize,
}

impl<T: Copy> Kernel for Transpose<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if size_of::<T>() <= 4 { self.by_tiles::<S, 16>(s) } else { self.by_tiles::<S, 8>(s) }
    }
}

impl<T: Copy> Transpose<'_, T> {
    /// By tiles of `W` rows and columns; what is left beside and below them number by number.
    #[inline(always)]
    fn by_tiles<S: Simd, const W: usize>(self, s: S) {
        let Transpose { view, out, row } = self;
        let [rows, columns] = [view.rows, view.columns].map(|size| size / W * W);
        for first_column in (0..columns).step_by(BLOCK) {
            for first_row in (0..rows).step_by(BLOCK) {
                for c in (first_column..columns.min(first_column + BLOCK)).step_by(W) {
                    for r in (first_row..rows.min(first_row + BLOCK)).step_by(W) {
                        let lines: [&[T]; W] = array::from_fn(|i| view.column(r, c + i));
                        if r + AHEAD * W < view.rows {
                            for line in lines {
                                s.prefetch(line[AHEAD * W..].as_ptr().cast());
                            }
                        }
                        let tile = turned(lines.map(|line| line.first_chunk()));
                        for (i, line) in tile.iter().enumerate() {
                            out[(r + i) * row + c..][..W].copy_from_slice(line);
                        }
                    }
                }
            }
        }
        for c in 0..view.columns {
            let done = if c < columns { rows } else { 0 };
            for (r, &x) in view.column(done, c)[..view.rows - done].iter().enumerate() {
                out[(done + r) * row + c] = x;
            }
        }
    }
}

/// The lines as columns.
#[inline(always)]
fn turned<T: Copy, const W: usize>(lines: [Option<&[T; W]>; W]) -> [[T; W]; W] {
    let lines = lines.map(|line| line.expect("the view reaches outside of its buffer"));
    let mut tile = [[lines[0][0]; W]; W];
    for c in (0..W).step_by(SQUARE) {
        for r in (0..W).step_by(SQUARE) {
            // Columns 0 and 2, and 1 and 3, number by number; then both of these.
            let [a, b, c0, d] = array::from_fn(|i| array::from_fn(|j| lines[c + i][r + j]));
            let ((low, high), (low2, high2)) = (interleaved(a, c0), interleaved(b, d));
            let ((row0, row1), (row2, row3)) = (interleaved(low, low2), interleaved(high, high2));
            for (i, line) in [row0, row1, row2, row3].iter().enumerate() {
                tile[r + i][c..][..SQUARE].copy_from_slice(line);
            }
        }
    }
    tile
}

/// The numbers of both in turn: the first four, and the last.
#[inline(always)]
fn interleaved<T: Copy>(a: [T; SQUARE], b: [T; SQUARE]) -> ([T; SQUARE], [T; SQUARE]) {
    ([a[0], b[0], a[1], b[1]], [a[2], b[2], a[3], b[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_element_arrives_whatever_the_sizes() {
        let data: Vec<u32> = (0..5000).collect();
        for (rows, columns) in [(0, 3), (3, 0), (1, 1), (8, 8), (7, 9), (16, 24), (33, 17), (5, 70)]
        {
            for (stride, row) in [(rows as isize, columns), (-(rows as isize) - 2, columns + 3)] {
                let offset = if stride < 0 { 4000 } else { 3 };
                for &cpu in Cpu::available() {
                    let view = Columns { data: &data, offset, stride, rows, columns };
                    let mut out = vec![u32::MAX; rows * row];
                    transpose(cpu, view, &mut out, row);
                    for (i, &x) in out.iter().enumerate() {
                        let (r, c) = (i / row, i % row);
                        let place = offset as isize + r as isize + c as isize * stride;
                        let expected = if c < columns { place as u32 } else { u32::MAX };
                        assert_eq!(x, expected, "{rows} {columns} {stride}");
                    }
                }
            }
        }
    }
}
