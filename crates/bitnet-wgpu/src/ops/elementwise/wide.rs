//! Functions that the CPU computes in `f64`. The language of kernels has none, and drivers may reorder the
//! sums that two `f32` for one number need: here their numbers are integers of 32 digits
//! (`shaders/elementwise/wide.wgsl`). `pow` is not among them: it multiplies the logarithm's error by up to
//! 128, which takes more digits.

use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_2, LN_2, LOG2_E, LOG10_E};
use std::fmt::Write;

use bitnet_kernels::elementwise::coefficients::{self, SELU_ALPHA, SELU_SCALE};
use bitnet_tensor::ops::UnaryKind;
use bitnet_tensor::{BitNetTensor, Layout};
use smallvec::smallvec;

use super::{is_writable, walk};
use crate::gpu::{Access::*, Template, is_native};
use crate::operand::Strided;
use crate::ops::movement::copy_between;
use crate::ops::{FUNCTIONS, MAP, Plan, Plans, STRIDED, Source};

const WIDE: &str = include_str!("../../shaders/elementwise/wide.wgsl");
const POWER: &str = include_str!("../../shaders/elementwise/wide/power.wgsl");
const LOGARITHM: &str = include_str!("../../shaders/elementwise/wide/logarithm.wgsl");
const SOFTPLUS: &str = include_str!("../../shaders/elementwise/wide/softplus.wgsl");
const CIRCULAR: &str = include_str!("../../shaders/elementwise/wide/circular.wgsl");
const ELU: &str = include_str!("../../shaders/elementwise/wide/elu.wgsl");
const ERROR: &str = include_str!("../../shaders/elementwise/wide/error.wgsl");

static WIDE_UNARY: Template = Template {
    name: "wide unary",
    body: MAP,
    includes: &[FUNCTIONS, STRIDED],
    operands: &[("x", Read), ("out", Write)],
    constants: &["KIND", "RANK", "STRIDED", "OPERANDS"],
    define: Some(|constants| {
        let (_, body, parts) = FUNCTIONS_OF_X[constants[0] as usize];
        let functions: String = std::iter::once(&WIDE).chain(parts).copied().collect();
        format!(
            "{}{functions}fn element(i: u32) -> OUT {{\n    let x = load_x(position(i, 0u));\n    return {body};\n}}\n",
            numbers_in(&functions)
        )
    }),
    ..Template::PLAIN
};

/// How kernels say the functions of `x`, and what they are made of beside the numbers.
const FUNCTIONS_OF_X: [(UnaryKind, &str, &[&str]); 18] = [
    (UnaryKind::Selu, "elu_of(x)", &[POWER, ELU]),
    (UnaryKind::LeakyRelu(0.0), "leaky_relu_of(x)", &[POWER, ELU]),
    (UnaryKind::Exp2, "exp2_of(x)", &[POWER]),
    (UnaryKind::Expm1, "expm1_of(x)", &[POWER]),
    (UnaryKind::Log2, "log2_of(x)", &[LOGARITHM]),
    (UnaryKind::Log10, "log10_of(x)", &[LOGARITHM]),
    (UnaryKind::Sin, "sin_of(x)", &[CIRCULAR]),
    (UnaryKind::Cos, "cos_of(x)", &[CIRCULAR]),
    (UnaryKind::Tan, "tan_of(x)", &[CIRCULAR]),
    (UnaryKind::Sinh, "sinh_of(x)", &[POWER]),
    (UnaryKind::Cosh, "cosh_of(x)", &[POWER]),
    (UnaryKind::Erf, "erf_of(x)", &[POWER, ERROR]),
    (UnaryKind::Erfc, "erfc_of(x)", &[POWER, ERROR]),
    (UnaryKind::Gelu, "gelu_of(x)", &[POWER, ERROR]),
    (UnaryKind::GeluTanh, "gelu_tanh_of(x)", &[POWER]),
    (UnaryKind::Mish, "mish_of(x)", &[POWER]),
    (UnaryKind::Softplus, "softplus_of(x)", &[POWER, LOGARITHM, SOFTPLUS]),
    (UnaryKind::LogSigmoid, "negated(softplus_of(negated(x)))", &[POWER, LOGARITHM, SOFTPLUS]),
];

const NUMBERS: [(&str, f64); 11] = [
    ("ONE", 1.0),
    ("TWO", 2.0),
    ("FOUR", 4.0),
    ("LN_2", LN_2),
    ("LOG2_E", LOG2_E),
    ("LOG10_E", LOG10_E),
    ("HALF_PI", FRAC_PI_2),
    ("HALF_ROOT", FRAC_1_SQRT_2),
    ("CUBE", 0.044715),
    // −√(8/π)
    ("SCALE", -1.595_769_121_605_730_8),
    // What HALF_PI has not, whose digits are cut off.
    ("HALF_PI_REST", FRAC_PI_2 - 3_373_259_426.0 / (1u64 << 31) as f64),
];

/// The polynomials of the CPU's kernels, the highest coefficient first.
const POLYNOMIALS: [(&str, &[f64]); 6] = [
    ("EXPM1", &coefficients::EXPM1),
    ("AREA", &coefficients::AREA),
    ("SINE", &coefficients::SINE),
    ("COSINE", &coefficients::COSINE),
    ("ERF", &coefficients::ERF),
    ("ERFC", &coefficients::ERFC),
];

