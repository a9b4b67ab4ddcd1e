//! Normalisation and rotary position embedding.

use bitnet_tensor::ops::RopeMode;
use bitnet_tensor::{BitNetDType, BitNetTensor};

use super::elementwise::map_grid;
use super::{FUNCTIONS, MAP, Plan, Source};
use crate::gpu::{Access::*, Template};
use crate::operand::{contiguous, count, grid, strides};

static RMS_NORM: Template = Template {
    name: "rms_norm",
    body: include_str!("../shaders/neural/rms_norm.wgsl"),
    includes: &[FUNCTIONS],
    operands: &[("x", Read), ("weight", Read), ("out", Write)],
    reduces: true,
    ..Template::PLAIN
};

static LAYER_NORM: Template = Template {
    name: "layer_norm",
    body: include_str!("../shaders/neural/layer_norm.wgsl"),
    includes: &[FUNCTIONS],
    operands: &[("x", Read), ("weight", Read), ("bias", Read), ("out", Write)],
    reduces: true,
    ..Template::PLAIN
};

pub(super) static ROPE: Template = Template {
    name: "rope",
    body: MAP,
    includes: &[include_str!("../shaders/neural/rope.wgsl")],
    operands: &[("x", Read), ("cos", Read), ("sin", Read), ("positions", Read), ("out", Write)],
    constants: &["HALVES"],
    checks: true,
    ..Template::PLAIN
};

const F32: BitNetDType = BitNetDType::F32;

/// Rows of a tensor, their length, and where the first begins; `None` unless they lie in a row.
pub(super) fn rows(x: &BitNetTensor) -> Option<[u32; 3]> {
    let features = u32::try_from(*x.shape().last()?).ok().filter(|&features| features > 0)?;
    Some([count(x)? / features, features, contiguous(x)?])
}

pub(super) fn all_f32(tensors: &[&BitNetTensor]) -> bool {
    tensors.iter().all(|tensor| tensor.dtype() == F32)
}

pub(super) fn rms_norm(x: &BitNetTensor, weight: &BitNetTensor, eps: f32) -> Option<Plan> {
    let [rows, features, start] = rows(x).filter(|_| all_f32(&[x, weight]))?;
    let plan = Plan::new(&RMS_NORM)
        .operand(Source::Input(0), F32)
        .operand(Source::Input(1), F32)
        .operand(Source::Output(0), F32)
        .params(&[rows, features, start, contiguous(weight)?, eps.to_bits()]);
    Some(plan.workgroups(grid(rows, 1)))
}

pub(super) fn layer_norm(
    x: &BitNetTensor,
    weight: &BitNetTensor,
    bias: &BitNetTensor,
    eps: f64,
) -> Option<Plan> {
    let [rows, features, start] = rows(x).filter(|_| all_f32(&[x, weight, bias]))?;
    let plan = Plan::new(&LAYER_NORM)
        .operand(Source::Input(0), F32)
        .operand(Source::Input(1), F32)
        .operand(Source::Input(2), F32)
        .operand(Source::Output(0), F32)
        .params(&[rows, features, start, contiguous(weight)?, contiguous(bias)?])
        .params(&[(eps as f32).to_bits()]);
    Some(plan.workgroups(grid(rows, 1)))
}

pub(super) fn rope(
    mode: RopeMode,
    x: &BitNetTensor,
    [cos, sin]: [&BitNetTensor; 2],
    positions: &BitNetTensor,
) -> Option<Plan> {
    let total = count(x)?;
    let [_, tokens, heads, width] = <[usize; 4]>::try_from(&x.shape()[..]).ok()?;
    let (start, [batch, token, head, step]) = strides::<4>(x)?;
    let (positions_start, [by_batch, by_token]) = strides::<2>(positions)?;
    let plan = Plan::new(&ROPE)
        .operand(Source::Input(0), F32)
        .operand(Source::Input(1), F32)
        .operand(Source::Input(2), F32)
        .operand(Source::Input(3), BitNetDType::U32)
        .operand(Source::Output(0), F32)
        .constants(&[u32::from(mode == RopeMode::RotateHalf)])
        .params(&[total, tokens as u32, heads as u32, width as u32])
        .params(&[start, batch, token, head, step, positions_start, by_batch, by_token])
        .params(&[contiguous(cos)?, contiguous(sin)?, cos.shape()[0] as u32]);
    Some(plan.workgroups(map_grid(total, F32)))
}
