//! Many elements to one, and rows that sum to one.

use bitnet_tensor::ops::{ArgExtreme, Reduce, ReduceKind};
use bitnet_tensor::{BitNetDType, BitNetTensor, Layout};
use smallvec::{SmallVec, smallvec};

use super::neural::{all_f32, rows};
use super::{Params, Plan, Source, Target};
use crate::gpu::{Access::*, Template, is_native};
use crate::operand::{Strided, count, grid};

const STRIDED: &str = include_str!("../shaders/strided.wgsl");
const FUNCTIONS: &str = include_str!("../shaders/functions.wgsl");

static SOFTMAX: Template = Template {
    name: "softmax",
    body: include_str!("../shaders/reduction/softmax.wgsl"),
    includes: &[FUNCTIONS],
    operands: &[("x", Read), ("out", Write)],
    constants: &[],
    define: None,
    checks: false,
    reduces: true,
    workgroup: 256,
};

static REDUCE: Template = Template {
    name: "reduce",
    body: include_str!("../shaders/reduction/reduce.wgsl"),
    includes: &[FUNCTIONS, STRIDED],
    operands: &[("x", Read), ("out", Write)],
    constants: &[
        "KIND",
        "RANK",
        "STRIDED",
        "OPERANDS",
        "REDUCED",
        "REDUCED_RANK",
        "ACROSS",
        "SLICES",
    ],
    define: Some(|constants| {
        let (start, joined, done) = match constants[0] {
            0 => ("X(0)", "a + b", "a"),
            1 => ("X(1)", "a * b", "a"),
            2 => ("X(0)", "a + b", "a / X(count)"),
            3 => ("bitcast<f32>(0xff800000u | param(63u))", "larger_of(a, b)", "a"),
            _ => ("bitcast<f32>(0x7f800000u | param(63u))", "smaller_of(a, b)", "a"),
        };
        format!(
            "fn joined(a: X, b: X) -> X {{ return {joined}; }}\n\
             fn done(a: X, count: u32) -> OUT {{ return {done}; }}\n\
             fn start_value() -> X {{ return {start}; }}\n"
        )
    }),
    checks: false,
    reduces: false,
    workgroup: 256,
};

static ARG_EXTREME: Template = Template {
    name: "argmax",
    body: include_str!("../shaders/reduction/arg_extreme.wgsl"),
    includes: &[FUNCTIONS, STRIDED],
    operands: &[("x", Read), ("out", Write)],
    constants: &["LARGEST", "FLOATS", "RANK", "STRIDED", "OPERANDS"],
    define: Some(|constants| {
        let (undefined, less) = match constants[1] {
            1 => ("is_nan(x)", "order_of(a) < order_of(b)"),
            _ => ("false", "a < b"),
        };
        format!(
            "fn undefined(x: X) -> bool {{ return {undefined}; }}\n\
             fn less(a: X, b: X) -> bool {{ return {less}; }}\n"
        )
    }),
    checks: false,
    reduces: false,
    workgroup: 256,
};

/// Codes of two kinds of reduction.
const SUM: u32 = 0;
const MEAN: u32 = 2;
/// Elements of one result that are worth a workgroup of their own.
const SLICE: u32 = 4096;

pub(super) fn softmax(x: &BitNetTensor) -> Option<Plan> {
    let [rows, features, start] = rows(x).filter(|_| all_f32(&[x]))?;
    let plan = Plan::new(&SOFTMAX)
        .operand(Source::Input(0), BitNetDType::F32)
        .operand(Source::Output(0), BitNetDType::F32)
        .params(&[rows, features, start]);
    Some(plan.workgroups(grid(rows, 1)))
}

pub(super) fn reduce(
    op: &Reduce,
    x: &BitNetTensor,
    out: &Target<'_>,
) -> Option<SmallVec<[Plan; 2]>> {
    let kind = match op.kind {
        ReduceKind::Sum => SUM,
        ReduceKind::Prod => 1,
        ReduceKind::Mean => MEAN,
        ReduceKind::Max => 3,
        ReduceKind::Min => 4,
        _ => return None,
    };
    if x.dtype() != BitNetDType::F32 || x.element_count() == 0 {
        return None;
    }
    count(x)?;
    // The results' axes with the others standing still, and the others alone.
    let mut kept = x.clone();
    let mut gone = x.clone();
    for axis in 0..x.rank() {
        let narrowed = if op.axes.contains(&axis) { &mut kept } else { &mut gone };
        *narrowed = narrowed.narrow(axis as isize, 0, 1).ok()?;
    }
    let outer = Strided::over(kept.shape(), &[kept.layout()])?;
    let inner = Strided::over(gone.shape(), &[gone.layout()])?;
    let (results, each) = (kept.element_count() as u32, gone.element_count() as u32);
    debug_assert_eq!(results as usize, out.count());
    // Threads side by side read elements side by side: of one result, or of neighbouring ones.
    let across = if inner.last_step() == 1 || results < 32 { 1 } else { 32 };
    let groups = results.div_ceil(across);
    let slices = if groups < 64 { (each / SLICE).clamp(1, 512) } else { 1 };
    let step = |kind: u32, source, result, walks: [&Strided; 2], sizes: [u32; 3], of: u32| {
        let [across, slices, temporary] = sizes;
        let [outer, inner] = walks;
        let mut params = Params::new();
        params.extend_from_slice(&[results, of, of.div_ceil(slices), each]);
        outer.write(&mut params);
        inner.write(&mut params);
        let mut plan = Plan::new(&REDUCE)
            .operand(source, x.dtype())
            .operand(result, out.dtype)
            .constants(&[kind, outer.rank(), 5, 1, 5 + 17, inner.rank(), across, slices])
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
    let first = if kind == MEAN { SUM } else { kind };
    let bytes = 4 * results * slices;
    let parts = Layout::contiguous([results as usize, slices as usize].into());
    let rows = Strided::rows_of(&parts)?;
    let row = Strided::over(&[slices as usize], &[&Layout::contiguous([slices as usize].into())])?;
    Some(smallvec![
        step(first, from, Source::Temporary, [&outer, &inner], [across, slices, bytes], each),
        step(kind, Source::Temporary, to, [&rows, &row], [1, 1, 0], slices),
    ])
}

pub(super) fn arg_extreme(op: &ArgExtreme, x: &BitNetTensor, out: &Target<'_>) -> Option<Plan> {
    if !is_native(x.dtype()) || x.element_count() == 0 || op.axis >= x.rank() {
        return None;
    }
    count(x)?;
    let kept = x.narrow(op.axis as isize, 0, 1).ok()?;
    let outer = Strided::over(kept.shape(), &[kept.layout()])?;
    let (results, each) = (kept.element_count() as u32, x.shape()[op.axis] as u32);
    debug_assert_eq!(results as usize, out.count());
    let step = i32::try_from(x.layout().strides()[op.axis]).ok()? as u32;
    let mut params = Params::new();
    params.extend_from_slice(&[results, each, step]);
    outer.write(&mut params);
    let is_float = u32::from(x.dtype().is_float());
    let plan = Plan::new(&ARG_EXTREME)
        .operand(Source::Input(0), x.dtype())
        .operand(Source::Output(0), BitNetDType::U32)
        .constants(&[u32::from(op.largest), is_float, outer.rank(), 4, 1])
        .params(&params);
    Some(plan.workgroups(grid(results, 1)))
}
