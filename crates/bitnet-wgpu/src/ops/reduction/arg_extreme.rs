//! The place of the largest or smallest.

use bitnet_tensor::ops::ArgExtreme;
use bitnet_tensor::{BitNetDType, BitNetTensor};
use smallvec::smallvec;

use crate::gpu::{Access::*, Params, Template, is_native};
use crate::operand::{Strided, count, grid, stride};
use crate::ops::{FUNCTIONS, Plan, Plans, STRIDED, Source, Target, WORKGROUP};

/// Of all elements, or of every slice of them.
static ARG_EXTREME: Template = Template {
    operands: &[("x", Read), ("out", Write)],
    define: Some(|c| order(c, ALL)),
    ..PLACES
};

/// Of what was found of each slice.
static ARG_EXTREME_OF_SLICES: Template = Template {
    name: "argmax of slices",
    operands: &[("x", Read), ("places", Read), ("out", Write)],
    define: Some(|c| order(c, FOUND)),
    ..PLACES
};

const PLACES: Template = Template {
    name: "argmax",
    body: include_str!("../../shaders/reduction/arg_extreme.wgsl"),
    includes: &[FUNCTIONS, STRIDED],
    constants: &["LARGEST", "FLOATS", "WHOLE", "RANK", "STRIDED", "OPERANDS"],
    ..Template::PLAIN
};

const ALL: &str = "fn candidate(result: u32, n: u32) -> u32 { return n; }\n";
const FOUND: &str =
    "fn candidate(result: u32, n: u32) -> u32 { return places[result * param(4u) + n]; }\n";

/// Elements of a slice, and results for which slices are worth it.
const SLICE: usize = 2048;
const FEW_RESULTS: usize = 64;

fn order(constants: &[u32], candidate: &str) -> String {
    let (undefined, less) = match constants[1] {
        1 => ("is_nan(x)", "order_of(a) < order_of(b)"),
        _ => ("false", "a < b"),
    };
    // A result is an integer of 64 bits.
    let keep = match constants[2] {
        1 => "out[2u * group] = place; out[2u * group + 1u] = 0u;",
        _ => "out[group] = place;",
    };
    format!(
        "fn undefined(x: X) -> bool {{ return {undefined}; }}\n\
         fn less(a: X, b: X) -> bool {{ return {less}; }}\n\
         fn keep(group: u32, place: u32) {{ {keep} }}\n\
         {candidate}"
    )
}

pub(in crate::ops) fn arg_extreme(
    op: &ArgExtreme,
    x: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plans> {
    if !is_native(x.dtype()) || x.element_count() == 0 || op.axis >= x.rank() {
        return None;
    }
    count(x)?;
    let kept = x.narrow(op.axis as isize, 0, 1).ok()?;
    let outer = Strided::over(kept.shape(), &[kept.layout()])?;
    let (results, each) = (kept.element_count(), x.shape()[op.axis]);
    debug_assert_eq!(results, out.count());
    let slices = match results < FEW_RESULTS {
        true => each.div_ceil(SLICE).min(WORKGROUP as usize),
        false => 1,
    };
    let step = stride(x, op.axis as isize)?;
    let plan = |template, is_whole: bool, candidates: usize, slices: usize| {
        let mut walk = Params::new();
        outer.write(&mut walk);
        let (largest, float) = (u32::from(op.largest), u32::from(x.dtype().is_float()));
        Plan::new(template)
            .operand(Source::Input(0), x.dtype())
            .constants(&[largest, float, u32::from(is_whole), outer.rank(), 6, 1])
            .params(&[results as u32, each as u32, step, candidates as u32, slices as u32])
            .params(&walk)
            .workgroups(grid((results * slices) as u32, 1))
    };
    let last = |plan: Plan| plan.operand(Source::Output(0), BitNetDType::U32);
    if slices == 1 {
        return Some(smallvec![last(plan(&ARG_EXTREME, true, each, 1))]);
    }
    let mut first =
        plan(&ARG_EXTREME, false, each, slices).operand(Source::Temporary, BitNetDType::U32);
    first.temporary = 4 * results * slices;
    let second =
        plan(&ARG_EXTREME_OF_SLICES, true, slices, 1).operand(Source::Temporary, BitNetDType::U32);
    Some(smallvec![first, last(second)])
}
