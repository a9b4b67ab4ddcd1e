//! Many elements to one, or to an order.

use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Tolerance;

use crate::case::Case;
use crate::family;

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let axis = || case.has("axis").then(|| case.integer("axis"));
    let keepdims = || case.flag("keepdims");
    let one = match case.op() {
        "sum" => x[0].sum(&case.list("axes"), keepdims()),
        "prod" => x[0].prod(&case.list("axes"), keepdims()),
        "mean" => x[0].mean(&case.list("axes"), keepdims()),
        "max" => x[0].max(&case.list("axes"), keepdims()),
        "min" => x[0].min(&case.list("axes"), keepdims()),
        "any" => x[0].any(&case.list("axes"), keepdims()),
        "all" => x[0].all(&case.list("axes"), keepdims()),
        "count_nonzero" => x[0].count_nonzero(&case.list("axes"), keepdims()),
        "argmax" => x[0].argmax(axis(), keepdims()),
        "argmin" => x[0].argmin(axis(), keepdims()),
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    match (case.op(), dtype) {
        ("max" | "min", _) => Tolerance::EXACT,
        (_, F32) => Tolerance { relative: 1e-6, ..Tolerance::sum(8, dtype) },
        (_, F64) => Tolerance { relative: 1e-14, ..Tolerance::sum(8, dtype) },
        // Rounded once, as the number from outside.
        _ => Tolerance::ulps(1.0),
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/reduction.json"), evaluate, tolerance);
}
