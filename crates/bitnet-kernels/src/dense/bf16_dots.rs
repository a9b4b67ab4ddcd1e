//! Products of matrices of bf16 by dot products of pairs, where the CPU has them: twice the rate of
//! `f32`.
//!
//! Both operands are packed whole, in pairs along the inner dimension: rows in panels of eight,
//! columns in panels of sixteen, so that a tile of sums reads all of its operands one after another.
//! A tile of eight rows and up to 48 columns stays in registers over the whole inner dimension.
//!
//! The instruction takes subnormal numbers for zeros. Where one could come up, in an operand, a product
//! or a sum, nothing is multiplied here.

use std::array;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

use half::bf16;

use super::Matrix;
use crate::parallel::{self, SharedMut};
use crate::simd::bf16::{Bf16Dots, COLUMNS, Pair, ROWS};
use crate::{Cpu, convert};

/// Panels of columns of a tile.
const WIDE: usize = 3;

/// Panels of rows, and of columns, that a thread takes at once: they stay in its second-level cache.
const ROW_PANELS: usize = 8;
const COLUMN_PANELS: usize = 4 * WIDE;

/// Writes `a · b`, not empty, if this CPU has the products and they round as those of `f32`; else
/// returns false.
pub(super) fn multiply(a: Matrix<'_, bf16>, b: Matrix<'_, bf16>, out: &mut [bf16]) -> bool {
    /// Bits of a product: every sum is a multiple of the last bit of the smallest one.
    const PRODUCT_BITS: i32 = 2 * bf16::MANTISSA_DIGITS as i32;
    let (cpu, length) = (Cpu::best(), a.cols);
    let Some(dots) = Bf16Dots::of(cpu).filter(|_| length > 0) else { return false };
    let (rows, columns) = (packed(a), packed(b.transposed()));
    if rows.least_exponent + columns.least_exponent < f32::MIN_EXP - 1 + PRODUCT_BITS {
        return false;
    }
    let (rows, columns) = (&rows.pairs[..], &columns.pairs[..]);
    let product =
        Product { cpu, dots, rows, columns, pairs: length.div_ceil(2), m: a.rows, n: b.cols };
    let (down, across) = (a.rows.div_ceil(ROWS), b.cols.div_ceil(COLUMNS));
    let blocks_across = across.div_ceil(COLUMN_PANELS);
    let out = SharedMut::of(out);
    parallel::for_each(down.div_ceil(ROW_PANELS) * blocks_across, 1, |blocks| {
        for block in blocks {
            let row = block / blocks_across * ROW_PANELS;
            let column = block % blocks_across * COLUMN_PANELS;
            let rows = row..down.min(row + ROW_PANELS);
            product.block(rows, column..across.min(column + COLUMN_PANELS), out);
        }
    });
    true
}

/// Rows of a matrix in panels of `W`, pair by pair; zeros fill the last panel and the last pair.
struct Packed<const W: usize> {
    pairs: Vec<[Pair; W]>,
    /// Of the smallest number but zero.
    least_exponent: i32,
}

fn packed<const W: usize>(matrix: Matrix<'_, bf16>) -> Packed<W> {
    let pairs_of_panel = matrix.cols.div_ceil(2);
    let mut pairs = vec![[0; W]; matrix.rows.div_ceil(W) * pairs_of_panel];
    let least = AtomicU16::new(u16::MAX);
    parallel::for_each_chunk_mut(&mut pairs, pairs_of_panel, |panel, pairs| {
        let first = panel * W;
        let rows = W.min(matrix.rows - first);
        if matrix.row_stride == 1 && rows == W {
            pack_neighbours(matrix, first, pairs);
        } else {
            pack_each(matrix, first..first + rows, pairs);
        }
        let ranks = pairs.as_flattened().iter().map(|&pair| rank(pair).min(rank(pair >> 16)));
        least.fetch_min(ranks.fold(u16::MAX, u16::min), Ordering::Relaxed);
    });
    Packed { pairs, least_exponent: exponent(least.into_inner()) }
}

/// A panel whose rows lie side by side.
fn pack_neighbours<const W: usize>(matrix: Matrix<'_, bf16>, first: usize, out: &mut [[Pair; W]]) {
    let line = |column: usize| match column < matrix.cols {
        true => &matrix.data[matrix.place(first, column)..][..W],
        false => &[bf16::ZERO; W],
    };
    for (pair, out) in out.iter_mut().enumerate() {
        let (low, high) = (line(2 * pair), line(2 * pair + 1));
        for i in 0..W {
            out[i] = pair_of(low[i], high[i]);
        }
    }
}

/// A panel row by row.
fn pack_each<const W: usize>(matrix: Matrix<'_, bf16>, rows: Range<usize>, out: &mut [[Pair; W]]) {
    for (i, row) in rows.enumerate() {
        if matrix.col_stride == 1 {
            let numbers = &matrix.data[matrix.place(row, 0)..][..matrix.cols];
            let (pairs, last) = numbers.as_chunks::<2>();
            for (out, &[low, high]) in out.iter_mut().zip(pairs) {
                out[i] = pair_of(low, high);
            }
            if let (Some(out), &[low]) = (out.last_mut(), last) {
                out[i] = pair_of(low, bf16::ZERO);
            }
            continue;
        }
        let number = |column: usize| match column < matrix.cols {
            true => matrix.at(row, column),
            false => bf16::ZERO,
        };
        for (pair, out) in out.iter_mut().enumerate() {
            out[i] = pair_of(number(2 * pair), number(2 * pair + 1));
        }
    }
}

#[inline(always)]
fn pair_of(low: bf16, high: bf16) -> Pair {
    Pair::from(low.to_bits()) | Pair::from(high.to_bits()) << 16
}

