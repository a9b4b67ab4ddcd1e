//! Quantization: activations to int8 with one scale per row, weights to −1, 0 and 1.
//!
//! The arithmetic is that of the published BitNet b1.58 models: per row of activations
//! `s = 127 / max(absmax, 1e-5)` and `code = round_half_even(x · s)`; per weight matrix
//! `m = max(mean|W|, 1e-5)` and `round_half_even(w · (1/m))`, clamped to ±1.

use crate::Cpu;
use crate::parallel::{self, SharedMut};
use crate::quantized::QUANTIZED_ROW_ALIGN;
use crate::reduce;
use crate::simd::{Kernel, LANES, Simd};

/// With more columns, 2²⁴ codes of −128 could overflow an `i32` sum.
const MAX_COLS: usize = (1 << 24) - 1;

/// No scale is made from a smaller magnitude, so that a row of zeros stays defined.
const SMALLEST_MAGNITUDE: f32 = 1e-5;

/// Where quantized rows are written: the twin of [`QuantizedRows`](crate::QuantizedRows).
#[derive(Debug)]
pub struct QuantizedRowsMut<'a> {
    /// rows × `stride` codes; those beyond a row's columns are set to zero.
    pub codes: &'a mut [i8],
    /// Codes from one row to the next: at least the columns rounded up to
    /// [`QUANTIZED_ROW_ALIGN`].
    pub stride: usize,
    /// What a code counts, per row: value = code · scale. Its length is the number of rows.
    pub scales: &'a mut [f32],
    /// The sum of each row's codes.
    pub sums: &'a mut [i32],
}

/// Quantizes each row of `cols` activations.
///
/// A row with a NaN or an infinity gets the scale NaN, so that it spoils every product it
/// enters, as it would in floats. Its codes are those of the row with 0 for NaN and the largest
/// number for infinity.
///
/// # Panics
/// If the lengths are not consistent, or `cols` is zero or 2²⁴ or more (a sum could overflow).
///
/// ```
/// use bitnet_kernels::{Cpu, ternary::quantize::{QuantizedRowsMut, quantize_rows}};
/// let (mut codes, mut scales, mut sums) = ([0; 64], [0.0], [0]);
/// let (codes, scales, sums) = (&mut codes, &mut scales, &mut sums);
/// let out = QuantizedRowsMut { codes, stride: 64, scales, sums };
/// quantize_rows(Cpu::best(), &[1.0, -0.5, 0.25], 3, out);
/// assert_eq!(codes[..4], [127, -64, 32, 0]); // −63.5 and 31.75
/// assert_eq!((scales[0], sums[0]), (1.0 / 127.0, 95));
/// ```
pub fn quantize_rows(cpu: Cpu, x: &[f32], cols: usize, out: QuantizedRowsMut<'_>) {
    quantize(cpu, x, cols, None, out);
}

/// RMS normalization and quantization in one pass over memory: bit for bit what
/// [`rms_norm_rows`](reduce::rms_norm_rows) followed by [`quantize_rows`] gives.
///
/// # Panics
/// If the lengths are not consistent, or `cols` is zero or 2²⁴ or more (a sum could overflow).
pub fn rms_norm_quantize_rows(
    cpu: Cpu,
    x: &[f32],
    cols: usize,
    weight: &[f32],
    eps: f32,
    out: QuantizedRowsMut<'_>,
) {
    assert_eq!(weight.len(), cols, "rms_norm_quantize_rows: the weight is not as long as a row");
    quantize(cpu, x, cols, Some((weight, eps)), out);
}

/// The scale of a weight matrix: `max(mean|w|, 1e-5)`. 1e-5 for no weights.
pub fn absmean_scale(cpu: Cpu, w: &[f32]) -> f32 {
    (reduce::mean_abs(cpu, w) as f32).max(SMALLEST_MAGNITUDE)
}

/// `round_half_even(w · inverse_scale)` clamped to −1, 0, 1, as `transformers` rounds; 0 for
/// NaN. `inverse_scale` is 1/m of [`absmean_scale`].
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use bitnet_kernels::{Cpu, ternary::quantize::ternarize_row};
/// let mut out = [0; 4];
/// ternarize_row(Cpu::best(), &[0.5, 0.51, -9.0, -0.2], 1.0, &mut out);
/// assert_eq!(out, [0, 1, -1, 0]);
/// ```
pub fn ternarize_row(cpu: Cpu, w: &[f32], inverse_scale: f32, out: &mut [i8]) {
    assert_eq!(w.len(), out.len(), "ternarize_row: input and output differ in length");
    cpu.run(Ternarize { w, inverse_scale, out });
}

