//! Activations to int8, alone and after their norm.

use bitnet_tensor::{BitNetDType, BitNetTensor, ops};

use super::neural::{all_f32, rows};
use super::{FUNCTIONS, Plan, Source};
use crate::gpu::{Access::*, Template};
use crate::operand::{contiguous, grid};

/// How a row becomes codes.
pub(super) const CODES: &str = include_str!("../shaders/quantization/codes.wgsl");

pub(super) static ACTIVATION: Template = Template {
    name: "quantize_activation",
    body: include_str!("../shaders/quantization/activation.wgsl"),
    includes: &[FUNCTIONS, CODES],
    operands: &[
        ("x", Read),
        ("weight", Read),
        ("codes", Write),
        ("scales", Write),
        ("sums", Write),
    ],
    constants: &["NORM"],
    reduces: true,
    ..Template::PLAIN
};

pub(super) fn activation(x: &BitNetTensor, norm: Option<(&BitNetTensor, f32)>) -> Option<Plan> {
    let [rows, features, start] = rows(x).filter(|_| all_f32(&[x]))?;
    let padded = ops::padded_features(features as usize) as u32;
    let (weight, weight_start, eps) = match norm {
        Some((weight, eps)) => (Source::Input(1), contiguous(weight)?, eps),
        None => (Source::Input(0), 0, 0.0),
    };
    let plan = Plan::new(&ACTIVATION)
        .operand(Source::Input(0), BitNetDType::F32)
        .operand(weight, BitNetDType::F32)
        .operand(Source::Output(0), BitNetDType::I8)
        .operand(Source::Output(1), BitNetDType::F32)
        .operand(Source::Output(2), BitNetDType::I32)
        .constants(&[u32::from(norm.is_some())])
        .params(&[rows, features, padded, start, weight_start, eps.to_bits()]);
    Some(plan.workgroups(grid(rows, 1)))
}
