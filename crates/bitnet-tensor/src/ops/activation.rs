//! Functions of one element, gated activations and softmax.

use smallvec::smallvec;

use super::{
    Derivative, GateKind, OperandGradients, Operation, Outputs, Specs, TensorSpec, UnaryKind,
};
use crate::backend::dispatch::{apply_one, apply_reusing};
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// A function of each element.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unary(pub UnaryKind);

impl Operation for Unary {
    fn name(&self) -> &'static str {
        match self.0 {
            UnaryKind::Neg => "neg",
            UnaryKind::Abs => "abs",
            UnaryKind::Square => "square",
            UnaryKind::Sqrt => "sqrt",
            UnaryKind::Rsqrt => "rsqrt",
            UnaryKind::Exp => "exp",
            UnaryKind::Relu => "relu",
            UnaryKind::ReluSquared => "relu_squared",
            UnaryKind::Silu => "silu",
            UnaryKind::Sigmoid => "sigmoid",
            UnaryKind::Tanh => "tanh",
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if !input.dtype().is_float() {
            bail!(DTypeMismatch, self.name(), inputs, "takes floats: cast with to_dtype first");
        }
        Ok(smallvec![TensorSpec::new(input.shape(), input.dtype())])
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (x, y, dy) = (context.inputs[0], context.output, context.gradient);
        let derivative = match self.0 {
            UnaryKind::Neg => return Ok(smallvec![Some(dy.neg()?)]),
            UnaryKind::Square => x.add(x)?,
            UnaryKind::Exp => y.clone(),
            // d √x = 1 / (2 √x)
            UnaryKind::Sqrt => y.add(y)?.reciprocal()?,
            // d x^(-1/2) = -x^(-3/2) / 2 = -y³ / 2
            UnaryKind::Rsqrt => y.square()?.mul(y)?.mul(&y.full_like(-0.5)?)?,
            // y (1 − y)
            UnaryKind::Sigmoid => y.sub(&y.square()?)?,
            UnaryKind::Tanh => y.full_like(1.0)?.sub(&y.square()?)?,
            // 2 relu(x)
            UnaryKind::ReluSquared => {
                let relu = x.relu()?;
                relu.add(&relu)?
            }
            // σ(x) + y (1 − σ(x)), y = x σ(x)
            UnaryKind::Silu => {
                let sigmoid = x.sigmoid()?;
                sigmoid.add(&y.sub(&y.mul(&sigmoid)?)?)?
            }
            // relu and abs need comparisons, which the library does not have yet.
            UnaryKind::Relu | UnaryKind::Abs => {
                bail!(UnsupportedOperation, self.name(), context.inputs, "no derivative is defined")
            }
        };
        Ok(smallvec![Some(dy.mul(&derivative)?)])
    }
}

/// `activation(gate) · up`, elementwise: the middle of a gated feed-forward layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate(pub GateKind);

impl Operation for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let (gate, up) = (inputs[0], inputs[1]);
        if gate.shape() != up.shape() {
            bail!(ShapeMismatch, self.name(), inputs, "gate and up have different shapes");
        }
        if gate.dtype() != BitNetDType::F32 || up.dtype() != BitNetDType::F32 {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32");
        }
        Ok(smallvec![TensorSpec::new(gate.shape(), gate.dtype())])
    }

    fn decompose(&self, inputs: &[&BitNetTensor]) -> Option<Result<Outputs>> {
        let activation = match self.0 {
            GateKind::ReluSquared => inputs[0].relu_squared(),
            GateKind::Silu => inputs[0].silu(),
        };
        Some(activation.and_then(|a| a.mul(inputs[1])).map(|y| smallvec![y]))
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        // The decomposition's parts know their derivatives.
        let kind = match self.0 {
            GateKind::ReluSquared => UnaryKind::ReluSquared,
            GateKind::Silu => UnaryKind::Silu,
        };
        let (gate, up, dy) = (context.inputs[0], context.inputs[1], context.gradient);
        let activation = apply_one(Unary(kind), &[gate])?;
        let inner = Derivative { inputs: &[gate], output: &activation, gradient: &dy.mul(up)? };
        let d_gate = Unary(kind).backward(&inner)?.pop().flatten();
        Ok(smallvec![d_gate, Some(dy.mul(&activation)?)])
    }
}