fn quantize(
    cpu: Cpu,
    x: &[f32],
    cols: usize,
    norm: Option<(&[f32], f32)>,
    out: QuantizedRowsMut<'_>,
) {
    let QuantizedRowsMut { codes, stride, scales, sums } = out;
    let rows = scales.len();
    assert!(cols > 0, "quantize: rows of no columns");
    assert!(cols <= MAX_COLS, "quantize: the sum of {cols} codes may overflow");
    assert_eq!(rows.checked_mul(cols), Some(x.len()), "quantize: x is not {rows} rows of {cols}");
    assert!(
        cols.checked_next_multiple_of(QUANTIZED_ROW_ALIGN).is_some_and(|needed| stride >= needed),
        "quantize: a stride of {stride} has no room for {cols} columns and their padding"
    );
    assert_eq!(rows.checked_mul(stride), Some(codes.len()), "quantize: length of the codes");
    assert_eq!(sums.len(), rows, "quantize: length of the sums");
    let (codes, scales, sums) = (SharedMut::of(codes), SharedMut::of(scales), SharedMut::of(sums));
    parallel::for_each(rows, reduce::row_grain(cols), |range| {
        // SAFETY: `for_each` hands out disjoint rows.
        let (codes, scales, sums) = unsafe {
            let codes = codes.range(range.start * stride..range.end * stride);
            (codes, scales.range(range.clone()), sums.range(range.clone()))
        };
        let out = QuantizedRowsMut { codes, stride, scales, sums };
        cpu.run(Quantize { x: &x[range.start * cols..range.end * cols], cols, norm, out });
    });
}

struct Quantize<'a> {
    x: &'a [f32],
    cols: usize,
    /// Weight and epsilon of the normalization that comes first.
    norm: Option<(&'a [f32], f32)>,
    out: QuantizedRowsMut<'a>,
}

impl Kernel for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let QuantizedRowsMut { codes, stride, scales, sums } = self.out;
        let outputs = codes.chunks_exact_mut(stride).zip(scales).zip(sums);
        for (x, ((codes, scale), sum)) in self.x.chunks_exact(self.cols).zip(outputs) {
            (*scale, *sum) = match self.norm {
                None => quantize_row::<S, false>(s, x, x, 1.0, codes),
                Some((weight, eps)) => {
                    let factor = 1.0 / (reduce::mean_square(s, x) + eps).sqrt();
                    quantize_row::<S, true>(s, x, weight, factor, codes)
                }
            };
        }
    }
}

/// Quantizes `x`, or `weight · (x · norm)` computed anew in each pass; returns the scale and
/// the sum.
#[inline(always)]
fn quantize_row<S: Simd, const NORM: bool>(
    s: S,
    x: &[f32],
    weight: &[f32],
    norm: f32,
    codes: &mut [i8],
) -> (f32, i32) {
    let norm = s.splat(norm);
    let mut largest = [s.splat(0.0); 4];
    let mut spoiled = s.splat(0.0); // v − v: 0, but NaN for NaN and infinities
    for (i, parts) in x.chunks(LANES).zip(weight.chunks(LANES)).enumerate() {
        let v = value::<S, NORM>(s, parts, norm);
        largest[i % 4] = s.max(s.abs(v), largest[i % 4]); // a NaN leaves it as it is
        spoiled = s.add(spoiled, s.sub(v, v));
    }
    let spoiled = s.reduce_add(spoiled).is_nan();
    let largest = s.max(s.max(largest[0], largest[1]), s.max(largest[2], largest[3]));
    let largest = s.reduce_max(largest).clamp(SMALLEST_MAGNITUDE, f32::MAX);

    let factor = s.splat(127.0 / largest);
    let (low, high) = (s.splat(-128.0), s.splat(127.0));
    let (mut total, mut lane_sums) = (0, s.splat(0.0));
    let chunks = codes.as_chunks_mut::<LANES>().0; // the padding makes all of them full
    for (i, parts) in x.chunks(LANES).zip(weight.chunks(LANES)).enumerate() {
        let v = value::<S, NORM>(s, parts, norm);
        let code = s.max(s.min(s.round(s.mul(v, factor)), high), low);
        let code = s.select(s.is_nan(v), s.splat(0.0), code);
        s.store_i8(code, &mut chunks[i]);
        lane_sums = s.add(lane_sums, code);
        // Sums of integers are exact in f32 up to 2^24: sixteen lanes of 128 · 2^13.
        if i % (1 << 13) == (1 << 13) - 1 {
            total += s.reduce_add(lane_sums) as i32;
            lane_sums = s.splat(0.0);
        }
    }
    total += s.reduce_add(lane_sums) as i32;
    codes[x.len()..].fill(0);
    (if spoiled { f32::NAN } else { largest / 127.0 }, total)
}

#[inline(always)]
fn value<S: Simd, const NORM: bool>(s: S, parts: (&[f32], &[f32]), norm: S::F32) -> S::F32 {
    let x = s.load_partial(parts.0, 0.0);
    if NORM { s.mul(s.load_partial(parts.1, 0.0), s.mul(x, norm)) } else { x }
}

