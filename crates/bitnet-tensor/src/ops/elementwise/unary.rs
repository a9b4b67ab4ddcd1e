//! Functions of one element.

mod activations;
mod derivative;
mod functions;

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
            UnaryKind::Sign => "sign",
            UnaryKind::Square => "square",
            UnaryKind::Sqrt => "sqrt",
            UnaryKind::Rsqrt => "rsqrt",
            UnaryKind::Reciprocal => "reciprocal",
            UnaryKind::Exp => "exp",
            UnaryKind::Exp2 => "exp2",
            UnaryKind::Expm1 => "expm1",
            UnaryKind::Log => "log",
            UnaryKind::Log2 => "log2",
            UnaryKind::Log10 => "log10",
            UnaryKind::Log1p => "log1p",
            UnaryKind::Sin => "sin",
            UnaryKind::Cos => "cos",
            UnaryKind::Tan => "tan",
            UnaryKind::Asin => "asin",
            UnaryKind::Acos => "acos",
            UnaryKind::Atan => "atan",
            UnaryKind::Sinh => "sinh",
            UnaryKind::Cosh => "cosh",
            UnaryKind::Tanh => "tanh",
            UnaryKind::Asinh => "asinh",
            UnaryKind::Acosh => "acosh",
            UnaryKind::Atanh => "atanh",
            UnaryKind::Erf => "erf",
            UnaryKind::Erfc => "erfc",
            UnaryKind::Floor => "floor",
            UnaryKind::Ceil => "ceil",
            UnaryKind::Round => "round",
            UnaryKind::Trunc => "trunc",
            UnaryKind::Relu => "relu",
            UnaryKind::Relu6 => "relu6",
            UnaryKind::ReluSquared => "relu_squared",
            UnaryKind::Selu => "selu",
            UnaryKind::Gelu => "gelu",
            UnaryKind::GeluTanh => "gelu_tanh",
            UnaryKind::Silu => "silu",
            UnaryKind::Mish => "mish",
            UnaryKind::Sigmoid => "sigmoid",
            UnaryKind::LogSigmoid => "log_sigmoid",
            UnaryKind::HardSigmoid => "hard_sigmoid",
            UnaryKind::HardSwish => "hard_swish",
            UnaryKind::HardTanh => "hard_tanh",
            UnaryKind::Softplus => "softplus",
            UnaryKind::Softsign => "softsign",
            UnaryKind::LeakyRelu(_) => "leaky_relu",
            UnaryKind::Elu(_) => "elu",
            UnaryKind::Celu(_) => "celu",
            _ => "unary",
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let input = inputs[0];
        if input.dtype().is_float() || (is_for_integers(self.0) && input.dtype().is_integer()) {
            return Ok(smallvec![TensorSpec::new(input.shape(), input.dtype())]);
        }
        match is_for_integers(self.0) {
            true => {
                bail!(DTypeMismatch, self.name(), inputs, "takes numbers: cast with to_dtype first")
            }
            false => {
                bail!(DTypeMismatch, self.name(), inputs, "takes floats: cast with to_dtype first")
            }
        }
    }

    fn works_in_place(&self) -> bool {
        true
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        let (x, y, dy) = (context.inputs[0], context.output(), context.gradient);
        Ok(smallvec![Some(derivative::of(self.0, x, y, dy)?)])
    }
}

/// Whether NumPy defines the function for integers with an integer result.
fn is_for_integers(kind: UnaryKind) -> bool {
    matches!(
        kind,
        UnaryKind::Neg
            | UnaryKind::Abs
            | UnaryKind::Sign
            | UnaryKind::Square
            | UnaryKind::Floor
            | UnaryKind::Ceil
            | UnaryKind::Round
            | UnaryKind::Trunc
            | UnaryKind::Relu
    )
}

/// Methods of one function each, by name, kind and example.
macro_rules! unary_methods {
    ($heading:literal $($(#[$doc:meta])* $method:ident, $owned:ident => $kind:ident, $input:literal, $output:literal;)+) => {
        #[doc = $heading]
        impl BitNetTensor {
            $(
                $(#[$doc])*
                ///
                /// ```
                /// use bitnet_tensor::BitNetTensor;
                #[doc = concat!("let x = BitNetTensor::try_from(vec!", $input, ")?;")]
                #[doc = concat!("assert_eq!(x.", stringify!($method), "()?.to_vec::<f32>()?, ", $output, ");")]
                /// # Ok::<(), bitnet_tensor::TensorOpError>(())
                /// ```
                ///
                /// # Errors
                /// `DTypeMismatch` for a type that the function has not.
                pub fn $method(&self) -> Result<Self> {
                    apply_one(Unary(UnaryKind::$kind), &[self])
                }

                #[doc = concat!("[`", stringify!($method), "`](Self::", stringify!($method), ") that reuses the storage when nobody shares it.")]
                ///
                /// # Errors
                #[doc = concat!("As [`", stringify!($method), "`](Self::", stringify!($method), ").")]
                pub fn $owned(self) -> Result<Self> {
                    apply_reusing(Unary(UnaryKind::$kind), self, &[])
                }
            )+
        }
    };
}
use unary_methods;

impl BitNetTensor {
    /// A scalar of this tensor's type and device, to broadcast against it.
    pub(crate) fn scalar_like(&self, value: f64) -> Result<Self> {
        Self::scalar(value)?.to_dtype(self.dtype())?.to_device(self.device())
    }
}
