//! Products of matrices.

use super::{Array, broadcast_shape, indices};

pub(super) fn matmul(a: &Array, b: &Array) -> Vec<f64> {
    let (a_batch, a_matrix) = a.shape.split_at(a.shape.len() - 2);
    let (b_batch, b_matrix) = b.shape.split_at(b.shape.len() - 2);
    let mut shape = broadcast_shape(a_batch, b_batch);
    shape.extend([a_matrix[0], b_matrix[1]]);
    let element = |index: Vec<usize>| {
        let (batch, place) = index.split_at(index.len() - 2);
        let product = |k: usize| {
            let left: Vec<usize> = batch.iter().copied().chain([place[0], k]).collect();
            let right: Vec<usize> = batch.iter().copied().chain([k, place[1]]).collect();
            a.broadcast_at(&left) * b.broadcast_at(&right)
        };
        (0..a_matrix[1]).map(product).sum()
    };
    indices(&shape).map(element).collect()
}

/// `Σ_k x[t][k]·w[o][k]` over the first `features` of each row of `x`.
pub(super) fn linear(x: &Array, features: usize, weight: &Array) -> Vec<f64> {
    let (out, inner) = (weight.shape[0], weight.shape[1]);
    let tokens: usize = x.shape[..x.shape.len() - 1].iter().product();
    let mut values = Vec::new();
    for t in 0..tokens {
        let row = &x.values[t * x.last()..][..features];
        for o in 0..out {
            let weights = &weight.values[o * inner..][..inner];
            values.push(row.iter().zip(weights).map(|(x, w)| x * w).sum());
        }
    }
    values
}

pub(super) fn scale_rows(values: &[f64], scales: &[f64]) -> Vec<f64> {
    let columns = values.len().checked_div(scales.len()).unwrap_or(0).max(1);
    values
        .chunks(columns)
        .zip(scales)
        .flat_map(|(row, scale)| row.iter().map(move |x| x * scale))
        .collect()
}