struct Ternarize<'a> {
    w: &'a [f32],
    inverse_scale: f32,
    out: &'a mut [i8],
}

impl Kernel for Ternarize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let factor = s.splat(self.inverse_scale);
        let (chunks, tail) = self.w.as_chunks::<LANES>();
        let (outs, out_tail) = self.out.as_chunks_mut::<LANES>();
        for (out, w) in outs.iter_mut().zip(chunks) {
            s.store_i8(ternary_codes(s, s.load(w), factor), out);
        }
        let mut codes = [0; LANES];
        s.store_i8(ternary_codes(s, s.load_partial(tail, 0.0), factor), &mut codes);
        out_tail.copy_from_slice(&codes[..out_tail.len()]);
    }
}

#[inline(always)]
fn ternary_codes<S: Simd>(s: S, w: S::F32, factor: S::F32) -> S::F32 {
    let product = s.mul(w, factor);
    let v = s.max(s.min(s.round(product), s.splat(1.0)), s.splat(-1.0));
    s.select(s.is_nan(product), s.splat(0.0), v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, LENGTHS};

    type Quantized = (Vec<i8>, Vec<u32>, Vec<i32>);

    fn run(rows: usize, stride: usize, f: impl FnOnce(QuantizedRowsMut<'_>)) -> Quantized {
        let (mut codes, mut scales) = (vec![55; rows * stride], vec![0.0; rows]);
        let mut sums = vec![0; rows];
        let (c, s) = (&mut codes, &mut sums);
        f(QuantizedRowsMut { codes: c, stride, scales: &mut scales, sums: s });
        (codes, reference::bits(&scales), sums)
    }

    #[test]
    fn rows_match_the_definition_on_all_tiers() {
        for cols in LENGTHS.into_iter().filter(|&cols| cols > 0) {
            let stride = cols.next_multiple_of(64) + 64;
            let mut x = reference::awkward_floats(cols * 40, cols as u64);
            x[..cols].fill(0.0);
            x.extend(reference::uniform(cols * 40, 9));
            for &cpu in Cpu::available() {
                let (codes, scales, sums) =
                    run(80, stride, |out| quantize_rows(cpu, &x, cols, out));
                for (row, x) in x.chunks(cols).enumerate() {
                    let (expected, scale) = reference::quantize_row(x);
                    let codes = &codes[row * stride..][..stride];
                    assert_eq!(codes[..cols], expected, "{cpu} {x:?}");
                    assert!(codes[cols..].iter().all(|&c| c == 0));
                    assert_eq!(scales[row], scale.to_bits());
                    assert_eq!(sums[row], expected.iter().map(|&c| i32::from(c)).sum::<i32>());
                }
            }
        }
    }

    #[test]
    fn fused_normalization_gives_the_same_bits() {
        for cols in LENGTHS.into_iter().filter(|&cols| cols > 0) {
            let stride = cols.next_multiple_of(64);
            let mut x = reference::uniform(cols * 20, 5);
            x.extend(reference::awkward_floats(cols * 20, 6));
            let weight = reference::uniform(cols, 6);
            for &cpu in Cpu::available() {
                let mut normed = vec![0.0; x.len()];
                reduce::rms_norm_rows(cpu, &x, cols, &weight, 1e-5, &mut normed);
                let two_steps = run(40, stride, |out| quantize_rows(cpu, &normed, cols, out));
                let fused = run(40, stride, |out| {
                    rms_norm_quantize_rows(cpu, &x, cols, &weight, 1e-5, out);
                });
                assert_eq!(fused, two_steps);
            }
        }
    }

    #[test]
    fn long_rows_have_exact_sums() {
        let x = vec![1.0f32; 300_001];
        for &cpu in Cpu::available() {
            let (_, _, sums) = run(1, 300_032, |out| quantize_rows(cpu, &x, x.len(), out));
            assert_eq!(sums, [127 * 300_001]);
        }
    }

    #[test]
    fn weights_match_the_definition() {
        for len in LENGTHS {
            let w = reference::awkward_floats(len, 11);
            for &cpu in Cpu::available() {
                let mut out = vec![5; len];
                ternarize_row(cpu, &w, 0.7, &mut out);
                for (&w, &t) in w.iter().zip(&out) {
                    let v = (w * 0.7).round_ties_even();
                    let expected = if v.is_nan() { 0.0 } else { v.clamp(-1.0, 1.0) };
                    assert_eq!(f32::from(t), expected, "{w}");
                }
            }
        }
        let w: Vec<f32> = (0..1000).map(|i| (i as f32 - 500.0) / 1000.0).collect();
        assert_eq!(absmean_scale(Cpu::best(), &w), 0.25);
        assert_eq!(absmean_scale(Cpu::best(), &[]), 1e-5);
        assert_eq!(absmean_scale(Cpu::best(), &[0.0; 9]), 1e-5);
    }
}
