//! Elements written into a part of the result: tensors joined, regions replaced, places that an index
//! names.

use bitnet_tensor::ops::{Scatter, ScatterKind, SliceScatter};
use bitnet_tensor::{BitNetDType, BitNetTensor};
use smallvec::{SmallVec, smallvec};

use super::{CHOSEN, bits_of, copy, index_kind, moved};
use crate::gpu::{Access::*, Template, is_native, per_word};
use crate::operand::{AXES, Steps, Strided, grid, stride};
use crate::ops::{FUNCTIONS, Params, Plan, Plans, STRIDED, Source, Target, WORKGROUP};

static PLACE: Template = Template {
    name: "place",
    body: include_str!("../../shaders/movement/place.wgsl"),
    includes: &[STRIDED],
    operands: &[("x", Read), ("out", WriteElements)],
    constants: &["RANK", "STRIDED", "OPERANDS"],
    ..Template::PLAIN
};

static SCATTER: Template = Template {
    name: "scatter",
    body: include_str!("../../shaders/movement/scatter.wgsl"),
    includes: &[FUNCTIONS, STRIDED, CHOSEN],
    operands: &[("indices", Read), ("x", Read), ("out", WriteElements)],
    constants: &["KIND_OF_INDEX", "KIND", "RANK", "STRIDED", "OPERANDS"],
    define: Some(|constants| {
        let body = JOINED[constants[1] as usize].2;
        format!("fn joined(a: OUT, b: OUT) -> OUT {{ return {body}; }}\n")
    }),
    checks: true,
    ..Template::PLAIN
};

/// How elements meet, of floats or of integers.
const JOINED: [(ScatterKind, Option<bool>, &str); 7] = [
    (ScatterKind::Assign, None, "b"),
    (ScatterKind::Add, None, "a + b"),
    (ScatterKind::Mul, None, "a * b"),
    (ScatterKind::Max, Some(true), "larger_of(a, b)"),
    (ScatterKind::Min, Some(true), "smaller_of(a, b)"),
    (ScatterKind::Max, Some(false), "max(a, b)"),
    (ScatterKind::Min, Some(false), "min(a, b)"),
];

/// Indices that a thread follows one after the other, where there are few lines beside it.
const LONG_LINE: usize = 1 << 16;
const FEW_LINES: usize = 256;

/// Elements of a walk over `shape` to where they go.
fn place(dtype: BitNetDType, shape: &[usize], source: Source, steps: [Steps; 2]) -> Option<Plan> {
    let (bits, shape, steps) = moved(dtype, shape, steps)?;
    let walk = Strided::along_steps(&shape, &steps)?;
    let count = shape.iter().product::<usize>() as u32;
    let mut params = Params::new();
    params.push(count);
    walk.write(&mut params);
    let plan = Plan::new(&PLACE)
        .operand(source, bits)
        .operand(Source::Output(0), bits)
        .constants(&[walk.rank(), 2, 2])
        .params(&params);
    Some(plan.workgroups(grid(count, WORKGROUP)))
}

pub(in crate::ops) fn cat(
    axis: usize,
    inputs: &[&BitNetTensor],
    out: &Target<'_>,
) -> Option<Plans> {
    let mut plans = Plans::new();
    let mut start = 0;
    for (n, x) in inputs.iter().enumerate() {
        if x.element_count() > 0 {
            let to = Steps::in_a_row(out.shape).slice(axis, start, 1)?;
            let steps = [Steps::through(x.layout(), x.shape()), to];
            plans.push(place(out.dtype, x.shape(), Source::Input(n), steps)?);
        }
        start += x.shape().get(axis)?;
    }
    Some(plans)
}

pub(in crate::ops) fn slice_scatter(
    op: &SliceScatter,
    [target, values]: [&BitNetTensor; 2],
    out: &Target<'_>,
) -> Option<Plans> {
    let mut plans: Plans = smallvec![copy(target, Source::Input(0), out)?];
    plans.extend(region(op, values, Steps::in_a_row(out.shape))?);
    Some(plans)
}

