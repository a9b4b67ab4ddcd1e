//! Elements in other places and of other types.

use bitnet_tensor::{BitNetDType, BitNetTensor};

use super::elementwise::{WORKGROUP, map_grid, map_template, walk};
use super::{Params, Plan, Source, Target};
use crate::gpu::{Access::*, Template, is_native, value_type};
use crate::operand::{Strided, contiguous, count, grid};

const STRIDED: &str = include_str!("../shaders/strided.wgsl");
const MAP: &str = include_str!("../shaders/map.wgsl");
const FUNCTIONS: &str = include_str!("../shaders/functions.wgsl");

map_template!(COPY, "copy", ["x": Read, "out": Write], 1, |_| {
    "fn element(i: u32) -> OUT { return load_x(position(i, 0u)); }\n".to_owned()
});
map_template!(CAST, "cast", ["x": Read, "out": Write], 1, |constants| {
    let body = match constants[0] {
        0 => "OUT(x)",
        1 => "select(0u, 1u, x != X(0))",
        4 => "float_of(x)",
        3 => "select(0u, 1u, (bitcast<u32>(x) & 0x7fffffffu) != 0u)",
        _ => "x",
    };
    format!("fn element(i: u32) -> OUT {{\n    let x = load_x(position(i, 0u));\n    return {body};\n}}\n")
});

static INDEX_SELECT: Template = Template {
    name: "index_select",
    body: MAP,
    includes: &[include_str!("../shaders/movement/index_select.wgsl")],
    operands: &[("x", Read), ("indices", Read), ("out", Write)],
    constants: &["SIGNED"],
    define: None,
    checks: true,
    reduces: false,
    workgroup: WORKGROUP,
};

static GATHER: Template = Template {
    name: "gather",
    body: MAP,
    includes: &[STRIDED, include_str!("../shaders/movement/gather.wgsl")],
    operands: &[("x", Read), ("indices", Read), ("out", Write)],
    constants: &["RANK", "STRIDED", "OPERANDS"],
    define: None,
    checks: true,
    reduces: false,
    workgroup: WORKGROUP,
};

pub(super) static WRITE_ROWS: Template = Template {
    name: "write_rows",
    body: include_str!("../shaders/movement/write_rows.wgsl"),
    includes: &[],
    operands: &[("positions", Read), ("rows", Read), ("out", Write)],
    constants: &[],
    define: None,
    checks: true,
    reduces: false,
    workgroup: WORKGROUP,
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
    let kind = match (from.is_float(), to) {
        (true, BitNetDType::Bool) => 3,
        (false, BitNetDType::Bool) => 1,
        // What is outside of the integers has an answer of its own on the CPU.
        (true, to) if !to.is_float() => return None,
        _ if value_type(from) == value_type(to) => 2,
        _ if from == BitNetDType::U32 && to.is_float() => 4,
        _ => 0,
    };
    let plan = Plan::new(&CAST).operand(Source::Input(0), from).operand(Source::Output(0), to);
    walk(plan, kind, out.shape, &[x.layout()], to)
}

