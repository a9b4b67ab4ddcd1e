//! General matrix multiplication of strided views, by the `gemm` crate inside our threads.
//!
//! `gemm` uses fused multiply-adds where the CPU has them: unlike the other kernels, the last
//! bits depend on the instruction set, and on the whole shape. They do not depend on the
//! number of threads.

use super::few_rows;
use super::linear::{Weights, linear};
use crate::Cpu;
use crate::parallel::{self, SharedMut};
use crate::transpose::{Columns, transpose};

/// A strided view of a matrix.
///
/// Element (r, c) is `data[offset + r · row_stride + c · col_stride]`; strides may be zero or
/// negative.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a, T> {
    /// The buffer that the view lies in.
    pub data: &'a [T],
    /// Where element (0, 0) is.
    pub offset: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
    /// Elements from one row to the next.
    pub row_stride: isize,
    /// Elements from one column to the next.
    pub col_stride: isize,
}

impl<'a, T> Matrix<'a, T> {
    /// A contiguous row-major matrix.
    ///
    /// # Panics
    /// If `cols` does not fit a stride.
    pub fn row_major(data: &'a [T], rows: usize, cols: usize) -> Self {
        let row_stride = isize::try_from(cols).expect("matrix: too many columns");
        Matrix { data, offset: 0, rows, cols, row_stride, col_stride: 1 }
    }

    /// The matrix whose rows are the columns of this one.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn transposed(self) -> Self {
        Matrix {
            rows: self.cols,
            cols: self.rows,
            row_stride: self.col_stride,
            col_stride: self.row_stride,
            ..self
        }
    }

    /// Where the element of this row and column lies.
    #[inline(always)]
    pub(super) fn place(&self, row: usize, column: usize) -> usize {
        let place = row as isize * self.row_stride + column as isize * self.col_stride;
        (self.offset as isize + place) as usize
    }

    /// The element of this row and column.
    #[inline(always)]
    pub(super) fn at(&self, row: usize, column: usize) -> T
    where
        T: Copy,
    {
        self.data[self.place(row, column)]
    }

    /// Panics unless every element lies in the buffer.
    pub(super) fn check(&self, name: &str) {
        if self.rows == 0 || self.cols == 0 {
            return;
        }
        // In i128 nothing overflows: three numbers of 64 bits, two of them multiplied.
        let (mut low, mut high) = (self.offset as i128, self.offset as i128);
        for (stride, len) in [(self.row_stride, self.rows), (self.col_stride, self.cols)] {
            let reach = stride as i128 * (len as i128 - 1);
            if reach < 0 { low += reach } else { high += reach }
        }
        assert!(
            low >= 0 && high < self.data.len() as i128,
            "matmul: {name} reaches from {low} to {high} in a buffer of {}",
            self.data.len()
        );
    }
}

/// The number types of [`matmul`]: `f32` and `f64`.
pub trait MatmulElement: Copy + Send + Sync + sealed::Sealed + 'static {
    #[doc(hidden)]
    const ZERO: Self;
    #[doc(hidden)]
    const ONE: Self;
    /// The product with a column or of a few rows, where a kernel reads the large operand once.
    #[doc(hidden)]
    fn multiply_slender(_a: Matrix<'_, Self>, _b: Matrix<'_, Self>, _out: &mut [Self]) -> bool {
        false
    }
}

mod sealed {
    /// Keeps [`super::MatmulElement`] to the types that `gemm` multiplies.
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

impl MatmulElement for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;

    fn multiply_slender(a: Matrix<'_, f32>, b: Matrix<'_, f32>, out: &mut [f32]) -> bool {
        if few_rows::multiply(Cpu::best(), a, b, out) {
            return true;
        }
        let (m, k) = (a.rows, a.cols);
        let lies_in_rows = a.col_stride == 1 && (a.row_stride == k as isize || m == 1);
        if b.cols != 1 || !lies_in_rows || (b.row_stride != 1 && k != 1) {
            return false;
        }
        let (weights, x) = (&a.data[a.offset..][..m * k], &b.data[b.offset..][..k]);
        linear(Cpu::best(), x, k, Weights::F32(weights), None, out);
        true
    }
}

impl MatmulElement for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
}

/// Rows and columns of the blocks that are handed to threads.
const BLOCK: usize = 256;

/// Rows of the blocks of a product that would be one block: two threads share it, for the price of
/// the right operand packed twice.
const HALF_BLOCK: usize = 128;

/// Rows of the left operand from which on a right operand whose columns lie in rows is transposed
/// first: `gemm` packs it slowly.
const TRANSPOSED: usize = 32;

/// Products below which everything stays on the calling thread.
const SMALL: usize = 1 << 18;

