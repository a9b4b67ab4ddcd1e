//! Products of matrices of half types: computed in `f32` and rounded once. As of those of `f32`, their
//! last bits depend on the instructions.

use half::{bf16, f16};

use super::Matrix;
#[cfg(target_arch = "x86_64")]
use super::bf16_dots::multiply as bf16_product;
use super::matmul::matmul;
use crate::transpose::{Columns, transpose};
use crate::{Cpu, convert, parallel};

/// A type of 16 bits that becomes `f32` and back.
pub trait Half: Copy + Default + Send + Sync {
    #[doc(hidden)]
    fn widen(cpu: Cpu, x: &[Self], out: &mut [f32]);
    #[doc(hidden)]
    fn narrow(cpu: Cpu, x: &[f32], out: &mut [Self]);
    /// Writes the product, not empty, where the CPU multiplies this type; else returns false.
    #[doc(hidden)]
    fn multiply(a: Matrix<'_, Self>, b: Matrix<'_, Self>, out: &mut [Self]) -> bool;
}

macro_rules! half {
    ($($half:ty, $widen:ident, $narrow:ident, $multiply:expr;)+) => {$(
        impl Half for $half {
            fn widen(cpu: Cpu, x: &[Self], out: &mut [f32]) {
                convert::$widen(cpu, x, out);
            }

            fn narrow(cpu: Cpu, x: &[f32], out: &mut [Self]) {
                convert::$narrow(cpu, x, out);
            }

            fn multiply(a: Matrix<'_, Self>, b: Matrix<'_, Self>, out: &mut [Self]) -> bool {
                $multiply(a, b, out)
            }
        }
    )+};
}
half! {
    f16, f16_to_f32, f32_to_f16, left_to_f32;
    bf16, bf16_to_f32, f32_to_bf16, bf16_product;
}

#[cfg(not(target_arch = "x86_64"))]
use left_to_f32 as bf16_product;

/// Where no instruction multiplies this type.
fn left_to_f32<T>(_: Matrix<'_, T>, _: Matrix<'_, T>, _: &mut [T]) -> bool {
    false
}
/// Rows that are converted at once.
const ROWS: usize = 16;

/// `out = a · b`, computed in `f32` and rounded once.
///
/// # Panics
/// As [`matmul`].
///
/// ```
/// use bitnet_kernels::dense::{Matrix, matmul_half};
/// use half::f16;
/// let two = [f16::from_f32(2.0)];
/// let mut out = [f16::ZERO];
/// matmul_half(Matrix::row_major(&two, 1, 1), Matrix::row_major(&two, 1, 1), &mut out);
/// assert_eq!(out, [f16::from_f32(4.0)]);
/// ```
pub fn matmul_half<T: Half>(a: Matrix<'_, T>, b: Matrix<'_, T>, out: &mut [T]) {
    assert_eq!(a.cols, b.rows, "matmul: inner dimensions differ");
    assert_eq!(a.rows.checked_mul(b.cols), Some(out.len()), "matmul: length of the output");
    if out.is_empty() {
        return;
    }
    a.check("the left operand");
    b.check("the right operand");
    if T::multiply(a, b, out) {
        return;
    }
    let (m, k, n) = (a.rows, a.cols, b.cols);
    let (left, right) = (widened(a), widened(b));
    let mut product = vec![0.0f32; m * n];
    matmul(Matrix::row_major(&left, m, k), Matrix::row_major(&right, k, n), &mut product);
    parallel::for_each_chunk_mut(out, ROWS * n, |piece, out| {
        T::narrow(Cpu::best(), &product[piece * ROWS * n..][..out.len()], out);
    });
}

/// The elements in row-major order as `f32`.
fn widened<T: Half>(x: Matrix<'_, T>) -> Vec<f32> {
    let mut wide = vec![0.0; x.rows * x.cols];
    if wide.is_empty() {
        return wide;
    }
    parallel::for_each_chunk_mut(&mut wide, ROWS * x.cols, |piece, out| {
        let (cpu, first) = (Cpu::best(), piece * ROWS);
        if x.col_stride == 1 {
            for (row, out) in out.chunks_exact_mut(x.cols).enumerate() {
                T::widen(cpu, &x.data[x.place(first + row, 0)..][..x.cols], out);
            }
            return;
        }
        let mut lines = vec![T::default(); out.len()];
        let rows = out.len() / x.cols;
        if x.row_stride == 1 {
            let (data, offset) = (x.data, x.offset + first);
            let view = Columns { data, offset, stride: x.col_stride, rows, columns: x.cols };
            transpose(cpu, view, &mut lines, x.cols);
        } else {
            for (at, line) in lines.iter_mut().enumerate() {
                *line = x.at(first + at / x.cols, at % x.cols);
            }
        }
        T::widen(cpu, &lines, out);
    });
    wide
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn every_arrangement_of_the_operands_is_the_rounded_product() {
        let (m, k, n) = (37, 70, 45);
        let numbers = |len, seed| -> Vec<bf16> {
            reference::uniform(len, seed).into_iter().map(bf16::from_f32).collect()
        };
        let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
        let exact = |i: usize, j: usize| -> f64 {
            (0..k).map(|l| a[i * k + l].to_f64() * b[l * n + j].to_f64()).sum()
        };
        let turned: Vec<bf16> = (0..k * n).map(|at| b[at % k * n + at / k]).collect();
        // Every second element of a buffer that is twice as long.
        let sparse: Vec<bf16> = b.iter().flat_map(|&x| [x, bf16::NAN]).collect();
        let (a, b) = (Matrix::row_major(&a, m, k), Matrix::row_major(&b, k, n));
        let by_columns = Matrix { data: &turned, row_stride: 1, col_stride: k as isize, ..b };
        let stride = 2 * n as isize;
        let apart = Matrix { data: &sparse, row_stride: stride, col_stride: 2, ..b };
        for b in [b, by_columns, apart] {
            let mut out = vec![bf16::NAN; m * n];
            matmul_half(a, b, &mut out);
            for (at, x) in out.iter().enumerate() {
                let exact = exact(at / n, at % n);
                assert!((x.to_f64() - exact).abs() <= exact.abs() / 256.0 + 1e-5);
            }
        }
    }
}
