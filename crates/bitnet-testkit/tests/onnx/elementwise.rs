//! Functions of one and several elements, comparisons, bits, types.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::{Adapters, Miss, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("Abs", |n| one(n.x(0).abs())),
    ("Acos", |n| one(n.x(0).acos())),
    ("Acosh", |n| one(n.x(0).acosh())),
    ("Add", |n| one(n.x(0).add(n.x(1)))),
    ("And", |n| one(n.x(0).logical_and(n.x(1)))),
    ("Asin", |n| one(n.x(0).asin())),
    ("Asinh", |n| one(n.x(0).asinh())),
    ("Atan", |n| one(n.x(0).atan())),
    ("Atanh", |n| one(n.x(0).atanh())),
    ("BitCast", |n| one(n.x(0).bitcast(n.dtype("to").expect("a type")))),
    ("BitShift", |n| {
        // A negative shift is one beyond the width.
        let width = 8 * n.x(1).dtype().size_in_bytes().unwrap_or(0);
        let amount = n.x(1).ge(0)?.where_(n.x(1), width)?;
        one(match n.text("direction", "") {
            "LEFT" => n.x(0).shl(&amount),
            _ => n.x(0).shr(&amount),
        })
    }),
    ("BitwiseAnd", |n| one(n.x(0).bitand(n.x(1)))),
    ("BitwiseNot", |n| one(n.x(0).bitnot())),
    ("BitwiseOr", |n| one(n.x(0).bitor(n.x(1)))),
    ("BitwiseXor", |n| one(n.x(0).bitxor(n.x(1)))),
    ("Cast", |n| cast(n, n.dtype("to"))),
    ("CastLike", |n| cast(n, Some(n.x(1).dtype()))),
    ("Ceil", |n| one(n.x(0).ceil())),
    ("Clip", |n| one(clip(n))),
    ("Cos", |n| one(n.x(0).cos())),
    ("Cosh", |n| one(n.x(0).cosh())),
    ("Div", |n| one(divide(n.x(0), n.x(1)))),
    ("Equal", |n| one(n.x(0).eq(n.x(1)))),
    ("Erf", |n| one(n.x(0).erf())),
    ("Exp", |n| one(n.x(0).exp())),
    ("Floor", |n| one(n.x(0).floor())),
    ("Greater", |n| one(n.x(0).gt(n.x(1)))),
    ("GreaterOrEqual", |n| one(n.x(0).ge(n.x(1)))),
    ("Identity", |n| one(Ok(n.x(0).clone()))),
    ("IsInf", |n| one(is_inf(n))),
    ("IsNaN", |n| one(n.x(0).isnan())),
    ("Less", |n| one(n.x(0).lt(n.x(1)))),
    ("LessOrEqual", |n| one(n.x(0).le(n.x(1)))),
    ("Log", |n| one(n.x(0).log())),
    ("Max", |n| one(fold(n, |a, b| a.maximum(b)))),
    ("Mean", |n| one(fold(n, |a, b| a.add(b))?.div(n.all().len()))),
    ("Min", |n| one(fold(n, |a, b| a.minimum(b)))),
    ("Mod", |n| match n.flag("fmod", false) {
        true => one(n.x(0).fmod(n.x(1))),
        false => one(n.x(0).rem(n.x(1))),
    }),
    ("Mul", |n| one(n.x(0).mul(n.x(1)))),
    ("Neg", |n| one(n.x(0).neg())),
    ("Not", |n| one(n.x(0).logical_not())),
    ("Or", |n| one(n.x(0).logical_or(n.x(1)))),
    ("Pow", |n| one(power(n.x(0), n.x(1)))),
    ("Reciprocal", |n| one(n.x(0).reciprocal())),
    ("Round", |n| one(n.x(0).round())),
    ("Sign", |n| one(n.x(0).sign())),
    ("Sin", |n| one(n.x(0).sin())),
    ("Sinh", |n| one(n.x(0).sinh())),
    ("Sqrt", |n| one(n.x(0).sqrt())),
    ("Sub", |n| one(n.x(0).sub(n.x(1)))),
    ("Sum", |n| one(fold(n, |a, b| a.add(b)))),
    ("Tan", |n| one(n.x(0).tan())),
    ("Where", |n| one(n.x(0).where_(n.x(1), n.x(2)))),
    ("Xor", |n| one(n.x(0).logical_xor(n.x(1)))),
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

/// Integers are divided toward zero.
fn divide(a: &BitNetTensor, b: &BitNetTensor) -> Result<BitNetTensor> {
    if a.dtype().is_float() { a.div(b) } else { a.sub(&a.fmod(b)?)?.floor_div(b) }
}

fn clip(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0).clone();
    let x = case.given(1).map_or(Ok(x.clone()), |low| x.maximum(low))?;
    case.given(2).map_or(Ok(x.clone()), |high| x.minimum(high))
}

fn is_inf(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let infinite = x.isinf()?;
    match (case.flag("detect_negative", true), case.flag("detect_positive", true)) {
        (true, true) => Ok(infinite),
        (true, false) => infinite.logical_and(&x.lt(0)?),
        (false, true) => infinite.logical_and(&x.gt(0)?),
        (false, false) => infinite.logical_and(&x.isnan()?),
    }
}

/// The result is of the base's type; a float exponent of an integer is computed wide.
fn power(base: &BitNetTensor, exponent: &BitNetTensor) -> Result<BitNetTensor> {
    if base.dtype().is_integer() && exponent.dtype().is_float() {
        let wide = |x: &BitNetTensor| x.to_dtype(BitNetDType::F64);
        return wide(base)?.pow(&wide(exponent)?)?.to_dtype(base.dtype());
    }
    base.pow(&exponent.to_dtype(base.dtype())?)
}
