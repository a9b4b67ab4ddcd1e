//! Reductions of `f32` slices, and the row functions that are built on them.
//!
//! Sums go through sixty-four partial sums per block of 1024 numbers and add the blocks in
//! `f64`: fixed by the length alone, and close to the exact sum whatever it is.

mod columns;
mod extreme;
mod rows;

pub use columns::add_rows;
pub use extreme::{argmax, argmin, max, min};
pub use rows::{layer_norm_rows, rms_norm_rows, softmax_rows};
pub(crate) use rows::{mean_square, row_grain};

use crate::elementwise::math;
use crate::simd::float::lane_fns;
use crate::simd::{Kernel, LANES, LaneFn, Simd};
use crate::{Cpu, parallel};

/// Numbers that are summed at once. A longer slice is split between threads, and the sums of its
/// spans are added in order: whoever adds [`sum_abs`] of spans gets the bits of the whole.
pub const SPAN: usize = 1 << 16;

/// Numbers whose sum is rounded to `f32` only.
const BLOCK: usize = 1024;

/// The sum; 0 for no numbers.
///
/// Of numbers of one sign it is within 10⁻⁶ of the exact sum, relatively.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// assert_eq!(reduce::sum(Cpu::best(), &[0.25; 1_000_000]), 250_000.0);
/// ```
pub fn sum(cpu: Cpu, x: &[f32]) -> f32 {
    sum_f64(cpu, Term::Value, x) as f32
}

/// The mean; NaN for no numbers.
pub fn mean(cpu: Cpu, x: &[f32]) -> f32 {
    (sum_f64(cpu, Term::Value, x) / x.len() as f64) as f32
}

/// Σ |x|, in `f64`; 0 for no numbers.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// assert_eq!(reduce::sum_abs(Cpu::best(), &[0.5, -2.0]), 2.5);
/// ```
pub fn sum_abs(cpu: Cpu, x: &[f32]) -> f64 {
    sum_f64(cpu, Term::Abs, x)
}

/// The variance of the population, or with `ddof` of a sample; NaN where too few numbers are.
///
/// The deviations are of the mean rounded to `f32`, and their own mean corrects that: within 10⁻⁶ of
/// the exact variance, relatively.
///
/// ```
/// use bitnet_kernels::{Cpu, reduce};
/// assert_eq!(reduce::variance(Cpu::best(), &[1.0, 3.0], 0), 1.0);
/// assert_eq!(reduce::variance(Cpu::best(), &[1.0, 3.0], 1), 2.0);
/// ```
pub fn variance(cpu: Cpu, x: &[f32], ddof: usize) -> f64 {
    let count = x.len() as f64;
    let mean = (sum_f64(cpu, Term::Value, x) / count) as f32;
    let [sum, squares] = if x.len() <= SPAN {
        cpu.run(Deviations { x, mean })
    } else {
        let mut parts = vec![[0.0; 2]; x.len().div_ceil(SPAN)];
        parallel::for_each_chunk_mut(&mut parts, 1, |span, part| {
            let x = &x[span * SPAN..x.len().min((span + 1) * SPAN)];
            part[0] = cpu.run(Deviations { x, mean });
        });
        parts.iter().fold([0.0; 2], |a, b| [a[0] + b[0], a[1] + b[1]])
    };
    (squares - sum * sum / count) / (count - ddof as f64).max(0.0)
}

/// The sum of the deviations from a mean, and of their squares.
struct Deviations<'a> {
    x: &'a [f32],
    mean: f32,
}

impl Kernel for Deviations<'_> {
    type Output = [f64; 2];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f64; 2] {
        deviations(s, self.x, self.mean)
    }
}

