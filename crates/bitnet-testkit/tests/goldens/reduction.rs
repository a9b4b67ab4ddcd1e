//! Many elements to one, or to an order.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Tolerance;

use crate::case::Case;
use crate::family;

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let one = match case.op() {
        "sum" => x[0].sum(&case.list("axes"), case.flag("keepdims")),
        "mean" => x[0].mean(&case.list("axes"), case.flag("keepdims")),
        "max" => x[0].max(&case.list("axes"), case.flag("keepdims")),
        "min" => x[0].min(&case.list("axes"), case.flag("keepdims")),
        "argmax" => x[0].argmax(),
        "softmax" => x[0].softmax(),
        "rms_norm" => x[0].rms_norm(&x[1], case.float("eps") as f32),
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

fn tolerance(_: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    Tolerance { relative: 4e-6, ..Tolerance::sum(8, dtype) }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/reduction.json"), evaluate, tolerance);
}
