//! Many elements to one, and rows that sum to one.

mod arg_extreme;
mod cumulative;
mod sort;
mod spread;

use bitnet_tensor::ops::{Reduce, ReduceKind};
use bitnet_tensor::{BitNetDType, BitNetTensor, Layout};
use smallvec::{SmallVec, smallvec};

use super::neural::{all_f32, rows};
use super::{FUNCTIONS, Params, Plan, Plans, STRIDED, Source, Target, WORKGROUP};
use crate::gpu::{Access::*, Template};
use crate::operand::{AXES, Steps, Strided, count, grid};

pub(super) use arg_extreme::arg_extreme;
pub(super) use cumulative::cumulative;
pub(super) use sort::sort;
pub(super) use spread::{logsumexp, norm, variance};

/// Where the elements lie that become one.
const REDUCED: &str = include_str!("../shaders/reduction/reduced.wgsl");

/// Elements for which a workgroup of as many threads is enough, where most have more.
const SHORT: u32 = 32;

static SOFTMAX: Template = Template {
    name: "softmax",
    body: include_str!("../shaders/reduction/softmax.wgsl"),
    includes: &[FUNCTIONS],
    operands: &[("x", Read), ("out", Write)],
    constants: &["ITEMS"],
    reduces: true,
    ..Template::PLAIN
};

static REDUCE: Template = Template {
    name: "reduce",
    body: include_str!("../shaders/reduction/reduce.wgsl"),
    includes: &[FUNCTIONS, STRIDED, REDUCED],
    operands: &[("x", Read), ("out", Write)],
    constants: &["KIND", "RANK", "STRIDED", "OPERANDS", "REDUCED", "REDUCED_RANK", "ACROSS"],
    define: Some(|constants| {
        let (_, start, joined, done) = KINDS[constants[0] as usize];
        format!(
            "fn joined(a: X, b: X) -> X {{ return {joined}; }}\n\
             fn done(a: X, count: u32) -> OUT {{ return {done}; }}\n\
             fn start_value() -> X {{ return {start}; }}\n"
        )
    }),
    ..Template::PLAIN
};

/// The kinds that kernels have, each by its place: where they begin, how two parts become one, and what
/// is done with the last.
const KINDS: [(ReduceKind, &str, &str, &str); 5] = [
    (ReduceKind::Sum, "X(0)", "a + b", "a"),
    // The language lets a driver's own division be off.
    (ReduceKind::Mean, "X(0)", "a + b", "divide(a, X(count))"),
    (ReduceKind::Prod, "X(1)", "a * b", "a"),
    (ReduceKind::Max, "bitcast<f32>(0xff800000u | param(63u))", "larger_of(a, b)", "a"),
    (ReduceKind::Min, "bitcast<f32>(0x7f800000u | param(63u))", "smaller_of(a, b)", "a"),
];

fn code(kind: ReduceKind) -> Option<u32> {
    KINDS.iter().position(|&(own, ..)| own == kind).map(|place| place as u32)
}

/// A tensor by the axes that stay, with the others standing still, and by the others alone.
struct Sides {
    outer: Strided,
    inner: Strided,
    results: u32,
    each: u32,
}

impl Sides {
    fn of(x: &BitNetTensor, axes: &[usize]) -> Option<Self> {
        count(x)?;
        let mut kept: SmallVec<[usize; AXES]> = SmallVec::from_slice(x.shape());
        let mut gone = kept.clone();
        for axis in 0..x.rank() {
            let sizes = if axes.contains(&axis) { &mut kept } else { &mut gone };
            sizes[axis] = 1;
        }
        // An axis of size one is not stepped along.
        let walk =
            |shape: &[usize]| Strided::along_steps(shape, &[Steps::through(x.layout(), x.shape())]);
        Some(Self {
            outer: walk(&kept)?,
            inner: walk(&gone)?,
            results: kept.iter().product::<usize>() as u32,
            each: gone.iter().product::<usize>() as u32,
        })
    }
}

/// Elements that are worth a workgroup of their own.
const SLICE: u32 = 4096;
/// Workgroups of a reduction that keep every GPU busy.
const ENOUGH_GROUPS: u32 = 1024;
/// Rows whose numbers the threads of a workgroup keep, sixteen each; shorter ones are cheap to read again.
const KEPT_FEATURES: std::ops::RangeInclusive<u32> = 4 * WORKGROUP..=16 * WORKGROUP;

pub(super) fn softmax(x: &BitNetTensor) -> Option<Plan> {
    let [rows, features, start] = rows(x).filter(|_| all_f32(&[x]))?;
    let is_kept = KEPT_FEATURES.contains(&features);
    let items = if is_kept { features.div_ceil(WORKGROUP).next_power_of_two() } else { 0 };
    let plan = Plan::new(&SOFTMAX)
        .operand(Source::Input(0), BitNetDType::F32)
        .operand(Source::Output(0), BitNetDType::F32)
        .constants(&[items])
        .params(&[rows, features, start]);
    Some(plan.workgroups(grid(rows, 1)))
}

pub(super) fn reduce(op: &Reduce, x: &BitNetTensor, out: &Target<'_>) -> Option<Plans> {
    let kind = code(op.kind)?;
    if x.dtype() != BitNetDType::F32 || x.element_count() == 0 {
        return None;
    }
    let Sides { outer, inner, results, each } = Sides::of(x, &op.axes)?;
    debug_assert_eq!(results as usize, out.count());
    // Threads side by side read elements side by side: of one result, or of neighbouring ones.
    let across = if inner.last_step() == 1 || results < 32 { 1 } else { 32 };
    let groups = results.div_ceil(across);
    let slices = (each / (SLICE / across)).min(ENOUGH_GROUPS / groups).clamp(1, 512);
    let step = |kind: u32, source, result, walks: [&Strided; 2], sizes: [u32; 3], of: u32| {
        let [across, slices, temporary] = sizes;
        let [outer, inner] = walks;
        let mut params = Params::new();
        params.extend_from_slice(&[results, of, of.div_ceil(slices), each, slices]);
        outer.write(&mut params);
        inner.write(&mut params);
        let mut plan = Plan::new(&REDUCE)
            .operand(source, x.dtype())
            .operand(result, out.dtype)
            .constants(&[kind, outer.rank(), 6, 1, 6 + 17, inner.rank(), across])
            .params(&params)
            .workgroups(grid(results.div_ceil(across) * slices, 1));
        plan.temporary = temporary as usize;
        plan
    };
    let (from, to) = (Source::Input(0), Source::Output(0));
    if slices == 1 {
        return Some(smallvec![step(kind, from, to, [&outer, &inner], [across, 1, 0], each)]);
    }
    // The mean is made of the sum of all slices.
    let first = if op.kind == ReduceKind::Mean { code(ReduceKind::Sum)? } else { kind };
    let bytes = 4 * results * slices;
    let parts = Layout::contiguous([slices as usize, results as usize].into());
    let (row, rows) = (Strided::row_of(&parts)?, Strided::rows_of(&parts)?);
    let across_parts = if results < 32 { 1 } else { 32 };
    Some(smallvec![
        step(first, from, Source::Temporary, [&outer, &inner], [across, slices, bytes], each),
        step(kind, Source::Temporary, to, [&row, &rows], [across_parts, 1, 0], slices),
    ])
}
