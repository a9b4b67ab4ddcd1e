//! Many elements to one, or to an order.

use bitnet_tensor::ops::Interpolation;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::{Kind, Tolerance};

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
        "var" => x[0].var(&case.list("axes"), case.integer("ddof") as usize, keepdims()),
        "std" => x[0].std(&case.list("axes"), case.integer("ddof") as usize, keepdims()),
        "norm" => x[0].norm(case.float("p"), &case.list("axes"), keepdims()),
        "logsumexp" => x[0].logsumexp(&case.list("axes"), keepdims()),
        "median" => x[0].median(&case.list("axes"), keepdims()),
        "quantile" => {
            let method = match case.text("method") {
                "lower" => Interpolation::Lower,
                "higher" => Interpolation::Higher,
                "nearest" => Interpolation::Nearest,
                "midpoint" => Interpolation::Midpoint,
                _ => Interpolation::Linear,
            };
            x[0].quantile_with(case.float("q"), &case.list("axes"), keepdims(), method)
        }
        "searchsorted" => x[0].searchsorted(&x[1], case.flag("right")),
        _ => return order(case, &x[0]),
    };
    Ok(vec![one?])
}

fn order(case: &Case<'_>, x: &BitNetTensor) -> Result<Vec<BitNetTensor>> {
    let pair = |pair: Result<(BitNetTensor, BitNetTensor)>| pair.map(|(a, b)| vec![a, b]);
    if case.op() == "unique" {
        let unique = x.unique(case.has("axis").then(|| case.integer("axis")))?;
        return Ok(vec![unique.values, unique.indices, unique.inverse, unique.counts]);
    }
    if case.op() == "bincount" {
        return Ok(vec![x.bincount(case.integer("minlength") as usize)?]);
    }
    if case.op() == "histogram" {
        let range = case.has("low").then(|| (case.float("low"), case.float("high")));
        return pair(x.histogram(case.integer("bins") as usize, range));
    }
    let axis = case.integer("axis");
    let k = || case.integer("k") as usize;
    match case.op() {
        "cumsum" => Ok(vec![x.cumsum(axis)?]),
        "cumprod" => Ok(vec![x.cumprod(axis)?]),
        "cummax" => pair(x.cummax(axis)),
        "cummin" => pair(x.cummin(axis)),
        "diff" => Ok(vec![x.diff(case.integer("n") as usize, axis)?]),
        "sort" => pair(x.sort(axis, case.flag("descending"))),
        "argsort" => Ok(vec![x.argsort(axis, case.flag("descending"))?]),
        "topk" => pair(x.topk(k(), axis, case.flag("largest"))),
        "kthvalue" => pair(x.kthvalue(k(), axis, case.flag("keepdims"))),
        other => panic!("unknown operation {other}"),
    }
}

fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    match case.op() {
        "max" | "min" | "sort" | "topk" | "unique" | "cummax" | "cummin" => Tolerance::EXACT,
        _ => Tolerance::of(Kind::Reduction, dtype),
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/reduction.json"), evaluate, tolerance);
}
