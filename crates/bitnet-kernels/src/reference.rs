//! Naive oracles: the meaning of each kernel in the plainest loops, in `f64` where the kernel
//! rounds, and the awkward numbers that tests feed to both.

use crate::elementwise::UnaryKind;

/// A small deterministic generator (SplitMix64), so that tests need no dependency for input.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [−1, 1).
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Uniform numbers in [−1, 1).
pub(crate) fn uniform(len: usize, seed: u64) -> Vec<f32> {
    let mut random = Random(seed);
    (0..len).map(|_| random.uniform()).collect()
}

/// Numbers of every kind: arbitrary bit patterns, halves, zeros of both signs, infinities,
/// NaN, subnormal numbers and extremes.
pub(crate) fn awkward_floats(len: usize, seed: u64) -> Vec<f32> {
    const SPECIAL: [f32; 12] = [
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        1e-45,
        -1e-40,
        f32::MAX,
        f32::MIN,
        0.5,
        -2.5,
    ];
    let mut random = Random(seed);
    (0..len)
        .map(|_| match random.next_u64() % 8 {
            0 => SPECIAL[random.next_u64() as usize % SPECIAL.len()],
            1 => f32::from_bits(random.next_u64() as u32),
            2 => (random.next_u64() % 512) as f32 / 2.0 - 128.0,
            3 => random.uniform() * 100.0,
            _ => random.uniform(),
        })
        .collect()
}

/// Lengths around the lane count, the block sizes and zero.
pub(crate) const LENGTHS: [usize; 12] = [0, 1, 2, 15, 16, 17, 31, 33, 64, 100, 257, 1500];

/// The bits of `x`, with one pattern for all NaN: what tiers must agree on.
pub(crate) fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() }).collect()
}

/// How many representable numbers lie between `x` and the exact value, roughly.
pub(crate) fn error_in_ulps(x: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if rounded.is_nan() || rounded.is_infinite() || x.is_nan() || x.is_infinite() {
        let same = x == rounded || x.is_nan() && rounded.is_nan();
        return if same { 0.0 } else { f64::INFINITY };
    }
    let ulp = f64::from(rounded.abs().next_up()) - f64::from(rounded.abs());
    (f64::from(x) - exact).abs() / ulp
}

/// `kind` of `x` in `f64`.
pub(crate) fn unary(kind: UnaryKind, x: f32) -> f64 {
    let x = f64::from(x);
    match kind {
        UnaryKind::Neg => -x,
        UnaryKind::Abs => x.abs(),
        UnaryKind::Square => x * x,
        UnaryKind::Sqrt => x.sqrt(),
        UnaryKind::Rsqrt => 1.0 / x.sqrt(),
        UnaryKind::Exp => x.exp(),
        UnaryKind::Relu if x.is_nan() => x,
        UnaryKind::Relu => x.max(0.0),
        UnaryKind::ReluSquared if x.is_nan() => x,
        UnaryKind::ReluSquared => x.max(0.0).powi(2),
        UnaryKind::Silu => x / (1.0 + (-x).exp()),
        UnaryKind::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        UnaryKind::Tanh => x.tanh(),
        kind => crate::elementwise::unary_f64(kind, x),
    }
}

/// RMS normalization of one row in `f64`.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], eps: f64) -> Vec<f64> {
    let mean = x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / x.len() as f64;
    x.iter().zip(weight).map(|(&x, &w)| f64::from(w) * f64::from(x) / (mean + eps).sqrt()).collect()
}

/// Softmax of one row in `f64`.
pub(crate) fn softmax(x: &[f32]) -> Vec<f64> {
    let max = x.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(f64::from(v)));
    let e: Vec<f64> = x.iter().map(|&v| (f64::from(v) - max).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|v| v / sum).collect()
}

/// Codes and scale of one row of activations: the definition, in its own `f32` arithmetic.
pub(crate) fn quantize_row(x: &[f32]) -> (Vec<i8>, f32) {
    let numbers = x.iter().filter(|v| !v.is_nan());
    let absmax = numbers.fold(0.0f32, |m, v| m.max(v.abs())).clamp(1e-5, f32::MAX);
    let s = 127.0 / absmax;
    let code = |v: &f32| (v * s).round_ties_even().clamp(-128.0, 127.0) as i8; // NaN as i8 is 0
    let spoiled = x.iter().any(|v| !v.is_finite());
    (x.iter().map(code).collect(), if spoiled { f32::NAN } else { absmax / 127.0 })
}

/// A linear layer in `f64`.
pub(crate) fn linear(x: &[f32], len: usize, w: &[f32], bias: &[f32]) -> Vec<f64> {
    let dot = |x: &[f32], w: &[f32]| -> f64 {
        x.iter().zip(w).map(|(&x, &w)| f64::from(x) * f64::from(w)).sum()
    };
    let rows = x
        .chunks(len)
        .flat_map(|x| w.chunks(len).zip(bias).map(move |(w, &b)| dot(x, w) + f64::from(b)));
    rows.collect()
}

/// Causal grouped-query attention in `f64`; everything contiguous. `cache` is the capacity and
/// the number of key/value heads.
pub(crate) fn attention(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    [batch, tokens, heads, head_dim]: [usize; 4],
    [capacity, kv_heads]: [usize; 2],
    positions: &[u32],
    scale: f64,
) -> Vec<f64> {
    let mut out = Vec::new();
    for (b, t, h) in
        (0..batch * tokens * heads).map(|i| (i / (tokens * heads), i / heads % tokens, i % heads))
    {
        let q = &q[((b * tokens + t) * heads + h) * head_dim..][..head_dim];
        let line =
            |key: usize| ((b * capacity + key) * kv_heads + h / (heads / kv_heads)) * head_dim;
        let keys = 0..=positions[b * tokens + t] as usize;
        let score = |key: usize| -> f64 {
            let k = &k[line(key)..];
            scale * q.iter().zip(k).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>()
        };
        let scores: Vec<f64> = keys.map(score).collect();
        let max = scores.iter().fold(f64::NEG_INFINITY, |m, &s| m.max(s));
        let sum: f64 = scores.iter().map(|s| (s - max).exp()).sum();
        for d in 0..head_dim {
            let values = scores.iter().enumerate();
            let total: f64 =
                values.map(|(key, s)| (s - max).exp() * f64::from(v[line(key) + d])).sum();
            out.push(total / sum);
        }
    }
    out
}
