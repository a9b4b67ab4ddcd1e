//! Row functions: RMS normalization and softmax. A row depends on nothing but itself.

use super::{Square, Value, sum_lanes};
use crate::Cpu;
use crate::elementwise::math;
use crate::parallel::{self, SharedMut};
use crate::simd::{Kernel, LANES, Simd};

/// RMS normalization of each row: `out = weight · (x · (1 / √(mean(x²) + eps)))`, rounded in
/// the order of Hugging Face's `BitNetRMSNorm`.
///
/// `x` and `out` are rows × `cols`; `weight` has `cols` numbers.
///
/// # Panics
/// If the lengths are not consistent, or `cols` is zero.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// let mut out = [0.0; 2];
/// reduce::rms_norm_rows(Cpu::best(), &[3.0, -3.0], 2, &[1.0, 2.0], 0.0, &mut out);
/// assert_eq!(out, [1.0, -2.0]);
/// ```
pub fn rms_norm_rows(cpu: Cpu, x: &[f32], cols: usize, weight: &[f32], eps: f32, out: &mut [f32]) {
    check_rows("rms_norm_rows", x, cols, out);
    assert_eq!(weight.len(), cols, "rms_norm_rows: the weight is not as long as a row");
    rows(cpu, x, cols, out, RowFn::RmsNorm { weight, eps });
}

/// Softmax of each row: `e^(x − max) / Σ e^(x − max)`.
///
/// A row that is all −∞, or holds +∞ or NaN, becomes all NaN, as in PyTorch.
///
/// # Panics
/// If the lengths are not consistent, or `cols` is zero.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// let mut out = [0.0; 4];
/// reduce::softmax_rows(Cpu::best(), &[5.0, 5.0, 0.0, f32::NEG_INFINITY], 2, &mut out);
/// assert_eq!(out, [0.5, 0.5, 1.0, 0.0]);
/// ```
pub fn softmax_rows(cpu: Cpu, x: &[f32], cols: usize, out: &mut [f32]) {
    check_rows("softmax_rows", x, cols, out);
    rows(cpu, x, cols, out, RowFn::Softmax);
}

fn check_rows(name: &str, x: &[f32], cols: usize, out: &[f32]) {
    assert!(
        cols > 0 && x.len().is_multiple_of(cols),
        "{name}: {} numbers in rows of {cols}",
        x.len()
    );
    assert_eq!(x.len(), out.len(), "{name}: input and output differ in length");
}

/// How many rows of `cols` numbers make a piece worth handing to another thread.
pub(crate) fn row_grain(cols: usize) -> usize {
    (1 << 15) / cols.clamp(1, 1 << 15)
}

#[derive(Clone, Copy)]
enum RowFn<'a> {
    RmsNorm { weight: &'a [f32], eps: f32 },
    Softmax,
}

fn rows(cpu: Cpu, x: &[f32], cols: usize, out: &mut [f32], function: RowFn<'_>) {
    let rows = x.len() / cols;
    let out = SharedMut::of(out);
    parallel::for_each(rows, row_grain(cols), |range| {
        let range = range.start * cols..range.end * cols;
        // SAFETY: `for_each` hands out disjoint rows.
        let out = unsafe { out.range(range.clone()) };
        cpu.run(Rows { x: &x[range], cols, out, function });
    });
}

struct Rows<'a> {
    x: &'a [f32],
    cols: usize,
    out: &'a mut [f32],
    function: RowFn<'a>,
}

impl Kernel for Rows<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let rows = self.x.chunks_exact(self.cols).zip(self.out.chunks_exact_mut(self.cols));
        match self.function {
            RowFn::RmsNorm { weight, eps } => {
                for (x, out) in rows {
                    rms_norm(s, x, weight, eps, out);
                }
            }
            RowFn::Softmax => {
                for (x, out) in rows {
                    softmax(s, x, out);
                }
            }
        }
    }
}

/// mean(x²) in `f32`.
#[inline(always)]
pub(crate) fn mean_square<S: Simd>(s: S, x: &[f32]) -> f32 {
    sum_lanes(s, x, 0.0, Square) / x.len() as f32
}

