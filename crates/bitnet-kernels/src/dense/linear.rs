//! Dense linear layers: `f32` activations times weights stored as f32, bf16 or f16.
//!
//! Few tokens: the weights stream from memory once, widened in registers. Many tokens: four
//! rows of weights at a time are widened into the first-level cache and multiplied with a tile
//! of tokens that stays in the second level. Each output is the same sixteen partial sums in
//! the same order on every path, so it depends on its token and its weight row only.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::tile::{self, Bf16, F16, F32, Format, Line};
use crate::Cpu;
use crate::parallel::{self, SharedMut};
use crate::simd::{Kernel, LANES, Simd};

/// A weight matrix of out features × in features, row-major.
#[derive(Debug, Clone, Copy)]
pub enum Weights<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// bfloat16.
    Bf16(&'a [bf16]),
    /// IEEE half precision.
    F16(&'a [f16]),
}

impl Weights<'_> {
    /// Number of weights.
    pub fn len(&self) -> usize {
        match self {
            Weights::F32(w) => w.len(),
            Weights::Bf16(w) => w.len(),
            Weights::F16(w) => w.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// `out[t][n] = Σ_k x[t][k] · weights[n][k] + bias[n]`, accumulated in `f32`.
///
/// `x` is tokens × `in_features`, `out` tokens × `out_features`, both contiguous. Each output
/// has the same bits however many tokens are computed together.
///
/// # Panics
/// If the lengths are not consistent.
///
/// ```
/// use bitnet_kernels::{Cpu, dense::{Weights, linear}};
/// let weights = Weights::F32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
/// let mut out = [0.0; 3];
/// linear(Cpu::best(), &[10.0, 1.0], 2, weights, Some(&[0.5, 0.0, 0.0]), &mut out);
/// assert_eq!(out, [12.5, 34.0, 56.0]);
/// ```
pub fn linear(
    cpu: Cpu,
    x: &[f32],
    in_features: usize,
    weights: Weights<'_>,
    bias: Option<&[f32]>,
    out: &mut [f32],
) {
    if in_features == 0 {
        assert!(x.is_empty() && weights.is_empty(), "linear: numbers in rows of none");
        let bias = bias.unwrap_or(&[]);
        if bias.is_empty() {
            out.fill(0.0);
        } else {
            assert_eq!(out.len() % bias.len(), 0, "linear: length of the bias");
            out.chunks_exact_mut(bias.len()).for_each(|row| row.copy_from_slice(bias));
        }
        return;
    }
    assert_eq!(x.len() % in_features, 0, "linear: x is not rows of {in_features}");
    assert_eq!(weights.len() % in_features, 0, "linear: weights are not rows of {in_features}");
    let (tokens, features) = (x.len() / in_features, weights.len() / in_features);
    assert_eq!(tokens.checked_mul(features), Some(out.len()), "linear: length of the output");
    assert!(bias.is_none_or(|bias| bias.len() == features), "linear: length of the bias");
    let call = Call { cpu, x, in_features, tokens, features, bias };
    match weights {
        Weights::F32(w) => call.run::<F32>(w, out),
        Weights::Bf16(w) => call.run::<Bf16>(w.reinterpret_cast(), out),
        Weights::F16(w) => call.run::<F16>(w.reinterpret_cast(), out),
    }
}

/// From this many tokens on, widening the weights into a buffer pays.
const MANY_TOKENS: usize = 8;

/// Tokens that are multiplied with one widened row at most.
const TOKEN_TILE: usize = 64;

/// In features handled at once: four rows of `f32` weights take 8 KiB, half with the tokens'
/// share of a 32 KiB cache.
const DEPTH: usize = 512;

struct Call<'a> {
    cpu: Cpu,
    x: &'a [f32],
    in_features: usize,
    tokens: usize,
    features: usize,
    bias: Option<&'a [f32]>,
}

impl Call<'_> {
    /// Cuts the outputs into blocks of features × tiles of tokens.
    fn run<F: Format>(&self, weights: &[F::Bits], out: &mut [f32]) {
        if out.is_empty() {
            return;
        }
        let token_tile = ((1 << 17) / self.in_features).clamp(MANY_TOKENS, TOKEN_TILE) & !3;
        let tiles = self.tokens.div_ceil(token_tile);
        let work = self.in_features.saturating_mul(self.tokens.min(token_tile));
        let rows = ((1 << 17) / work).next_multiple_of(4).max(16);
        let blocks = self.features.div_ceil(rows);
        let out = SharedMut::of(out);
        parallel::for_each(blocks * tiles, 1, |piece| {
            let (block, tile) = (piece.start / tiles, piece.start % tiles);
            let first = (block * rows, tile * token_tile);
            let features = first.0..self.features.min(first.0 + rows);
            let tokens = first.1..self.tokens.min(first.1 + token_tile);
            self.cpu.run(Block::<F> { call: self, weights, features, tokens, out });
        });
    }
}

/// The outputs of some features for some tokens.
struct Block<'a, F: Format> {
    call: &'a Call<'a>,
    weights: &'a [F::Bits],
    features: std::ops::Range<usize>,
    tokens: std::ops::Range<usize>,
    out: SharedMut<'a, f32>,
}

