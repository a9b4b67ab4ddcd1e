//! Functions of one and two elements, broadcast and strided.

use bitnet_tensor::ops::{BinaryKind, CompareKind, GateKind, UnaryKind};
use bitnet_tensor::{BitNetDType, BitNetTensor, Layout};

use super::{Params, Plan, Source, Target};
use crate::gpu::{Access::*, Template, is_native, per_word};
use crate::operand::{Strided, grid};

const STRIDED: &str = include_str!("../shaders/strided.wgsl");
const MAP: &str = include_str!("../shaders/map.wgsl");
const FUNCTIONS: &str = include_str!("../shaders/functions.wgsl");
pub(super) const WORKGROUP: u32 = 256;
/// Words of the result that a workgroup of `map.wgsl` has.
const MAP_WORDS: u32 = 4 * WORKGROUP;

/// The workgroups of `map.wgsl` for `count` elements of a type.
pub(super) fn map_grid(count: u32, dtype: BitNetDType) -> [u32; 3] {
    grid(count.div_ceil(per_word(dtype) as u32), MAP_WORDS)
}

/// Defines a template over the strided walk: `element(i)` of its operands.
macro_rules! map_template {
    ($name:ident, $label:literal, [$($operand:literal: $access:ident),*], $operands:literal, $define:expr) => {
        pub(super) static $name: Template = Template {
            name: $label,
            body: MAP,
            includes: &[FUNCTIONS, STRIDED],
            operands: &[$(($operand, $access)),*],
            constants: &["KIND", "RANK", "STRIDED", "OPERANDS"],
            define: Some($define),
            checks: false,
            reduces: false,
            workgroup: WORKGROUP,
        };
    };
}
pub(super) use map_template;

map_template!(UNARY, "unary", ["x": Read, "out": Write], 1, |constants| {
    let body = unary_expression(constants[0]);
    format!("fn f(x: X) -> OUT {{ return {body}; }}\nfn element(i: u32) -> OUT {{ return f(load_x(position(i, 0u))); }}\n")
});
map_template!(UNARY_IN_PLACE, "unary in place", ["out": Write], 1, |constants| {
    let body = unary_expression(constants[0]);
    format!("fn f(x: OUT) -> OUT {{ return {body}; }}\nfn element(i: u32) -> OUT {{ return f(load_out(i)); }}\n")
});
map_template!(BINARY, "binary", ["a": Read, "b": Read, "out": Write], 2, |constants| {
    let body = binary_expression(constants[0]);
    format!("fn f(a: A, b: B) -> OUT {{ return {body}; }}\nfn element(i: u32) -> OUT {{ return f(load_a(position(i, 0u)), load_b(position(i, 1u))); }}\n")
});
map_template!(BINARY_IN_PLACE, "binary in place", ["b": Read, "out": Write], 1, |constants| {
    let body = binary_expression(constants[0]);
    format!("fn f(a: OUT, b: B) -> OUT {{ return {body}; }}\nfn element(i: u32) -> OUT {{ return f(load_out(i), load_b(position(i, 0u))); }}\n")
});
map_template!(COMPARE, "compare", ["a": Read, "b": Read, "out": Write], 2, |constants| {
    let body = compare_expression(constants[0]);
    format!("fn element(i: u32) -> OUT {{\n    let a = load_a(position(i, 0u));\n    let b = load_b(position(i, 1u));\n    return select(0u, 1u, {body});\n}}\n")
});
map_template!(WHERE, "where", ["condition": Read, "a": Read, "b": Read, "out": Write], 3, |_| {
    "fn element(i: u32) -> OUT {\n    if (load_condition(position(i, 0u)) != 0u) { return load_a(position(i, 1u)); }\n    return load_b(position(i, 2u));\n}\n".to_owned()
});
map_template!(GATE, "gate", ["a": Read, "b": Read, "out": Write], 2, |constants| {
    let activation = if constants[0] == 0 { "relu_squared_of" } else { "silu_of" };
    format!("fn element(i: u32) -> OUT {{ return {activation}(load_a(position(i, 0u))) * load_b(position(i, 1u)); }}\n")
});

