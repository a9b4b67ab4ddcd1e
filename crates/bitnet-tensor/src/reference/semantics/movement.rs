//! Elements in other places.

use super::{Array, flat, in_range, indices};
use crate::ops::View;

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

pub(super) fn index_select(table: &Array, chosen: &Array) -> Result<Vec<f64>, String> {
    let row: usize = table.shape[1..].iter().product();
    let mut values = Vec::new();
    for &index in &chosen.values {
        let index = in_range(index, table.shape[0])?;
        values.extend(&table.values[index * row..][..row]);
    }
    Ok(values)
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
