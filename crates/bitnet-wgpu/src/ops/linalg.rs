//! Products with weights, packed and dense.

use bitnet_tensor::{BitNetDType, BitNetTensor, CodeLayout};

use super::matmul::matmul;
use super::{FUNCTIONS, Plan, Source, Target, WORKGROUP};
use crate::gpu::{Abilities, Access::*, Template, is_native, per_word};
use crate::operand::{contiguous, count, grid};

const FINISH: &str = include_str!("../shaders/linalg/packed_finish.wgsl");

/// Tokens up to which each has sums of its own in every thread.
const FEW_TOKENS: u32 = 16;
/// Rows of a packed weight that are enough to give every thread several.
const MANY_ROWS: u32 = 8192;
const TILE: u32 = 64;

/// The operands of both kernels of packed weights.
const PACKED: &[(&str, crate::gpu::Access)] = &[
    ("codes", ReadVectors),
    ("scales", Read),
    ("sums_of_codes", Read),
    ("weight", ReadVectors),
    ("weight_scales", Read),
    ("out", Write),
];

pub(super) static PACKED_ROWS: Template = Template {
    name: "linear of few rows",
    body: include_str!("../shaders/linalg/packed_rows.wgsl"),
    includes: &[FUNCTIONS, FINISH],
    operands: PACKED,
    constants: &["TWO_BITS", "TOKENS", "LANES", "ROWS"],
    reduces: true,
    ..Template::PLAIN
};

static PACKED_TILES: Template = Template {
    name: "linear in tiles",
    body: include_str!("../shaders/linalg/packed_tiles.wgsl"),
    includes: &[FINISH],
    operands: PACKED,
    constants: &["TWO_BITS"],
    ..Template::PLAIN
};

static LINEAR_ROWS: Template = Template {
    name: "dense linear of few rows",
    body: include_str!("../shaders/linalg/linear_rows.wgsl"),
    includes: &[FUNCTIONS],
    operands: &[("x", Read), ("weight", Read), ("out", Write)],
    constants: &["TOKENS", "LANES"],
    reduces: true,
    ..Template::PLAIN
};

/// `lanes` threads share a row.
pub(super) fn packed_linear(
    lanes: u32,
    features: usize,
    activation: [&BitNetTensor; 3],
    weight: &BitNetTensor,
) -> Option<Plan> {
    let (layout, codes, scales) = weight.packed_parts()?;
    let rows = weight.shape()[0];
    let (two_bits, vectors) = match layout {
        CodeLayout::Words => (true, codes.element_count().checked_div(rows)? / 16),
        CodeLayout::Int6Bytes if features.is_multiple_of(16) => (false, features / 16),
        _ => return None,
    };
    contiguous(codes).filter(|&start| start == 0)?;
    contiguous(scales).filter(|&start| start == 0)?;
    let [codes, scales] = [Source::Codes(3), Source::Scales(3)];
    packed(lanes, two_bits, rows, vectors, activation, [codes, scales])
}

pub(super) fn linear_int8(
    lanes: u32,
    features: usize,
    activation: [&BitNetTensor; 3],
    weight: &BitNetTensor,
    weight_scales: &BitNetTensor,
) -> Option<Plan> {
    contiguous(weight).filter(|&start| start == 0 && features.is_multiple_of(16))?;
    contiguous(weight_scales).filter(|&start| start == 0)?;
    let sources = [Source::Input(3), Source::Input(4)];
    packed(lanes, false, weight.shape()[0], features / 16, activation, sources)
}

fn packed(
    lanes: u32,
    two_bits: bool,
    rows: usize,
    vectors: usize,
    activation: [&BitNetTensor; 3],
    [weight, weight_scales]: [Source; 2],
) -> Option<Plan> {
    for part in activation {
        contiguous(part).filter(|&start| start == 0)?;
    }
    let [codes, scales, _] = activation;
    let tokens = count(scales)?;
    let stride = u32::try_from(codes.shape().last()? / 16).ok()?;
    count(codes)?;
    let (rows, vectors) = (u32::try_from(rows).ok()?, u32::try_from(vectors).ok()?);
    rows.checked_mul(tokens).filter(|&count| count < 1 << 31)?;
    rows.checked_mul(vectors)?;
    let few = tokens <= FEW_TOKENS;
    let plan = Plan::new(if few { &PACKED_ROWS } else { &PACKED_TILES })
        .operand(Source::Input(0), BitNetDType::I8)
        .operand(Source::Input(1), BitNetDType::F32)
        .operand(Source::Input(2), BitNetDType::I32)
        .operand(weight, BitNetDType::U32)
        .operand(weight_scales, BitNetDType::F32)
        .operand(Source::Output(0), BitNetDType::F32)
        .params(&[tokens, rows, vectors, stride]);
    Some(if few {
        let of_a_thread = if rows > MANY_ROWS { 4 } else { 1 };
        plan.constants(&[u32::from(two_bits), tokens.next_power_of_two(), lanes, of_a_thread])
            .workgroups(grid(rows.div_ceil(of_a_thread), WORKGROUP / lanes))
    } else {
        let groups = [rows.div_ceil(TILE), tokens.div_ceil(TILE), 1];
        if groups.iter().any(|&groups| groups > 65_535) {
            return None;
        }
        plan.constants(&[u32::from(two_bits)]).workgroups(groups)
    })
}

pub(super) fn linear(
    abilities: Abilities,
    x: &BitNetTensor,
    weight: &BitNetTensor,
) -> Option<Plan> {
    let lanes = abilities.lanes;
    if x.dtype() != BitNetDType::F32 || !is_native(weight.dtype()) {
        return None;
    }
    let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
    let leading = x.element_count().checked_div(columns)?;
    let in_word = per_word(weight.dtype());
    let few = leading <= FEW_TOKENS as usize && columns.is_multiple_of(in_word);
    if few
        && let (Some(x_start), Some(start)) = (contiguous(x), contiguous(weight))
        && (start as usize).is_multiple_of(in_word)
    {
        let (tokens, rows) = (leading as u32, u32::try_from(rows).ok()?);
        count(weight)?;
        let plan = Plan::new(&LINEAR_ROWS)
            .operand(Source::Input(0), BitNetDType::F32)
            .operand(Source::Input(1), weight.dtype())
            .operand(Source::Output(0), BitNetDType::F32)
            .constants(&[tokens.next_power_of_two(), lanes])
            .params(&[tokens, rows, (columns / in_word) as u32, x_start])
            .params(&[start / in_word as u32]);
        return Some(plan.workgroups(grid(rows, WORKGROUP / lanes)));
    }
    let transposed = weight.transpose(0, 1).ok()?;
    if x.is_contiguous() {
        let out = Target { shape: &[leading, rows], dtype: BitNetDType::F32 };
        return matmul(abilities, &x.reshape([leading, columns]).ok()?, &transposed, &out);
    }
    let mut shape = x.shape().to_vec();
    *shape.last_mut()? = rows;
    matmul(abilities, x, &transposed, &Target { shape: &shape, dtype: BitNetDType::F32 })
}