/// The functions of one number, each with its code and its expression in `x`. Those of floats alone
/// have a code from 100 on.
const UNARY_EXPRESSIONS: [(u32, &str); 24] = [
    (0, "-x"),
    (1, "abs(x)"),
    (2, "x * x"),
    (3, "sign(x)"),
    (4, "max(x, 0)"),
    (100, "negated(x)"),
    (101, "magnitude(x)"),
    (102, "x * x"),
    (103, "root(x)"),
    (104, "divide(1.0, root(x))"),
    (105, "divide(1.0, x)"),
    (106, "exp_of(x)"),
    (107, "log_of(x)"),
    (108, "log1p_of(x)"),
    (109, "tanh_of(x)"),
    (110, "sigmoid_of(x)"),
    (111, "silu_of(x)"),
    (112, "relu_of(x)"),
    (113, "relu_squared_of(x)"),
    (114, "sign_of(x)"),
    (115, "floor(x)"),
    (116, "ceil(x)"),
    (117, "trunc(x)"),
    (118, "round(x)"),
];

fn unary_expression(code: u32) -> &'static str {
    UNARY_EXPRESSIONS.iter().find(|(own, _)| *own == code).map_or("x", |(_, text)| text)
}

fn unary_code(kind: UnaryKind, dtype: BitNetDType) -> Option<u32> {
    use UnaryKind as K;
    if !dtype.is_float() {
        return match kind {
            K::Neg if dtype.is_signed_integer() => Some(0),
            K::Abs if dtype.is_signed_integer() => Some(1),
            K::Square => Some(2),
            _ => None,
        };
    }
    Some(match kind {
        K::Neg => 100,
        K::Abs => 101,
        K::Square => 102,
        K::Sqrt => 103,
        K::Rsqrt => 104,
        K::Reciprocal => 105,
        K::Exp => 106,
        K::Log => 107,
        K::Log1p => 108,
        K::Tanh => 109,
        K::Sigmoid => 110,
        K::Silu => 111,
        K::Relu => 112,
        K::ReluSquared => 113,
        K::Sign => 114,
        K::Floor => 115,
        K::Ceil => 116,
        K::Trunc => 117,
        K::Round => 118,
        _ => return None,
    })
}

/// The functions of two numbers, floats from code 100 on.
const BINARY_EXPRESSIONS: [(u32, &str); 14] = [
    (0, "a + b"),
    (1, "a - b"),
    (2, "a * b"),
    (3, "max(a, b)"),
    (4, "min(a, b)"),
    (5, "a & b"),
    (6, "a | b"),
    (7, "a ^ b"),
    (100, "a + b"),
    (101, "a - b"),
    (102, "a * b"),
    (103, "larger_of(a, b)"),
    (104, "smaller_of(a, b)"),
    (105, "divide(a, b)"),
];

/// Its code in the table above.
pub(super) const ADD_FLOATS: u32 = 100;

fn binary_expression(code: u32) -> &'static str {
    BINARY_EXPRESSIONS.iter().find(|(own, _)| *own == code).map_or("a", |(_, text)| text)
}

fn binary_code(kind: BinaryKind, dtype: BitNetDType) -> Option<u32> {
    use BinaryKind as K;
    let code = match kind {
        K::Add => 0,
        K::Sub => 1,
        K::Mul => 2,
        K::Max => 3,
        K::Min => 4,
        K::And => 5,
        K::Or => 6,
        K::Xor => 7,
        K::Div => return dtype.is_float().then_some(105),
        K::Copysign => return None,
        _ => return None,
    };
    match dtype.is_float() {
        true => (code < 5).then_some(code + 100),
        false => Some(code),
    }
}

/// Of integers, then of floats.
const COMPARE_EXPRESSIONS: [&str; 12] = [
    "a == b",
    "a != b",
    "a < b",
    "a <= b",
    "a > b",
    "a >= b",
    "is_equal(a, b)",
    "!is_equal(a, b)",
    "is_less(a, b)",
    "is_at_most(a, b)",
    "is_less(b, a)",
    "is_at_most(b, a)",
];

fn compare_expression(code: u32) -> &'static str {
    COMPARE_EXPRESSIONS[code as usize % COMPARE_EXPRESSIONS.len()]
}