#[inline(always)]
fn rms_norm<S: Simd>(s: S, x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) {
    let factor = s.splat(1.0 / (mean_square(s, x) + eps).sqrt());
    let inputs = x.chunks(LANES).zip(weight.chunks(LANES));
    for (out, (x, weight)) in out.chunks_mut(LANES).zip(inputs) {
        let (x, weight) = (s.load_partial(x, 0.0), s.load_partial(weight, 0.0));
        s.store_partial(s.mul(weight, s.mul(x, factor)), out);
    }
}

#[inline(always)]
fn softmax<S: Simd>(s: S, x: &[f32], out: &mut [f32]) {
    let mut largest = s.splat(f32::NEG_INFINITY);
    for part in x.chunks(LANES) {
        largest = s.max(s.load_partial(part, f32::NEG_INFINITY), largest);
    }
    let largest = s.splat(s.reduce_max(largest));
    for (out, x) in out.chunks_mut(LANES).zip(x.chunks(LANES)) {
        s.store_partial(math::exp(s, s.sub(s.load_partial(x, 0.0), largest)), out);
    }
    let sum = s.splat(sum_lanes(s, out, 0.0, Value));
    for out in out.chunks_mut(LANES) {
        s.store_partial(s.div(s.load_partial(out, 0.0), sum), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, LENGTHS};

    #[test]
    fn rows_match_f64_and_each_other() {
        for cols in LENGTHS.into_iter().filter(|&cols| cols > 0) {
            let x: Vec<f32> = reference::uniform(3 * cols, 1).iter().map(|v| v * 8.0).collect();
            let weight = reference::uniform(cols, 2);
            let mut first = (vec![0.0; x.len()], vec![0.0; x.len()]);
            for &cpu in Cpu::available() {
                let mut out = (vec![0.0; x.len()], vec![0.0; x.len()]);
                rms_norm_rows(cpu, &x, cols, &weight, 1e-5, &mut out.0);
                softmax_rows(cpu, &x, cols, &mut out.1);
                if cpu == Cpu::available()[0] {
                    first = out.clone();
                }
                assert_eq!(reference::bits(&out.0), reference::bits(&first.0));
                assert_eq!(reference::bits(&out.1), reference::bits(&first.1));
            }
            for (row, x) in x.chunks(cols).enumerate() {
                let norm = reference::rms_norm(x, &weight, 1e-5);
                let softmax = reference::softmax(x);
                for i in 0..cols {
                    let (a, b) = (first.0[row * cols + i], first.1[row * cols + i]);
                    assert!((f64::from(a) - norm[i]).abs() <= 1e-6 * norm[i].abs());
                    assert!((f64::from(b) - softmax[i]).abs() <= 2e-6 * softmax[i] + 1e-44);
                }
            }
        }
    }

    #[test]
    fn awkward_rows_agree_on_all_tiers() {
        for cols in [1, 15, 16, 33, 100] {
            let x = reference::awkward_floats(cols * 50, 3);
            let weight = reference::awkward_floats(cols, 4);
            let results = Cpu::available().iter().map(|&cpu| {
                let mut out = (vec![0.0; x.len()], vec![0.0; x.len()]);
                rms_norm_rows(cpu, &x, cols, &weight, 1e-5, &mut out.0);
                softmax_rows(cpu, &x, cols, &mut out.1);
                (reference::bits(&out.0), reference::bits(&out.1))
            });
            let results: Vec<_> = results.collect();
            assert!(results.iter().all(|r| *r == results[0]));
        }
    }

    #[test]
    fn infinite_softmax_rows_are_nan_as_in_pytorch() {
        let inf = f32::INFINITY;
        for row in [[-inf, -inf], [0.0, inf], [f32::NAN, 0.0]] {
            for &cpu in Cpu::available() {
                let mut out = [0.0; 2];
                softmax_rows(cpu, &row, 2, &mut out);
                assert!(out.iter().all(|v| v.is_nan()), "{row:?}");
            }
        }
    }
}
