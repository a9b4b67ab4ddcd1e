//! Choosing elements and writing them.

use bitnet_tensor::ops::{PadMode, ScatterKind};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::shapes::{counting, from_front, sizes};
use crate::{Adapters, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("Compress", |n| one(compress(n))),
    ("Gather", |n| one(n.x(0).index_select(n.integer("axis", 0), n.x(1)))),
    ("GatherElements", |n| one(n.x(0).gather(n.integer("axis", 0), n.x(1)))),
    ("GatherND", |n| one(gather_nd(n))),
    ("MaxUnpool", |n| one(max_unpool(n))),
    ("NonZero", |n| one(n.x(0).nonzero()?.transpose(0, 1))),
    ("OneHot", |n| one(one_hot(n))),
    ("Scatter", |n| one(n.x(0).scatter(n.integer("axis", 0), n.x(1), n.x(2)))),
    ("ScatterElements", scatter_elements),
    ("ScatterND", scatter_nd),
    ("TensorScatter", |n| one(tensor_scatter(n))),
    ("TopK", topk),
    ("Unique", unique),
    ("ai.onnx.ml.ArrayFeatureExtractor", |n| {
        one(n.x(0).index_select(-1, &n.x(1).reshape([n.x(1).element_count()])?))
    }),
];

fn compress(case: &Case) -> Result<BitNetTensor> {
    let x = if case.has("axis") {
        case.x(0).clone()
    } else {
        case.x(0).reshape([case.x(0).element_count()])?
    };
    let kept = case.x(1).nonzero()?.squeeze(1)?;
    x.index_select(case.integer("axis", 0), &kept)
}

/// Entry by entry of the batch axes, which the library's has not.
fn gather_nd(case: &Case) -> Result<BitNetTensor> {
    let (data, indices) = (case.x(0), case.x(1));
    if case.integer("batch_dims", 0) == 0 {
        return data.gather_nd(indices);
    }
    let entries = (0..data.shape()[0]).map(|n| {
        let part = |x: &BitNetTensor| x.narrow(0, n, 1)?.squeeze(0);
        part(data)?.gather_nd(&part(indices)?)
    });
    let entries = entries.collect::<Result<Vec<_>>>()?;
    BitNetTensor::stack(&entries.iter().collect::<Vec<_>>(), 0)
}

/// Values to the places that pooling found them at, zeros elsewhere.
fn max_unpool(case: &Case) -> Result<BitNetTensor> {
    let (x, indices) = (case.x(0), case.x(1));
    let kernel = sizes(&case.integers("kernel_shape").unwrap_or_default());
    let strides = case.integers("strides").map_or(vec![1; kernel.len()], |s| sizes(&s));
    let mut shape = x.shape().to_vec();
    for axis in 0..kernel.len() {
        shape[axis + 2] = (shape[axis + 2] - 1) * strides[axis] + kernel[axis];
    }
    let flat = |x: &BitNetTensor| x.reshape([x.element_count()]);
    let zeros = BitNetTensor::zeros([shape.iter().product::<usize>()], x.dtype())?;
    let placed = zeros.scatter(0, &flat(indices)?, &flat(x)?)?.reshape(shape.clone())?;
    let Some(wanted) = case.numbers(2)? else { return Ok(placed) };
    let pads: Vec<_> =
        sizes(&wanted).iter().zip(&shape).map(|(want, there)| (0, want - there)).collect();
    placed.pad(&pads, PadMode::Constant(0.0))
}

/// `values[1]` where the position along a new axis is the index, `values[0]` elsewhere.
fn one_hot(case: &Case) -> Result<BitNetTensor> {
    let indices = case.x(0).to_dtype(BitNetDType::I64)?;
    let depth = case.x(1).to_dtype(BitNetDType::I64)?.reshape([])?.item::<i64>()?;
    let rank = indices.rank() + 1;
    let axis = from_front(case.integer("axis", -1), rank);
    let mut shape = vec![1; rank];
    shape[axis] = depth as usize;
    let positions = counting(depth as usize)?.reshape(shape)?;
    let hit = indices.rem(depth)?.unsqueeze(axis as isize)?.eq(&positions)?;
    let inside = indices.ge(-depth)?.logical_and(&indices.lt(depth)?)?.unsqueeze(axis as isize)?;
    let value = |n: usize| case.x(2).narrow(0, n, 1);
    hit.logical_and(&inside)?.where_(&value(1)?, &value(0)?)
}

/// How values are combined with what is there.
fn kind(case: &Case) -> ScatterKind {
    match case.text("reduction", "none") {
        "add" => ScatterKind::Add,
        "mul" => ScatterKind::Mul,
        "max" => ScatterKind::Max,
        "min" => ScatterKind::Min,
        _ => ScatterKind::Assign,
    }
}

fn scatter_elements(case: &Case) -> Outcome {
    let (x, axis) = (case.x(0), case.integer("axis", 0));
    let (indices, updates) = (case.x(1), case.x(2));
    one(x.scatter_reduce(axis, indices, updates, kind(case)))
}

fn scatter_nd(case: &Case) -> Outcome {
    let (x, indices, updates) = (case.x(0), case.x(1), case.x(2));
    one(x.scatter_nd(indices, updates, kind(case)))
}

/// Rows of a cache replaced from a position of each batch entry on.
fn tensor_scatter(case: &Case) -> Result<BitNetTensor> {
    let (cache, update) = (case.x(0), case.x(1));
    let axis = from_front(case.integer("axis", -2), cache.rank()) as isize;
    let (capacity, count) =
        (cache.shape()[axis as usize] as i64, update.shape()[axis as usize] as i64);
    let steps = counting(count as usize)?;
    let starts = match case.given(2) {
        Some(starts) => starts.to_dtype(BitNetDType::I64)?,
        None => BitNetTensor::zeros([cache.shape()[0]], BitNetDType::I64)?,
    };
    let positions = starts.unsqueeze(1)?.add(&steps)?.rem(capacity)?;
    let mut shape = vec![1; cache.rank()];
    shape[0] = cache.shape()[0];
    shape[axis as usize] = count as usize;
    let positions = positions.reshape(shape)?.expand(update.shape().clone())?;
    cache.scatter(axis, &positions, update)
}

fn topk(case: &Case) -> Outcome {
    let k = case.numbers(1)?.map_or(0, |k| k[0]) as usize;
    let (values, indices) =
        case.x(0).topk(k, case.integer("axis", -1), case.flag("largest", true))?;
    Ok(vec![values, indices])
}

/// The library's distinct values are sorted; by their first places they come in order.
fn unique(case: &Case) -> Outcome {
    let x = case.x(0);
    let axis = case.has("axis").then(|| case.integer("axis", 0));
    let found = x.unique(axis)?;
    let inverse = found.inverse.reshape([found.inverse.element_count()])?;
    if case.flag("sorted", true) {
        return Ok(vec![found.values, found.indices, inverse, found.counts]);
    }
    let order = found.indices.argsort(0, false)?;
    // Where each of the sorted ones has gone.
    let place = order.argsort(0, false)?;
    Ok(vec![
        found.values.index_select(axis.unwrap_or(0), &order)?,
        found.indices.index_select(0, &order)?,
        place.index_select(0, &inverse)?,
        found.counts.index_select(0, &order)?,
    ])
}