/// Completes a plan over the walk through `layouts`, broadcast to `shape`.
pub(super) fn walk(
    plan: Plan,
    code: u32,
    shape: &[usize],
    layouts: &[&Layout],
    out: BitNetDType,
) -> Option<Plan> {
    let walk = Strided::over(shape, layouts)?;
    let count = shape.iter().product::<usize>() as u32;
    let mut params = Params::new();
    params.push(count);
    walk.write(&mut params);
    let plan = plan.constants(&[code, walk.rank(), 2, layouts.len() as u32]).params(&params);
    Some(plan.workgroups(map_grid(count, out)))
}

fn all_native(tensors: &[&BitNetTensor]) -> bool {
    tensors.iter().all(|tensor| is_native(tensor.dtype()))
}

pub(super) fn unary(kind: UnaryKind, x: &BitNetTensor, out: &Target<'_>) -> Option<Plan> {
    let code = unary_code(kind, x.dtype()).filter(|_| all_native(&[x]))?;
    let plan = Plan::new(&UNARY)
        .operand(Source::Input(0), x.dtype())
        .operand(Source::Output(0), out.dtype);
    walk(plan, code, out.shape, &[x.layout()], out.dtype)
}

/// Whether a kernel can write over `target`: words are its own from the first on.
pub(super) fn is_writable(target: &BitNetTensor) -> bool {
    target.is_contiguous() && target.layout().offset() == 0
}

pub(super) fn unary_in_place(kind: UnaryKind, x: &BitNetTensor) -> Option<Plan> {
    let code = unary_code(kind, x.dtype()).filter(|_| all_native(&[x]) && is_writable(x))?;
    let plan = Plan::new(&UNARY_IN_PLACE).operand(Source::Output(0), x.dtype());
    walk(plan, code, x.shape(), &[x.layout()], x.dtype())
}

pub(super) fn binary(
    kind: BinaryKind,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    let code = binary_code(kind, a.dtype()).filter(|_| all_native(&[a, b]))?;
    let plan = Plan::new(&BINARY)
        .operand(Source::Input(0), a.dtype())
        .operand(Source::Input(1), b.dtype())
        .operand(Source::Output(0), out.dtype);
    walk(plan, code, out.shape, &[a.layout(), b.layout()], out.dtype)
}

pub(super) fn binary_in_place(
    kind: BinaryKind,
    a: &BitNetTensor,
    b: &BitNetTensor,
) -> Option<Plan> {
    let code = binary_code(kind, a.dtype()).filter(|_| all_native(&[a, b]) && is_writable(a))?;
    let plan = Plan::new(&BINARY_IN_PLACE)
        .operand(Source::Input(1), b.dtype())
        .operand(Source::Output(0), a.dtype());
    walk(plan, code, a.shape(), &[b.layout()], a.dtype())
}

pub(super) fn compare(
    kind: CompareKind,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    if !all_native(&[a, b]) {
        return None;
    }
    let code = match kind {
        CompareKind::Eq => 0,
        CompareKind::Ne => 1,
        CompareKind::Lt => 2,
        CompareKind::Le => 3,
        CompareKind::Gt => 4,
        CompareKind::Ge => 5,
    } + if a.dtype().is_float() { 6 } else { 0 };
    let plan = Plan::new(&COMPARE)
        .operand(Source::Input(0), a.dtype())
        .operand(Source::Input(1), b.dtype())
        .operand(Source::Output(0), out.dtype);
    walk(plan, code, out.shape, &[a.layout(), b.layout()], out.dtype)
}

pub(super) fn where_(
    condition: &BitNetTensor,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    let bits = super::movement::bits_of(out.dtype)?;
    let plan = Plan::new(&WHERE)
        .operand(Source::Input(0), BitNetDType::Bool)
        .operand(Source::Input(1), bits)
        .operand(Source::Input(2), bits)
        .operand(Source::Output(0), bits);
    walk(plan, 0, out.shape, &[condition.layout(), a.layout(), b.layout()], bits)
}

pub(super) fn gate(
    kind: GateKind,
    gate: &BitNetTensor,
    up: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    let code = match kind {
        GateKind::ReluSquared => 0,
        GateKind::Silu => 1,
    };
    let plan = Plan::new(&GATE)
        .operand(Source::Input(0), gate.dtype())
        .operand(Source::Input(1), up.dtype())
        .operand(Source::Output(0), out.dtype);
    walk(plan, code, out.shape, &[gate.layout(), up.layout()], out.dtype)
}
