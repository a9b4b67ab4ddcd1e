//! Running reductions, sorting, searching and what is equal.

use std::cmp::Ordering;

use super::elementwise::{integer_bits, wrap};
use super::{Array, flat, indices};
use crate::BitNetDType;
use crate::ops::{Cumulative, CumulativeKind, SearchSorted, Sort};

/// The order of numbers in which NaN is the largest and both zeros are equal.
fn order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

pub(super) fn cumulative(op: &Cumulative, x: &Array) -> Vec<Vec<f64>> {
    let bits = match x.dtype {
        dtype if dtype.is_float() => None,
        dtype if dtype.is_unsigned_integer() => integer_bits(BitNetDType::U64),
        _ => integer_bits(BitNetDType::I64),
    };
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for index in indices(&x.shape) {
        // The elements of the line up to this one.
        let until = (0..=index[op.axis]).map(|at| {
            let mut index = index.clone();
            index[op.axis] = at;
            x.values[flat(&x.shape, &index)]
        });
        let until: Vec<f64> = until.collect();
        // The last of those that no other beats.
        let extreme = |wanted: Ordering| {
            let nan = until.iter().rposition(|x| x.is_nan());
            nan.unwrap_or_else(|| {
                (0..until.len()).fold(0, |best, i| {
                    let order = order(until[i], until[best]);
                    if order == wanted || order == Ordering::Equal { i } else { best }
                })
            })
        };
        let sum = || until.iter().fold(0.0, |sum, x| sum + x);
        match (op.kind, bits) {
            (CumulativeKind::Sum, None) => values.push(sum()),
            (CumulativeKind::Sum, _) => values.push(wrap(sum() as i128, bits)),
            (CumulativeKind::Prod, None) => values.push(until.iter().product()),
            (CumulativeKind::Prod, _) => {
                let wrapped = |product: i64, &x: &f64| product.wrapping_mul(x as i128 as i64);
                values.push(wrap(until.iter().fold(1, wrapped).into(), bits));
            }
            (CumulativeKind::Max, _) => places.push(extreme(Ordering::Greater)),
            (CumulativeKind::Min, _) => places.push(extreme(Ordering::Less)),
        }
        if let Some(&place) = places.last() {
            values.push(until[place]);
        }
    }
    match op.kind {
        CumulativeKind::Sum | CumulativeKind::Prod => vec![values],
        _ => vec![values, places.into_iter().map(|place| place as f64).collect()],
    }
}

pub(super) fn sort(op: &Sort, x: &Array) -> Vec<Vec<f64>> {
    let (mut values, mut places) = (Vec::new(), Vec::new());
    for row in x.rows() {
        let mut order_of_row: Vec<usize> = (0..row.len()).collect();
        order_of_row.sort_by(|&a, &b| {
            if op.descending { order(row[b], row[a]) } else { order(row[a], row[b]) }
        });
        order_of_row.truncate(op.count.unwrap_or(row.len()));
        values.extend(order_of_row.iter().map(|&place| row[place]));
        places.extend(order_of_row.iter().map(|&place| place as f64));
    }
    vec![values, places]
}

pub(super) fn unique_rows(x: &Array) -> Vec<Vec<f64>> {
    let rows: Vec<&[f64]> = x.rows().collect();
    let compare = |a: &[f64], b: &[f64]| {
        let elements = a.iter().zip(b).map(|(&a, &b)| order(a, b));
        elements.fold(Ordering::Equal, Ordering::then)
    };
    let mut sorted: Vec<usize> = (0..rows.len()).collect();
    sorted.sort_by(|&a, &b| compare(rows[a], rows[b]));
    let mut kinds: Vec<usize> = Vec::new(); // the first row of each
    let mut counts = vec![0.0; rows.len()];
    let mut inverse = vec![0.0; rows.len()];
    for row in sorted {
        if kinds.last().is_none_or(|&last| compare(rows[last], rows[row]).is_ne()) {
            kinds.push(row);
        }
        inverse[row] = kinds.len() as f64 - 1.0;
        counts[kinds.len() - 1] += 1.0;
    }
    let number = kinds.len() as f64;
    let mut first: Vec<f64> = kinds.into_iter().map(|row| row as f64).collect();
    first.resize(rows.len(), 0.0);
    vec![first, inverse, counts, vec![number]]
}

pub(super) fn search_sorted(op: &SearchSorted, sorted: &Array, values: &Array) -> Vec<f64> {
    let lines: Vec<&[f64]> = sorted.rows().collect();
    let places = values.values.iter().enumerate().map(|(n, &value)| {
        let line = if lines.len() == 1 { lines[0] } else { lines[n / values.last()] };
        let before = |&x: &&f64| match order(*x, value) {
            Ordering::Less => true,
            Ordering::Equal => op.right,
            Ordering::Greater => false,
        };
        line.iter().filter(before).count() as f64
    });
    places.collect()
}