#[inline(always)]
fn deviations<S: Simd>(s: S, x: &[f32], mean: f32) -> [f64; 2] {
    let mut total = [0.0; 2];
    let center = s.splat(mean);
    for block in x.chunks(BLOCK) {
        let (mut sums, mut squares) = ([s.splat(0.0); 4], [s.splat(0.0); 4]);
        let (quads, tail) = block.as_chunks::<{ 4 * LANES }>();
        for quad in quads {
            let quad = quad.as_chunks::<LANES>().0;
            for i in 0..4 {
                let deviation = s.sub(s.load(&quad[i]), center);
                sums[i] = s.add(sums[i], deviation);
                squares[i] = s.add(squares[i], s.mul(deviation, deviation));
            }
        }
        for (i, part) in tail.chunks(LANES).enumerate() {
            let deviation = s.sub(s.load_partial(part, mean), center);
            sums[i] = s.add(sums[i], deviation);
            squares[i] = s.add(squares[i], s.mul(deviation, deviation));
        }
        for (total, parts) in total.iter_mut().zip([sums, squares]) {
            let halves = [s.add(parts[0], parts[1]), s.add(parts[2], parts[3])];
            *total += f64::from(s.reduce_add(s.add(halves[0], halves[1])));
        }
    }
    total
}

/// The mean of the absolute values, in `f64`; NaN for no numbers.
pub(crate) fn mean_abs(cpu: Cpu, x: &[f32]) -> f64 {
    sum_abs(cpu, x) / x.len() as f64
}

/// ln Σ e^x without overflow: the normalizer of `softmax`, so that `x[i] − log_sum_exp(x)` is
/// the log-probability of class `i`. −∞ for no numbers or only −∞.
pub fn log_sum_exp(cpu: Cpu, row: &[f32]) -> f32 {
    if row.is_empty() {
        return f32::NEG_INFINITY;
    }
    let max = max(cpu, row);
    if !max.is_finite() {
        return max;
    }
    (f64::from(max) + libm::log(sum_f64(cpu, Term::Exp { max }, row))) as f32
}

/// What of each number is summed.
#[derive(Clone, Copy)]
enum Term {
    Value,
    Abs,
    /// e^(x − max).
    Exp {
        max: f32,
    },
}

fn sum_f64(cpu: Cpu, term: Term, x: &[f32]) -> f64 {
    if x.len() <= SPAN {
        return cpu.run(Sum { term, x });
    }
    let mut sums = vec![0.0; x.len().div_ceil(SPAN)];
    parallel::for_each_chunk_mut(&mut sums, 1, |span, sum| {
        let x = &x[span * SPAN..x.len().min((span + 1) * SPAN)];
        sum[0] = cpu.run(Sum { term, x });
    });
    sums.iter().sum()
}

struct Sum<'a> {
    term: Term,
    x: &'a [f32],
}

impl Kernel for Sum<'_> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f64 {
        match self.term {
            Term::Value => blocks(s, self.x, 0.0, Value),
            Term::Abs => blocks(s, self.x, 0.0, Abs),
            Term::Exp { max } => blocks(s, self.x, f32::NEG_INFINITY, ExpMinus { max }),
        }
    }
}

lane_fns! {
    /// x itself.
    Value(_s, v) = v;
    Abs(s, v) = s.abs(v);
    Square(s, v) = s.mul(v, v);
}

/// e^(x − max).
#[derive(Clone, Copy)]
struct ExpMinus {
    max: f32,
}

impl LaneFn for ExpMinus {
    #[inline(always)]
    fn call<S: Simd>(self, s: S, v: S::F32) -> S::F32 {
        math::exp(s, s.sub(v, s.splat(self.max)))
    }
}

/// Σ f(x), with `f(fill)` = 0.
#[inline(always)]
fn blocks<S: Simd>(s: S, x: &[f32], fill: f32, f: impl LaneFn) -> f64 {
    let mut sum = 0.0;
    for block in x.chunks(BLOCK) {
        sum += f64::from(sum_lanes(s, block, fill, f));
    }
    sum
}

