//! Functions of one and two elements, broadcast and strided.

mod wide;

use bitnet_tensor::ops::{BinaryKind, CompareKind, GateKind, UnaryKind};
use bitnet_tensor::{BitNetDType, BitNetTensor, Layout};
use smallvec::{SmallVec, smallvec};

use super::{FUNCTIONS, MAP, Params, Plan, Plans, STRIDED, Source, Target, WORKGROUP};
use crate::gpu::{Access::*, Template, is_native, per_word};
use crate::operand::{Steps, Strided, grid};

/// Words of the result that a workgroup of `map.wgsl` has.
const MAP_WORDS: u32 = 4 * WORKGROUP;

/// The workgroups of `map.wgsl` for `count` elements of a type.
pub(super) fn map_grid(count: u32, dtype: BitNetDType) -> [u32; 3] {
    grid(count.div_ceil(per_word(dtype) as u32), MAP_WORDS)
}

/// Defines a template over the strided walk: `element(i)` of its operands.
macro_rules! map_template {
    ($name:ident, $label:literal, [$($operand:literal: $access:ident),*], $define:expr) => {
        pub(super) static $name: Template = Template {
            name: $label,
            body: MAP,
            includes: &[FUNCTIONS, STRIDED],
            operands: &[$(($operand, $access)),*],
            constants: &["KIND", "RANK", "STRIDED", "OPERANDS"],
            define: Some($define),
            ..Template::PLAIN
        };
    };
}
pub(super) use map_template;

map_template!(UNARY, "unary", ["x": Read, "out": Write], |constants| {
    let body = unary_expression(constants[0]);
    format!("fn f(x: X) -> OUT {{ return {body}; }}\nfn element(i: u32) -> OUT {{ return f(load_x(position(i, 0u))); }}\n")
});
map_template!(UNARY_IN_PLACE, "unary in place", ["out": Write], |constants| {
    let body = unary_expression(constants[0]);
    format!("alias X = OUT;\nfn f(x: OUT) -> OUT {{ return {body}; }}\nfn element(i: u32) -> OUT {{ return f(load_out(i)); }}\n")
});
map_template!(BINARY, "binary", ["a": Read, "b": Read, "out": Write], |constants| {
    let body = binary_expression(constants[0]);
    format!("fn f(a: A, b: B) -> OUT {{ return {body}; }}\nfn element(i: u32) -> OUT {{ return f(load_a(position(i, 0u)), load_b(position(i, 1u))); }}\n")
});
map_template!(BINARY_IN_PLACE, "binary in place", ["b": Read, "out": Write], |constants| {
    let body = binary_expression(constants[0]);
    format!("fn f(a: OUT, b: B) -> OUT {{ return {body}; }}\nfn element(i: u32) -> OUT {{ return f(load_out(i), load_b(position(i, 0u))); }}\n")
});
map_template!(COMPARE, "compare", ["a": Read, "b": Read, "out": Write], |constants| {
    let body = compare_expression(constants[0]);
    format!("fn element(i: u32) -> OUT {{\n    let a = load_a(position(i, 0u));\n    let b = load_b(position(i, 1u));\n    return select(0u, 1u, {body});\n}}\n")
});
map_template!(WHERE, "where", ["condition": Read, "a": Read, "b": Read, "out": Write], |_| {
    "fn element(i: u32) -> OUT {\n    if (load_condition(position(i, 0u)) != 0u) { return load_a(position(i, 1u)); }\n    return load_b(position(i, 2u));\n}\n".to_owned()
});
map_template!(GATE, "gate", ["a": Read, "b": Read, "out": Write], |constants| {
    let activation = if constants[0] == 0 { "relu_squared_of" } else { "silu_of" };
    format!("fn element(i: u32) -> OUT {{ return {activation}(load_a(position(i, 0u))) * load_b(position(i, 1u)); }}\n")
});

