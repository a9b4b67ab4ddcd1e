//! Products of a few rows with a matrix whose rows lie as they are: the matrix streams from memory
//! once, four of its rows at a time, and is packed nowhere.
//!
//! One result is the sum of its products in their order, whatever the other rows are.

use super::Matrix;
use super::tile::Line;
use crate::Cpu;
use crate::parallel::{self, SharedMut};
use crate::simd::{Kernel, LANES, Simd};

/// Rows of the left operand at most: as many sums of a column block fit the first-level cache.
const MAX_ROWS: usize = 16;

/// Vectors of sums of a column block.
const SUMS: usize = 256;

/// Rows of the matrix that are read together.
const DEPTH: usize = 4;

/// Elements of the matrix from which on this is faster than `gemm`.
const LARGE: usize = 1 << 16;

/// Writes `a · b` to `out` and says so, or declines: `a` is of few rows, `b` large and of rows whose
/// elements are neighbours. Both were checked to lie in their buffers.
pub(super) fn multiply(cpu: Cpu, a: Matrix<'_, f32>, b: Matrix<'_, f32>, out: &mut [f32]) -> bool {
    let (m, k, n) = (a.rows, a.cols, b.cols);
    let fits = b.col_stride == 1 && b.row_stride >= 0 && n >= LANES;
    if m > MAX_ROWS || !fits || k.saturating_mul(n) < LARGE {
        return false;
    }
    // The factors of four rows of the matrix side by side, for each row of the left operand.
    let depth = k.next_multiple_of(DEPTH);
    let mut factors = vec![[0.0; DEPTH]; depth / DEPTH * m];
    for l in 0..k {
        for row in 0..m {
            factors[l / DEPTH * m + row][l % DEPTH] = a.at(row, l);
        }
    }
    let columns = (SUMS / m * LANES).min(1024) / (4 * LANES) * (4 * LANES);
    let out = SharedMut::of(out);
    parallel::for_each(n, columns, |columns| {
        cpu.run(Block { factors: &factors, m, b, columns, out });
    });
    true
}

/// Some columns of all rows of the product.
struct Block<'a> {
    factors: &'a [[f32; DEPTH]],
    m: usize,
    b: Matrix<'a, f32>,
    columns: std::ops::Range<usize>,
    out: SharedMut<'a, f32>,
}

impl<'a> Block<'a> {
    /// These columns of a row of the matrix.
    #[inline(always)]
    fn line(&self, row: usize) -> &'a [f32] {
        let start = self.b.offset + row * self.b.row_stride as usize + self.columns.start;
        &self.b.data[start..][..self.columns.len()]
    }
}

impl Kernel for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (m, k) = (self.m, self.b.rows);
        // The sums of sixteen columns for each row, then those of the next sixteen.
        let mut sums = [Line::ZERO; SUMS];
        for (quad, factors) in self.factors.chunks_exact(m).enumerate() {
            let l = quad * DEPTH;
            // Beyond the last row factors and numbers are zero.
            let count = DEPTH.min(k - l);
            let mut lines = [self.line(l); DEPTH];
            for i in 1..count {
                lines[i] = self.line(l + i);
            }
            for (v, sums) in
                sums.chunks_exact_mut(m).take(self.columns.len().div_ceil(LANES)).enumerate()
            {
                let mut x = [s.splat(0.0); DEPTH];
                for i in 0..count {
                    x[i] = s.load_partial(&lines[i][v * LANES..], 0.0);
                }
                for (sum, factors) in sums.iter_mut().zip(factors) {
                    let mut t = s.load(&sum.0);
                    for i in 0..DEPTH {
                        t = s.add(t, s.mul(s.splat(factors[i]), x[i]));
                    }
                    s.store(t, &mut sum.0);
                }
            }
        }
        let n = self.b.cols;
        for (v, sums) in sums.chunks_exact(m).take(self.columns.len().div_ceil(LANES)).enumerate() {
            let first = self.columns.start + v * LANES;
            let count = LANES.min(self.columns.end - first);
            for (row, sum) in sums.iter().enumerate() {
                // SAFETY: the columns of different blocks are disjoint, and `out` has m rows of n.
                let out = unsafe { self.out.range(row * n + first..row * n + first + count) };
                out.copy_from_slice(&sum.0[..count]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn products_match_f64_and_rows_do_not_depend_on_each_other() {
        for (m, k, n) in
            [(1, 300, 300), (3, 257, 1030), (16, 70, 1000), (5, 1030, 65), (7, 5, 20_000)]
        {
            let (a, b) = (reference::uniform(m * k, 1), reference::uniform(k * (n + 3), 2));
            let left = Matrix::row_major(&a, m, k);
            let right = Matrix { cols: n, offset: 2, ..Matrix::row_major(&b, k, n + 3) };
            let mut first = Vec::new();
            for &cpu in Cpu::available() {
                let mut out = vec![f32::NAN; m * n];
                assert!(multiply(cpu, left, right, &mut out));
                first = if first.is_empty() { out.clone() } else { first };
                assert_eq!(out, first, "{cpu}");
                let mut row = vec![f32::NAN; n];
                let last = Matrix { rows: 1, offset: (m - 1) * k, ..left };
                assert!(multiply(cpu, last, right, &mut row));
                assert_eq!(row, first[(m - 1) * n..], "{cpu}");
            }
            for (at, &x) in first.iter().enumerate() {
                let product = |l: usize| {
                    f64::from(a[at / n * k + l]) * f64::from(b[2 + l * (n + 3) + at % n])
                };
                let exact: f64 = (0..k).map(product).sum();
                assert!((f64::from(x) - exact).abs() < 1e-6 + 1e-7 * k as f64);
            }
        }
    }

    #[test]
    fn infinite_factors_spoil_only_their_rows() {
        let (m, k, n) = (2, 1, 1 << 16);
        let b = vec![f32::INFINITY; n];
        let a = Matrix::row_major(&[1.0, 0.0], m, k);
        let mut out = vec![0.0; m * n];
        assert!(multiply(Cpu::best(), a, Matrix::row_major(&b, k, n), &mut out));
        assert!(out[..n].iter().all(|&x| x == f32::INFINITY));
        assert!(out[n..].iter().all(|x| x.is_nan()));
    }
}
