//! The public operations, one file per family.
//!
//! An operation is a value ([`Op`]) with a shape rule, a meaning
//! (`reference`), backends that execute it, and a derivative. Methods of
//! [`BitNetTensor`] build the value and hand it to `dispatch::apply`. The recipe for a new one
//! is in ARCHITECTURE.md.

mod activation;
mod arithmetic;
mod attention;
mod convert;
mod index;
mod linalg;
mod norm;
mod quantize;
mod reduce;
mod rope;
mod view;

use smallvec::SmallVec;

use crate::error::Result;
use crate::layout::Layout;
use crate::{BitNetDType, BitNetTensor, TensorShape};

pub use activation::{Gate, Softmax, Unary};
pub use arithmetic::Binary;
pub use attention::Attention;
pub use convert::{Cast, Copy};
pub use index::{Cat, IndexSelect, WriteRows};
pub use linalg::{Linear, LinearInt8, MatMul, TernaryLinear};
pub use norm::{RmsNorm, RmsNormQuantize};
pub use quantize::{QuantizeActivation, QuantizedActivation, Ternarize, padded_features};
pub use reduce::{ArgMax, Reduce, ReduceKind};
pub use rope::Rope;
pub use view::View;

pub use bitnet_kernels::elementwise::{BinaryKind, GateKind, UnaryKind};
pub use bitnet_kernels::rope::RopeMode;

/// An operation, with everything that is not a tensor.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// A function of each element.
    Unary(Unary),
    /// A function of two elements, broadcast.
    Binary(Binary),
    /// `activation(gate) · up`.
    Gate(Gate),
    /// Exponentials that sum to one along the last axis.
    Softmax(Softmax),
    /// The same values in another type.
    Cast(Cast),
    /// The same values in row-major order.
    Copy(Copy),
    /// Another view of the same storage.
    View(View),
    /// Tensors one after the other.
    Cat(Cat),
    /// Chosen rows.
    IndexSelect(IndexSelect),
    /// Rows written into a tensor, in place.
    WriteRows(WriteRows),
    /// Sum, mean, maximum or minimum over axes.
    Reduce(Reduce),
    /// The position of the maximum along an axis.
    ArgMax(ArgMax),
    /// The matrix product.
    MatMul(MatMul),
    /// `x · wᵀ` with dense weights.
    Linear(Linear),
    /// `x · wᵀ` with a quantized activation and ternary weights.
    TernaryLinear(TernaryLinear),
    /// `x · wᵀ` with a quantized activation and int8 weights.
    LinearInt8(LinearInt8),
    /// Activations to int8, one scale per row.
    QuantizeActivation(QuantizeActivation),
    /// Weights to −1, 0, +1 and a scale.
    Ternarize(Ternarize),
    /// Root mean square normalisation.
    RmsNorm(RmsNorm),
    /// Root mean square normalisation, then quantization.
    RmsNormQuantize(RmsNormQuantize),
    /// Rotary position embedding.
    Rope(Rope),
    /// Causal grouped-query attention.
    Attention(Attention),
}

/// The shape and type of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// The sizes of its axes.
    pub shape: TensorShape,
    /// The type of its elements.
    pub dtype: BitNetDType,
}

impl TensorSpec {
    fn new(shape: impl Into<TensorShape>, dtype: BitNetDType) -> Self {
        Self { shape: shape.into(), dtype }
    }
}

/// The outputs of an operation; most have one.
pub type Outputs = SmallVec<[BitNetTensor; 1]>;
pub(crate) type Specs = SmallVec<[TensorSpec; 1]>;

/// What an operation is, apart from how a backend computes it.
pub(crate) trait Operation {
    /// Its name, as the method is called.
    fn name(&self) -> &'static str;

    /// Shapes and types of the outputs; every misuse is found here, before a backend is asked.
    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs>;

    /// The type that all operands are converted to first; `None` leaves them as they are.
    fn operand_dtype(&self, inputs: &[&BitNetTensor]) -> Result<Option<BitNetDType>> {
        let _ = inputs;
        Ok(None)
    }

    /// The layout of the result, for operations that only make a view of their operand.
    fn view(&self, input: &BitNetTensor) -> Option<Layout> {
        let _ = input;
        None
    }

    /// The same result from simpler operations, for backends that lack this one.
    fn decompose(&self, inputs: &[&BitNetTensor]) -> Option<Result<Outputs>> {
        let _ = inputs;
        None
    }

    /// Whether the first operand can be replaced by the result while it is computed.
    fn works_in_place(&self) -> bool {
        false
    }

    /// The gradients of the operands, given the one of the output. An operand without
    /// derivative gets `None`; an operation without rule is an error.
    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        Err(crate::error::error!(
            UnsupportedOperation,
            self.name(),
            context.inputs,
            "no derivative is defined"
        ))
    }
}

/// What a derivative rule may use.
pub(crate) struct Derivative<'a> {
    /// The operands of the forward computation.
    pub inputs: &'a [&'a BitNetTensor],
    /// Its result.
    pub output: &'a BitNetTensor,
    /// The gradient of the result.
    pub gradient: &'a BitNetTensor,
}

pub(crate) type OperandGradients = SmallVec<[Option<BitNetTensor>; 2]>;

impl Op {
    pub(crate) fn operation(&self) -> &dyn Operation {
        match self {
            Op::Unary(op) => op,
            Op::Binary(op) => op,
            Op::Gate(op) => op,
            Op::Softmax(op) => op,
            Op::Cast(op) => op,
            Op::Copy(op) => op,
            Op::View(op) => op,
            Op::Cat(op) => op,
            Op::IndexSelect(op) => op,
            Op::WriteRows(op) => op,
            Op::Reduce(op) => op,
            Op::ArgMax(op) => op,
            Op::MatMul(op) => op,
            Op::Linear(op) => op,
            Op::TernaryLinear(op) => op,
            Op::LinearInt8(op) => op,
            Op::QuantizeActivation(op) => op,
            Op::Ternarize(op) => op,
            Op::RmsNorm(op) => op,
            Op::RmsNormQuantize(op) => op,
            Op::Rope(op) => op,
            Op::Attention(op) => op,
        }
    }

    /// The operation's name, as the method is called.
    pub fn name(&self) -> &'static str {
        self.operation().name()
    }

    /// Whether the first operand can be replaced by the result while it is computed.
    pub fn works_in_place(&self) -> bool {
        self.operation().works_in_place()
    }
}

macro_rules! into_op {
    ($($variant:ident),+) => {$(
        impl From<$variant> for Op {
            fn from(op: $variant) -> Op { Op::$variant(op) }
        }
    )+};
}
into_op!(
    Unary,
    Binary,
    Gate,
    Softmax,
    Cast,
    Copy,
    View,
    Cat,
    IndexSelect,
    WriteRows,
    Reduce,
    ArgMax,
    MatMul,
    Linear,
    TernaryLinear,
    LinearInt8,
    QuantizeActivation,
    Ternarize,
    RmsNorm,
    RmsNormQuantize,
    Rope,
    Attention
);
