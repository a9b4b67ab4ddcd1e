//! Functions of one `f32` slice, and the gated activations of feed-forward layers.

use super::{coefficients, gelu, logarithm, math, unary_f64, wide};
use crate::Cpu;
use crate::simd::float::lane_fns;
use crate::simd::{Kernel, LANES, LaneFn, Simd};

/// A function of one number. What has no stated error is correctly rounded or exact in `f32`; the
/// others are within 0.51 units in the last place unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum UnaryKind {
    /// −x.
    Neg,
    /// |x|.
    Abs,
    /// −1, 0 or 1; NaN for NaN.
    Sign,
    /// x².
    Square,
    /// √x, correctly rounded.
    Sqrt,
    /// 1/√x: a square root and a division, each correctly rounded.
    Rsqrt,
    /// 1/x.
    Reciprocal,
    /// e^x, within 2 units in the last place.
    Exp,
    /// 2^x.
    Exp2,
    /// e^x − 1.
    Expm1,
    /// The natural logarithm, within 0.7 units in the last place.
    Log,
    /// The logarithm to base 2, within 0.8 units in the last place.
    Log2,
    /// The logarithm to base 10, within 0.8 units in the last place.
    Log10,
    /// ln(1 + x).
    Log1p,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// The tangent.
    Tan,
    /// The inverse sine.
    Asin,
    /// The inverse cosine.
    Acos,
    /// The inverse tangent.
    Atan,
    /// The hyperbolic sine.
    Sinh,
    /// The hyperbolic cosine.
    Cosh,
    /// The hyperbolic tangent, within 3 units in the last place.
    Tanh,
    /// The inverse hyperbolic sine.
    Asinh,
    /// The inverse hyperbolic cosine.
    Acosh,
    /// The inverse hyperbolic tangent.
    Atanh,
    /// The error function.
    Erf,
    /// 1 − erf(x).
    Erfc,
    /// The largest integer that is not greater.
    Floor,
    /// The smallest integer that is not less.
    Ceil,
    /// The nearest integer, halves to even.
    Round,
    /// The integer toward zero.
    Trunc,
    /// max(x, 0).
    Relu,
    /// min(max(x, 0), 6).
    Relu6,
    /// max(x, 0)².
    ReluSquared,
    /// x, or slope · x below zero.
    LeakyRelu(f64),
    /// x, or α (e^x − 1) below zero.
    Elu(f64),
    /// x, or α (e^(x/α) − 1) below zero.
    Celu(f64),
    /// Scaled ELU with the constants of Klambauer et al. 2017.
    Selu,
    /// x Φ(x) with the normal distribution's Φ, within 3 units in the last place.
    Gelu,
    /// GELU's approximation with tanh.
    GeluTanh,
    /// x / (1 + e^−x), within 3 units in the last place.
    Silu,
    /// x tanh(ln(1 + e^x)).
    Mish,
    /// 1 / (1 + e^−x), within 3 units in the last place.
    Sigmoid,
    /// ln σ(x).
    LogSigmoid,
    /// min(max(x/6 + 1/2, 0), 1).
    HardSigmoid,
    /// x · hard_sigmoid(x).
    HardSwish,
    /// min(max(x, −1), 1).
    HardTanh,
    /// ln(1 + e^x).
    Softplus,
    /// x / (1 + |x|).
    Softsign,
}

/// The activation of a gated feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GateKind {
    /// max(x, 0)²: BitNet b1.58 2B-4T.
    ReluSquared,
    /// x / (1 + e^−x): Llama.
    Silu,
}

/// `out[i] = f(x[i])`. NaN gives NaN.
///
/// # Panics
/// If the lengths differ.
///
/// ```
/// use bitnet_kernels::{Cpu, elementwise::{UnaryKind, unary}};
/// let mut out = [0.0; 3];
/// unary(Cpu::best(), UnaryKind::ReluSquared, &[-1.0, 2.0, 3.0], &mut out);
/// assert_eq!(out, [0.0, 4.0, 9.0]);
/// ```
pub fn unary(cpu: Cpu, kind: UnaryKind, x: &[f32], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "unary: input and output differ in length");
    cpu.run(Unary { kind, x: Some(x), out });
}

