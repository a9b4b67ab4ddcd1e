//! Products of matrices.

use bitnet_linalg::Matrix;

use super::elementwise::wrap;
use super::{Array, broadcast_shape, indices};
use crate::cpu::linalg::of_matrix;
use crate::ops::Decomposition;

pub(super) fn matmul(a: &Array, b: &Array) -> Vec<f64> {
    products(a, b, |terms| terms.map(|(a, b)| a * b).sum())
}

/// [`matmul`] of integers that keep their low `bits`.
pub(super) fn matmul_wrapping(a: &Array, b: &Array, bits: Option<(u32, bool)>) -> Vec<f64> {
    products(a, b, |terms| {
        let sum = terms.fold(0i128, |sum, (a, b)| sum.wrapping_add(a as i128 * b as i128));
        wrap(sum, bits)
    })
}

fn products(
    a: &Array,
    b: &Array,
    sum: impl Fn(&mut dyn Iterator<Item = (f64, f64)>) -> f64,
) -> Vec<f64> {
    let (a_batch, a_matrix) = a.shape.split_at(a.shape.len() - 2);
    let (b_batch, b_matrix) = b.shape.split_at(b.shape.len() - 2);
    let mut shape = broadcast_shape(a_batch, b_batch);
    shape.extend([a_matrix[0], b_matrix[1]]);
    let element = |index: Vec<usize>| {
        let (batch, place) = index.split_at(index.len() - 2);
        let factors = |k: usize| {
            let left: Vec<usize> = batch.iter().copied().chain([place[0], k]).collect();
            let right: Vec<usize> = batch.iter().copied().chain([k, place[1]]).collect();
            (a.broadcast_at(&left), b.broadcast_at(&right))
        };
        sum(&mut (0..a_matrix[1]).map(factors))
    };
    indices(&shape).map(element).collect()
}

/// A decomposition is defined by what it composes to, which tests check; the numbers are those of
/// `bitnet-linalg`, matrix by matrix.
pub(super) fn decomposition(op: Decomposition, inputs: &[Array]) -> Result<Vec<Vec<f64>>, String> {
    let a = &inputs[0];
    let split = |x: &Array| x.shape.len() - 2;
    let batch = match inputs.get(1) {
        Some(b) => broadcast_shape(&a.shape[..split(a)], &b.shape[..split(b)]),
        None => a.shape[..split(a)].to_vec(),
    };
    let matrix_at = |x: &Array, batch: &[usize]| -> Vec<f64> {
        let places = indices(&x.shape[split(x)..]);
        places.map(|place| x.broadcast_at(&[batch, &place].concat())).collect()
    };
    let mut results: Vec<Vec<f64>> = vec![Vec::new(); 4];
    for index in indices(&batch) {
        let values: Vec<Vec<f64>> = inputs.iter().map(|x| matrix_at(x, &index)).collect();
        let matrix = |n: usize| {
            let size = &inputs[n].shape[split(&inputs[n])..];
            Matrix::new(&values[n], size[0], size[1])
        };
        let b = (inputs.len() == 2).then(|| matrix(1));
        let parts = of_matrix(op, a.dtype, matrix(0), b).map_err(|failure| failure.to_string())?;
        for (result, part) in results.iter_mut().zip(parts) {
            result.extend(part);
        }
    }
    Ok(results)
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
