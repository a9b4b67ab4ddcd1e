//! Functions of one and two elements.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Tolerance;

use crate::case::Case;
use crate::family;

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let one = match case.op() {
        "neg" => x[0].neg(),
        "abs" => x[0].abs(),
        "square" => x[0].square(),
        "sqrt" => x[0].sqrt(),
        "rsqrt" => x[0].rsqrt(),
        "exp" => x[0].exp(),
        "relu" => x[0].relu(),
        "relu_squared" => x[0].relu_squared(),
        "silu" => x[0].silu(),
        "sigmoid" => x[0].sigmoid(),
        "tanh" => x[0].tanh(),
        "add" => x[0].add(&x[1]),
        "sub" => x[0].sub(&x[1]),
        "mul" => x[0].mul(&x[1]),
        "div" => x[0].div(&x[1]),
        "maximum" => x[0].maximum(&x[1]),
        "minimum" => x[0].minimum(&x[1]),
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

fn tolerance(case: &Case<'_>, _: BitNetDType) -> Tolerance {
    match case.op() {
        "neg" | "abs" | "square" | "sqrt" | "add" | "sub" | "mul" | "div" => Tolerance::EXACT,
        _ => Tolerance { ulps: 4.0, relative: 0.0, absolute: 2e-37 },
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/elementwise.json"), evaluate, tolerance);
}
