//! Shapes and order.

use bitnet_tensor::ops::PadMode;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::{Case, numbers};
use crate::{Adapters, Miss, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("CenterCropPad", |n| one(center_crop_pad(n))),
    ("Concat", |n| one(BitNetTensor::cat(&n.all(), n.integer("axis", 0)))),
    ("DepthToSpace", |n| one(depth_to_space(n))),
    ("Expand", |n| one(expand(n))),
    ("Flatten", |n| one(flatten(n))),
    ("Pad", pad),
    ("Reshape", |n| one(reshape(n))),
    ("ReverseSequence", |n| one(reverse_sequence(n))),
    ("Shape", |n| one(shape(n))),
    ("Size", |n| one(BitNetTensor::scalar(n.x(0).element_count() as i64))),
    ("Slice", |n| one(slice(n))),
    ("SpaceToDepth", |n| one(space_to_depth(n))),
    ("Split", split),
    ("Squeeze", |n| one(squeeze(n))),
    ("Tile", |n| {
        let repeats = sizes(&n.numbers(1)?.unwrap_or_default());
        one(n.x(0).tile(&repeats))
    }),
    ("Transpose", |n| {
        let reversed = || (0..n.x(0).rank() as isize).rev().collect();
        one(n.x(0).permute(&n.integers("perm").unwrap_or_else(reversed)))
    }),
    ("Trilu", |n| {
        let k = n.numbers(1)?.map_or(0, |k| k[0]);
        one(if n.flag("upper", true) { n.x(0).triu(k) } else { n.x(0).tril(k) })
    }),
    ("Unsqueeze", |n| one(unsqueeze(n))),
    ("Upsample", |n| one(upsample(n))),
];

pub(crate) fn sizes(numbers: &[isize]) -> Vec<usize> {
    numbers.iter().map(|&number| number as usize).collect()
}

/// The first `count` numbers, as I64.
pub(crate) fn counting(count: usize) -> Result<BitNetTensor> {
    BitNetTensor::arange(0..count as i64)
}

/// `axis`, counted from the front.
pub(crate) fn from_front(axis: isize, rank: usize) -> usize {
    (if axis < 0 { axis + rank as isize } else { axis }) as usize
}

fn expand(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let wanted = sizes(&case.numbers(1)?.unwrap_or_default());
    let rank = x.rank().max(wanted.len());
    let at = |sizes: &[usize], axis: usize| {
        (axis + sizes.len()).checked_sub(rank).map_or(1, |axis| sizes[axis])
    };
    // Both broadcast: a size of one takes the other's.
    let shape: Vec<usize> = (0..rank)
        .map(|axis| match (at(x.shape(), axis), at(&wanted, axis)) {
            (1, size) | (size, 1) => size,
            (size, _) => size,
        })
        .collect();
    x.expand(shape)
}

fn flatten(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let (before, after) = x.shape().split_at(from_front(case.integer("axis", 1), x.rank()));
    x.reshape([before.iter().product::<usize>(), after.iter().product()])
}

/// 0 keeps the size of that axis unless `allowzero`; −1 is what is left.
fn reshape(case: &Case) -> Result<BitNetTensor> {
    let (x, wanted) = (case.x(0), case.numbers(1)?.unwrap_or_default());
    let keeps = !case.flag("allowzero", false);
    let mut shape: Vec<usize> = wanted
        .iter()
        .enumerate()
        .map(|(axis, &size)| match size {
            0 if keeps => x.shape()[axis],
            -1 => 1,
            size => size as usize,
        })
        .collect();
    if let Some(open) = wanted.iter().position(|&size| size == -1) {
        shape[open] = x.element_count() / shape.iter().product::<usize>().max(1);
    }
    x.reshape(shape)
}

fn shape(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let rank = x.rank() as isize;
    let place = |at: isize| (if at < 0 { at + rank } else { at }).max(0).min(rank) as usize;
    let (start, end) = (place(case.integer("start", 0)), place(case.integer("end", rank)));
    let part = x.shape().get(start..end).unwrap_or(&[]);
    BitNetTensor::try_from(part.iter().map(|&size| size as i64).collect::<Vec<_>>())
}

