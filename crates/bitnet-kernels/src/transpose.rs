//! Columns that lie in rows: a strided view written out row by row, in tiles that touch each cache
//! line once.

use crate::Cpu;
use crate::simd::{Kernel, Simd};

/// Rows and columns of a tile: what is read of a column is half a cache line of `f32`, and no more
/// lines are held at a time than the ways of the first-level cache, which they may all share.
const TILE: usize = 8;

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
    fn run<S: Simd>(self, _: S) {
        let (view, row) = (self.view, self.row);
        for column in (0..view.columns).step_by(TILE) {
            let width = TILE.min(view.columns - column);
            let mut done = 0;
            if width == TILE {
                let mut columns = [&[][..]; TILE];
                for (i, lines) in columns.iter_mut().enumerate() {
                    *lines = &view.column(0, column + i)[..view.rows];
                }
                while done + TILE <= view.rows {
                    let any = columns[0][done];
                    let mut tile = [[any; TILE]; TILE];
                    for i in 0..TILE {
                        if let Some(numbers) = columns[i][done..].first_chunk() {
                            tile[i] = *numbers;
                        }
                    }
                    for r in 0..TILE {
                        let mut line = [any; TILE];
                        for i in 0..TILE {
                            line[i] = tile[i][r];
                        }
                        self.out[(done + r) * row + column..][..TILE].copy_from_slice(&line);
                    }
                    done += TILE;
                }
            }
            for c in column..column + width {
                let rest = &view.column(done, c)[..view.rows - done];
                for (r, &x) in rest.iter().enumerate() {
                    self.out[(done + r) * row + c] = x;
                }
            }
        }
    }
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
