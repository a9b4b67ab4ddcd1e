//! Functions of one and two elements: every kind, type, layout and broadcast.

use bitnet_tensor::BitNetDType::{self, BF16, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
use bitnet_tensor::ops::{GateKind, UnaryKind};
use bitnet_tensor::{BitNetTensor, Result};

use super::Case;
use crate::random::{layouts, special, special_pairs};
use crate::{Random, Tolerance};

const FLOATS: [BitNetDType; 4] = [F16, BF16, F32, F64];
const INTEGERS: [BitNetDType; 8] = [U8, U16, U32, U64, I8, I16, I32, I64];

/// Around the width of a vector, of a stretch of work for a thread, and of every rank.
const SHAPES: [&[usize]; 12] = [
    &[],
    &[0],
    &[1],
    &[15],
    &[16],
    &[17],
    &[3, 33],
    &[2, 3, 5],
    &[2, 1, 3, 4],
    &[2, 0, 3],
    &[2, 1, 3, 1, 7],
    &[32_771],
];

/// A function of one element.
pub type UnaryMethod = fn(&BitNetTensor) -> Result<BitNetTensor>;
/// The same that may reuse the storage.
pub type OwnedMethod = fn(BitNetTensor) -> Result<BitNetTensor>;
/// A function of two elements.
pub type BinaryMethod = fn(&BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>;

/// The functions of one element, borrowed and owned.
pub const UNARY: [(UnaryKind, UnaryMethod, OwnedMethod); 50] = [
    (UnaryKind::Neg, BitNetTensor::neg, BitNetTensor::into_neg),
    (UnaryKind::Abs, BitNetTensor::abs, BitNetTensor::into_abs),
    (UnaryKind::Sign, BitNetTensor::sign, BitNetTensor::into_sign),
    (UnaryKind::Square, BitNetTensor::square, BitNetTensor::into_square),
    (UnaryKind::Sqrt, BitNetTensor::sqrt, BitNetTensor::into_sqrt),
    (UnaryKind::Rsqrt, BitNetTensor::rsqrt, BitNetTensor::into_rsqrt),
    (UnaryKind::Reciprocal, BitNetTensor::reciprocal, BitNetTensor::into_reciprocal),
    (UnaryKind::Exp, BitNetTensor::exp, BitNetTensor::into_exp),
    (UnaryKind::Exp2, BitNetTensor::exp2, BitNetTensor::into_exp2),
    (UnaryKind::Expm1, BitNetTensor::expm1, BitNetTensor::into_expm1),
    (UnaryKind::Log, BitNetTensor::log, BitNetTensor::into_log),
    (UnaryKind::Log2, BitNetTensor::log2, BitNetTensor::into_log2),
    (UnaryKind::Log10, BitNetTensor::log10, BitNetTensor::into_log10),
    (UnaryKind::Log1p, BitNetTensor::log1p, BitNetTensor::into_log1p),
    (UnaryKind::Sin, BitNetTensor::sin, BitNetTensor::into_sin),
    (UnaryKind::Cos, BitNetTensor::cos, BitNetTensor::into_cos),
    (UnaryKind::Tan, BitNetTensor::tan, BitNetTensor::into_tan),
    (UnaryKind::Asin, BitNetTensor::asin, BitNetTensor::into_asin),
    (UnaryKind::Acos, BitNetTensor::acos, BitNetTensor::into_acos),
    (UnaryKind::Atan, BitNetTensor::atan, BitNetTensor::into_atan),
    (UnaryKind::Sinh, BitNetTensor::sinh, BitNetTensor::into_sinh),
    (UnaryKind::Cosh, BitNetTensor::cosh, BitNetTensor::into_cosh),
    (UnaryKind::Tanh, BitNetTensor::tanh, BitNetTensor::into_tanh),
    (UnaryKind::Asinh, BitNetTensor::asinh, BitNetTensor::into_asinh),
    (UnaryKind::Acosh, BitNetTensor::acosh, BitNetTensor::into_acosh),
    (UnaryKind::Atanh, BitNetTensor::atanh, BitNetTensor::into_atanh),
    (UnaryKind::Erf, BitNetTensor::erf, BitNetTensor::into_erf),
    (UnaryKind::Erfc, BitNetTensor::erfc, BitNetTensor::into_erfc),
    (UnaryKind::Floor, BitNetTensor::floor, BitNetTensor::into_floor),
    (UnaryKind::Ceil, BitNetTensor::ceil, BitNetTensor::into_ceil),
    (UnaryKind::Round, BitNetTensor::round, BitNetTensor::into_round),
    (UnaryKind::Trunc, BitNetTensor::trunc, BitNetTensor::into_trunc),
    (UnaryKind::Relu, BitNetTensor::relu, BitNetTensor::into_relu),
    (UnaryKind::Relu6, BitNetTensor::relu6, BitNetTensor::into_relu6),
    (UnaryKind::ReluSquared, BitNetTensor::relu_squared, BitNetTensor::into_relu_squared),
    (UnaryKind::Selu, BitNetTensor::selu, BitNetTensor::into_selu),
    (UnaryKind::Gelu, BitNetTensor::gelu, BitNetTensor::into_gelu),
    (UnaryKind::GeluTanh, BitNetTensor::gelu_tanh, BitNetTensor::into_gelu_tanh),
    (UnaryKind::Silu, BitNetTensor::silu, BitNetTensor::into_silu),
    (UnaryKind::Mish, BitNetTensor::mish, BitNetTensor::into_mish),
    (UnaryKind::Sigmoid, BitNetTensor::sigmoid, BitNetTensor::into_sigmoid),
    (UnaryKind::LogSigmoid, BitNetTensor::log_sigmoid, BitNetTensor::into_log_sigmoid),
    (UnaryKind::HardSigmoid, BitNetTensor::hard_sigmoid, BitNetTensor::into_hard_sigmoid),
    (UnaryKind::HardSwish, BitNetTensor::hard_swish, BitNetTensor::into_hard_swish),
    (UnaryKind::HardTanh, BitNetTensor::hard_tanh, BitNetTensor::into_hard_tanh),
    (UnaryKind::Softplus, BitNetTensor::softplus, BitNetTensor::into_softplus),
    (UnaryKind::Softsign, BitNetTensor::softsign, BitNetTensor::into_softsign),
    (UnaryKind::LeakyRelu(0.1), |x| x.leaky_relu(0.1), |x| x.into_leaky_relu(0.1)),
    (UnaryKind::Elu(1.5), |x| x.elu(1.5), |x| x.into_elu(1.5)),
    (UnaryKind::Celu(1.5), |x| x.celu(1.5), |x| x.into_celu(1.5)),
];

/// The functions of two elements by name.
pub const BINARY: [(&str, BinaryMethod); 18] = [
    ("add", |a, b| a.add(b)),
    ("sub", |a, b| a.sub(b)),
    ("mul", |a, b| a.mul(b)),
    ("div", |a, b| a.div(b)),
    ("maximum", |a, b| a.maximum(b)),
    ("minimum", |a, b| a.minimum(b)),
    ("floor_div", |a, b| a.floor_div(b)),
    ("rem", |a, b| a.rem(b)),
    ("fmod", |a, b| a.fmod(b)),
    ("pow", |a, b| a.pow(b)),
    ("atan2", |a, b| a.atan2(b)),
    ("hypot", |a, b| a.hypot(b)),
    ("copysign", |a, b| a.copysign(b)),
    ("bitand", |a, b| a.bitand(b)),
    ("bitor", |a, b| a.bitor(b)),
    ("bitxor", |a, b| a.bitxor(b)),
    ("shl", |a, b| a.shl(b)),
    ("shr", |a, b| a.shr(b)),
];

/// Whether a type has the operation.
fn is_defined(name: &str, dtype: BitNetDType) -> bool {
    match name {
        "div" | "atan2" | "hypot" | "copysign" => dtype.is_float(),
        "bitand" | "bitor" | "bitxor" | "shl" | "shr" => !dtype.is_float(),
        _ => true,
    }
}

/// Second operands for which integers have a result: divisors that are not 0, small exponents.
fn second(
    random: &mut Random,
    name: &str,
    dtype: BitNetDType,
    shape: &[usize],
) -> Result<BitNetTensor> {
    let b = random.tensor(dtype, shape)?;
    if dtype.is_float() || !matches!(name, "floor_div" | "rem" | "fmod" | "pow" | "shl" | "shr") {
        return Ok(b);
    }
    let seven = BitNetTensor::scalar(7u8)?.to_dtype(dtype)?;
    let small = b.fmod(&seven)?;
    match name {
        "pow" | "shl" | "shr" => small.abs(),
        _ => small.eq(0)?.where_(&seven, &small),
    }
}

/// Pairs of shapes that broadcast.
const BROADCASTS: [(&[usize], &[usize]); 9] = [
    (&[4, 5], &[4, 5]),
    (&[4, 5], &[]),
    (&[], &[3]),
    (&[4, 5], &[5]),
    (&[4, 1], &[1, 5]),
    (&[2, 1, 3], &[4, 1]),
    (&[7, 17], &[7, 1]),
    (&[2, 0], &[1]),
    (&[3, 1, 2, 1, 2], &[2, 1, 3, 1]),
];

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    unary(&mut cases)?;
    unary_of_integers(&mut cases)?;
    binary(&mut cases)?;
    promotion(&mut cases)?;
    in_place(&mut cases)?;
    gate(&mut cases)?;
    comparisons(&mut cases)?;
    selection(&mut cases)?;
    truth(&mut cases)?;
    Ok(cases)
}

/// Inputs of the usual size of activations, so that all parts of the functions are met.
fn wide(random: &mut Random, dtype: BitNetDType, shape: &[usize]) -> Result<BitNetTensor> {
    let eight = BitNetTensor::scalar(8.0f32)?.to_dtype(dtype)?;
    random.tensor(dtype, shape)?.mul(&eight)
}

fn unary(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(1);
    for dtype in FLOATS {
        for (kind, method, owned) in UNARY {
            let tolerance = Tolerance::unary(kind, dtype);
            let mut add = |name: String, x: BitNetTensor| {
                // The owned form writes over a copy that nobody shares.
                let both = move |x: &[BitNetTensor]| Ok(vec![method(&x[0])?, owned(x[0].copy()?)?]);
                let name = format!("{kind:?} {dtype} {name}");
                cases.push(Case::new(name, tolerance, vec![x], both).with_equal_halves());
            };
            add("special".into(), special(dtype)?);
            for shape in SHAPES {
                add(format!("{shape:?}"), wide(&mut random, dtype, shape)?);
            }
            for (name, x) in layouts(&wide(&mut random, dtype, &[3, 5, 17])?)? {
                add(name.into(), x);
            }
            add("expanded".into(), wide(&mut random, dtype, &[3, 1, 5])?.expand([2, 3, 300, 5])?);
        }
    }
    Ok(())
}

/// What NumPy defines for integers with an integer result.
const OF_INTEGERS: [UnaryKind; 9] = [
    UnaryKind::Neg,
    UnaryKind::Abs,
    UnaryKind::Sign,
    UnaryKind::Square,
    UnaryKind::Floor,
    UnaryKind::Ceil,
    UnaryKind::Round,
    UnaryKind::Trunc,
    UnaryKind::Relu,
];

fn unary_of_integers(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(8);
    for dtype in INTEGERS {
        for (kind, method, owned) in
            UNARY.into_iter().filter(|entry| OF_INTEGERS.contains(&entry.0))
        {
            // The reference's f64 does not hold what a 64-bit number wraps to.
            if dtype == U64 && kind == UnaryKind::Neg {
                continue;
            }
            for (name, x) in layouts(&random.tensor(dtype, &[3, 5, 17])?)? {
                let both = move |x: &[BitNetTensor]| Ok(vec![method(&x[0])?, owned(x[0].copy()?)?]);
                let name = format!("{kind:?} {dtype} {name}");
                let case = Case::new(name, Tolerance::EXACT, vec![x], both);
                cases.push(case.with_equal_halves());
            }
        }
    }
    Ok(())
}

fn binary(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(2);
    for dtype in FLOATS.into_iter().chain(INTEGERS) {
        for (name, method) in BINARY {
            // The reference's f64 does not hold what a difference of two u64 wraps to.
            if !is_defined(name, dtype)
                || (name == "sub" && dtype == U64)
                || (name == "pow" && matches!(dtype, I64 | U64))
            {
                continue;
            }
            let tolerance = match (name, dtype) {
                ("pow" | "atan2" | "hypot" | "floor_div", F16 | BF16) => Tolerance::ulps(1.0),
                ("pow" | "atan2" | "hypot", _) => Tolerance::ulps(2.0),
                _ => Tolerance::EXACT,
            };
            let mut add = |what: String, a: BitNetTensor, b: BitNetTensor| {
                let name = format!("{name} {dtype} {what}");
                cases.push(Case::new(name, tolerance, vec![a, b], move |x| {
                    Ok(vec![method(&x[0], &x[1])?])
                }));
            };
            for (a, b) in BROADCASTS {
                let what = format!("{a:?} {b:?}");
                add(what, random.tensor(dtype, a)?, second(&mut random, name, dtype, b)?);
            }
            if dtype.is_float() {
                let [a, b] = special_pairs(dtype)?;
                add("special".into(), a, b);
            }
            if matches!(dtype, F32 | I8) {
                for shape in SHAPES {
                    let what = format!("{shape:?}");
                    add(
                        what,
                        random.tensor(dtype, shape)?,
                        second(&mut random, name, dtype, shape)?,
                    );
                }
                let (a, b) = (
                    random.tensor(dtype, &[3, 5, 17])?,
                    second(&mut random, name, dtype, &[3, 5, 17])?,
                );
                for (first, a) in layouts(&a)? {
                    for (second, b) in layouts(&b)? {
                        add(format!("{first} {second}"), a.clone(), b);
                    }
                }
            }
        }
    }
    Ok(())
}

fn promotion(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(3);
    let types: Vec<BitNetDType> = FLOATS.into_iter().chain(INTEGERS).collect();
    for &first in &types {
        for &second in &types {
            if first == second || first.promote(second).is_none() {
                continue;
            }
            let operands = vec![random.tensor(first, &[2, 19])?, random.tensor(second, &[19])?];
            let name = format!("add {first} {second}");
            cases.push(Case::new(name, Tolerance::EXACT, operands, |x| Ok(vec![x[0].add(&x[1])?])));
        }
    }
    Ok(())
}

/// Operators that own their left operand, and may write over it, against those that borrow it.
fn in_place(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(4);
    let pairs: [(&[usize], &[usize]); 6] = [
        (&[4, 5], &[4, 5]),
        (&[4, 5], &[5]),
        (&[4, 5], &[4, 1]),
        (&[5], &[4, 5]),
        (&[], &[]),
        (&[40_000], &[1]),
    ];
    for dtype in [F32, F64, F16, I32, U8] {
        for (a, b) in pairs {
            let operands = vec![random.tensor(dtype, a)?, random.tensor(dtype, b)?];
            let name = format!("in place {dtype} {a:?} {b:?}");
            let computation = |x: &[BitNetTensor]| {
                let (a, b) = (&x[0], &x[1]);
                let own = || a.copy();
                Ok(vec![
                    a + b,
                    a - b,
                    a * b,
                    a.add(b)?,
                    own()? + b,
                    own()? - b,
                    own()? * b.copy()?,
                    own()?.into_add(b)?,
                ])
            };
            cases
                .push(Case::new(name, Tolerance::EXACT, operands, computation).with_equal_halves());
        }
    }
    // The other operand in another layout.
    for (layout, b) in layouts(&random.floats(&[6, 7])?)? {
        let operands = vec![random.floats(&[6, 7])?, b];
        let computation = |x: &[BitNetTensor]| Ok(vec![x[0].div(&x[1])?, x[0].copy()? / &x[1]]);
        let case =
            Case::new(format!("in place / {layout}"), Tolerance::EXACT, operands, computation);
        cases.push(case.with_equal_halves());
    }
    Ok(())
}

fn gate(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(5);
    for kind in [GateKind::ReluSquared, GateKind::Silu] {
        let mut add = |name: String, gate: BitNetTensor, up: BitNetTensor| {
            let operands = vec![gate, up];
            let computation = move |x: &[BitNetTensor]| Ok(vec![x[0].gate(kind, &x[1])?]);
            cases.push(Case::new(
                format!("gate {kind:?} {name}"),
                Tolerance::GATE,
                operands,
                computation,
            ));
        };
        for shape in SHAPES {
            add(format!("{shape:?}"), wide(&mut random, F32, shape)?, random.floats(shape)?);
        }
        // As a model has them: two halves of each row of one tensor.
        let both = wide(&mut random, F32, &[2, 3, 70])?;
        add("halves".into(), both.narrow(-1, 0, 35)?, both.narrow(-1, 35, 35)?);
        for (layout, x) in layouts(&wide(&mut random, F32, &[4, 9])?)? {
            add(layout.into(), x.clone(), x);
        }
        let one = wide(&mut random, F32, &[1, 5])?.expand([300, 5])?;
        add("expanded".into(), one.clone(), one.copy()?);
        let values = [0.0, -0.0, 1.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let pairs = values.iter().flat_map(|&a| values.iter().map(move |&b| (a, b)));
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.unzip();
        add("special".into(), a.try_into()?, b.try_into()?);
    }
    Ok(())
}

/// The comparisons by name.
pub const COMPARISONS: [(&str, BinaryMethod); 6] = [
    ("eq", |a, b| a.eq(b)),
    ("ne", |a, b| a.ne(b)),
    ("lt", |a, b| a.lt(b)),
    ("le", |a, b| a.le(b)),
    ("gt", |a, b| a.gt(b)),
    ("ge", |a, b| a.ge(b)),
];

fn comparisons(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(6);
    for dtype in FLOATS.into_iter().chain(INTEGERS).chain([BitNetDType::Bool]) {
        for (name, method) in COMPARISONS {
            let mut add = |what: String, a: BitNetTensor, b: BitNetTensor| {
                let name = format!("{name} {dtype} {what}");
                cases.push(Case::new(name, Tolerance::EXACT, vec![a, b], move |x| {
                    Ok(vec![method(&x[0], &x[1])?])
                }));
            };
            for (a, b) in BROADCASTS {
                let what = format!("{a:?} {b:?}");
                add(what, random.tensor(dtype, a)?, random.tensor(dtype, b)?);
            }
            let same = random.tensor(dtype, &[7, 5])?;
            for (layout, x) in layouts(&same)? {
                add(format!("with itself {layout}"), same.clone(), x);
            }
            if dtype.is_float() {
                let [a, b] = special_pairs(dtype)?;
                add("special".into(), a, b);
            }
        }
    }
    Ok(())
}

fn selection(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(7);
    let shapes: [[&[usize]; 3]; 7] = [
        [&[4, 5], &[4, 5], &[4, 5]],
        [&[4, 5], &[], &[5]],
        [&[], &[3], &[2, 1]],
        [&[4, 1], &[1, 5], &[]],
        [&[2, 0], &[1], &[2, 1]],
        [&[], &[], &[]],
        [&[40_000], &[40_000], &[1]],
    ];
    for dtype in FLOATS.into_iter().chain(INTEGERS).chain([BitNetDType::Bool]) {
        let mut add = |what: String, operands: Vec<BitNetTensor>| {
            let name = format!("where {dtype} {what}");
            cases.push(Case::new(name, Tolerance::EXACT, operands, |x| {
                Ok(vec![x[0].where_(&x[1], &x[2])?])
            }));
        };
        for [condition, a, b] in shapes {
            let operands = vec![
                random.tensor(BitNetDType::Bool, condition)?,
                random.tensor(dtype, a)?,
                random.tensor(dtype, b)?,
            ];
            add(format!("{condition:?} {a:?} {b:?}"), operands);
        }
        let condition = random.tensor(BitNetDType::Bool, &[3, 7])?;
        let (a, b) = (random.tensor(dtype, &[3, 7])?, random.tensor(dtype, &[3, 7])?);
        for ((name, condition), (_, a)) in layouts(&condition)?.into_iter().zip(layouts(&a)?) {
            add(name.into(), vec![condition, a, b.clone()]);
        }
    }
    Ok(())
}

fn truth(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(9);
    for (a, b) in BROADCASTS {
        let bools = [random.tensor(BitNetDType::Bool, a)?, random.tensor(BitNetDType::Bool, b)?];
        let name = format!("logic {a:?} {b:?}");
        cases.push(Case::new(name, Tolerance::EXACT, bools.to_vec(), |x| {
            let (a, b) = (&x[0], &x[1]);
            Ok(vec![a.bitand(b)?, a.logical_or(b)?, a.bitxor(b)?, a.logical_not()?, a.bitnot()?])
        }));
    }
    for dtype in FLOATS {
        cases.push(Case::new(
            format!("kinds of {dtype}"),
            Tolerance::EXACT,
            vec![special(dtype)?],
            |x| {
                let x = &x[0];
                Ok(vec![
                    x.isnan()?,
                    x.isinf()?,
                    x.isfinite()?,
                    x.clamp(-1.0, 2)?,
                    x.lerp(2.0, 0.25)?,
                ])
            },
        ));
    }
    Ok(())
}