/// `x[i] = f(x[i])`.
pub fn unary_assign(cpu: Cpu, kind: UnaryKind, x: &mut [f32]) {
    cpu.run(Unary { kind, x: None, out: x });
}

/// `out[i] = activation(gate[i]) · up[i]`.
///
/// # Panics
/// If the lengths differ.
pub fn gate(cpu: Cpu, kind: GateKind, gate: &[f32], up: &[f32], out: &mut [f32]) {
    assert!(
        gate.len() == out.len() && up.len() == out.len(),
        "gate: lengths differ: gate {}, up {}, out {}",
        gate.len(),
        up.len(),
        out.len()
    );
    cpu.run(Gate { kind, gate, up, out });
}

struct Unary<'a> {
    kind: UnaryKind,
    /// Absent when the output is the input too.
    x: Option<&'a [f32]>,
    out: &'a mut [f32],
}

impl Kernel for Unary<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (x, out) = (self.x, self.out);
        match self.kind {
            UnaryKind::Neg => map(s, x, out, Neg),
            UnaryKind::Abs => map(s, x, out, Abs),
            UnaryKind::Square => map(s, x, out, Square),
            UnaryKind::Sqrt => map(s, x, out, Sqrt),
            UnaryKind::Rsqrt => map(s, x, out, Rsqrt),
            UnaryKind::Exp => map(s, x, out, Exp),
            UnaryKind::Relu => map(s, x, out, Relu),
            UnaryKind::ReluSquared => map(s, x, out, ReluSquared),
            UnaryKind::Silu => map(s, x, out, Silu),
            UnaryKind::Sigmoid => map(s, x, out, Sigmoid),
            UnaryKind::Tanh => map(s, x, out, Tanh),
            UnaryKind::Reciprocal => map(s, x, out, Reciprocal),
            UnaryKind::Round => map(s, x, out, Round),
            UnaryKind::Sign => map(s, x, out, Sign),
            UnaryKind::Floor => map(s, x, out, Floor),
            UnaryKind::Ceil => map(s, x, out, Ceil),
            UnaryKind::Trunc => map(s, x, out, Trunc),
            UnaryKind::Relu6 => map(s, x, out, Clamp { low: 0.0, high: 6.0 }),
            UnaryKind::HardTanh => map(s, x, out, Clamp { low: -1.0, high: 1.0 }),
            UnaryKind::Exp2 => map(s, x, out, Exp2),
            UnaryKind::Expm1 => map(s, x, out, Expm1),
            UnaryKind::Sinh => map(s, x, out, Sinh),
            UnaryKind::Cosh => map(s, x, out, Cosh),
            UnaryKind::Log => map(s, x, out, Log),
            UnaryKind::Log2 => map(s, x, out, Log2),
            UnaryKind::Log10 => map(s, x, out, Log10),
            UnaryKind::Log1p => map(s, x, out, Log1p),
            UnaryKind::Sin => map(s, x, out, Sin),
            UnaryKind::Cos => map(s, x, out, Cos),
            UnaryKind::Tan => map(s, x, out, Tan),
            UnaryKind::Erf => map(s, x, out, Erf),
            UnaryKind::Erfc => map(s, x, out, Erfc),
            UnaryKind::Gelu => map(s, x, out, Gelu),
            UnaryKind::GeluTanh => map(s, x, out, GeluTanh),
            UnaryKind::Mish => map(s, x, out, Mish),
            UnaryKind::Softplus => map(s, x, out, Softplus),
            UnaryKind::LogSigmoid => map(s, x, out, LogSigmoid),
            UnaryKind::LeakyRelu(slope) => map(s, x, out, LeakyRelu { slope }),
            UnaryKind::Elu(alpha) => map(s, x, out, Elu([1.0, alpha, 1.0])),
            UnaryKind::Celu(alpha) => map(s, x, out, Elu([1.0, alpha, alpha])),
            UnaryKind::Selu => {
                let below = coefficients::SELU_SCALE * coefficients::SELU_ALPHA;
                map(s, x, out, Elu([coefficients::SELU_SCALE, below, 1.0]));
            }
            kind => each(kind, x, out),
        }
    }
}