/// Coefficients of each polynomial, zeros first.
const COEFFICIENTS: usize = 12;

/// The numbers and polynomials that `functions` name, as the kernel has them.
fn numbers_in(functions: &str) -> String {
    let mut text = String::new();
    let mut line = |arguments: std::fmt::Arguments<'_>| {
        text.write_fmt(arguments).expect("a string takes any text");
    };
    for (name, value) in NUMBERS.into_iter().filter(|(name, _)| functions.contains(name)) {
        line(format_args!("const {name} = {};\n", wide(value)));
    }
    let polynomials = POLYNOMIALS.into_iter().filter(|(name, _)| functions.contains(name));
    for (name, coefficients) in polynomials {
        let none = std::iter::repeat_n(0.0, COEFFICIENTS - coefficients.len());
        let all: Vec<String> = none.chain(coefficients.iter().copied()).map(wide).collect();
        line(format_args!("const {name} = array<Wide, {COEFFICIENTS}>({});\n", all.join(", ")));
    }
    text
}

/// A number as the kernel writes it.
fn wide(value: f64) -> String {
    let [sign, exponent, digits] = words(value);
    format!("Wide({sign}u, {}, {digits}u)", exponent as i32)
}

/// Sign, exponent and the first 32 digits of a finite number.
fn words(value: f64) -> [u32; 3] {
    let bits = value.to_bits();
    let sign = (bits >> 63 << 31) as u32;
    if value == 0.0 {
        return [sign, 0, 0];
    }
    let exponent = (bits >> 52 & 0x7ff) as i32 - 1023;
    [sign, exponent as u32, (1 << 31) | (bits >> 21 & 0x7fff_ffff) as u32]
}

/// The place of the function in the table, and its numbers.
fn code(kind: UnaryKind, x: &BitNetTensor) -> Option<(u32, [f64; 3])> {
    let (kind, numbers) = match kind {
        UnaryKind::LeakyRelu(slope) => (UnaryKind::LeakyRelu(0.0), [slope, 0.0, 1.0]),
        UnaryKind::Elu(alpha) => (UnaryKind::Selu, [1.0, alpha, 1.0]),
        UnaryKind::Celu(alpha) => (UnaryKind::Selu, [1.0, alpha, alpha]),
        UnaryKind::Selu => (kind, [SELU_SCALE, SELU_SCALE * SELU_ALPHA, 1.0]),
        kind => (kind, [0.0, 0.0, 1.0]),
    };
    let place = FUNCTIONS_OF_X.iter().position(|&(own, ..)| own == kind)?;
    let usual = numbers.iter().all(|&number| number == 0.0 || number.is_normal());
    let fits = is_native(x.dtype()) && x.dtype().is_float() && usual && numbers[2] != 0.0;
    fits.then_some((place as u32, numbers))
}

/// The parameter at which the numbers of a function begin.
const GIVEN: usize = 40;

/// The walk over `layout`, which gives elements to the function.
fn function(
    (code, numbers): (u32, [f64; 3]),
    x: &BitNetTensor,
    [from, to]: [Source; 2],
    layout: &Layout,
) -> Option<Plan> {
    let plan = Plan::new(&WIDE_UNARY).operand(from, x.dtype()).operand(to, x.dtype());
    let mut plan = walk(plan, code, x.shape(), &[layout], x.dtype())?;
    plan.params.resize(GIVEN, 0);
    plan.params.extend(numbers.into_iter().flat_map(words));
    Some(plan)
}

/// What does not lie in a row is brought there first: these kernels are large, one for each layout would
/// be many.
pub(super) fn unary(kind: UnaryKind, x: &BitNetTensor) -> Option<Plans> {
    let code = code(kind, x)?;
    let (input, output) = (Source::Input(0), Source::Output(0));
    if Strided::over(x.shape(), &[x.layout()])?.rank() == 1 {
        return Some(smallvec![function(code, x, [input, output], x.layout())?]);
    }
    let in_a_row = Layout::contiguous(x.shape().iter().copied().collect());
    let mut copy = copy_between(x, input, Source::Temporary)?;
    copy.temporary = space_of(x)?;
    Some(smallvec![copy, function(code, x, [Source::Temporary, output], &in_a_row)?])
}

/// Beside its operand first: a kernel of another form for each function would be many too.
pub(super) fn unary_in_place(kind: UnaryKind, x: &BitNetTensor) -> Option<Plans> {
    let code = code(kind, x).filter(|_| is_writable(x))?;
    if x.element_count() == 0 {
        return Some(Plans::new());
    }
    let mut plan = function(code, x, [Source::Input(0), Source::Temporary], x.layout())?;
    plan.temporary = space_of(x)?;
    Some(smallvec![plan, copy_between(x, Source::Temporary, Source::Output(0))?])
}

/// Bytes of the elements, in whole words.
fn space_of(x: &BitNetTensor) -> Option<usize> {
    Some((x.element_count() * x.dtype().size_in_bytes()?).next_multiple_of(4))
}