/// Exponentials along the last axis, divided by their sum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Softmax;

impl Operation for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype() != BitNetDType::F32 {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32");
        }
        if input.rank() == 0 {
            bail!(ShapeMismatch, self.name(), inputs, "a scalar has no axis");
        }
        Ok(smallvec![TensorSpec::new(input.shape(), input.dtype())])
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        // dx = y (dy − Σ dy·y)
        let (y, dy) = (context.output, context.gradient);
        let sum = dy.mul(y)?.sum(&[-1], true)?;
        Ok(smallvec![Some(dy.sub(&sum)?.mul(y)?)])
    }
}

macro_rules! unary_methods {
    ($($(#[$doc:meta])* $method:ident, $method_owned:ident => $kind:ident;)+) => {
        /// # Functions of each element
        ///
        /// All take floats and keep the shape and the type; the half types are computed in
        /// `f32` and rounded once. The `into_` forms reuse the storage when nobody shares it.
        impl BitNetTensor {
            $(
                $(#[$doc])*
                ///
                /// # Errors
                /// `DTypeMismatch` unless the elements are floats.
                pub fn $method(&self) -> Result<Self> {
                    apply_one(Unary(UnaryKind::$kind), &[self])
                }

                #[doc = concat!("[`", stringify!($method), "`](Self::", stringify!($method), ") that reuses the storage when nobody shares it.")]
                ///
                /// # Errors
                /// `DTypeMismatch` unless the elements are floats.
                pub fn $method_owned(self) -> Result<Self> {
                    apply_reusing(Unary(UnaryKind::$kind), self, &[])
                }
            )+
        }
    };
}
unary_methods! {
    /// The negative.
    neg, into_neg => Neg;
    /// The absolute value.
    abs, into_abs => Abs;
    /// The square.
    square, into_square => Square;
    /// The square root; NaN below zero.
    sqrt, into_sqrt => Sqrt;
    /// `1 / √x`.
    rsqrt, into_rsqrt => Rsqrt;
    /// The exponential.
    exp, into_exp => Exp;
    /// `max(x, 0)`.
    relu, into_relu => Relu;
    /// `max(x, 0)²`, the activation of BitNet b1.58 2B-4T.
    relu_squared, into_relu_squared => ReluSquared;
    /// `x / (1 + e⁻ˣ)`, also called swish.
    silu, into_silu => Silu;
    /// `1 / (1 + e⁻ˣ)`.
    sigmoid, into_sigmoid => Sigmoid;
    /// The hyperbolic tangent.
    tanh, into_tanh => Tanh;
}

/// # Activations of a transformer
impl BitNetTensor {
    /// `activation(self) · up`, elementwise, for `F32` of equal shapes.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn gate(&self, kind: GateKind, up: &Self) -> Result<Self> {
        apply_one(Gate(kind), &[self, up])
    }

    /// Softmax along the last axis, for `F32`. A row of −∞ only gives NaN, as in PyTorch.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 0.0], [2])?;
    /// assert_eq!(x.softmax()?.to_vec::<f32>()?, [0.5, 0.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch`; `ShapeMismatch` for a scalar.
    pub fn softmax(&self) -> Result<Self> {
        apply_one(Softmax, &[self])
    }

    /// A scalar of this tensor's type and device, to broadcast against it.
    pub(crate) fn full_like(&self, value: f64) -> Result<Self> {
        Self::scalar(value)?.to_dtype(self.dtype())?.to_device(self.device())
    }

    /// `1 / x`.
    pub(crate) fn reciprocal(&self) -> Result<Self> {
        self.full_like(1.0)?.div(self)
    }
}