lane_fns! {
    Neg(s, v) = s.neg(v);
    Abs(s, v) = s.abs(v);
    Square(s, v) = s.mul(v, v);
    Sqrt(s, v) = s.sqrt(v);
    Rsqrt(s, v) = s.div(s.splat(1.0), s.sqrt(v));
    Reciprocal(s, v) = s.div(s.splat(1.0), v);
    Round(s, v) = s.round(v);
    Exp(s, v) = math::exp(s, v);
    Relu(s, v) = math::relu(s, v);
    ReluSquared(s, v) = math::relu_squared(s, v);
    Silu(s, v) = math::silu(s, v);
    Sigmoid(s, v) = math::sigmoid(s, v);
    Tanh(s, v) = math::tanh(s, v);
    Sign(s, v) = math::sign(s, v);
    Floor(s, v) = math::floor(s, v);
    Ceil(s, v) = s.neg(math::floor(s, s.neg(v)));
    Trunc(s, v) = math::trunc(s, v);
    Exp2(s, v) = wide::exp2(s, v);
    Expm1(s, v) = wide::expm1(s, v);
    Sinh(s, v) = wide::sinh(s, v);
    Cosh(s, v) = wide::cosh(s, v);
    Log(s, v) = logarithm::log(s, v);
    Log2(s, v) = logarithm::log2(s, v);
    Log10(s, v) = logarithm::log10(s, v);
    Log1p(s, v) = wide::log1p(s, v);
    Sin(s, v) = wide::sin(s, v);
    Cos(s, v) = wide::cos(s, v);
    Tan(s, v) = wide::tan(s, v);
    Erf(s, v) = wide::erf(s, v);
    Erfc(s, v) = wide::erfc(s, v);
    Gelu(s, v) = gelu::gelu(s, v);
    GeluTanh(s, v) = wide::gelu_tanh(s, v);
    Mish(s, v) = wide::mish(s, v);
    Softplus(s, v) = wide::softplus(s, v);
    LogSigmoid(s, v) = s.neg(wide::softplus(s, s.neg(v)));
}

/// x between two bounds.
#[derive(Clone, Copy)]
struct Clamp {
    low: f32,
    high: f32,
}

impl LaneFn for Clamp {
    #[inline(always)]
    fn call<S: Simd>(self, s: S, v: S::F32) -> S::F32 {
        let (low, high) = (s.splat(self.low), s.splat(self.high));
        s.select(s.less(v, low), low, s.select(s.less(high, v), high, v))
    }
}

/// x, or slope · x below zero.
#[derive(Clone, Copy)]
struct LeakyRelu {
    slope: f64,
}

impl LaneFn for LeakyRelu {
    #[inline(always)]
    fn call<S: Simd>(self, s: S, v: S::F32) -> S::F32 {
        let below = s.narrow(s.mul64(s.widen(v), s.splat64(self.slope)));
        s.select(s.less(v, s.splat(0.0)), below, v)
    }
}

/// The arguments of `wide::elu`.
#[derive(Clone, Copy)]
struct Elu([f64; 3]);

impl LaneFn for Elu {
    #[inline(always)]
    fn call<S: Simd>(self, s: S, v: S::F32) -> S::F32 {
        wide::elu(s, v, self.0)
    }
}

#[inline(always)]
fn map<S: Simd>(s: S, x: Option<&[f32]>, out: &mut [f32], f: impl LaneFn) {
    let (chunks, tail) = out.as_chunks_mut::<LANES>();
    match x {
        Some(x) => {
            let (inputs, input_tail) = x.as_chunks::<LANES>();
            for (out, x) in chunks.iter_mut().zip(inputs) {
                s.store(f.call(s, s.load(x)), out);
            }
            s.store_partial(f.call(s, s.load_partial(input_tail, 0.0)), tail);
        }
        None => {
            for out in chunks {
                s.store(f.call(s, s.load(out)), out);
            }
            s.store_partial(f.call(s, s.load_partial(tail, 0.0)), tail);
        }
    }
}

