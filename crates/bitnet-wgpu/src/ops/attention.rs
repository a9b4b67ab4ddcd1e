//! Attention: of few queries by kernels that wait for memory as little as they can, of many by one that
//! reads each key once for all of a tile.

use bitnet_tensor::{BitNetDType, BitNetTensor};
use smallvec::smallvec;

use super::{FUNCTIONS, Plan, Plans, Source};
use crate::gpu::{Abilities, Access::*, Template};
use crate::operand::{count, grid, strides};

/// Of queries one by one.
static ATTENTION: Template = Template {
    name: "attention",
    body: include_str!("../shaders/neural/attention.wgsl"),
    reduces: true,
    ..OF_ROWS
};

/// Of a tile of queries.
static ATTENTION_TILES: Template =
    Template { body: include_str!("../shaders/neural/attention_tiles.wgsl"), ..OF_ROWS };

const OF_ROWS: Template = Template {
    name: "attention",
    includes: &[FUNCTIONS],
    operands: &[
        ("q", ReadFours),
        ("k", ReadFours),
        ("v", ReadFours),
        ("positions", Read),
        ("out", Write),
    ],
    constants: &["TILES", "DIMS", "WHOLE", "FOURS"],
    define: Some(|constants| rows(constants[2] == 1, constants[3] == 1)),
    checks: true,
    ..Template::PLAIN
};

static JOIN: Template = Template {
    name: "attention of slices",
    body: include_str!("../shaders/neural/attention_join.wgsl"),
    includes: &[FUNCTIONS],
    operands: &[("parts", Read), ("out", Write)],
    constants: &["DIMS"],
    reduces: true,
    ..Template::PLAIN
};

/// Queries of a tile, and those that are worth one.
const TILE_ROWS: usize = 64;
const ENOUGH_ROWS: usize = 32;
/// Bytes of shared memory that a tile needs.
const TILE_BYTES: u32 = 30_208;
/// Keys of a workgroup, and the most workgroups that share those of a query.
const SLICE: usize = 256;
const MOST_SLICES: usize = 32;
/// Queries that keep every GPU busy without sharing their keys.
const ENOUGH_QUERIES: usize = 256;

/// How kernels read rows of queries, keys and values: whole ones have as many dimensions as the kernel's
/// arrays, and four at a time can be read where all rows begin at a multiple of four.
fn rows(whole: bool, fours: bool) -> String {
    let width = if whole { "DIMS" } else { "param(4u)" };
    let read = |name: &str| {
        let body = if fours {
            format!("return four_{name}(at);")
        } else {
            let load = |n: u32| {
                format!("if (d + {n}u < param(4u)) {{ four[{n}] = load_{name}(at + {n}u); }}")
            };
            let loads: Vec<String> = (0..4).map(load).collect();
            format!("var four = vec4<f32>(0.0);\n    {}\n    return four;", loads.join("\n    "))
        };
        format!("fn {name}_four(at: u32, d: u32) -> vec4<f32> {{\n    {body}\n}}\n")
    };
    format!("fn row_width() -> u32 {{ return {width}; }}\n") + &read("q") + &read("k") + &read("v")
}

pub(super) fn attention(
    abilities: Abilities,
    [q, k, v]: [&BitNetTensor; 3],
    positions: &BitNetTensor,
    scale: f32,
) -> Option<Plans> {
    const F32: BitNetDType = BitNetDType::F32;
    let [batch, tokens, heads, width] = <[usize; 4]>::try_from(&q.shape()[..]).ok()?;
    let [_, capacity, kv_heads, _] = <[usize; 4]>::try_from(&k.shape()[..]).ok()?;
    let (q_start, [q_batch, q_token, q_head, q_step]) = strides::<4>(q)?;
    let (k_start, [k_batch, k_token, k_head, k_step]) = strides::<4>(k)?;
    let (v_start, [v_batch, v_token, v_head, v_step]) = strides::<4>(v)?;
    let (positions_start, [by_batch, by_token]) = strides::<2>(positions)?;
    let in_a_row = width == 1 || [q_step, k_step, v_step] == [1; 3];
    count(q)?;
    let dims = (width as u32).max(16).checked_next_power_of_two().filter(|&dims| dims <= 256)?;
    let queries = batch * tokens * heads;
    let sharing = heads / kv_heads;
    let is_tiled =
        tokens * sharing >= ENOUGH_ROWS && sharing <= TILE_ROWS && abilities.shared >= TILE_BYTES;
    let slices = match !is_tiled && queries < ENOUGH_QUERIES {
        true => capacity.div_ceil(SLICE).min(MOST_SLICES),
        false => 1,
    };
    if !in_a_row || [batch, tokens, heads * slices].iter().any(|&size| size > 65_535) {
        return None;
    }
    let of_q = [q_start, q_batch, q_token, q_head];
    let of_k = [k_start, k_batch, k_token, k_head];
    let of_v = [v_start, v_batch, v_token, v_head];
    let is_four = |step: &u32| step.is_multiple_of(4);
    let fours = width.is_multiple_of(4) && [of_q, of_k, of_v].as_flattened().iter().all(is_four);
    let result = if slices > 1 { Source::Temporary } else { Source::Output(0) };
    let mut plan = Plan::new(if is_tiled { &ATTENTION_TILES } else { &ATTENTION })
        .operand(Source::Input(0), F32)
        .operand(Source::Input(1), F32)
        .operand(Source::Input(2), F32)
        .operand(Source::Input(3), BitNetDType::U32)
        .operand(result, F32)
        .constants(&[u32::from(is_tiled), dims, u32::from(dims == width as u32), u32::from(fours)])
        .params(&[tokens as u32, heads as u32, sharing as u32, width as u32])
        .params(&[capacity as u32, scale.to_bits()])
        .params(&of_q)
        .params(&of_k)
        .params(&of_v)
        .params(&[positions_start, by_batch, by_token, slices as u32]);
    if is_tiled {
        let tiles = tokens.div_ceil(TILE_ROWS / sharing);
        plan = plan.workgroups([tiles as u32, kv_heads as u32, batch as u32]);
        return Some(smallvec![plan]);
    }
    plan = plan.workgroups([(heads * slices) as u32, tokens as u32, batch as u32]);
    if slices == 1 {
        return Some(smallvec![plan]);
    }
    plan.temporary = 4 * queries * slices * (width + 2);
    let join = Plan::new(&JOIN)
        .operand(Source::Temporary, F32)
        .operand(Source::Output(0), F32)
        .constants(&[dims])
        .params(&[queries as u32, width as u32, slices as u32])
        .workgroups(grid(queries as u32, 1));
    Some(smallvec![plan, join])
}
