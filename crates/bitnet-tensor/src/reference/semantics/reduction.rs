//! Many elements to one.

use super::elementwise::{binary, wrap};
use super::{Array, flat, indices};
use crate::ops::{BinaryKind, LogSumExp, Norm, ReduceKind, Variance};

/// The elements that become one, for each result, in the order of their indices.
fn groups(axes: &[usize], x: &Array) -> Vec<Vec<f64>> {
    let kept: Vec<usize> = (0..x.shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let out_shape: Vec<usize> = kept.iter().map(|&axis| x.shape[axis]).collect();
    let mut groups = vec![Vec::new(); out_shape.iter().product()];
    for index in indices(&x.shape) {
        let own: Vec<usize> = kept.iter().map(|&axis| index[axis]).collect();
        groups[flat(&out_shape, &own)].push(x.at(&index));
    }
    groups
}

pub(super) fn reduce(kind: ReduceKind, axes: &[usize], x: &Array) -> Vec<f64> {
    groups(axes, x).into_iter().map(|group| reduce_one(kind, x, &group)).collect()
}

fn reduce_one(kind: ReduceKind, x: &Array, group: &[f64]) -> f64 {
    let sum = || group.iter().fold(0.0, |sum, x| sum + x); // `sum` of nothing is -0
    // Sums and products of integers have 64 bits and wrap around.
    let bits = (!x.dtype.is_float()).then_some((64, !x.dtype.is_unsigned_integer()));
    match kind {
        ReduceKind::Sum => sum(),
        ReduceKind::Prod if bits.is_some() => {
            let wrapped = |product: i64, &x: &f64| product.wrapping_mul(x as i128 as i64);
            wrap(group.iter().fold(1, wrapped).into(), bits)
        }
        ReduceKind::Prod => group.iter().product(),
        ReduceKind::Mean => sum() / group.len() as f64,
        ReduceKind::Max => {
            group.iter().fold(f64::NEG_INFINITY, |a, &b| binary(BinaryKind::Max, a, b))
        }
        ReduceKind::Min => group.iter().fold(f64::INFINITY, |a, &b| binary(BinaryKind::Min, a, b)),
        ReduceKind::Any => f64::from(group.iter().any(|&x| x != 0.0)),
        ReduceKind::All => f64::from(group.iter().all(|&x| x != 0.0)),
        ReduceKind::CountNonzero => group.iter().filter(|&&x| x != 0.0).count() as f64,
    }
}

pub(super) fn arg_extreme(axis: usize, largest: bool, x: &Array) -> Vec<f64> {
    let place = |group: Vec<f64>| {
        let better = |a: f64, b: f64| if largest { a > b } else { a < b };
        match group.iter().position(|x| x.is_nan()) {
            Some(nan) => nan as f64,
            None => (0..group.len())
                .fold(0, |best, i| if better(group[i], group[best]) { i } else { best })
                as f64,
        }
    };
    groups(&[axis], x).into_iter().map(place).collect()
}

pub(super) fn variance(op: &Variance, x: &Array) -> Vec<f64> {
    let value = |group: Vec<f64>| {
        let count = group.len() as f64;
        let mean = group.iter().fold(0.0, |sum, x| sum + x) / count;
        let squares = group.iter().fold(0.0, |sum, x| sum + (x - mean) * (x - mean));
        let variance = squares / (count - op.ddof as f64).max(0.0);
        if op.root { variance.sqrt() } else { variance }
    };
    groups(&op.axes, x).into_iter().map(value).collect()
}

pub(super) fn norm(op: &Norm, x: &Array) -> Vec<f64> {
    let value = |group: Vec<f64>| {
        let magnitudes = group.iter().map(|x| x.abs());
        let larger = |a: f64, b: f64| binary(BinaryKind::Max, a, b);
        let smaller = |a: f64, b: f64| binary(BinaryKind::Min, a, b);
        match op.p {
            0.0 => magnitudes.filter(|&x| x != 0.0).count() as f64,
            f64::INFINITY => magnitudes.fold(0.0, larger),
            f64::NEG_INFINITY => magnitudes.fold(f64::INFINITY, smaller),
            p => magnitudes.fold(0.0, |sum, x| sum + libm::pow(x, p)).powf(1.0 / p),
        }
    };
    groups(&op.axes, x).into_iter().map(value).collect()
}

pub(super) fn logsumexp(op: &LogSumExp, x: &Array) -> Vec<f64> {
    let value = |group: Vec<f64>| {
        let largest = group.iter().fold(f64::NEG_INFINITY, |a, &b| binary(BinaryKind::Max, a, b));
        let shift = if largest.is_finite() { largest } else { 0.0 };
        group.iter().fold(0.0, |sum, x| sum + libm::exp(x - shift)).ln() + shift
    };
    groups(&op.axes, x).into_iter().map(value).collect()
}
