//! Row functions: RMS normalization and softmax. A row depends on nothing but itself.

use super::{Square, Value, blocks, deviations, sum_lanes};
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

/// Normalization of each row by its mean and variance:
/// `out = (x − mean) / √(variance + eps) · weight + bias`.
///
/// # Panics
/// As [`rms_norm_rows`]; `bias` has `cols` numbers too.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// let mut out = [0.0; 2];
/// reduce::layer_norm_rows(Cpu::best(), &[3.0, 5.0], 2, [&[1.0, 2.0], &[0.5; 2]], 0.0, &mut out);
/// assert_eq!(out, [-0.5, 2.5]);
/// ```
pub fn layer_norm_rows(
    cpu: Cpu,
    x: &[f32],
    cols: usize,
    [weight, bias]: [&[f32]; 2],
    eps: f64,
    out: &mut [f32],
) {
    check_rows("layer_norm_rows", x, cols, out);
    assert!(
        weight.len() == cols && bias.len() == cols,
        "layer_norm_rows: weight or bias is not as long as a row"
    );
    rows(cpu, x, cols, out, RowFn::LayerNorm { weight, bias, eps });
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
    LayerNorm { weight: &'a [f32], bias: &'a [f32], eps: f64 },
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
            RowFn::LayerNorm { weight, bias, eps } => {
                for (x, out) in rows {
                    layer_norm(s, x, weight, bias, eps, out);
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
fn layer_norm<S: Simd>(s: S, x: &[f32], weight: &[f32], bias: &[f32], eps: f64, out: &mut [f32]) {
    let count = x.len() as f64;
    let mean = (blocks(s, x, 0.0, Value) / count) as f32;
    let [sum, squares] = deviations(s, x, mean);
    // What the mean lost by rounding is the mean of the deviations.
    let rest = sum / count;
    let factor = 1.0 / (squares / count - rest * rest + eps).sqrt();
    let (mean, shift) = (s.splat(mean), s.splat((-rest * factor) as f32));
    let factor = s.splat(factor as f32);
    let parameters = weight.chunks(LANES).zip(bias.chunks(LANES));
    for (out, (x, (weight, bias))) in out.chunks_mut(LANES).zip(x.chunks(LANES).zip(parameters)) {
        let (x, weight) = (s.load_partial(x, 0.0), s.load_partial(weight, 0.0));
        let normed = s.add(s.mul(s.sub(x, mean), factor), shift);
        s.store_partial(s.add(s.mul(normed, weight), s.load_partial(bias, 0.0)), out);
    }
}

#[inline(always)]
fn softmax<S: Simd>(s: S, x: &[f32], out: &mut [f32]) {
    let mut largest = [s.splat(f32::NEG_INFINITY); 4];
    let (quads, tail) = x.as_chunks::<{ 4 * LANES }>();
    for quad in quads {
        for (largest, x) in largest.iter_mut().zip(quad.as_chunks::<LANES>().0) {
            *largest = s.max(s.load(x), *largest);
        }
    }
    for part in tail.chunks(LANES) {
        largest[0] = s.max(s.load_partial(part, f32::NEG_INFINITY), largest[0]);
    }
    let largest = s.max(s.max(largest[0], largest[1]), s.max(largest[2], largest[3]));
    let largest = s.splat(s.reduce_max(largest));
    // The exponentials, and their sum in the order of `sum_lanes`.
    let mut sums = [s.splat(0.0); 4];
    let (out_quads, out_tail) = out.as_chunks_mut::<{ 4 * LANES }>();
    for (out, quad) in out_quads.iter_mut().zip(quads) {
        let (out, quad) = (out.as_chunks_mut::<LANES>().0, quad.as_chunks::<LANES>().0);
        for i in 0..4 {
            let power = math::exp(s, s.sub(s.load(&quad[i]), largest));
            s.store(power, &mut out[i]);
            sums[i] = s.add(sums[i], power);
        }
    }
    for (i, (out, x)) in out_tail.chunks_mut(LANES).zip(tail.chunks(LANES)).enumerate() {
        // Lanes beyond the end add e^−∞.
        let x = s.load_partial(x, f32::NEG_INFINITY);
        let power = math::exp(s, s.sub(x, largest));
        s.store_partial(power, out);
        sums[i] = s.add(sums[i], power);
    }
    let sum = s.reduce_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])));
    let factor = s.splat(1.0 / sum);
    for out in out.chunks_mut(LANES) {
        s.store_partial(s.mul(s.load_partial(out, 0.0), factor), out);
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
            let bias = reference::uniform(cols, 5);
            let none = || vec![0.0; x.len()];
            let mut first = (none(), none(), none());
            for &cpu in Cpu::available() {
                let mut out = (none(), none(), none());
                rms_norm_rows(cpu, &x, cols, &weight, 1e-5, &mut out.0);
                softmax_rows(cpu, &x, cols, &mut out.1);
                layer_norm_rows(cpu, &x, cols, [&weight, &bias], 1e-5, &mut out.2);
                if cpu == Cpu::available()[0] {
                    first = out.clone();
                }
                assert_eq!(reference::bits(&out.0), reference::bits(&first.0));
                assert_eq!(reference::bits(&out.1), reference::bits(&first.1));
                assert_eq!(reference::bits(&out.2), reference::bits(&first.2));
            }
            for (row, x) in x.chunks(cols).enumerate() {
                let norm = reference::rms_norm(x, &weight, 1e-5);
                let softmax = reference::softmax(x);
                let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / cols as f64;
                let squares: f64 = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
                let scale = 1.0 / (squares / cols as f64 + 1e-5).sqrt();
                for i in 0..cols {
                    let normed = (f64::from(x[i]) - mean) * scale * f64::from(weight[i]);
                    let exact = normed + f64::from(bias[i]);
                    assert!((f64::from(first.2[row * cols + i]) - exact).abs() <= 2e-6);
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
