//! Elements in other places and of other types.

use bitnet_tensor::{BitNetDType, BitNetTensor};

use super::elementwise::{map_grid, map_template, walk};
use super::{FUNCTIONS, MAP, Params, Plan, STRIDED, Source, Target, WORKGROUP};
use crate::gpu::{Access::*, Template, is_native, value_type};
use crate::operand::{Strided, contiguous, count, grid, stride, strides};

map_template!(COPY, "copy", ["x": Read, "out": Write], |_| {
    "fn element(i: u32) -> OUT { return load_x(position(i, 0u)); }\n".to_owned()
});
map_template!(CAST, "cast", ["x": Read, "out": Write], |constants| {
    let body = CASTS[constants[0] as usize];
    format!("fn element(i: u32) -> OUT {{\n    let x = load_x(position(i, 0u));\n    return {body};\n}}\n")
});

/// How a number `x` becomes one of another type: as it is, by the language, an unsigned one as a float,
/// and as the truth value that it is not zero.
const CASTS: [&str; 5] = [
    "x",
    "OUT(x)",
    "float_of(x)",
    "select(0u, 1u, x != X(0))",
    "select(0u, 1u, (bitcast<u32>(x) & 0x7fffffffu) != 0u)",
];

/// Where an element of rows comes from and goes to.
pub(super) const ROW_PLACES: &str = include_str!("../shaders/movement/row_places.wgsl");
const CHOSEN: &str = include_str!("../shaders/movement/chosen.wgsl");

static INDEX_SELECT: Template = Template {
    name: "index_select",
    body: MAP,
    includes: &[CHOSEN, include_str!("../shaders/movement/index_select.wgsl")],
    operands: &[("x", Read), ("indices", Read), ("out", Write)],
    constants: &["SIGNED"],
    checks: true,
    ..Template::PLAIN
};

static GATHER: Template = Template {
    name: "gather",
    body: MAP,
    includes: &[STRIDED, CHOSEN, include_str!("../shaders/movement/gather.wgsl")],
    operands: &[("x", Read), ("indices", Read), ("out", Write)],
    constants: &["SIGNED", "RANK", "STRIDED", "OPERANDS"],
    checks: true,
    ..Template::PLAIN
};

pub(super) static WRITE_ROWS: Template = Template {
    name: "write_rows",
    body: include_str!("../shaders/movement/write_rows.wgsl"),
    includes: &[ROW_PLACES],
    operands: &[("positions", Read), ("rows", Read), ("out", Write)],
    checks: true,
    ..Template::PLAIN
};

/// The unsigned type of as many bits: elements that only move keep every bit.
pub(super) fn bits_of(dtype: BitNetDType) -> Option<BitNetDType> {
    match dtype.size_in_bytes().filter(|_| !dtype.is_packed())? {
        1 => Some(BitNetDType::U8),
        2 => Some(BitNetDType::U16),
        4 => Some(BitNetDType::U32),
        _ => None,
    }
}

pub(super) fn copy(x: &BitNetTensor, source: Source, out: &Target<'_>) -> Option<Plan> {
    let bits = bits_of(x.dtype())?;
    let plan = Plan::new(&COPY).operand(source, bits).operand(Source::Output(0), bits);
    walk(plan, 0, out.shape, &[x.layout()], bits)
}

pub(super) fn cast(to: BitNetDType, x: &BitNetTensor, out: &Target<'_>) -> Option<Plan> {
    let from = x.dtype();
    if !is_native(from) || !is_native(to) {
        return None;
    }
    // By its place among the casts.
    let kind = match (from.is_float(), to) {
        (false, BitNetDType::Bool) => 3,
        (true, BitNetDType::Bool) => 4,
        // What is outside of the integers has an answer of its own on the CPU.
        (true, to) if !to.is_float() => return None,
        _ if value_type(from) == value_type(to) => 0,
        _ if from == BitNetDType::U32 && to.is_float() => 2,
        _ => 1,
    };
    let plan = Plan::new(&CAST).operand(Source::Input(0), from).operand(Source::Output(0), to);
    walk(plan, kind, out.shape, &[x.layout()], to)
}

