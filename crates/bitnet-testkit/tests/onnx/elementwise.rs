//! Functions of one and several elements, comparisons, bits, types.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::{Adapters, Miss, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("Abs", |n| one(n.x(0).abs())),
    ("Add", |n| one(n.x(0).add(n.x(1)))),
    ("BitCast", |n| one(n.x(0).bitcast(n.dtype("to").expect("a type")))),
    ("Cast", |n| cast(n, n.dtype("to"))),
    ("CastLike", |n| cast(n, Some(n.x(1).dtype()))),
    ("Clip", |n| one(clip(n))),
    ("Equal", |n| one(n.x(0).eq(n.x(1)))),
    ("Exp", |n| one(n.x(0).exp())),
    ("Greater", |n| one(n.x(0).gt(n.x(1)))),
    ("GreaterOrEqual", |n| one(n.x(0).ge(n.x(1)))),
    ("Identity", |n| one(Ok(n.x(0).clone()))),
    ("Less", |n| one(n.x(0).lt(n.x(1)))),
    ("LessOrEqual", |n| one(n.x(0).le(n.x(1)))),
    ("Max", |n| one(fold(n, |a, b| a.maximum(b)))),
    ("Mean", |n| one(fold(n, |a, b| a.add(b))?.div(n.all().len()))),
    ("Min", |n| one(fold(n, |a, b| a.minimum(b)))),
    ("Mul", |n| one(n.x(0).mul(n.x(1)))),
    ("Neg", |n| one(n.x(0).neg())),
    ("Sqrt", |n| one(n.x(0).sqrt())),
    ("Sub", |n| one(n.x(0).sub(n.x(1)))),
    ("Sum", |n| one(fold(n, |a, b| a.add(b)))),
    ("Where", |n| one(n.x(0).where_(n.x(1), n.x(2)))),
    ("ai.onnx.ml.Binarizer", |n| {
        let above = n.x(0).gt(n.float("threshold", 0.0))?;
        one(above.to_dtype(n.x(0).dtype()))
    }),
];

/// All operands, two by two.
fn fold(
    case: &Case,
    combine: fn(&BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>,
) -> Result<BitNetTensor> {
    let operands = case.all();
    operands[1..].iter().try_fold(operands[0].clone(), |sum, operand| combine(&sum, operand))
}

fn cast(case: &Case, dtype: Option<BitNetDType>) -> Outcome {
    let dtype = dtype.ok_or(Miss::OutOfScope("the library has no such type"))?;
    one(case.x(0).to_dtype(dtype))
}

fn clip(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0).clone();
    let x = case.given(1).map_or(Ok(x.clone()), |low| x.maximum(low))?;
    case.given(2).map_or(Ok(x.clone()), |high| x.minimum(high))
}
