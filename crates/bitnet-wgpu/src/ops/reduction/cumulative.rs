//! Reductions of which every step is kept.

use bitnet_tensor::ops::{Cumulative, CumulativeKind};
use bitnet_tensor::{BitNetDType, BitNetTensor};
use smallvec::SmallVec;

use crate::gpu::{Access::*, Template, is_native};
use crate::operand::{AXES, Steps, Strided, count, grid, stride};
use crate::ops::reduction::SHORT;
use crate::ops::{FUNCTIONS, Params, Plan, STRIDED, Source};

const BODY: &str = include_str!("../../shaders/reduction/cumulative.wgsl");

/// Sums, and products of integers; integers in 64 bits.
static RUNNING: Template = running_template("running", 256);
static RUNNING_OF_SHORT: Template = running_template("running of short", SHORT);

const fn running_template(name: &'static str, workgroup: u32) -> Template {
    Template {
        name,
        body: BODY,
        includes: &[FUNCTIONS, STRIDED],
        operands: &[("x", Read), ("out", WriteElements)],
        constants: &["KIND", "RANK", "STRIDED", "OPERANDS"],
        define: Some(|constants| {
            let (values, joined) = RUNS[constants[0] as usize];
            format!(
                "{values}fn joined(a: State, b: State) -> State {{ return State({joined}, b.place); }}\n"
            )
        }),
        workgroup,
        ..Template::PLAIN
    }
}

/// Extremes and their places: of equal ones the last, from the first NaN on that one.
static RUNNING_EXTREME: Template = running_extreme_template("running extreme", 256);
static RUNNING_EXTREME_OF_SHORT: Template =
    running_extreme_template("running extreme of short", SHORT);

const fn running_extreme_template(name: &'static str, workgroup: u32) -> Template {
    Template {
        name,
        body: BODY,
        includes: &[FUNCTIONS, STRIDED],
        operands: &[("x", Read), ("out", WriteElements), ("places", WriteElements)],
        constants: &["LARGEST", "FLOATS", "RANK", "STRIDED", "OPERANDS"],
        define: Some(|constants| {
            let (a, b) = if constants[0] == 1 { ("b", "a") } else { ("a", "b") };
            let stays = match constants[1] {
                1 => format!(
                    "is_less({a}.value, {b}.value) || (is_nan(a.value) && !is_nan(b.value))"
                ),
                _ => format!("{a}.value < {b}.value"),
            };
            format!(
                "{SAME}fn joined(a: State, b: State) -> State {{
    if ({stays}) {{ return a; }}
    return b;
}}
fn emit(at: u32, state: State) {{
    store_out(at, state.value);
    store_places(2u * at, state.place);
    store_places(2u * at + 1u, 0u);
}}
"
            )
        }),
        workgroup,
        ..Template::PLAIN
    }
}

/// Sums of floats, sums and products of integers: their values, and how two become one.
const RUNS: [(&str, &str); 3] = [
    (FLOATS, "a.value + b.value"),
    (LONG, "plus(a.value, b.value)"),
    (LONG, "times(a.value, b.value)"),
];

const SAME: &str = "alias Value = X;\nfn widened(x: X) -> Value { return x; }\n";
const FLOATS: &str = "alias Value = X;
fn widened(x: X) -> Value { return x; }
fn emit(at: u32, state: State) { store_out(at, state.value); }
";
/// Two words, the lower one first.
const LONG: &str = "alias Value = vec2<u32>;
fn widened(x: X) -> Value { return vec2<u32>(u32(x), select(0u, 0xffffffffu, x < X(0))); }
fn plus(a: Value, b: Value) -> Value {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn times(a: Value, b: Value) -> Value {
    // The upper word of the product of the lower ones, by halves.
    let low = (a.x & 0xffffu) * (b.x & 0xffffu);
    let left = (a.x >> 16u) * (b.x & 0xffffu);
    let right = (a.x & 0xffffu) * (b.x >> 16u);
    let middle = (low >> 16u) + (left & 0xffffu) + (right & 0xffffu);
    let high = (a.x >> 16u) * (b.x >> 16u) + (left >> 16u) + (right >> 16u) + (middle >> 16u);
    return vec2<u32>(a.x * b.x, high + a.x * b.y + a.y * b.x);
}
fn emit(at: u32, state: State) {
    store_out(2u * at, state.value.x);
    store_out(2u * at + 1u, state.value.y);
}
";

pub(in crate::ops) fn cumulative(op: &Cumulative, x: &BitNetTensor) -> Option<Plan> {
    let dtype = x.dtype();
    if !is_native(dtype) {
        return None;
    }
    count(x)?;
    let mut lines: SmallVec<[usize; AXES]> = SmallVec::from_slice(x.shape());
    let length = std::mem::replace(lines.get_mut(op.axis)?, 1);
    let steps = [
        Steps::through(x.layout(), x.shape()).still(op.axis)?,
        Steps::in_a_row(x.shape()).still(op.axis)?,
    ];
    let walk = Strided::along_steps(&lines, &steps)?;
    let lines = lines.iter().product::<usize>() as u32;
    let step = x.shape()[op.axis + 1..].iter().product::<usize>() as u32;
    let mut params = Params::new();
    params.extend_from_slice(&[lines, length as u32, stride(x, op.axis as isize)?, step]);
    walk.write(&mut params);
    let is_float = dtype.is_float();
    let is_short = length <= SHORT as usize;
    let plan = match op.kind {
        // Some factors leave the range of floats before others bring the product back.
        CumulativeKind::Prod if is_float => return None,
        CumulativeKind::Sum | CumulativeKind::Prod => {
            let kind = match op.kind {
                _ if is_float => 0,
                CumulativeKind::Sum => 1,
                _ => 2,
            };
            Plan::new(if is_short { &RUNNING_OF_SHORT } else { &RUNNING })
                .operand(Source::Input(0), dtype)
                .operand(Source::Output(0), if is_float { dtype } else { BitNetDType::U32 })
                .constants(&[kind])
        }
        CumulativeKind::Max | CumulativeKind::Min => {
            Plan::new(if is_short { &RUNNING_EXTREME_OF_SHORT } else { &RUNNING_EXTREME })
                .operand(Source::Input(0), dtype)
                .operand(Source::Output(0), dtype)
                .operand(Source::Output(1), BitNetDType::U32)
                .constants(&[u32::from(op.kind == CumulativeKind::Max), u32::from(is_float)])
        }
        _ => return None,
    };
    let plan = plan.constants(&[AXES as u32, 5, 2]).params(&params);
    Some(plan.workgroups(grid(lines, 1)))
}