/// The functions of one number that kernels have, and how they say them of `x`.
const UNARY_OF_INTEGERS: [(UnaryKind, &str); 9] = [
    (UnaryKind::Neg, "X(0) - x"),
    (UnaryKind::Abs, "abs(x)"),
    (UnaryKind::Square, "x * x"),
    (UnaryKind::Sign, "X(x > X(0)) - X(x < X(0))"),
    (UnaryKind::Relu, "max(x, X(0))"),
    (UnaryKind::Floor, "x"),
    (UnaryKind::Ceil, "x"),
    (UnaryKind::Round, "x"),
    (UnaryKind::Trunc, "x"),
];
const UNARY_OF_FLOATS: [(UnaryKind, &str); 24] = [
    (UnaryKind::Neg, "negated(x)"),
    (UnaryKind::Abs, "magnitude(x)"),
    (UnaryKind::Square, "x * x"),
    (UnaryKind::Sqrt, "root(x)"),
    (UnaryKind::Rsqrt, "divide(1.0, root(x))"),
    (UnaryKind::Reciprocal, "divide(1.0, x)"),
    (UnaryKind::Exp, "exp_of(x)"),
    (UnaryKind::Log, "log_of(x)"),
    (UnaryKind::Log1p, "log1p_of(x)"),
    (UnaryKind::Tanh, "tanh_of(x)"),
    (UnaryKind::Sigmoid, "sigmoid_of(x)"),
    (UnaryKind::Silu, "silu_of(x)"),
    (UnaryKind::Relu, "relu_of(x)"),
    (UnaryKind::ReluSquared, "relu_squared_of(x)"),
    (UnaryKind::Sign, "sign_of(x)"),
    (UnaryKind::Floor, "floor(x)"),
    (UnaryKind::Ceil, "ceil(x)"),
    (UnaryKind::Trunc, "trunc(x)"),
    (UnaryKind::Round, "round(x)"),
    (UnaryKind::Relu6, "within(x, 0.0, 6.0)"),
    (UnaryKind::HardTanh, "within(x, -1.0, 1.0)"),
    (UnaryKind::HardSigmoid, "within(divide(x + 3.0, 6.0), 0.0, 1.0)"),
    (UnaryKind::HardSwish, "x * within(divide(x + 3.0, 6.0), 0.0, 1.0)"),
    (UnaryKind::Softsign, "divide(x, 1.0 + magnitude(x))"),
];

/// The same of two numbers, `a` and `b`.
const BINARY_OF_INTEGERS: [(BinaryKind, &str); 8] = [
    (BinaryKind::Add, "a + b"),
    (BinaryKind::Sub, "a - b"),
    (BinaryKind::Mul, "a * b"),
    (BinaryKind::Max, "max(a, b)"),
    (BinaryKind::Min, "min(a, b)"),
    (BinaryKind::And, "a & b"),
    (BinaryKind::Or, "a | b"),
    (BinaryKind::Xor, "a ^ b"),
];
const BINARY_OF_FLOATS: [(BinaryKind, &str); 7] = [
    (BinaryKind::Add, "a + b"),
    (BinaryKind::Sub, "a - b"),
    (BinaryKind::Mul, "a * b"),
    (BinaryKind::Max, "larger_of(a, b)"),
    (BinaryKind::Min, "smaller_of(a, b)"),
    (BinaryKind::Div, "divide(a, b)"),
    (BinaryKind::Copysign, "with_sign(a, b)"),
];

/// And of comparisons. Not equal is what is not equal: drivers differ in what `!=` says of NaN.
const COMPARE_OF_INTEGERS: [(CompareKind, &str); 6] = [
    (CompareKind::Eq, "a == b"),
    (CompareKind::Ne, "a != b"),
    (CompareKind::Lt, "a < b"),
    (CompareKind::Le, "a <= b"),
    (CompareKind::Gt, "a > b"),
    (CompareKind::Ge, "a >= b"),
];
const COMPARE_OF_FLOATS: [(CompareKind, &str); 6] = [
    (CompareKind::Eq, "is_equal(a, b)"),
    (CompareKind::Ne, "!is_equal(a, b)"),
    (CompareKind::Lt, "is_less(a, b)"),
    (CompareKind::Le, "is_at_most(a, b)"),
    (CompareKind::Gt, "is_less(b, a)"),
    (CompareKind::Ge, "is_at_most(b, a)"),
];

/// The code of a function is its place in the table of integers, or of floats from here on.
const FLOATS: u32 = 100;
/// The first of the floats.
pub(super) const ADD_FLOATS: u32 = FLOATS;