impl<F: Format> Kernel for Block<'_, F> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.tokens.len() < MANY_TOKENS { self.few(s) } else { self.many(s) }
    }
}

impl<'a, F: Format> Block<'a, F> {
    #[inline(always)]
    fn token(&self, token: usize) -> &'a [f32] {
        &self.call.x[token * self.call.in_features..][..self.call.in_features]
    }

    /// Four weight rows; beyond the block's end its last row again, whose product is dropped.
    #[inline(always)]
    fn weight_rows(&self, feature: usize) -> [&'a [F::Bits]; 4] {
        let len = self.call.in_features;
        std::array::from_fn(|c| {
            let row = (feature + c).min(self.features.end - 1);
            &self.weights[row * len..][..len]
        })
    }

    /// Writes the outputs of up to four features of one token.
    #[inline(always)]
    fn write(&self, token: usize, feature: usize, sums: &[f32]) {
        let count = (self.features.end - feature).min(4);
        let start = token * self.call.features + feature;
        // SAFETY: each (feature, token) belongs to one block and is written by it alone.
        let out = unsafe { self.out.range(start..start + count) };
        for (i, out) in out.iter_mut().enumerate() {
            *out = sums[i] + self.call.bias.map_or(0.0, |bias| bias[feature + i]);
        }
    }

    #[inline(always)]
    fn few<S: Simd>(&self, s: S) {
        for feature in self.features.clone().step_by(4) {
            let weights = self.weight_rows(feature);
            for token in self.tokens.clone() {
                let mut sums = [[s.splat(0.0); 4]];
                tile::accumulate::<S, F, 1, 4>(s, [self.token(token)], weights, &mut sums);
                self.write(token, feature, &tile::reduce_1x4(s, &sums));
            }
        }
    }

    #[inline(always)]
    fn many<S: Simd>(&self, s: S) {
        let mut widened = [Line::ZERO; 4 * DEPTH / LANES];
        let mut sums = [[Line::ZERO; LANES]; TOKEN_TILE / 4];
        let quads = self.tokens.len().div_ceil(4);
        for feature in self.features.clone().step_by(4) {
            let weights = self.weight_rows(feature);
            for depth in (0..self.call.in_features).step_by(DEPTH) {
                let end = self.call.in_features.min(depth + DEPTH);
                let rows = widened.as_chunks_mut::<{ DEPTH / LANES }>().0;
                for (row, weights) in rows.iter_mut().zip(weights) {
                    for (line, w) in row.iter_mut().zip(weights[depth..end].chunks(LANES)) {
                        match w.first_chunk() {
                            Some(w) => s.store(F::load(s, w), &mut line.0),
                            None => s.store(F::load(s, &tile::padded::<F>(w)), &mut line.0),
                        }
                    }
                }
                let rows: [&[f32]; 4] = std::array::from_fn(|c| {
                    let lines = &widened[c * DEPTH / LANES..][..DEPTH / LANES];
                    &Line::flatten(lines)[..end - depth]
                });
                for quad in 0..quads {
                    let tokens: [&[f32]; 4] = std::array::from_fn(|r| {
                        let token = (self.tokens.start + 4 * quad + r).min(self.tokens.end - 1);
                        &self.token(token)[depth..end]
                    });
                    let saved = &mut sums[quad];
                    let mut t = [[s.splat(0.0); 4]; 4];
                    if depth > 0 {
                        for (i, line) in saved.iter().enumerate() {
                            t[i / 4][i % 4] = s.load(&line.0);
                        }
                    }
                    tile::accumulate_4x4::<S, F32>(s, tokens, rows, &mut t);
                    if end < self.call.in_features {
                        for (i, line) in saved.iter_mut().enumerate() {
                            s.store(t[i / 4][i % 4], &mut line.0);
                        }
                        continue;
                    }
                    let sums = tile::reduce_4x4(s, &t);
                    let first = self.tokens.start + 4 * quad;
                    for token in first..self.tokens.end.min(first + 4) {
                        self.write(token, feature, &sums[4 * (token - first)..]);
                    }
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
    fn every_format_and_shape_matches_f64_on_all_tiers() {
        for (tokens, features, len) in [
            (1, 1, 1),
            (1, 5, 16),
            (2, 4, 17),
            (3, 33, 100),
            (4, 7, 512),
            (7, 3, 513),
            (8, 6, 1025),
            (9, 18, 64),
            (66, 21, 640),
            (130, 5, 2100),
        ] {
            let x = reference::uniform(tokens * len, 1);
            let w: Vec<bf16> =
                reference::uniform(features * len, 2).into_iter().map(bf16::from_f32).collect();
            let h: Vec<f16> = w.iter().map(|w| f16::from_f32(w.to_f32())).collect();
            let f: Vec<f32> = h.iter().map(|h| h.to_f32()).collect();
            let b: Vec<f32> = w.iter().map(|w| w.to_f32()).collect();
            let bias = reference::uniform(features, 3);
            let run = |cpu, x: &[f32], weights| {
                let mut out = vec![0.0; x.len() / len * features];
                linear(cpu, x, len, weights, Some(&bias), &mut out);
                out
            };
            let exact = reference::linear(&x, len, &f, &bias);
            let expected = run(Cpu::available()[0], &x, Weights::F32(&f));
            for (a, e) in expected.iter().zip(&exact) {
                assert!((f64::from(*a) - e).abs() <= 1e-6 * len as f64, "{a} {e}");
            }
            for &cpu in Cpu::available() {
                assert_eq!(run(cpu, &x, Weights::F32(&f)), expected, "{cpu} {tokens}");
                assert_eq!(run(cpu, &x, Weights::F16(&h)), expected, "{cpu} {tokens}");
                let wide = run(cpu, &x, Weights::F32(&b));
                assert_eq!(run(cpu, &x, Weights::Bf16(&w)), wide, "{cpu} {tokens}");
                for (x, expected) in x.chunks(len).zip(expected.chunks(features)) {
                    assert_eq!(run(cpu, x, Weights::F32(&f)), expected, "batch invariance");
                }
            }
        }
    }

    #[test]
    fn empty_shapes() {
        let cpu = Cpu::best();
        linear(cpu, &[], 4, Weights::F32(&[0.0; 8]), None, &mut []);
        linear(cpu, &[1.0; 4], 4, Weights::F32(&[]), None, &mut []);
        let mut out = [5.0; 4];
        linear(cpu, &[], 0, Weights::F32(&[]), Some(&[1.0, 2.0]), &mut out);
        assert_eq!(out, [1.0, 2.0, 1.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "length of the output")]
    fn a_wrong_length_is_refused() {
        linear(Cpu::best(), &[0.0; 8], 4, Weights::F32(&[0.0; 8]), None, &mut [0.0; 5]);
    }
}