/// Whether a kernel can read indices of this type; 64-bit ones as pairs of words.
fn index_words(indices: &BitNetTensor) -> Option<(BitNetDType, bool)> {
    match indices.dtype() {
        BitNetDType::U32 => Some((BitNetDType::U32, false)),
        BitNetDType::I32 => Some((BitNetDType::I32, true)),
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
    let (index_type, signed) = index_words(indices)?;
    let (start, first_index) = (contiguous(x)?, contiguous(indices)?);
    let count = u32::try_from(out.count()).ok().filter(|&count| count < 1 << 31)?;
    u32::try_from(x.element_count()).ok()?;
    let inner = x.shape()[axis + 1..].iter().product::<usize>() as u32;
    let chosen = indices.element_count() as u32;
    let plan = Plan::new(&INDEX_SELECT)
        .operand(Source::Input(0), bits)
        .operand(Source::Input(1), index_type)
        .operand(Source::Output(0), bits)
        .constants(&[u32::from(signed)])
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
    let (index_type, _) = index_words(index)?;
    if axis >= x.rank() {
        return None;
    }
    // The walk over the results, in the index and in `x` with its axis standing still.
    let narrowed = x.narrow(axis as isize, 0, 1).ok()?;
    let mut shape: Vec<usize> = out.shape.to_vec();
    shape[axis] = 1;
    let fits = x
        .shape()
        .iter()
        .zip(out.shape)
        .enumerate()
        .all(|(n, (&own, &size))| n == axis || own >= size);
    if !fits || x.shape()[axis] == 0 {
        return None;
    }
    let mut still = narrowed;
    for (n, &size) in out.shape.iter().enumerate().filter(|&(n, _)| n != axis) {
        still = still.narrow(n as isize, 0, size).ok()?;
    }
    let still = still.expand(out.shape).ok()?;
    let walk = Strided::over(out.shape, &[index.layout(), still.layout()])?;
    let count = out.count() as u32;
    let step = i32::try_from(x.layout().strides()[axis]).ok()? as u32;
    let mut params = Params::new();
    params.extend_from_slice(&[count, x.shape()[axis] as u32, step]);
    walk.write(&mut params);
    let plan = Plan::new(&GATHER)
        .operand(Source::Input(0), bits)
        .operand(Source::Input(1), index_type)
        .operand(Source::Output(0), bits)
        .constants(&[walk.rank(), 4, 2])
        .params(&params);
    Some(plan.workgroups(map_grid(count, bits)))
}

/// Rows of words: elements of 32 bits, or an even number of shorter ones.
pub(super) fn write_rows(
    target: &BitNetTensor,
    positions: &BitNetTensor,
    rows: &BitNetTensor,
) -> Option<Plan> {
    // [batch, capacity, a, b] with the last axis in a row, as caches are.
    if rows.dtype().size_in_bytes() != Some(4) || rows.rank() > 4 {
        return None;
    }
    if rows.element_count() == 0 {
        return Some(
            Plan::new(&WRITE_ROWS)
                .operand(Source::Input(1), BitNetDType::U32)
                .operand(Source::Input(2), BitNetDType::U32)
                .operand(Source::Output(0), BitNetDType::U32)
                .workgroups([0; 3]),
        );
    }
    let word = |step: isize| i32::try_from(step).ok().map(|step| step as u32);
    let four = |tensor: &BitNetTensor| -> Option<[u32; 4]> {
        let mut strides = [0; 4];
        for (own, &step) in strides.iter_mut().zip(tensor.layout().strides()) {
            *own = word(step)?;
        }
        Some(strides)
    };
    let mut sizes = [1u32; 4];
    for (own, &size) in sizes.iter_mut().zip(rows.shape().iter()) {
        *own = u32::try_from(size).ok()?;
    }
    let total = count(rows)?;
    let [tb, tt, t2, t3] = four(target)?;
    let [rb, rt, r2, r3] = four(rows)?;
    let steps = positions.layout().strides();
    let (target_start, rows_start, positions_start) = (
        u32::try_from(target.layout().offset()).ok()?,
        u32::try_from(rows.layout().offset()).ok()?,
        u32::try_from(positions.layout().offset()).ok()?,
    );
    let plan = Plan::new(&WRITE_ROWS)
        .operand(Source::Input(1), BitNetDType::U32)
        .operand(Source::Input(2), BitNetDType::U32)
        .operand(Source::Output(0), BitNetDType::U32)
        .params(&[total, target.shape()[1] as u32, sizes[1], sizes[2], sizes[3]])
        .params(&[target_start, tb, tt, t2, t3, rows_start, rb, rt, r2, r3])
        .params(&[positions_start, word(steps[0])?, word(steps[1])?]);
    Some(plan.workgroups(grid(total, WORKGROUP)))
}
