//! Conversions, views, and elements in other places.

use bitnet_tensor::ops::{PadMode, ScatterKind};
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
        "narrow" => {
            let size = |name| case.integer(name) as usize;
            x[0].narrow(case.integer("axis"), size("start"), size("length"))
        }
        "with_slice" => x[0].with_slice(
            case.integer("axis"),
            case.integer("start") as usize,
            case.integer("length") as usize,
            case.integer("step"),
            &x[1],
        ),
        "masked_fill" => x[0].masked_fill(&x[1], &x[2]),
        "transpose" => x[0].transpose(case.integer("first"), case.integer("second")),
        "squeeze" => x[0].squeeze(case.integer("axis")),
        "unsqueeze" => x[0].unsqueeze(case.integer("axis")),
        "unfold" => x[0].unfold(
            case.integer("axis"),
            case.integer("size") as usize,
            case.integer("step") as usize,
        ),
        "reshape" => x[0].reshape(case.sizes("shape")),
        "expand" => x[0].expand(case.sizes("shape")),
        "cat" => BitNetTensor::cat(&x.iter().collect::<Vec<_>>(), case.integer("axis")),
        "flip" => x[0].flip(&case.list("axes")),
        "movedim" => x[0].movedim(case.integer("source"), case.integer("target")),
        "windows" => {
            let size = |name| case.integer(name) as usize;
            x[0].windows(case.integer("axis"), size("size"), size("step"), size("dilation"))
        }
        "diagonal" => {
            let integer = |name| case.integer(name);
            x[0].diagonal(integer("offset"), integer("first"), integer("second"))
        }
        "movedims" => x[0].movedims(&case.list("axes"), &case.list("places")),
        "flatten" => x[0].flatten(case.integer("first") as usize, case.integer("last") as usize),
        "view_as" => x[0].view_as(&case.list("shape")),
        "squeeze_all" => x[0].squeeze_all(),
        "bitcast" => x[0].bitcast(case.dtype("dtype")),
        "write_rows" => {
            let mut target = x[0].copy()?;
            target.write_rows(&x[1], &x[2])?;
            Ok(target)
        }
        "scatter_add" => x[0].scatter_add(case.integer("axis"), &x[1], &x[2]),
        "roll" => x[0].roll(&case.list("shifts"), &case.list("axes")),
        "tile" => x[0].tile(&case.sizes("repeats")),
        "repeat_interleave" => {
            x[0].repeat_interleave(case.integer("times") as usize, case.integer("axis"))
        }
        "tril" => x[0].tril(case.integer("k")),
        "triu" => x[0].triu(case.integer("k")),
        "meshgrid" => return BitNetTensor::meshgrid(&[&x[0], &x[1]]),
        "stack" => BitNetTensor::stack(&[&x[0], &x[1]], case.integer("axis")),
        "split" => return x[0].split(&case.sizes("sizes"), case.integer("axis")),
        "chunk" => return x[0].chunk(case.integer("count") as usize, case.integer("axis")),
        "pad" => {
            let amounts = case.sizes("amounts");
            let amounts: Vec<_> = amounts.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            let mode = match case.text("mode") {
                "constant" if case.has("value") => PadMode::Constant(case.float("value")),
                "constant" => PadMode::Constant(-2.0),
                "reflect" => PadMode::Reflect,
                "edge" => PadMode::Edge,
                _ => PadMode::Wrap,
            };
            x[0].pad(&amounts, mode)
        }
        "index_select" => x[0].index_select(case.integer("axis"), &x[1]),
        "take_along_axis" => x[0].take_along_axis(case.integer("axis"), &x[1]),
        "gather" => x[0].gather(case.integer("axis"), &x[1]),
        "scatter" => x[0].scatter(case.integer("axis"), &x[1], &x[2]),
        "scatter_reduce" => {
            let kind = match case.text("kind") {
                "sum" => ScatterKind::Add,
                "prod" => ScatterKind::Mul,
                "max" => ScatterKind::Max,
                _ => ScatterKind::Min,
            };
            x[0].scatter_reduce(case.integer("axis"), &x[1], &x[2], kind)
        }
        "gather_nd" => x[0].gather_nd(&x[1]),
        "scatter_nd" => x[0].scatter_nd(&x[1], &x[2], ScatterKind::Assign),
        "nonzero" => x[0].nonzero(),
        "masked_select" => x[0].masked_select(&x[1]),
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
