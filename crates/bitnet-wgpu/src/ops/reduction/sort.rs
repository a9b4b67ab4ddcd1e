//! Elements in order: the largest or smallest of lines of any length, and whole short lines.

use bitnet_tensor::ops::Sort;
use bitnet_tensor::{BitNetDType, BitNetTensor};

use crate::gpu::{Access::*, Template, is_native};
use crate::operand::{AXES, Steps, Strided, count, grid, stride};
use crate::ops::reduction::SHORT;
use crate::ops::{FUNCTIONS, Params, Plan, STRIDED, Source};

static SORT: Template = template("sort", 256);
static SORT_OF_SHORT: Template = template("sort of short", SHORT);

const fn template(name: &'static str, workgroup: u32) -> Template {
    Template {
        name,
        body: include_str!("../../shaders/reduction/sort.wgsl"),
        includes: &[FUNCTIONS, STRIDED],
        operands: &[("x", Read), ("out", WriteElements), ("found", WriteElements)],
        constants: &["ORDER", "DESCENDING", "PLACES", "RANK", "STRIDED", "OPERANDS"],
        define: Some(|constants| {
            let key = ORDERS[constants[0] as usize];
            let direction = if constants[1] == 1 { "~" } else { "" };
            format!("fn key_of(x: X) -> u32 {{ return {direction}({key}); }}\n")
        }),
        workgroup,
        ..Template::PLAIN
    }
}

/// Keys of floats (NaN the largest, both zeros equal), of integers with a sign, and of those without.
const ORDERS: [&str; 3] =
    ["select(u32(order_of(x)) ^ 0x80000000u, 0xffffffffu, is_nan(x))", "u32(x) ^ 0x80000000u", "x"];

/// What fits into the memory that a workgroup has everywhere.
const MOST: usize = 1024;
const FEW: usize = 64;

pub(in crate::ops) fn sort(op: &Sort, x: &BitNetTensor) -> Option<Plan> {
    let dtype = x.dtype();
    let axis = x.rank().checked_sub(1)?;
    let length = x.shape()[axis];
    let wanted = op.count.unwrap_or(length);
    if !is_native(dtype) || wanted > MOST {
        return None;
    }
    let lines = &x.shape()[..axis];
    let count = count(x)? / length as u32;
    let order = match dtype {
        dtype if dtype.is_float() => 0,
        dtype if dtype.is_signed_integer() => 1,
        _ => 2,
    };
    let walk = Strided::along_steps(lines, &[Steps::through(x.layout(), x.shape())])?;
    let mut params = Params::new();
    params.extend_from_slice(&[count, length as u32, stride(x, -1)?, wanted as u32]);
    walk.write(&mut params);
    // Two variants: the few that are sampled from, and all that fit.
    let places = if wanted <= FEW { FEW } else { MOST } as u32;
    let is_short = length <= SHORT as usize;
    let plan = Plan::new(if is_short { &SORT_OF_SHORT } else { &SORT })
        .operand(Source::Input(0), dtype)
        .operand(Source::Output(0), dtype)
        .operand(Source::Output(1), BitNetDType::U32)
        .constants(&[order, u32::from(op.descending), places, AXES as u32, 5, 1])
        .params(&params);
    Some(plan.workgroups(grid(count, 1)))
}
