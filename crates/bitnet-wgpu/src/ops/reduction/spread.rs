//! Variances, norms, logarithms of sums: two passes over the elements of each result.

use bitnet_tensor::BitNetTensor;
use bitnet_tensor::ops::{LogSumExp, Norm, Variance};

use super::{REDUCED, SHORT, Sides};
use crate::gpu::{Access::*, Template, is_native};
use crate::operand::{AXES, grid};
use crate::ops::{FUNCTIONS, Params, Plan, STRIDED, Source, Target};

static SPREAD: Template = spread_template("spread", 256);
static SPREAD_OF_SHORT: Template = spread_template("spread of short", SHORT);

const fn spread_template(name: &'static str, workgroup: u32) -> Template {
    Template {
        name,
        body: include_str!("../../shaders/reduction/spread.wgsl"),
        includes: &[FUNCTIONS, STRIDED, REDUCED],
        operands: &[("x", Read), ("out", WriteElements)],
        constants: &["KIND", "RANK", "STRIDED", "OPERANDS", "REDUCED", "REDUCED_RANK"],
        define: Some(|constants| {
            let [start, first_term, first_of, first_done, term, done] =
                KINDS[constants[0] as usize].1;
            format!(
                "fn first_start() -> f32 {{ return {start}; }}
fn first_term(x: f32) -> f32 {{ return {first_term}; }}
fn first_of(a: f32, b: f32) -> f32 {{ return {first_of}; }}
fn first_done(a: f32, count: f32) -> f32 {{ return {first_done}; }}
fn term(x: f32, found: f32) -> f32 {{ return {term}; }}
fn done(a: f32, found: f32, degrees: f32) -> f32 {{ return {done}; }}
"
            )
        }),
        workgroup,
        ..Template::PLAIN
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Variance,
    Deviation,
    LogSumExp,
    Count,
    Sum,
    Euclidean,
    Largest,
    Smallest,
}

const MINUS_INFINITY: &str = "bitcast<f32>(0xff800000u | param(63u))";
const INFINITY: &str = "bitcast<f32>(0x7f800000u | param(63u))";

/// Of each kind the first pass — where it begins, what an element is to it, how two become one, what is
/// found — then what an element is to the second, and what its sum gives. Squares are of numbers beside the
/// largest one, so that they neither overflow nor vanish.
const KINDS: [(Kind, [&str; 6]); 8] = [
    (
        Kind::Variance,
        [
            "0.0",
            "x",
            "a + b",
            "divide(a, count)",
            "(x - found) * (x - found)",
            "divide(a, degrees)",
        ],
    ),
    (
        Kind::Deviation,
        [
            "0.0",
            "x",
            "a + b",
            "divide(a, count)",
            "(x - found) * (x - found)",
            "root(divide(a, degrees))",
        ],
    ),
    (
        Kind::LogSumExp,
        [
            MINUS_INFINITY,
            "x",
            "larger_of(a, b)",
            "select(a, 0.0, is_infinite(a))",
            "exp_of(x - found)",
            "found + log_of(a)",
        ],
    ),
    (
        Kind::Count,
        ["0.0", "0.0", "a + b", "a", "select(0.0, 1.0, is_nan(x) || order_of(x) != 0)", "a"],
    ),
    (Kind::Sum, ["0.0", "0.0", "a + b", "a", "magnitude(x)", "a"]),
    (
        Kind::Euclidean,
        [
            "0.0",
            "magnitude(x)",
            "larger_of(a, b)",
            "a",
            "squared_beside(x, found)",
            "select(root(a) * found, found, is_infinite(found) || found == 0.0)",
        ],
    ),
    (Kind::Largest, ["0.0", "magnitude(x)", "larger_of(a, b)", "a", "0.0", "found"]),
    (Kind::Smallest, [INFINITY, "magnitude(x)", "smaller_of(a, b)", "a", "0.0", "found"]),
];

/// Elements that one workgroup reads for a result, where there are few results beside it.
const LONG: u32 = 1 << 19;
const FEW: u32 = 16;

fn spread(
    kind: Kind,
    axes: &[usize],
    ddof: usize,
    x: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    if !is_native(x.dtype()) || !x.dtype().is_float() || x.element_count() == 0 {
        return None;
    }
    let Sides { outer, inner, results, each } = Sides::of(x, axes)?;
    if each > LONG && results < FEW {
        return None;
    }
    let place = KINDS.iter().position(|&(own, _)| own == kind)? as u32;
    let mut params = Params::new();
    params.extend_from_slice(&[results, each, u32::try_from(ddof).ok()?]);
    outer.write(&mut params);
    inner.write(&mut params);
    let plan = Plan::new(if each <= SHORT { &SPREAD_OF_SHORT } else { &SPREAD })
        .operand(Source::Input(0), x.dtype())
        .operand(Source::Output(0), out.dtype)
        .constants(&[place, AXES as u32, 4, 1, 4 + 17, inner.rank()])
        .params(&params);
    Some(plan.workgroups(grid(results, 1)))
}

pub(in crate::ops) fn variance(op: &Variance, x: &BitNetTensor, out: &Target<'_>) -> Option<Plan> {
    let kind = if op.root { Kind::Deviation } else { Kind::Variance };
    spread(kind, &op.axes, op.ddof, x, out)
}

pub(in crate::ops) fn norm(op: &Norm, x: &BitNetTensor, out: &Target<'_>) -> Option<Plan> {
    // Any other power is one that kernels have not.
    let kind = match op.p {
        0.0 => Kind::Count,
        1.0 => Kind::Sum,
        2.0 => Kind::Euclidean,
        f64::INFINITY => Kind::Largest,
        f64::NEG_INFINITY => Kind::Smallest,
        _ => return None,
    };
    spread(kind, &op.axes, 0, x, out)
}

pub(in crate::ops) fn logsumexp(
    op: &LogSumExp,
    x: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    spread(Kind::LogSumExp, &op.axes, 0, x, out)
}
