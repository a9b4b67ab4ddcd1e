//! Conversions, views, and elements in other places.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Tolerance;

use crate::case::Case;
use crate::family;

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let one = match case.op() {
        "to_dtype" => x[0].to_dtype(case.dtype("dtype")),
        "permute" => x[0].permute(&case.list("axes")),
        "slice" => x[0].slice(
            case.integer("axis"),
            case.integer("start") as usize,
            case.integer("length") as usize,
            case.integer("step"),
        ),
        "reshape" => x[0].reshape(case.sizes("shape")),
        "expand" => x[0].expand(case.sizes("shape")),
        "cat" => BitNetTensor::cat(&x.iter().collect::<Vec<_>>(), case.integer("axis")),
        "index_select" => x[0].index_select(0, &x[1]),
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

fn tolerance(_: &Case<'_>, _: BitNetDType) -> Tolerance {
    Tolerance::EXACT
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/movement.json"), evaluate, tolerance);
}
