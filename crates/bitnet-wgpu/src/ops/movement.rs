//! Elements in other places and of other types.

mod assign;
mod convert;

use bitnet_tensor::{BitNetDType, BitNetTensor};
use smallvec::SmallVec;

use super::elementwise::{map_grid, map_template, walk_steps};
use super::{FUNCTIONS, MAP, Params, Plan, STRIDED, Source, Target, WORKGROUP};
use crate::gpu::{Access::*, Template};
use crate::operand::{AXES, Steps, Strided, contiguous, count, grid, stride, strides};

pub(super) use assign::{cat, scatter, scatter_in_place, slice_scatter, slice_scatter_in_place};
pub(super) use convert::cast;

map_template!(COPY, "copy", ["x": Read, "out": Write], |_| {
    "fn element(i: u32) -> OUT { return load_x(position(i, 0u)); }\n".to_owned()
});
/// Where an element of rows comes from and goes to.
pub(super) const ROW_PLACES: &str = include_str!("../shaders/movement/row_places.wgsl");
const CHOSEN: &str = include_str!("../shaders/movement/chosen.wgsl");

static INDEX_SELECT: Template = Template {
    name: "index_select",
    body: MAP,
    includes: &[CHOSEN, include_str!("../shaders/movement/index_select.wgsl")],
    operands: &[("x", Read), ("indices", Read), ("out", Write)],
    constants: &["KIND_OF_INDEX"],
    checks: true,
    ..Template::PLAIN
};

static GATHER: Template = Template {
    name: "gather",
    body: MAP,
    includes: &[STRIDED, CHOSEN, include_str!("../shaders/movement/gather.wgsl")],
    operands: &[("x", Read), ("indices", Read), ("out", Write)],
    constants: &["KIND_OF_INDEX", "RANK", "STRIDED", "OPERANDS"],
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

/// A shape and the steps of operands in elements that kernels move whole: those of 64 bits are two
/// words, an axis more.
fn moved<const N: usize>(
    dtype: BitNetDType,
    shape: &[usize],
    steps: [Steps; N],
) -> Option<(BitNetDType, SmallVec<[usize; AXES]>, [Steps; N])> {
    let mut shape = SmallVec::from_slice(shape);
    if dtype.is_packed() || dtype.size_in_bytes() != Some(8) {
        return Some((bits_of(dtype)?, shape, steps));
    }
    shape.push(2);
    let steps = steps.map(Steps::in_words);
    // There is no `try_map` yet.
    if steps.iter().any(Option::is_none) {
        return None;
    }
    Some((BitNetDType::U32, shape, steps.map(|steps| steps.expect("none is missing"))))
}

pub(super) fn copy(x: &BitNetTensor, source: Source, out: &Target<'_>) -> Option<Plan> {
    let steps = [Steps::through(x.layout(), out.shape)];
    let (bits, shape, steps) = moved(x.dtype(), out.shape, steps)?;
    let plan = Plan::new(&COPY).operand(source, bits).operand(Source::Output(0), bits);
    walk_steps(plan, 0, &shape, &steps, bits)
}

/// The elements of `x`, of 32 bits or fewer, brought in a row from one operand to another.
pub(super) fn copy_between(x: &BitNetTensor, from: Source, to: Source) -> Option<Plan> {
    let bits = bits_of(x.dtype())?;
    let plan = Plan::new(&COPY).operand(from, bits).operand(to, bits);
    walk_steps(plan, 0, x.shape(), &[Steps::through(x.layout(), x.shape())], bits)
}

/// How kernels read indices: whether they can be negative, or 64 bits that are read as two words; and
/// their type to the kernel. `None` where they are not read.
fn index_kind(indices: &BitNetTensor) -> Option<(u32, BitNetDType)> {
    match indices.dtype() {
        BitNetDType::U32 => Some((0, BitNetDType::U32)),
        BitNetDType::I32 => Some((1, BitNetDType::I32)),
        BitNetDType::I64 => Some((2, BitNetDType::U32)),
        _ => None,
    }
}

pub(super) fn index_select(
    axis: usize,
    x: &BitNetTensor,
    indices: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    let size = u32::try_from(*x.shape().get(axis)?).ok()?;
    let (kind, index_type) = index_kind(indices)?;
    let in_a_row = contiguous(x).zip(contiguous(indices)).filter(|_| bits_of(x.dtype()).is_some());
    let Some((start, first_index)) = in_a_row else {
        let from = Steps::through(x.layout(), x.shape()).replaced(axis, indices.rank());
        let index =
            Steps::through(indices.layout(), indices.shape()).within(axis, x.rank() - axis - 1);
        let plan = chosen_along(x, axis, indices, [index, from], out)?;
        return Some(plan.reports("index_select"));
    };
    let bits = bits_of(x.dtype())?;
    let count = u32::try_from(out.count()).ok().filter(|&count| count < 1 << 31)?;
    u32::try_from(x.element_count()).ok()?;
    let inner = x.shape()[axis + 1..].iter().product::<usize>() as u32;
    let chosen = indices.element_count() as u32;
    let plan = Plan::new(&INDEX_SELECT)
        .operand(Source::Input(0), bits)
        .operand(Source::Input(1), index_type)
        .operand(Source::Output(0), bits)
        .constants(&[kind])
        .params(&[count, start, first_index, inner, chosen, size]);
    Some(plan.workgroups(map_grid(count, bits)))
}

pub(super) fn gather(
    axis: usize,
    x: &BitNetTensor,
    index: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    if axis >= x.rank() || x.rank() != out.shape.len() {
        return None;
    }
    let index_steps = Steps::through(index.layout(), out.shape);
    let from = Steps::through(x.layout(), out.shape).still(axis)?;
    chosen_along(x, axis, index, [index_steps, from], out)
}

/// Elements of `x` that `index` names along `axis`, where the walk over the results steps through the
/// index and through `x`, which stands still along the axis.
fn chosen_along(
    x: &BitNetTensor,
    axis: usize,
    index: &BitNetTensor,
    [index_steps, from]: [Steps; 2],
    out: &Target<'_>,
) -> Option<Plan> {
    let (kind, index_type) = index_kind(index)?;
    let size = u32::try_from(x.shape()[axis]).ok()?;
    let (bits, shape, [from]) = moved(x.dtype(), out.shape, [from])?;
    let words = (shape.len() - out.shape.len()) as u32 + 1;
    let index_steps = index_steps.within(0, shape.len() - out.shape.len());
    let walk = Strided::along_steps(&shape, &[index_steps, from])?;
    let count = shape.iter().product::<usize>() as u32;
    let mut params = Params::new();
    params.extend_from_slice(&[count, size, stride(x, axis as isize)?.wrapping_mul(words)]);
    walk.write(&mut params);
    let plan = Plan::new(&GATHER)
        .operand(Source::Input(0), bits)
        .operand(Source::Input(1), index_type)
        .operand(Source::Output(0), bits)
        .constants(&[kind, walk.rank(), 4, 2])
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
