//! Sums over the rows of a matrix, column by column, in the order in which the rows lie.

use crate::Cpu;
use crate::simd::{Kernel, LANES, Simd};

/// Rows whose sum is rounded to `f32` only.
const ROWS: usize = 4;

/// Adds `rows` rows of `sums.len()` numbers to `sums`: the first at the beginning of `x`, each
/// `stride` numbers behind the one before.
///
/// Four rows are added in `f32`, and those sums in `f64`: of numbers of one sign the result is
/// within 10⁻⁶ of the exact sum, relatively.
///
/// # Panics
/// If the rows are not inside of `x`.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// let mut sums = [0.0; 2];
/// reduce::add_rows(Cpu::best(), &[1.0, 2.0, 0.0, 3.0, 4.0], 3, 2, &mut sums);
/// assert_eq!(sums, [4.0, 6.0]);
/// ```
pub fn add_rows(cpu: Cpu, x: &[f32], stride: usize, rows: usize, sums: &mut [f64]) {
    if rows == 0 {
        return;
    }
    let end = (rows - 1).checked_mul(stride).and_then(|last| last.checked_add(sums.len()));
    assert!(end.is_some_and(|end| end <= x.len()), "add_rows: the rows are outside of the numbers");
    cpu.run(AddRows { x, stride, rows, sums });
}

struct AddRows<'a> {
    x: &'a [f32],
    stride: usize,
    rows: usize,
    sums: &'a mut [f64],
}

impl Kernel for AddRows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for first in (0..self.rows).step_by(ROWS) {
            let rows = ROWS.min(self.rows - first);
            let x = &self.x[first * self.stride..];
            let (tiles, tail) = self.sums.as_chunks_mut::<{ 4 * LANES }>();
            for (tile, sums) in tiles.iter_mut().enumerate() {
                let mut parts = [s.splat(0.0); 4];
                for row in 0..rows {
                    let x = &x[row * self.stride + tile * 4 * LANES..][..4 * LANES];
                    for (part, x) in parts.iter_mut().zip(x.as_chunks::<LANES>().0) {
                        *part = s.add(*part, s.load(x));
                    }
                }
                for (sums, part) in sums.as_chunks_mut::<LANES>().0.iter_mut().zip(parts) {
                    for (sum, part) in sums.iter_mut().zip(s.to_array(part)) {
                        *sum += f64::from(part);
                    }
                }
            }
            let start = tiles.len() * 4 * LANES;
            for (i, sums) in tail.chunks_mut(LANES).enumerate() {
                let at = start + i * LANES;
                let mut part = s.splat(0.0);
                for row in 0..rows {
                    let x = &x[row * self.stride + at..][..sums.len()];
                    part = s.add(part, s.load_partial(x, 0.0));
                }
                for (sum, part) in sums.iter_mut().zip(s.to_array(part)) {
                    *sum += f64::from(part);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn rows_are_added_as_by_hand_and_the_same_on_all_tiers() {
        for (rows, columns, stride) in
            [(1, 1, 1), (2, 3, 5), (16, 64, 64), (17, 65, 70), (100, 130, 130)]
        {
            let x = reference::uniform((rows - 1) * stride + columns, 9);
            let mut sums = Vec::new();
            for &cpu in Cpu::available() {
                let mut out = vec![0.5; columns];
                add_rows(cpu, &x, stride, rows, &mut out);
                sums.push(out);
            }
            for column in 0..columns {
                let exact: f64 = (0..rows).map(|row| f64::from(x[row * stride + column])).sum();
                assert!((sums[0][column] - 0.5 - exact).abs() < 1e-6 * rows as f64);
            }
            assert!(sums.iter().all(|other| *other == sums[0]), "{rows} {columns} {stride}");
        }
    }
}