/// `out = a · b`; `out` is contiguous and row-major, `a.rows` × `b.cols`.
///
/// # Panics
/// If the inner dimensions differ, `out` has not the product's length, or a view reaches
/// outside its buffer.
///
/// ```
/// use bitnet_kernels::dense::{Matrix, matmul};
/// let a = Matrix::row_major(&[1.0, 2.0, 3.0, 4.0], 2, 2);
/// let transposed = Matrix { row_stride: 1, col_stride: 2, ..a };
/// let mut out = [0.0; 4];
/// matmul(a, transposed, &mut out);
/// assert_eq!(out, [5.0, 11.0, 11.0, 25.0]);
/// ```
pub fn matmul<T: MatmulElement>(a: Matrix<'_, T>, b: Matrix<'_, T>, out: &mut [T]) {
    assert_eq!(a.cols, b.rows, "matmul: inner dimensions differ");
    let (m, k, n) = (a.rows, a.cols, b.cols);
    assert_eq!(m.checked_mul(n), Some(out.len()), "matmul: length of the output");
    a.check("the left operand");
    b.check("the right operand");
    if out.is_empty() {
        return;
    }
    if k == 0 {
        out.fill(T::ZERO);
        return;
    }
    if T::multiply_slender(a, b, out) {
        return;
    }
    if b.row_stride == 1 && b.col_stride != 1 && m >= TRANSPOSED {
        let rows = rows_of(b);
        return blocks(a, Matrix::row_major(&rows, k, n), out);
    }
    blocks(a, b, out);
}

/// The elements in row-major order, of a matrix whose columns have them side by side.
fn rows_of<T: MatmulElement>(b: Matrix<'_, T>) -> Vec<T> {
    const ROWS: usize = 64;
    let mut rows = vec![T::ZERO; b.rows * b.cols];
    parallel::for_each_chunk_mut(&mut rows, ROWS * b.cols, |piece, out| {
        let (offset, rows) = (b.offset + piece * ROWS, out.len() / b.cols);
        let view = Columns { data: b.data, offset, stride: b.col_stride, rows, columns: b.cols };
        transpose(Cpu::best(), view, out, b.cols);
    });
    rows
}

/// The product by blocks of at most `BLOCK` × `BLOCK`; one block when the whole is small.
fn blocks<T: MatmulElement>(a: Matrix<'_, T>, b: Matrix<'_, T>, out: &mut [T]) {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    let small = m.saturating_mul(n).saturating_mul(k) <= SMALL;
    let (rows, cols) = match (m, n) {
        _ if small => (m, n),
        (HALF_BLOCK..=BLOCK, ..=BLOCK) => (HALF_BLOCK, n),
        _ => (m.min(BLOCK), n.min(BLOCK)),
    };
    let across = n.div_ceil(cols);
    let out = SharedMut::of(out);
    parallel::for_each(m.div_ceil(rows) * across, 1, |piece| {
        let (i, j) = (piece.start / across * rows, piece.start % across * cols);
        let (rows, cols) = (rows.min(m - i), cols.min(n - j));
        // SAFETY: `check` showed that every element of both views lies in its buffer, and this
        // block is a part of them. The output blocks of different pieces are disjoint and
        // inside `out`, whose length is m · n.
        unsafe {
            gemm::gemm(
                rows,
                cols,
                k,
                out.as_ptr().add(i * n + j),
                1,
                n as isize,
                false,
                a.data.as_ptr().offset(a.offset as isize + i as isize * a.row_stride),
                a.col_stride,
                a.row_stride,
                b.data.as_ptr().offset(b.offset as isize + j as isize * b.col_stride),
                b.col_stride,
                b.row_stride,
                T::ZERO,
                T::ONE,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn strided_views_match_the_definition() {
        for (m, k, n) in [
            (1, 1, 1),
            (3, 5, 2),
            (17, 33, 65),
            (300, 70, 300),
            (1, 600, 700),
            (4, 0, 3),
            (200, 77, 1),
        ] {
            let a = reference::uniform(m * k, 1);
            let b = reference::uniform(k * n, 2);
            // The same numbers, transposed and with the rows backwards.
            let b_transposed: Vec<f32> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
            let a_reversed: Vec<f32> = a.chunks(k.max(1)).rev().flatten().copied().collect();
            let plain = (Matrix::row_major(&a, m, k), Matrix::row_major(&b, k, n));
            let reversed = Matrix {
                data: &a_reversed,
                offset: (m - 1) * k,
                row_stride: -(k as isize),
                ..plain.0
            };
            let transposed =
                Matrix { data: &b_transposed, row_stride: 1, col_stride: k as isize, ..plain.1 };
            let exact = |i: usize| -> f64 {
                (0..k).map(|l| f64::from(a[i / n * k + l]) * f64::from(b[l * n + i % n])).sum()
            };
            for (a, b) in [plain, (reversed, transposed)] {
                let mut out = vec![9.0; m * n];
                matmul(a, b, &mut out);
                for (i, &v) in out.iter().enumerate() {
                    assert!((f64::from(v) - exact(i)).abs() < 1e-6 + 1e-7 * k as f64);
                }
            }
            let (a, b): (Vec<f64>, Vec<f64>) =
                (a.iter().map(|&v| v.into()).collect(), b.iter().map(|&v| v.into()).collect());
            let mut out = vec![9.0; m * n];
            matmul(Matrix::row_major(&a, m, k), Matrix::row_major(&b, k, n), &mut out);
            assert!(out.iter().enumerate().all(|(i, v)| (v - exact(i)).abs() < 1e-12));
        }
    }

    #[test]
    #[should_panic(expected = "reaches from 0 to 4")]
    fn a_view_outside_its_buffer_is_refused() {
        let a = Matrix { row_stride: 3, ..Matrix::row_major(&[0.0; 4], 2, 2) };
        matmul(a, Matrix::row_major(&[0.0; 4], 2, 2), &mut [0.0; 4]);
    }
}
