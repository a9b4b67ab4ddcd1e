//! Products of matrices of floats, of any type and layout.

use bitnet_tensor::{BitNetDType, BitNetTensor, Layout};

use super::{Params, Plan, STRIDED, Source, Target};
use crate::gpu::{Abilities, Access::*, Template, is_native, per_word, value_type};
use crate::operand::{Strided, stride};

static MATMUL: Template = Template {
    name: "matmul",
    body: include_str!("../shaders/linalg/matmul.wgsl"),
    includes: &[STRIDED],
    operands: &[("a", ReadFours), ("b", ReadFours), ("out", Write)],
    constants: &["LIES_A", "LIES_B", "BLOCKS", "RANK", "STRIDED", "OPERANDS"],
    define: Some(|_| {
        let block = include_str!("../shaders/linalg/matmul_block.wgsl");
        let of = |name: &str| block.replace("OPERAND", name).replace("UPPER", &name.to_uppercase());
        LIES.to_owned() + &of("a") + &of("b")
    }),
    ..Template::PLAIN
};

static MATMUL_COOPERATIVE: Template = Template {
    name: "matmul of matrix units",
    body: include_str!("../shaders/linalg/matmul_cooperative.wgsl"),
    includes: &[STRIDED, LIES],
    operands: &[("a", ReadHalves), ("b", ReadHalves), ("out", Write)],
    constants: &["LIES_A", "LIES_B", "RANK", "STRIDED", "OPERANDS"],
    cooperative: true,
    ..Template::PLAIN
};

/// How an operand lies: in any way, in runs of outer places (rows of a, columns of b), or of inner ones.
const ANYHOW: u32 = 0;
const OUTER_RUNS: u32 = 1;
const INNER_RUNS: u32 = 2;
const LIES: &str = "const OUTER_RUNS = 1u;\nconst INNER_RUNS = 2u;\n";

/// Tiles of 128 rows and columns that are enough to have smaller ones no more, and the bytes of shared
/// memory that they need.
const ENOUGH_TILES: u64 = 64;
const LARGE_TILE_BYTES: u32 = 16_896;

/// The walk over the batches of an operand with its matrix standing still.
fn standing_still(x: &BitNetTensor) -> Option<BitNetTensor> {
    let first = x.narrow(-1, 0, x.shape()[x.rank() - 1].min(1)).ok()?;
    let first = first.narrow(-2, 0, first.shape()[x.rank() - 2].min(1)).ok()?;
    first.squeeze(-1).and_then(|x| x.squeeze(-1)).ok()
}

/// How an operand with these steps (outer, inner) lies for a kernel that reads runs of `run` elements.
fn lies(still: &Layout, [outer, inner]: [u32; 2], inners: usize, run: usize) -> u32 {
    let is_whole = |step: u32| step.is_multiple_of(run as u32);
    let batches = still.strides().iter().all(|&step| step.rem_euclid(run as isize) == 0);
    if !batches || !still.offset().is_multiple_of(run) {
        ANYHOW
    } else if inner == 1 && is_whole(outer) && inners.is_multiple_of(run) {
        INNER_RUNS
    } else if outer == 1 && is_whole(inner) {
        OUTER_RUNS
    } else {
        ANYHOW
    }
}

pub(super) fn matmul(
    abilities: Abilities,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    let float = |x: &BitNetTensor| is_native(x.dtype()) && value_type(x.dtype()) == "f32";
    if !float(a) || !float(b) || a.rank() < 2 || b.rank() < 2 {
        return None;
    }
    let [m, n] = *out.shape.last_chunk::<2>()?;
    let k = a.shape()[a.rank() - 1];
    if !n.is_multiple_of(per_word(out.dtype)) || b.shape()[b.rank() - 2] != k || k == 0 {
        return None;
    }
    let batch = &out.shape[..out.shape.len() - 2];
    let (still_a, still_b) = (standing_still(a)?, standing_still(b)?);
    let (still_a, still_b) = (still_a.layout(), still_b.layout());
    let walk = Strided::over(batch, &[still_a, still_b])?;
    let batches = u32::try_from(batch.iter().product::<usize>()).ok()?;
    let (a_row, a_column) = (stride(a, -2)?, stride(a, -1)?);
    let (b_row, b_column) = (stride(b, -2)?, stride(b, -1)?);
    u32::try_from(out.count()).ok()?;
    let mut params = Params::new();
    params.extend_from_slice(&[m as u32, n as u32, u32::try_from(k).ok()?]);
    params.extend_from_slice(&[a_row, a_column, b_row, b_column]);
    walk.write(&mut params);

    let lie = |run: usize| {
        let of_b = lies(still_b, [b_column, b_row], k, run);
        [lies(still_a, [a_row, a_column], k, run), of_b]
    };
    let tiles = |size: u32| [(n as u32).div_ceil(size), (m as u32).div_ceil(size), batches];
    let halves = [a, b].iter().all(|x| x.dtype() == BitNetDType::F16) && m.min(n) >= 64;
    let is_cooperative = abilities.cooperative && halves && !lie(8).contains(&ANYHOW);
    let is_large = abilities.shared >= LARGE_TILE_BYTES
        && tiles(128).iter().map(|&count| u64::from(count)).product::<u64>() >= ENOUGH_TILES;
    let groups = if is_cooperative || is_large { tiles(128) } else { tiles(64) };
    if groups.iter().any(|&groups| groups > 65_535) {
        return None;
    }
    let (plan, [of_a, of_b]) = match is_cooperative {
        true => (Plan::new(&MATMUL_COOPERATIVE), lie(8)),
        false => (Plan::new(&MATMUL), lie(4)),
    };
    let mut plan = plan
        .operand(Source::Input(0), a.dtype())
        .operand(Source::Input(1), b.dtype())
        .operand(Source::Output(0), out.dtype)
        .constants(&[of_a, of_b])
        .params(&params)
        .workgroups(groups);
    if !is_cooperative {
        plan = plan.constants(&[1 + u32::from(is_large)]);
    }
    Some(plan.constants(&[walk.rank(), 8, 2]))
}

#[cfg(test)]
mod tests {
    use bitnet_tensor::BitNetDType::F16;
    use naga::valid::{Capabilities, ValidationFlags, Validator};

    use super::*;

    /// No software adapter has matrix units: at least the language's rules are kept.
    #[test]
    fn the_kernel_of_matrix_units_is_valid() {
        for of_a in [OUTER_RUNS, INNER_RUNS] {
            for of_b in [OUTER_RUNS, INNER_RUNS] {
                let variant = MATMUL_COOPERATIVE.variant(&[F16; 3], &[of_a, of_b, 1, 8, 2]);
                let source = MATMUL_COOPERATIVE.source(&variant, true);
                let module = naga::front::wgsl::parse_str(&source)
                    .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
                Validator::new(ValidationFlags::all(), Capabilities::all())
                    .validate(&module)
                    .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source)));
            }
        }
    }
}
