//! Operations of neural networks.

use super::{Array, in_range, indices};
use crate::ops::RopeMode;

pub(super) fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|&x| libm::exp(x - max)).collect();
    let sum: f64 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

pub(super) fn rms_norm(x: &Array, weight: &Array, eps: f32) -> Vec<f64> {
    let normed = |row: &[f64]| {
        let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
        let scale = 1.0 / (mean + f64::from(eps)).sqrt();
        row.iter().zip(&weight.values).map(|(x, w)| x * scale * w).collect::<Vec<_>>()
    };
    x.rows().flat_map(normed).collect()
}

pub(super) fn layer_norm(x: &Array, [weight, bias]: [&Array; 2], eps: f64) -> Vec<f64> {
    let normed = |row: &[f64]| {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / count;
        let scale = 1.0 / (variance + eps).sqrt();
        let parameters = weight.values.iter().zip(&bias.values);
        row.iter().zip(parameters).map(|(x, (w, b))| (x - mean) * scale * w + b).collect::<Vec<_>>()
    };
    x.rows().flat_map(normed).collect()
}

pub(super) fn rope(
    mode: RopeMode,
    x: &Array,
    cos: &Array,
    sin: &Array,
    positions: &Array,
) -> Result<Vec<f64>, String> {
    let half = x.last() / 2;
    let mut result = Vec::new();
    for index in indices(&x.shape) {
        let position = in_range(positions.at(&index[..2]), cos.shape[0])?;
        let d = index[3];
        // The pair (first, second) turns to (first·cos − second·sin, second·cos + first·sin).
        let (pair, partner, is_first) = match mode {
            RopeMode::RotateHalf => (d % half, (d + half) % (2 * half), d < half),
            RopeMode::AdjacentPairs => (d / 2, d ^ 1, d % 2 == 0),
        };
        let mut other = index.clone();
        other[3] = partner;
        let (c, s) = (cos.at(&[position, pair]), sin.at(&[position, pair]));
        let turned = if is_first { -x.at(&other) } else { x.at(&other) };
        result.push(x.at(&index) * c + turned * s);
    }
    Ok(result)
}

pub(super) fn attention(
    q: &Array,
    k: &Array,
    v: &Array,
    positions: &Array,
    scale: f32,
) -> Result<Vec<f64>, String> {
    let (heads, kv_heads, head_dim) = (q.shape[2], k.shape[2], q.shape[3]);
    let mut result = Vec::new();
    for index in indices(&q.shape[..3]) {
        let (b, t, h) = (index[0], index[1], index[2]);
        let shared = h / (heads / kv_heads);
        let visible = in_range(positions.at(&[b, t]), k.shape[1])? + 1;
        let score = |key: usize| {
            let dot: f64 =
                (0..head_dim).map(|d| q.at(&[b, t, h, d]) * k.at(&[b, key, shared, d])).sum();
            dot * f64::from(scale)
        };
        let weights = softmax(&(0..visible).map(score).collect::<Vec<_>>());
        for d in 0..head_dim {
            let mean =
                weights.iter().enumerate().map(|(key, w)| w * v.at(&[b, key, shared, d])).sum();
            result.push(mean);
        }
    }
    Ok(result)
}