fn code_in<K: PartialEq>(
    integers: &[(K, &str)],
    floats: &[(K, &str)],
    kind: K,
    dtype: BitNetDType,
) -> Option<u32> {
    let (table, first) = if dtype.is_float() { (floats, FLOATS) } else { (integers, 0) };
    table.iter().position(|(own, _)| *own == kind).map(|place| first + place as u32)
}

fn expression<K>(
    integers: &[(K, &'static str)],
    floats: &[(K, &'static str)],
    code: u32,
) -> &'static str {
    match code.checked_sub(FLOATS) {
        Some(place) => floats[place as usize].1,
        None => integers[code as usize].1,
    }
}

fn unary_expression(code: u32) -> &'static str {
    expression(&UNARY_OF_INTEGERS, &UNARY_OF_FLOATS, code)
}

fn unary_code(kind: UnaryKind, x: &BitNetTensor) -> Option<u32> {
    let native = is_native(x.dtype());
    native.then(|| code_in(&UNARY_OF_INTEGERS, &UNARY_OF_FLOATS, kind, x.dtype())).flatten()
}

fn binary_expression(code: u32) -> &'static str {
    expression(&BINARY_OF_INTEGERS, &BINARY_OF_FLOATS, code)
}

fn binary_code(kind: BinaryKind, a: &BitNetTensor, b: &BitNetTensor) -> Option<u32> {
    let native = is_native(a.dtype()) && is_native(b.dtype());
    native.then(|| code_in(&BINARY_OF_INTEGERS, &BINARY_OF_FLOATS, kind, a.dtype())).flatten()
}

fn compare_expression(code: u32) -> &'static str {
    expression(&COMPARE_OF_INTEGERS, &COMPARE_OF_FLOATS, code)
}

/// Completes a plan over the walk through `layouts`, broadcast to `shape`.
pub(super) fn walk(
    plan: Plan,
    code: u32,
    shape: &[usize],
    layouts: &[&Layout],
    out: BitNetDType,
) -> Option<Plan> {
    let steps: SmallVec<[Steps; 4]> =
        layouts.iter().map(|layout| Steps::through(layout, shape)).collect();
    walk_steps(plan, code, shape, &steps, out)
}

/// The same with each operand in steps of its own.
pub(super) fn walk_steps(
    plan: Plan,
    code: u32,
    shape: &[usize],
    steps: &[Steps],
    out: BitNetDType,
) -> Option<Plan> {
    let walk = Strided::along_steps(shape, steps)?;
    let count = shape.iter().product::<usize>() as u32;
    let mut params = Params::new();
    params.push(count);
    walk.write(&mut params);
    let plan = plan.constants(&[code, walk.rank(), 2, steps.len() as u32]).params(&params);
    Some(plan.workgroups(map_grid(count, out)))
}

pub(super) fn unary(kind: UnaryKind, x: &BitNetTensor, out: &Target<'_>) -> Option<Plans> {
    let Some(code) = unary_code(kind, x) else { return wide::unary(kind, x) };
    let plan = Plan::new(&UNARY)
        .operand(Source::Input(0), x.dtype())
        .operand(Source::Output(0), out.dtype);
    Some(smallvec![walk(plan, code, out.shape, &[x.layout()], out.dtype)?])
}

/// Whether a kernel can write over `target`: words are its own from the first on.
fn is_writable(target: &BitNetTensor) -> bool {
    target.is_contiguous() && target.layout().offset() == 0
}

pub(super) fn unary_in_place(kind: UnaryKind, x: &BitNetTensor) -> Option<Plans> {
    let Some(code) = unary_code(kind, x) else { return wide::unary_in_place(kind, x) };
    if !is_writable(x) {
        return None;
    }
    let plan = Plan::new(&UNARY_IN_PLACE).operand(Source::Output(0), x.dtype());
    Some(smallvec![walk(plan, code, x.shape(), &[x.layout()], x.dtype())?])
}

pub(super) fn binary(
    kind: BinaryKind,
    a: &BitNetTensor,
    b: &BitNetTensor,
    out: &Target<'_>,
) -> Option<Plan> {
    let code = binary_code(kind, a, b)?;
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
    let code = binary_code(kind, a, b).filter(|_| is_writable(a))?;
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
    if !is_native(a.dtype()) || !is_native(b.dtype()) {
        return None;
    }
    let code = code_in(&COMPARE_OF_INTEGERS, &COMPARE_OF_FLOATS, kind, a.dtype())?;
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