/// Σ f(x) in four vectors of partial sums; `f(fill)` = 0.
#[inline(always)]
fn sum_lanes<S: Simd>(s: S, x: &[f32], fill: f32, f: impl LaneFn) -> f32 {
    let mut sums = [s.splat(0.0); 4];
    let (quads, tail) = x.as_chunks::<{ 4 * LANES }>();
    for quad in quads {
        let quad = quad.as_chunks::<LANES>().0;
        for i in 0..4 {
            sums[i] = s.add(sums[i], f.call(s, s.load(&quad[i])));
        }
    }
    for (i, part) in tail.chunks(LANES).enumerate() {
        sums[i] = s.add(sums[i], f.call(s, s.load_partial(part, fill)));
    }
    s.reduce_add(s.add(s.add(sums[0], sums[1]), s.add(sums[2], sums[3])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn sums_are_accurate_and_the_same_on_all_tiers() {
        for len in [0, 1, 17, 1000, 1025, SPAN, SPAN + 1, 10_000_000] {
            let x: Vec<f32> = reference::uniform(len, 7).iter().map(|v| v.abs()).collect();
            let exact: f64 = x.iter().map(|&v| f64::from(v)).sum();
            let sums: Vec<f32> = Cpu::available().iter().map(|&cpu| sum(cpu, &x)).collect();
            assert!(sums.iter().all(|s| s.to_bits() == sums[0].to_bits()));
            let error = (f64::from(sums[0]) - exact).abs();
            assert!(error <= 1e-6 * exact, "{len}: {error}");
        }
        assert!(mean(Cpu::best(), &[]).is_nan());
        assert_eq!(mean(Cpu::best(), &[1.0, 2.0]), 1.5);
    }

    #[test]
    fn variances_are_accurate_and_the_same_on_all_tiers() {
        for len in [2, 17, 64, 1000, 1025, SPAN + 1, 1_000_000] {
            for offset in [0.0, 1000.0] {
                let x = reference::uniform(len, 7);
                let x: Vec<f32> = x.iter().map(|v| v + offset).collect();
                let mean = x.iter().map(|&v| f64::from(v)).sum::<f64>() / len as f64;
                let squares: f64 = x.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
                for ddof in [0, 1] {
                    let exact = squares / (len - ddof) as f64;
                    let of = |&cpu: &Cpu| variance(cpu, &x, ddof);
                    let all: Vec<f64> = Cpu::available().iter().map(of).collect();
                    assert!(all.iter().all(|v| v.to_bits() == all[0].to_bits()));
                    assert!((all[0] - exact).abs() <= 1e-6 * exact, "{len}: {} {exact}", all[0]);
                }
            }
        }
        assert!(variance(Cpu::best(), &[1.0], 1).is_nan());
        assert!(variance(Cpu::best(), &[1.0, f32::INFINITY], 0).is_nan());
    }

    #[test]
    fn log_sum_exp_does_not_overflow() {
        for len in [1, 16, 33, 5000, 128_256] {
            let x: Vec<f32> = reference::uniform(len, 8).iter().map(|v| v * 30.0 + 500.0).collect();
            let exact = 500.0 + x.iter().map(|&v| (f64::from(v) - 500.0).exp()).sum::<f64>().ln();
            let got: Vec<f32> = Cpu::available().iter().map(|&cpu| log_sum_exp(cpu, &x)).collect();
            assert!(got.iter().all(|v| v.to_bits() == got[0].to_bits()));
            assert!((f64::from(got[0]) - exact).abs() < 1e-6 * exact, "{} {exact}", got[0]);
        }
        let cpu = Cpu::best();
        assert_eq!(log_sum_exp(cpu, &[]), f32::NEG_INFINITY);
        assert_eq!(log_sum_exp(cpu, &[f32::NEG_INFINITY; 3]), f32::NEG_INFINITY);
        assert_eq!(log_sum_exp(cpu, &[0.0, f32::INFINITY]), f32::INFINITY);
        assert!(log_sum_exp(cpu, &[0.0, f32::NAN]).is_nan());
    }
}
