//! Functions of one, two and three elements.

use bitnet_tensor::ops::{Op, Unary};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::conformance::{BINARY, COMPARISONS, UNARY};
use bitnet_testkit::{Kind, Tolerance};

use crate::case::Case;
use crate::family;

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let one = match case.op() {
        "leaky_relu" => x[0].leaky_relu(case.float("slope")),
        "elu" => x[0].elu(case.float("alpha")),
        "celu" => x[0].celu(case.float("alpha")),
        "logical_and" => x[0].logical_and(&x[1]),
        "logical_or" => x[0].logical_or(&x[1]),
        "logical_xor" => x[0].logical_xor(&x[1]),
        "logical_not" => x[0].logical_not(),
        "bitnot" => x[0].bitnot(),
        "isnan" => x[0].isnan(),
        "isinf" => x[0].isinf(),
        "isfinite" => x[0].isfinite(),
        "where" => x[0].where_(&x[1], &x[2]),
        "masked_fill" => x[0].masked_fill(&x[1], &x[2]),
        "clamp" => x[0].clamp(&x[1], &x[2]),
        "mul_add" => x[0].mul_add(&x[1], &x[2]),
        "lerp" => x[0].lerp(&x[1], &x[2]),
        name => of_tables(name, x),
    };
    Ok(vec![one?])
}

/// The functions that the conformance suite lists too.
fn of_tables(name: &str, x: &[BitNetTensor]) -> Result<BitNetTensor> {
    let unary = UNARY.iter().find(|(kind, ..)| Op::from(Unary(*kind)).name() == name);
    if let Some((_, method, _)) = unary {
        return method(&x[0]);
    }
    let binary = BINARY.iter().chain(&COMPARISONS).find(|(known, _)| *known == name);
    let (_, method) = binary.unwrap_or_else(|| panic!("unknown operation {name}"));
    method(&x[0], &x[1])
}

fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    let unary = UNARY.iter().find(|(kind, ..)| Op::from(Unary(*kind)).name() == case.op());
    match (case.op(), unary) {
        (_, Some((kind, ..))) => Tolerance::unary(*kind, dtype),
        ("pow" | "atan2" | "hypot" | "floor_div", _) => Tolerance::of(Kind::TwoElements, dtype),
        ("lerp", _) => Tolerance::of(Kind::Blend, dtype),
        _ => Tolerance::of(Kind::Exact, dtype),
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/elementwise.json"), evaluate, tolerance);
}
