//! Elements in other places.

use super::elementwise::binary;
use super::{Array, flat, in_range, indices};
use crate::ops::{AxisSlice, BinaryKind, ScatterKind, View};

pub(super) fn view(view: &View, x: &Array) -> Vec<f64> {
    match view {
        View::Reshape(_) => x.values.clone(),
        View::Permute(axes) => {
            let shape: Vec<usize> = axes.iter().map(|&axis| x.shape[axis]).collect();
            let source = |index: Vec<usize>| {
                let mut own = vec![0; index.len()];
                for (to, &from) in axes.iter().enumerate() {
                    own[from] = index[to];
                }
                x.at(&own)
            };
            indices(&shape).map(source).collect()
        }
        View::Slice { axis, start, length, step } => {
            let mut shape = x.shape.clone();
            shape[*axis] = *length;
            let source = |mut index: Vec<usize>| {
                index[*axis] = (*start as isize + index[*axis] as isize * step) as usize;
                x.at(&index)
            };
            indices(&shape).map(source).collect()
        }
        View::Expand(shape) => indices(shape).map(|index| x.broadcast_at(&index)).collect(),
        View::Windows { axis, size, step, dilation } => {
            let mut shape = x.shape.clone();
            shape[*axis] = (shape[*axis] - (size - 1) * dilation - 1) / step + 1;
            shape.push(*size);
            let source = |mut index: Vec<usize>| {
                let k = index.pop().unwrap_or(0);
                index[*axis] = index[*axis] * step + k * dilation;
                x.at(&index)
            };
            indices(&shape).map(source).collect()
        }
        View::Diagonal { axes: [a, b], offset } => {
            let kept: Vec<usize> = (0..x.shape.len()).filter(|n| n != a && n != b).collect();
            let kept_shape: Vec<usize> = kept.iter().map(|&n| x.shape[n]).collect();
            let mut values = Vec::new();
            for outer in indices(&kept_shape) {
                for row in 0..x.shape[*a] {
                    let Some(column) = row.checked_add_signed(*offset) else { continue };
                    if column < x.shape[*b] {
                        let mut index = vec![0; x.shape.len()];
                        kept.iter().zip(&outer).for_each(|(&n, &at)| index[n] = at);
                        (index[*a], index[*b]) = (row, column);
                        values.push(x.at(&index));
                    }
                }
            }
            values
        }
    }
}

pub(super) fn cat(axis: usize, inputs: &[Array]) -> Vec<f64> {
    let mut shape = inputs[0].shape.clone();
    shape[axis] = inputs.iter().map(|input| input.shape[axis]).sum();
    let source = |mut index: Vec<usize>| {
        for input in inputs {
            if index[axis] < input.shape[axis] {
                return input.at(&index);
            }
            index[axis] -= input.shape[axis];
        }
        f64::NAN // every index is inside one of them
    };
    indices(&shape).map(source).collect()
}

/// The place that an index names: negative ones count from the end.
fn place(index: f64, size: usize) -> Result<usize, String> {
    in_range(if index < 0.0 { index + size as f64 } else { index }, size)
}

pub(super) fn index_select(axis: usize, x: &Array, chosen: &Array) -> Result<Vec<f64>, String> {
    let mut shape = x.shape[..axis].to_vec();
    shape.extend(&chosen.shape);
    shape.extend(&x.shape[axis + 1..]);
    let source = |index: Vec<usize>| {
        let (outer, rest) = index.split_at(axis);
        let (which, inner) = rest.split_at(chosen.shape.len());
        let at = place(chosen.at(which), x.shape[axis])?;
        Ok(x.at(&[outer, &[at], inner].concat()))
    };
    indices(&shape).map(source).collect()
}

pub(super) fn gather(axis: usize, x: &Array, index: &Array) -> Result<Vec<f64>, String> {
    let source = |at: Vec<usize>| {
        let mut from = at.clone();
        if let Some(along) = from.get_mut(axis) {
            *along = place(index.at(&at), x.shape[axis])?;
        }
        Ok(x.at(&from))
    };
    indices(&index.shape).map(source).collect()
}

pub(super) fn scatter(
    axis: usize,
    kind: ScatterKind,
    target: &Array,
    index: &Array,
    source: &Array,
) -> Result<Vec<f64>, String> {
    let mut result = target.values.clone();
    for at in indices(&index.shape) {
        let mut to = at.clone();
        if let Some(along) = to.get_mut(axis) {
            *along = place(index.at(&at), target.shape[axis])?;
        }
        let old = &mut result[flat(&target.shape, &to)];
        let new = source.at(&at);
        *old = match kind {
            ScatterKind::Assign => new,
            ScatterKind::Add => *old + new,
            ScatterKind::Mul => *old * new,
            ScatterKind::Max => binary(BinaryKind::Max, *old, new),
            ScatterKind::Min => binary(BinaryKind::Min, *old, new),
        };
    }
    Ok(result)
}

pub(super) fn slice_scatter(slices: &[AxisSlice], target: &Array, values: &Array) -> Vec<f64> {
    let mut result = target.values.clone();
    let region: Vec<usize> = slices.iter().map(|slice| slice.length).collect();
    for at in indices(&region) {
        let to: Vec<usize> = at
            .iter()
            .zip(slices)
            .map(|(&n, slice)| (slice.start as isize + n as isize * slice.step) as usize)
            .collect();
        result[flat(&target.shape, &to)] = values.broadcast_at(&at);
    }
    result
}

pub(super) fn write_rows(
    target: &Array,
    positions: &Array,
    rows: &Array,
) -> Result<Vec<f64>, String> {
    let mut result = target.values.clone();
    for index in indices(&rows.shape) {
        let mut place = index.clone();
        place[1] = in_range(positions.at(&index[..2]), target.shape[1])?;
        result[flat(&target.shape, &place)] = rows.at(&index);
    }
    Ok(result)
}
