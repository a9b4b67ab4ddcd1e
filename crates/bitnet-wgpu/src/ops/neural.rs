//! Normalisation, rotary position embedding, attention.

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

/// Defines attention over keys and values that are read one by one, or four at a time.
macro_rules! attention_template {
    ($name:ident, $access:ident, $workgroup:literal, $define:expr) => {
        static $name: Template = Template {
            name: "attention",
            body: include_str!("../shaders/neural/attention.wgsl"),
            includes: &[FUNCTIONS],
            operands: &[
                ("q", Read),
                ("k", $access),
                ("v", $access),
                ("positions", Read),
                ("out", Write),
            ],
            constants: &["DIMS"],
            define: Some($define),
            checks: true,
            reduces: true,
            workgroup: $workgroup,
        };
    };
}
attention_template!(ATTENTION, Read, 256, |_| {
    let four = |name: &str| {
        let load = |n: u32| {
            format!("    if (d + {n}u < param(4u)) {{ four[{n}] = load_{name}(at + {n}u); }}\n")
        };
        let loads: String = (0..4).map(load).collect();
        format!(
            "fn {name}_four(at: u32, d: u32) -> vec4<f32> {{\n    var four = vec4<f32>(0.0);\n{loads}    \
             return four;\n}}\n"
        )
    };
    four("k") + &four("v")
});
attention_template!(ATTENTION_OF_VECTORS, ReadVectors, 256, |_| vectors());
// One query has few workgroups: they are larger.
attention_template!(ATTENTION_OF_ONE, ReadVectors, 512, |_| vectors());

fn vectors() -> String {
    let four = |name: &str| {
        format!(
            "fn {name}_four(at: u32, d: u32) -> vec4<f32> {{ return bitcast<vec4<f32>>({name}[at / 4u]); }}\n"
        )
    };
    four("k") + &four("v")
}

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

pub(super) fn attention(
    wide: bool,
    [q, k, v]: [&BitNetTensor; 3],
    positions: &BitNetTensor,
    scale: f32,
) -> Option<Plan> {
    let [batch, tokens, heads, width] = <[usize; 4]>::try_from(&q.shape()[..]).ok()?;
    let [_, capacity, kv_heads, _] = <[usize; 4]>::try_from(&k.shape()[..]).ok()?;
    let (q_start, [q_batch, q_token, q_head, q_step]) = strides::<4>(q)?;
    let (k_start, [k_batch, k_token, k_head, k_step]) = strides::<4>(k)?;
    let (v_start, [v_batch, v_token, v_head, v_step]) = strides::<4>(v)?;
    let (positions_start, [by_batch, by_token]) = strides::<2>(positions)?;
    let in_a_row = width == 1 || [q_step, k_step, v_step] == [1; 3];
    count(q)?;
    let dims = (width as u32).max(16).checked_next_power_of_two().filter(|&dims| dims <= 256)?;
    if !in_a_row || [batch, tokens, heads].iter().any(|&size| size > 65_535) {
        return None;
    }
    let fours =
        [width as u32, k_start, k_batch, k_token, k_head, v_start, v_batch, v_token, v_head];
    let template = match fours.iter().all(|step| step.is_multiple_of(4)) {
        true if wide && batch * tokens == 1 => &ATTENTION_OF_ONE,
        true => &ATTENTION_OF_VECTORS,
        false => &ATTENTION,
    };
    let plan = Plan::new(template)
        .operand(Source::Input(0), F32)
        .operand(Source::Input(1), F32)
        .operand(Source::Input(2), F32)
        .operand(Source::Input(3), BitNetDType::U32)
        .operand(Source::Output(0), F32)
        .constants(&[dims])
        .params(&[tokens as u32, heads as u32, (heads / kv_heads) as u32, width as u32])
        .params(&[capacity as u32, scale.to_bits()])
        .params(&[q_start, q_batch, q_token, q_head])
        .params(&[k_start, k_batch, k_token, k_head])
        .params(&[v_start, v_batch, v_token, v_head])
        .params(&[positions_start, by_batch, by_token]);
    Some(plan.workgroups([heads as u32, tokens as u32, batch as u32]))
}
