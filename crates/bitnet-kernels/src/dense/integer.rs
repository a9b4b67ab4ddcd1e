//! Products of integer matrices, wrapping.

use super::Matrix;
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
                let start = b.place(l, 0);
                for (out, &x) in out.iter_mut().zip(&b.data[start..][..n]) {
                    *out = T::add_product(*out, factor, x);
                }
            }
        }
    });
}