/// Whether indices of this type can be negative; `None` where kernels do not read them.
fn is_signed(indices: &BitNetTensor) -> Option<u32> {
    match indices.dtype() {
        BitNetDType::U32 => Some(0),
        BitNetDType::I32 => Some(1),
        _ => None,
    }
}

pub(super) fn index_select(
    axis: usize,
    x: &BitNetTensor,
    indices: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    let bits = bits_of(x.dtype())?;
    let (signed, start, first_index) = (is_signed(indices)?, contiguous(x)?, contiguous(indices)?);
    let count = u32::try_from(out.count()).ok().filter(|&count| count < 1 << 31)?;
    u32::try_from(x.element_count()).ok()?;
    let inner = x.shape()[axis + 1..].iter().product::<usize>() as u32;
    let chosen = indices.element_count() as u32;
    let plan = Plan::new(&INDEX_SELECT)
        .operand(Source::Input(0), bits)
        .operand(Source::Input(1), indices.dtype())
        .operand(Source::Output(0), bits)
        .constants(&[signed])
        .params(&[count, start, first_index, inner, chosen, x.shape()[axis] as u32]);
    Some(plan.workgroups(map_grid(count, bits)))
}

pub(super) fn gather(
    axis: usize,
    x: &BitNetTensor,
    index: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    let bits = bits_of(x.dtype())?;
    let signed = is_signed(index)?;
    if axis >= x.rank() {
        return None;
    }
    let fits = x
        .shape()
        .iter()
        .zip(out.shape)
        .enumerate()
        .all(|(n, (&own, &size))| n == axis || own >= size);
    if !fits || x.shape()[axis] == 0 {
        return None;
    }
    // The walk over the results, in the index and in `x` with its axis standing still.
    let mut still = x.narrow(axis as isize, 0, 1).ok()?;
    for (n, &size) in out.shape.iter().enumerate().filter(|&(n, _)| n != axis) {
        still = still.narrow(n as isize, 0, size).ok()?;
    }
    let still = still.expand(out.shape).ok()?;
    let walk = Strided::over(out.shape, &[index.layout(), still.layout()])?;
    let count = out.count() as u32;
    let mut params = Params::new();
    params.extend_from_slice(&[count, x.shape()[axis] as u32, stride(x, axis as isize)?]);
    walk.write(&mut params);
    let plan = Plan::new(&GATHER)
        .operand(Source::Input(0), bits)
        .operand(Source::Input(1), index.dtype())
        .operand(Source::Output(0), bits)
        .constants(&[signed, walk.rank(), 4, 2])
        .params(&params);
    Some(plan.workgroups(map_grid(count, bits)))
}

/// Rows of elements of 32 bits, of up to four axes, as caches are.
pub(super) fn write_rows(
    target: &BitNetTensor,
    positions: &BitNetTensor,
    rows: &BitNetTensor,
) -> Option<Plan> {
    if rows.dtype().size_in_bytes() != Some(4) || rows.rank() > 4 {
        return None;
    }
    let mut sizes = [1u32; 4];
    for (own, &size) in sizes.iter_mut().zip(rows.shape().iter()) {
        *own = u32::try_from(size).ok()?;
    }
    let total = count(rows)?;
    let (to, to_steps) = strides::<4>(target)?;
    let (from, from_steps) = strides::<4>(rows)?;
    let (first, steps) = strides::<2>(positions)?;
    let plan = Plan::new(&WRITE_ROWS)
        .operand(Source::Input(1), BitNetDType::U32)
        .operand(Source::Input(2), BitNetDType::U32)
        .operand(Source::Output(0), BitNetDType::U32)
        .params(&[total, target.shape()[1] as u32, sizes[1], sizes[2], sizes[3], to])
        .params(&to_steps)
        .params(&[from])
        .params(&from_steps)
        .params(&[first])
        .params(&steps);
    Some(plan.workgroups(grid(total, WORKGROUP)))
}
