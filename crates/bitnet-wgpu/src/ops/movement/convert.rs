//! Elements of other types. Integers of 64 bits are two words here: they are made of shorter ones, and
//! shortened, without arithmetic of their own.

use bitnet_tensor::{BitNetDType, BitNetTensor};

use super::copy;
use crate::gpu::{Access::*, Template, is_native, value_type};
use crate::operand::Steps;
use crate::ops::elementwise::{map_template, walk, walk_steps};
use crate::ops::{FUNCTIONS, MAP, Plan, STRIDED, Source, Target};

map_template!(CAST, "cast", ["x": Read, "out": Write], |constants| {
    let body = CASTS[constants[0] as usize].1;
    format!("fn element(i: u32) -> OUT {{\n    let x = load_x(position(i, 0u));\n    return {body};\n}}\n")
});
map_template!(SHORTEN, "shorten", ["x": Read, "out": Write], |constants| {
    let body = ["OUT(low)", "select(OUT(0), OUT(1), (low | high) != 0u)"][constants[0] as usize];
    format!("fn element(i: u32) -> OUT {{\n    let at = 2u * position(i, 0u);\n    let low = load_x(at);\n    let high = load_x(at + 1u);\n    return {body};\n}}\n")
});
map_template!(LENGTHEN, "lengthen", ["x": Read, "out": Write], |_| {
    "fn element(i: u32) -> OUT {\n    let x = load_x(position(i, 0u));\n    return select(u32(x), select(0u, 0xffffffffu, x < X(0)), (i & 1u) == 1u);\n}\n".to_owned()
});

/// What a number `x` becomes, and how: an integer that is not the nearest to a float says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AsItIs,
    ByTheLanguage,
    FromUnsigned,
    ToTruth,
    FloatToTruth,
    ToBrain,
    Truncated(BitNetDType),
}

/// Floats outside of an integer type give its ends, NaN gives 0. An integer to a float of eight bits is
/// rounded once: first to an odd last digit, which says that something is left.
const CASTS: [(Way, &str); 12] = [
    (Way::AsItIs, "x"),
    (Way::ByTheLanguage, "OUT(x)"),
    (Way::FromUnsigned, "float_of(x)"),
    (Way::ToTruth, "select(0u, 1u, x != X(0))"),
    (Way::FloatToTruth, "select(0u, 1u, (bitcast<u32>(x) & 0x7fffffffu) != 0u)"),
    (Way::ToBrain, "select(odd_float_of(u32(x)), -odd_float_of(0u - u32(x)), x < X(0))"),
    (Way::Truncated(BitNetDType::I8), "select(i32(clamp(x, -128.0, 127.0)), 0, is_nan(x))"),
    (Way::Truncated(BitNetDType::I16), "select(i32(clamp(x, -32768.0, 32767.0)), 0, is_nan(x))"),
    (
        Way::Truncated(BitNetDType::I32),
        "select(select(i32(clamp(x, -2147483648.0, 2147483520.0)), 2147483647, x > 2147483520.0), 0, is_nan(x))",
    ),
    (Way::Truncated(BitNetDType::U8), "select(u32(clamp(x, 0.0, 255.0)), 0u, is_nan(x))"),
    (Way::Truncated(BitNetDType::U16), "select(u32(clamp(x, 0.0, 65535.0)), 0u, is_nan(x))"),
    (
        Way::Truncated(BitNetDType::U32),
        "select(select(u32(clamp(x, 0.0, 4294967040.0)), 4294967295u, x > 4294967040.0), 0u, is_nan(x))",
    ),
];

fn way(from: BitNetDType, to: BitNetDType) -> Way {
    match (from.is_float(), to) {
        (false, BitNetDType::Bool) => Way::ToTruth,
        (true, BitNetDType::Bool) => Way::FloatToTruth,
        (true, to) if !to.is_float() => Way::Truncated(to),
        (false, BitNetDType::BF16) => Way::ToBrain,
        _ if value_type(from) == value_type(to) => Way::AsItIs,
        _ if from == BitNetDType::U32 && to.is_float() => Way::FromUnsigned,
        _ => Way::ByTheLanguage,
    }
}

fn is_long(dtype: BitNetDType) -> bool {
    matches!(dtype, BitNetDType::I64 | BitNetDType::U64)
}

pub(in crate::ops) fn cast(to: BitNetDType, x: &BitNetTensor, out: &Target<'_>) -> Option<Plan> {
    let from = x.dtype();
    let is_whole = |dtype: BitNetDType| is_native(dtype) && !dtype.is_float();
    if is_long(from) && is_long(to) {
        return copy(x, Source::Input(0), out);
    }
    if is_long(from) && is_whole(to) {
        let plan = Plan::new(&SHORTEN)
            .operand(Source::Input(0), BitNetDType::U32)
            .operand(Source::Output(0), to);
        let kind = u32::from(to == BitNetDType::Bool);
        return walk(plan, kind, out.shape, &[x.layout()], to);
    }
    if is_whole(from) && is_long(to) {
        let plan = Plan::new(&LENGTHEN)
            .operand(Source::Input(0), from)
            .operand(Source::Output(0), BitNetDType::U32);
        let words: Vec<usize> = out.shape.iter().copied().chain([2]).collect();
        let steps = [Steps::through(x.layout(), out.shape).within(0, 1)];
        return walk_steps(plan, 0, &words, &steps, BitNetDType::U32);
    }
    if !is_native(from) || !is_native(to) {
        return None;
    }
    let way = way(from, to);
    let kind = CASTS.iter().position(|&(own, _)| own == way)? as u32;
    let plan = Plan::new(&CAST).operand(Source::Input(0), from).operand(Source::Output(0), to);
    walk(plan, kind, out.shape, &[x.layout()], to)
}
