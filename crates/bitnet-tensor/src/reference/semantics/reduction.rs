//! Many elements to one.

use super::elementwise::binary;
use super::{Array, flat, indices};
use crate::ops::{BinaryKind, ReduceKind};

pub(super) fn reduce(kind: ReduceKind, axes: &[usize], x: &Array) -> Vec<f64> {
    let kept: Vec<usize> = (0..x.shape.len()).filter(|axis| !axes.contains(axis)).collect();
    let out_shape: Vec<usize> = kept.iter().map(|&axis| x.shape[axis]).collect();
    let mut groups = vec![Vec::new(); out_shape.iter().product()];
    for index in indices(&x.shape) {
        let own: Vec<usize> = kept.iter().map(|&axis| index[axis]).collect();
        groups[flat(&out_shape, &own)].push(x.at(&index));
    }
    let value = |group: Vec<f64>| {
        let sum = group.iter().fold(0.0, |sum, x| sum + x); // `sum` of nothing is -0
        match kind {
            ReduceKind::Sum => sum,
            ReduceKind::Mean => sum / group.len() as f64,
            ReduceKind::Max => {
                group.iter().fold(f64::NEG_INFINITY, |a, &b| binary(BinaryKind::Max, a, b))
            }
            ReduceKind::Min => {
                group.iter().fold(f64::INFINITY, |a, &b| binary(BinaryKind::Min, a, b))
            }
        }
    };
    groups.into_iter().map(value).collect()
}

pub(super) fn argmax(row: &[f64]) -> f64 {
    let best = match row.iter().position(|x| x.is_nan()) {
        Some(nan) => nan,
        None => (0..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best }),
    };
    best as f64
}