pub(in crate::ops) fn slice_scatter_in_place(
    op: &SliceScatter,
    target: &BitNetTensor,
    values: &BitNetTensor,
) -> Option<Plans> {
    region(op, values, Steps::through(target.layout(), target.shape()))
}

fn region(op: &SliceScatter, values: &BitNetTensor, mut to: Steps) -> Option<Plans> {
    let shape: SmallVec<[usize; AXES]> = op.slices.iter().map(|slice| slice.length).collect();
    if shape.contains(&0) {
        return bits_or_words(values.dtype()).then(Plans::new);
    }
    for (axis, slice) in op.slices.iter().enumerate() {
        to = to.slice(axis, slice.start, slice.step)?;
    }
    let steps = [Steps::through(values.layout(), &shape), to];
    Some(smallvec![place(values.dtype(), &shape, Source::Input(1), steps)?])
}

fn bits_or_words(dtype: BitNetDType) -> bool {
    moved(dtype, &[], []).is_some()
}

pub(in crate::ops) fn scatter(
    op: &Scatter,
    [target, index, source]: [&BitNetTensor; 3],
    out: &Target<'_>,
) -> Option<Plans> {
    let mut plans: Plans = smallvec![copy(target, Source::Input(0), out)?];
    let to = Steps::in_a_row(out.shape);
    let step = out.shape.get(op.axis + 1..)?.iter().product::<usize>() as u32;
    plans.extend(written(op, target, [index, source], to, step)?);
    Some(plans)
}

pub(in crate::ops) fn scatter_in_place(
    op: &Scatter,
    target: &BitNetTensor,
    others: [&BitNetTensor; 2],
) -> Option<Plans> {
    let to = Steps::through(target.layout(), target.shape());
    written(op, target, others, to, stride(target, op.axis as isize)?)
}

fn written(
    op: &Scatter,
    target: &BitNetTensor,
    [index, source]: [&BitNetTensor; 2],
    to: Steps,
    step: u32,
) -> Option<Plans> {
    let dtype = target.dtype();
    // Halves would be rounded at every step.
    let is_whole = per_word(dtype) == 1 || !dtype.is_float();
    let (bits, kind) = match op.kind {
        ScatterKind::Assign => (bits_of(dtype)?, 0),
        kind if is_native(dtype) && is_whole => {
            let of = |floats: Option<bool>| floats.is_none_or(|floats| floats == dtype.is_float());
            let place = JOINED.iter().position(|&(own, floats, _)| own == kind && of(floats))?;
            (dtype, place as u32)
        }
        _ => return None,
    };
    let (kind_of_index, index_type) = index_kind(index)?;
    let mut lines: SmallVec<[usize; AXES]> = SmallVec::from_slice(index.shape());
    let length = std::mem::replace(lines.get_mut(op.axis)?, 1);
    let count = lines.iter().product::<usize>();
    if count * length == 0 {
        return Some(Plans::new());
    }
    if length > LONG_LINE && count < FEW_LINES {
        return None;
    }
    let steps = [
        Steps::through(index.layout(), &lines).still(op.axis)?,
        Steps::through(source.layout(), &lines).still(op.axis)?,
        to.still(op.axis)?,
    ];
    let walk = Strided::along_steps(&lines, &steps)?;
    let axis = op.axis as isize;
    let mut params = Params::new();
    params.extend_from_slice(&[count as u32, u32::try_from(length).ok()?]);
    params.extend_from_slice(&[u32::try_from(target.shape()[op.axis]).ok()?]);
    params.extend_from_slice(&[stride(index, axis)?, stride(source, axis)?, step]);
    walk.write(&mut params);
    let name = match op.kind {
        ScatterKind::Assign => "scatter",
        ScatterKind::Add => "scatter_add",
        _ => "scatter_reduce",
    };
    let plan = Plan::new(&SCATTER)
        .operand(Source::Input(1), index_type)
        .operand(Source::Input(2), bits)
        .operand(Source::Output(0), bits)
        .constants(&[kind_of_index, kind, AXES as u32, 7, 3])
        .params(&params)
        .reports(name);
    Some(smallvec![plan.workgroups(grid(count as u32, WORKGROUP))])
}