/// The place of the lower number in the order of magnitudes: zeros are behind all.
#[inline(always)]
fn rank(pair: Pair) -> u16 {
    (pair as u16 & 0x7fff).wrapping_sub(1)
}

/// The exponent of the number of this rank.
fn exponent(rank: u16) -> i32 {
    const MANTISSA_BITS: u32 = bf16::MANTISSA_DIGITS - 1;
    match rank.wrapping_add(1) >> MANTISSA_BITS {
        _ if rank == u16::MAX => f32::MAX_EXP, // nothing but zeros
        0 => i32::MIN / 4,                     // subnormal
        biased => i32::from(biased) - (f32::MAX_EXP - 1),
    }
}

struct Product<'a> {
    cpu: Cpu,
    dots: Bf16Dots,
    rows: &'a [[Pair; ROWS]],
    columns: &'a [[Pair; COLUMNS]],
    /// Of a panel.
    pairs: usize,
    m: usize,
    n: usize,
}

impl Product<'_> {
    /// Panels of rows × panels of columns.
    fn block(&self, rows: Range<usize>, columns: Range<usize>, out: SharedMut<'_, bf16>) {
        for column in columns.clone().step_by(WIDE) {
            for row in rows.clone() {
                match columns.end - column {
                    1 => self.tile::<1>(row, column, out),
                    2 => self.tile::<2>(row, column, out),
                    _ => self.tile::<WIDE>(row, column, out),
                }
            }
        }
    }

    /// A panel of rows × `C` panels of columns.
    fn tile<const C: usize>(&self, row: usize, column: usize, out: SharedMut<'_, bf16>) {
        let rows = &self.rows[row * self.pairs..][..self.pairs];
        let columns = array::from_fn(|c| &self.columns[(column + c) * self.pairs..][..self.pairs]);
        let sums = self.dots.products::<C>(rows, columns);
        let (row, column) = (row * ROWS, column * COLUMNS);
        let width = (C * COLUMNS).min(self.n - column);
        for (row, sums) in (row..self.m).zip(&sums) {
            let start = row * self.n + column;
            // SAFETY: a tile belongs to one block, which one thread computes.
            let out = unsafe { out.range(start..start + width) };
            convert::f32_to_bf16(self.cpu, &sums.as_flattened()[..width], out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    /// The product, or `None` where it is left to others.
    fn product(a: Matrix<'_, bf16>, b: Matrix<'_, bf16>) -> Option<Vec<bf16>> {
        let mut out = vec![bf16::NAN; a.rows * b.cols];
        multiply(a, b, &mut out).then_some(out)
    }

    fn is_here() -> bool {
        Bf16Dots::of(Cpu::best()).is_some()
    }

    #[test]
    fn every_shape_and_arrangement_is_the_rounded_product() {
        for (m, k, n) in
            [(1, 1, 1), (8, 2, 16), (9, 3, 17), (70, 65, 49), (65, 130, 200), (3, 64, 97)]
        {
            let numbers = |len, seed| -> Vec<bf16> {
                reference::uniform(len, seed).into_iter().map(bf16::from_f32).collect()
            };
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let turned: Vec<bf16> = (0..k * n).map(|at| b[at % k * n + at / k]).collect();
            let backwards: Vec<bf16> = a.chunks(k).rev().flatten().copied().collect();
            let exact = |i: usize, j: usize| -> f64 {
                (0..k).map(|l| a[i * k + l].to_f64() * b[l * n + j].to_f64()).sum()
            };
            let (rows, columns) = (Matrix::row_major(&a, m, k), Matrix::row_major(&b, k, n));
            let up = -(k as isize);
            let up = Matrix { data: &backwards, offset: (m - 1) * k, row_stride: up, ..rows };
            let turned = Matrix { data: &turned, row_stride: 1, col_stride: k as isize, ..columns };
            for (a, b) in [(rows, columns), (up, turned)] {
                let Some(out) = product(a, b) else { return assert!(!is_here()) };
                for (at, x) in out.iter().enumerate() {
                    let exact = exact(at / n, at % n);
                    assert!((x.to_f64() - exact).abs() <= exact.abs() / 256.0 + 1e-5);
                }
            }
        }
    }

    #[test]
    fn what_could_be_subnormal_is_left_to_others() {
        let of =
            |numbers: &[f32]| -> Vec<bf16> { numbers.iter().map(|&x| bf16::from_f32(x)).collect() };
        let (tiny, infinite) = (f32::MIN_POSITIVE, f32::INFINITY);
        for (a, b, is_taken) in [
            ([1.0, 2.0], [3.0, 4.0], true),
            ([0.0, 0.0], [0.0, -0.0], true),
            ([0.0, infinite], [f32::NAN, 1.0], true),
            ([tiny / 4.0, 1.0], [1.0, 1.0], false),
            ([tiny, 1.0], [1.0, 1.0], false),
            ([tiny, 1.0], [65_536.0, 1e10], true),
            ([1e-20, 1.0], [1.0, 1e-20], false),
            ([1e-20, 1.0], [1.0, 1e-10], true),
        ] {
            let (a, b) = (of(&a), of(&b));
            let out = product(Matrix::row_major(&a, 1, 2), Matrix::row_major(&b, 2, 1));
            assert_eq!(out.is_some(), is_taken && is_here(), "{a:?} {b:?}");
            if let Some(out) = out {
                let exact =
                    bf16::from_f32(a[0].to_f32() * b[0].to_f32() + a[1].to_f32() * b[1].to_f32());
                assert_eq!(out[0].to_bits() & 0x7fff, exact.to_bits() & 0x7fff, "{a:?} {b:?}");
            }
        }
    }
}
