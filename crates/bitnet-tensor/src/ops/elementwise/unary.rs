//! Functions of one element.

use smallvec::smallvec;

use crate::BitNetTensor;
use crate::backend::dispatch::{apply_one, apply_reusing};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec, UnaryKind};

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
        let (x, y, dy) = (context.inputs[0], context.output(), context.gradient);
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
            UnaryKind::Relu => return Ok(smallvec![Some(x.gt(0.0)?.where_(dy, 0.0)?)]),
            // The sign; 0 at 0.
            UnaryKind::Abs => {
                let toward_left = x.lt(0.0)?.where_(&dy.neg()?, 0.0)?;
                return Ok(smallvec![Some(x.gt(0.0)?.where_(dy, &toward_left)?)]);
            }
        };
        Ok(smallvec![Some(dy.mul(&derivative)?)])
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

impl BitNetTensor {
    /// A scalar of this tensor's type and device, to broadcast against it.
    pub(crate) fn full_like(&self, value: f64) -> Result<Self> {
        Self::scalar(value)?.to_dtype(self.dtype())?.to_device(self.device())
    }

    /// `1 / x`.
    pub(crate) fn reciprocal(&self) -> Result<Self> {
        self.full_like(1.0)?.div(self)
    }
}