/// Of each axis: a start and an end, from the end when negative, cut to what there is.
fn slice(case: &Case) -> Result<BitNetTensor> {
    let starts = case.numbers(1)?.unwrap_or_default();
    let ends = case.numbers(2)?.unwrap_or_default();
    let axes = case.numbers(3)?.unwrap_or_else(|| (0..starts.len() as isize).collect());
    let steps = case.numbers(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    let mut x = case.x(0).clone();
    for n in 0..starts.len() {
        let (axis, step) = (axes[n], steps[n]);
        let size = x.shape()[from_front(axis, x.rank())] as isize;
        let place = |at: isize, low: isize, high: isize| {
            (if at < 0 { at.saturating_add(size) } else { at }).max(low).min(high)
        };
        let (start, length) = if step > 0 {
            let (start, end) = (place(starts[n], 0, size), place(ends[n], 0, size));
            (start, (end - start + step - 1) / step)
        } else {
            let (start, end) = (place(starts[n], 0, size - 1), place(ends[n], -1, size - 1));
            (start, (start - end - step - 1) / -step)
        };
        x = x.slice(axis, start as usize, length.max(0) as usize, step)?;
    }
    Ok(x)
}

fn split(case: &Case) -> Outcome {
    let (x, axis) = (case.x(0), case.integer("axis", 0));
    let size = x.shape()[from_front(axis, x.rank())];
    let parts = match case.numbers(1)? {
        Some(parts) => sizes(&parts),
        None => {
            let count = case.integer("num_outputs", case.outputs.len() as isize) as usize;
            let part = size.div_ceil(count);
            (0..count).map(|n| part.min(size.saturating_sub(n * part))).collect()
        }
    };
    Ok(x.split(&parts, axis)?)
}

fn squeeze(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let given = case.numbers(1)?;
    let ones = || (0..x.rank() as isize).filter(|&axis| x.shape()[axis as usize] == 1).collect();
    let axes: Vec<isize> = given.unwrap_or_else(ones);
    let mut axes: Vec<usize> = axes.iter().map(|&axis| from_front(axis, x.rank())).collect();
    axes.sort_unstable();
    axes.iter().rev().try_fold(x.clone(), |x, &axis| x.squeeze(axis as isize))
}

fn unsqueeze(case: &Case) -> Result<BitNetTensor> {
    let (x, axes) = (case.x(0), case.numbers(1)?.unwrap_or_default());
    let rank = x.rank() + axes.len();
    let mut axes: Vec<usize> = axes.iter().map(|&axis| from_front(axis, rank)).collect();
    axes.sort_unstable();
    axes.iter().try_fold(x.clone(), |x, &axis| x.unsqueeze(axis as isize))
}

fn pad(case: &Case) -> Outcome {
    let x = case.x(0);
    let amounts = case.numbers(1)?.unwrap_or_default();
    let all = || (0..x.rank() as isize).collect();
    let axes = case.numbers(3)?.unwrap_or_else(all);
    let mut pads = vec![(0, 0); x.rank()];
    for (n, &axis) in axes.iter().enumerate() {
        let (before, after) = (amounts[n], amounts[n + axes.len()]);
        pads[from_front(axis, x.rank())] = (before as usize, after as usize);
    }
    let value = match case.given(2) {
        Some(value) => value.to_dtype(BitNetDType::F64)?.item::<f64>()?,
        None => 0.0,
    };
    let mode = match case.text("mode", "constant") {
        "constant" => PadMode::Constant(value),
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        "wrap" => PadMode::Wrap,
        _ => return Err(Miss::OutOfScope("another mode of padding")),
    };
    one(x.pad(&pads, mode))
}

/// Cut or padded with zeros, the middle kept; of an odd difference the end takes more.
fn center_crop_pad(case: &Case) -> Result<BitNetTensor> {
    let wanted = sizes(&case.numbers(1)?.unwrap_or_default());
    let mut x = case.x(0).clone();
    let rank = x.rank();
    let axes = case.integers("axes").unwrap_or_else(|| (0..rank as isize).collect());
    for (&axis, &size) in axes.iter().zip(&wanted) {
        let axis = from_front(axis, rank);
        let there = x.shape()[axis];
        if there >= size {
            x = x.narrow(axis as isize, (there - size) / 2, size)?;
        } else {
            let before = (size - there) / 2;
            let mut pads = vec![(0, 0); rank];
            pads[axis] = (before, size - there - before);
            x = x.pad(&pads, PadMode::Constant(0.0))?;
        }
    }
    Ok(x)
}

fn depth_to_space(case: &Case) -> Result<BitNetTensor> {
    let (x, block) = (case.x(0), case.integer("blocksize", 1) as usize);
    let &[batch, channels, height, width] = &x.shape()[..] else {
        return x.reshape([0]);
    };
    let channels = channels / (block * block);
    let blocks = match case.text("mode", "DCR") {
        "DCR" => x
            .reshape([batch, block, block, channels, height, width])?
            .permute(&[0, 3, 4, 1, 5, 2])?,
        _ => x
            .reshape([batch, channels, block, block, height, width])?
            .permute(&[0, 1, 4, 2, 5, 3])?,
    };
    blocks.reshape([batch, channels, height * block, width * block])
}

fn space_to_depth(case: &Case) -> Result<BitNetTensor> {
    let (x, block) = (case.x(0), case.integer("blocksize", 1) as usize);
    let &[batch, channels, height, width] = &x.shape()[..] else {
        return x.reshape([0]);
    };
    let (rows, columns) = (height / block, width / block);
    let blocks = x.reshape([batch, channels, rows, block, columns, block])?;
    let order =
        if case.text("mode", "DCR") == "DCR" { [0, 3, 5, 1, 2, 4] } else { [0, 1, 3, 5, 2, 4] };
    blocks.permute(&order)?.reshape([batch, channels * block * block, rows, columns])
}

/// The first `lengths[b]` elements of each batch entry reversed, the rest as they are.
fn reverse_sequence(case: &Case) -> Result<BitNetTensor> {
    let (x, lengths) = (case.x(0), numbers(case.x(1))?);
    let (time, batch) = (case.integer("time_axis", 0), case.integer("batch_axis", 1));
    let steps = x.shape()[time as usize];
    let mut entries = Vec::new();
    for (entry, &length) in lengths.iter().enumerate() {
        let sequence = x.narrow(batch, entry, 1)?;
        let length = length as usize;
        let head = sequence.narrow(time, 0, length)?.flip(&[time])?;
        let tail = sequence.narrow(time, length, steps - length)?;
        entries.push(BitNetTensor::cat(&[&head, &tail], time)?);
    }
    BitNetTensor::cat(&entries.iter().collect::<Vec<_>>(), batch)
}

fn upsample(case: &Case) -> Result<BitNetTensor> {
    let scales = case.x(1).to_vec::<f32>()?;
    let axes = scales.iter().enumerate();
    axes.filter(|&(_, &scale)| scale != 1.0).try_fold(case.x(0).clone(), |x, (axis, &scale)| {
        x.repeat_interleave(scale as usize, axis as isize)
    })
}
