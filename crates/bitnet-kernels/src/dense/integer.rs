//! Products of integer matrices, wrapping, and of half types, rounded once.

use half::{bf16, f16};

use super::Matrix;
use super::matmul::matmul;
use crate::parallel;

/// The number types of [`matmul_integer`]: those that a sum of type `Sum` takes.
///
/// Signed and unsigned products have the same low bits, so that four types serve eight.
pub trait Ring<Sum>: Copy + Send + Sync {
    #[doc(hidden)]
    fn add_product(sum: Sum, a: Self, b: Self) -> Sum;
}

macro_rules! ring {
    ($($number:ty => $sum:ty),+) => {$(
        impl Ring<$sum> for $number {
            #[inline(always)]
            fn add_product(sum: $sum, a: Self, b: Self) -> $sum {
                sum.wrapping_add(<$sum>::from(a).wrapping_mul(<$sum>::from(b)))
            }
        }
    )+};
}
ring!(u8 => u8, u16 => u16, u32 => u32, u64 => u64, i8 => i32);

/// Multiplications that one piece of work has.
const GRAIN: usize = 1 << 16;

/// `out = a · b` in the wrapping arithmetic of `Sum`; `out` is contiguous and row-major.
///
/// # Panics
/// If the inner dimensions differ, `out` has not the product's length, or a view reaches
/// outside its buffer.
///
/// ```
/// use bitnet_kernels::dense::{Matrix, matmul_integer};
/// let a = Matrix::row_major(&[-128i8, 127], 1, 2);
/// let b = Matrix::row_major(&[-128i8, 127], 2, 1);
/// let mut out = [0i32];
/// matmul_integer(a, b, &mut out);
/// assert_eq!(out, [32_513]);
/// ```
pub fn matmul_integer<T: Ring<Sum>, Sum: Copy + Default + Send>(
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    out: &mut [Sum],
) {
    assert_eq!(a.cols, b.rows, "matmul: inner dimensions differ");
    assert_eq!(a.rows.checked_mul(b.cols), Some(out.len()), "matmul: length of the output");
    if out.is_empty() {
        return;
    }
    let (k, n) = (a.cols, b.cols);
    let packed: Vec<T>;
    let b = if b.col_stride == 1 {
        b
    } else {
        packed = (0..k * n).map(|at| b.at(at / n, at % n)).collect();
        Matrix::row_major(&packed, k, n)
    };
    let grain = (GRAIN / (k * n).max(1)).max(1);
    parallel::for_each_chunk_mut(out, grain * n, |piece, out| {
        for (row, out) in out.chunks_exact_mut(n).enumerate() {
            out.fill(Sum::default());
            for l in 0..k {
                let factor = a.at(piece * grain + row, l);
                let start = (b.offset as isize + l as isize * b.row_stride) as usize;
                for (out, &x) in out.iter_mut().zip(&b.data[start..][..n]) {
                    *out = T::add_product(*out, factor, x);
                }
            }
        }
    });
}

/// A type of 16 bits that becomes `f32` and back.
pub trait Half: Copy + Send + Sync {
    #[doc(hidden)]
    fn widen(self) -> f32;
    #[doc(hidden)]
    fn round(x: f32) -> Self;
}

macro_rules! half {
    ($($half:ty),+) => {$(
        impl Half for $half {
            #[inline(always)]
            fn widen(self) -> f32 { self.to_f32() }
            #[inline(always)]
            fn round(x: f32) -> Self { Self::from_f32(x) }
        }
    )+};
}
half!(f16, bf16);

/// Rows and columns of the tiles that are converted.
const TILE: usize = 128;

/// `out = a · b`, computed in `f32` tile by tile and rounded once.
///
/// # Panics
/// As [`matmul_integer`].
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
    let (k, n) = (a.cols, b.cols);
    parallel::for_each_chunk_mut(out, TILE * n, |piece, out| {
        let rows = out.len() / n;
        let left: Vec<f32> =
            (0..rows * k).map(|at| a.at(piece * TILE + at / k, at % k).widen()).collect();
        for first in (0..n).step_by(TILE) {
            let columns = TILE.min(n - first);
            let right: Vec<f32> = (0..k * columns)
                .map(|at| b.at(at / columns, first + at % columns).widen())
                .collect();
            let mut tile = vec![0.0f32; rows * columns];
            matmul(
                Matrix::row_major(&left, rows, k),
                Matrix::row_major(&right, k, columns),
                &mut tile,
            );
            for (row, tile) in tile.chunks_exact(columns).enumerate() {
                let out = &mut out[row * n + first..][..columns];
                out.iter_mut().zip(tile).for_each(|(out, &x)| *out = T::round(x));
            }
        }
    });
}