/// The functions without a vector form: in `f64`, rounded once.
fn each(kind: UnaryKind, x: Option<&[f32]>, out: &mut [f32]) {
    let f = |x: f32| unary_f64(kind, f64::from(x)) as f32;
    match x {
        Some(x) => out.iter_mut().zip(x).for_each(|(out, &x)| *out = f(x)),
        None => out.iter_mut().for_each(|out| *out = f(*out)),
    }
}

struct Gate<'a> {
    kind: GateKind,
    gate: &'a [f32],
    up: &'a [f32],
    out: &'a mut [f32],
}

impl Kernel for Gate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.kind {
            GateKind::ReluSquared => self.map(s, ReluSquared),
            GateKind::Silu => self.map(s, Silu),
        }
    }
}

impl Gate<'_> {
    #[inline(always)]
    fn map<S: Simd>(self, s: S, f: impl LaneFn) {
        let inputs = self.gate.chunks(LANES).zip(self.up.chunks(LANES));
        for (out, (gate, up)) in self.out.chunks_mut(LANES).zip(inputs) {
            let (gate, up) = (s.load_partial(gate, 0.0), s.load_partial(up, 0.0));
            s.store_partial(s.mul(f.call(s, gate), up), out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::{self, LENGTHS};

    /// Every kind, and its greatest error in units in the last place.
    const KINDS: [(UnaryKind, f64); 51] = [
        (UnaryKind::Neg, 0.0),
        (UnaryKind::Abs, 0.0),
        (UnaryKind::Sign, 0.0),
        (UnaryKind::Square, 0.5),
        (UnaryKind::Sqrt, 0.5),
        (UnaryKind::Rsqrt, 1.5),
        (UnaryKind::Reciprocal, 0.5),
        (UnaryKind::Exp, 2.0),
        (UnaryKind::Exp2, 0.51),
        (UnaryKind::Expm1, 0.51),
        (UnaryKind::Log, 0.7),
        (UnaryKind::Log2, 0.8),
        (UnaryKind::Log10, 0.8),
        (UnaryKind::Log1p, 0.51),
        (UnaryKind::Sin, 0.51),
        (UnaryKind::Cos, 0.51),
        (UnaryKind::Tan, 0.51),
        (UnaryKind::Asin, 0.51),
        (UnaryKind::Acos, 0.51),
        (UnaryKind::Atan, 0.51),
        (UnaryKind::Sinh, 0.51),
        (UnaryKind::Cosh, 0.51),
        (UnaryKind::Tanh, 3.0),
        (UnaryKind::Asinh, 0.51),
        (UnaryKind::Acosh, 0.51),
        (UnaryKind::Atanh, 0.51),
        (UnaryKind::Erf, 0.51),
        (UnaryKind::Erfc, 0.51),
        (UnaryKind::Floor, 0.0),
        (UnaryKind::Ceil, 0.0),
        (UnaryKind::Round, 0.0),
        (UnaryKind::Trunc, 0.0),
        (UnaryKind::Relu, 0.0),
        (UnaryKind::Relu6, 0.0),
        (UnaryKind::ReluSquared, 0.5),
        (UnaryKind::LeakyRelu(0.1), 0.51),
        (UnaryKind::Elu(1.5), 0.51),
        (UnaryKind::Celu(0.01), 0.51),
        (UnaryKind::Celu(-2.0), 0.51),
        (UnaryKind::Selu, 0.51),
        (UnaryKind::Gelu, 3.0),
        (UnaryKind::GeluTanh, 0.51),
        (UnaryKind::Silu, 3.0),
        (UnaryKind::Mish, 0.51),
        (UnaryKind::Sigmoid, 3.0),
        (UnaryKind::LogSigmoid, 0.51),
        (UnaryKind::HardSigmoid, 0.51),
        (UnaryKind::HardSwish, 0.51),
        (UnaryKind::HardTanh, 0.0),
        (UnaryKind::Softplus, 0.51),
        (UnaryKind::Softsign, 0.51),
    ];

    #[test]
    fn tiers_agree_with_each_other_and_with_f64() {
        for (kind, bound) in KINDS {
            for len in LENGTHS {
                let x = reference::awkward_floats(len, len as u64);
                let mut expected = vec![0.0; len];
                unary(Cpu::available()[0], kind, &x, &mut expected);
                for &cpu in Cpu::available() {
                    let mut out = vec![f32::NAN; len];
                    unary(cpu, kind, &x, &mut out);
                    assert_eq!(reference::bits(&out), reference::bits(&expected), "{kind:?} {cpu}");
                    let mut assigned = x.clone();
                    unary_assign(cpu, kind, &mut assigned);
                    assert_eq!(reference::bits(&assigned), reference::bits(&out), "{kind:?} {cpu}");
                }
                for (&x, &y) in x.iter().zip(&expected) {
                    let error = reference::error_in_ulps(y, reference::unary(kind, x));
                    assert!(error <= bound, "{kind:?}({x:e}) = {y:e}, {error} ulp off");
                }
            }
        }
    }

    /// The worst error of `kind` over every `step`-th number, and a number where it is.
    fn worst(kind: UnaryKind, step: usize) -> (f64, f32) {
        let (mut worst, mut place) = (0.0f64, 0.0);
        let (mut x, mut y) = (Vec::new(), Vec::new());
        let mut bits = (0..=u32::MAX).step_by(step).peekable();
        while bits.peek().is_some() {
            x.clear();
            x.extend(bits.by_ref().take(1 << 16).map(f32::from_bits));
            y.resize(x.len(), 0.0);
            unary(Cpu::best(), kind, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                let error = reference::error_in_ulps(y, reference::unary(kind, x));
                if error > worst {
                    (worst, place) = (error, x);
                }
            }
        }
        (worst, place)
    }

    fn errors_are_as_stated(step: usize, among: impl Fn(UnaryKind) -> bool) {
        for (kind, bound) in KINDS.into_iter().filter(|&(kind, _)| among(kind)) {
            let (worst, place) = worst(kind, step);
            println!("{kind:?}: {worst:.4} ulp at {place:e}");
            assert!(worst <= bound, "{kind:?}: {worst} ulp at {place:e}");
        }
    }

    #[test]
    fn errors_are_as_stated_over_all_exponents() {
        errors_are_as_stated(if cfg!(debug_assertions) { 300_007 } else { 20_011 }, |_| true);
    }

    #[test]
    #[ignore = "hours in a release build"]
    fn errors_are_as_stated_of_every_number() {
        errors_are_as_stated(1, |_| true);
    }

    #[test]
    #[ignore = "minutes in a release build"]
    fn errors_are_as_stated_of_every_logarithm() {
        let logarithms = [UnaryKind::Log, UnaryKind::Log2, UnaryKind::Log10];
        errors_are_as_stated(1, |kind| logarithms.contains(&kind));
    }

    #[test]
    fn gates_multiply_the_activation() {
        for len in LENGTHS {
            let (a, b) = (reference::awkward_floats(len, 3), reference::awkward_floats(len, 4));
            for (kind, unary_kind) in
                [(GateKind::ReluSquared, UnaryKind::ReluSquared), (GateKind::Silu, UnaryKind::Silu)]
            {
                let mut expected = a.clone();
                unary_assign(Cpu::available()[0], unary_kind, &mut expected);
                expected.iter_mut().zip(&b).for_each(|(e, b)| *e *= b);
                for &cpu in Cpu::available() {
                    let mut out = vec![0.0; len];
                    gate(cpu, kind, &a, &b, &mut out);
                    assert_eq!(reference::bits(&out), reference::bits(&expected));
                }
            }
        }
    }
}
