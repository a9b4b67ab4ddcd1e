//! Functions of one `f32` slice, and the gated activations of feed-forward layers.

use super::math;
use super::unary_f64;
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
    /// The natural logarithm.
    Log,
    /// The logarithm to base 2.
    Log2,
    /// The logarithm to base 10.
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
    /// x Φ(x) with the normal distribution's Φ.
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

    const KINDS: [UnaryKind; 11] = [
        UnaryKind::Neg,
        UnaryKind::Abs,
        UnaryKind::Square,
        UnaryKind::Sqrt,
        UnaryKind::Rsqrt,
        UnaryKind::Exp,
        UnaryKind::Relu,
        UnaryKind::ReluSquared,
        UnaryKind::Silu,
        UnaryKind::Sigmoid,
        UnaryKind::Tanh,
    ];

    /// How many representable numbers lie between `x` and the exact value, roughly.
    fn error_in_ulps(x: f32, exact: f64) -> f64 {
        let rounded = exact as f32;
        if rounded.is_nan() || rounded.is_infinite() || x.is_nan() || x.is_infinite() {
            let same = x == rounded || x.is_nan() && rounded.is_nan();
            return if same { 0.0 } else { f64::INFINITY };
        }
        let ulp = f64::from(rounded.abs().next_up()) - f64::from(rounded.abs());
        (f64::from(x) - exact).abs() / ulp
    }

    #[test]
    fn tiers_agree_with_each_other_and_with_f64() {
        for kind in KINDS {
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
                    let error = error_in_ulps(y, reference::unary(kind, x));
                    assert!(error <= 3.0, "{kind:?}({x:e}) = {y:e}, {error} ulp off");
                }
            }
        }
    }

    /// The worst error of `kind` over every 37th number between `from` and `to`.
    fn worst(kind: UnaryKind, from: f32, to: f32) -> f64 {
        let x: Vec<f32> =
            (from.to_bits()..to.to_bits()).step_by(37 * 16).map(f32::from_bits).collect();
        let mut worst = 0.0f64;
        for sign in [1.0, -1.0] {
            let x: Vec<f32> = x.iter().map(|x| x * sign).collect();
            let mut y = vec![0.0; x.len()];
            unary(Cpu::best(), kind, &x, &mut y);
            for (&x, &y) in x.iter().zip(&y) {
                worst = worst.max(error_in_ulps(y, reference::unary(kind, x)));
            }
        }
        worst
    }

    #[test]
    fn exp_is_within_two_ulps_everywhere() {
        let worst = worst(UnaryKind::Exp, 0.0, f32::INFINITY);
        assert!(worst <= 2.0, "{worst} ulp");
        println!("exp: {worst} ulp");
    }

    #[test]
    fn tanh_sigmoid_and_silu_are_within_three_ulps() {
        for (kind, to) in [
            (UnaryKind::Tanh, f32::INFINITY),
            (UnaryKind::Sigmoid, f32::INFINITY),
            (UnaryKind::Silu, f32::INFINITY),
        ] {
            let worst = worst(kind, 0.0, to);
            assert!(worst <= 3.0, "{kind:?}: {worst} ulp");
            println!("{kind:?}: {worst} ulp");
        }
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
