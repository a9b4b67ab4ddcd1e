//! The public operations, one folder per family.
//!
//! An operation is a value ([`Op`]) with a shape rule, a meaning
//! (`reference`), backends that execute it, and a derivative. Methods of
//! [`BitNetTensor`] build the value and hand it to `dispatch::apply`. What can be said of other
//! operations is a method that calls them: it runs on every device and has its derivative. The
//! recipe for a new one is in ARCHITECTURE.md.
#![doc = include_str!("names.md")]
#![doc = include_str!("copies.md")]

mod elementwise;
mod linalg;
mod movement;
mod neural;
mod quantization;
mod reduction;

use std::fmt;

use smallvec::SmallVec;

use crate::error::Result;
use crate::layout::Layout;
use crate::{BitNetDType, BitNetTensor, TensorShape};

pub use elementwise::*;
pub use linalg::*;
pub use movement::*;
pub use neural::*;
pub use quantization::*;
pub use reduction::*;

pub use bitnet_kernels::elementwise::{BinaryKind, GateKind, UnaryKind};
pub use bitnet_kernels::rope::RopeMode;

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
/// One type per operand.
pub(crate) type OperandTypes = SmallVec<[BitNetDType; 3]>;

/// What an operation is, apart from how a backend computes it.
pub(crate) trait Operation {
    /// Its name, as the method is called.
    fn name(&self) -> &'static str;

    /// Shapes and types of the outputs; every misuse is found here, before a backend is asked.
    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs>;

    /// The types that the operands are converted to first; `None` leaves them as they are.
    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        let _ = inputs;
        Ok(None)
    }

    /// Multiplications and additions, of products; what profiles report.
    fn flops(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        let _ = (inputs, outputs);
        None
    }

    /// Bytes read and written, where types and shapes tell.
    fn bytes(&self, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Option<u64> {
        let read: usize = inputs.iter().map(|x| x.byte_size()).fold(0, usize::saturating_add);
        let written: usize = outputs.iter().map(|x| x.byte_size()).fold(0, usize::saturating_add);
        Some(read.saturating_add(written) as u64)
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

    /// The gradients of the operands, given the one of an output. An operand without
    /// derivative gets `None`; an operation without rule is an error.
    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        Err(no_derivative(self.name(), context))
    }
}

/// The error of an operation that has no derivative.
pub(crate) fn no_derivative(name: &'static str, context: &Derivative<'_>) -> crate::TensorOpError {
    crate::error::error!(UnsupportedOperation, name, context.inputs, "no derivative is defined")
}

/// What a derivative rule may use.
pub(crate) struct Derivative<'a> {
    /// The operands of the forward computation.
    pub inputs: &'a [&'a BitNetTensor],
    /// Its results.
    pub outputs: &'a [BitNetTensor],
    /// Which of the results the gradient belongs to. A rule of several results is asked once for
    /// each that has a gradient; what it returns is added up.
    pub position: usize,
    /// The gradient of that result.
    pub gradient: &'a BitNetTensor,
}

impl<'a> Derivative<'a> {
    /// The result that the gradient belongs to.
    pub(crate) fn output(&self) -> &'a BitNetTensor {
        &self.outputs[self.position]
    }
}

pub(crate) type OperandGradients = SmallVec<[Option<BitNetTensor>; 2]>;

/// Defines [`Op`] from the list of operations: one line is all that an operation needs here.
macro_rules! operations {
    ($($(#[$doc:meta])+ $name:ident,)+) => {
        /// An operation, with everything that is not a tensor.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Op {
            $($(#[$doc])+ $name($name),)+
        }

        impl Op {
            pub(crate) fn operation(&self) -> &dyn Operation {
                match self {
                    $(Op::$name(op) => op,)+
                }
            }
        }

        $(
            impl From<$name> for Op {
                fn from(op: $name) -> Op {
                    Op::$name(op)
                }
            }
        )+
    };
}
operations! {
    // Elementwise.
    /// A function of each element.
    Unary,
    /// A function of two elements, broadcast.
    Binary,
    /// A question about two elements.
    Compare,
    /// One of two elements, by a condition.
    Where,

    // Movement.
    /// The same values in another type.
    Cast,
    /// The same values in row-major order.
    Copy,
    /// The same bits as another type.
    Bitcast,
    /// Another view of the same storage.
    View,
    /// Tensors one after the other.
    Cat,
    /// Slices chosen along an axis.
    IndexSelect,
    /// Elements chosen one by one along an axis.
    Gather,
    /// Elements written one by one along an axis.
    Scatter,
    /// A region replaced by other elements.
    SliceScatter,
    /// Rows written into a tensor, in place.
    WriteRows,

    // Reduction.
    /// Sum, product, mean, extreme or test over axes.
    Reduce,
    /// The position of the largest or smallest along an axis.
    ArgExtreme,
    /// The variance or standard deviation over axes.
    Variance,
    /// A vector norm over axes.
    Norm,
    /// The logarithm of the sum of exponentials over axes.
    LogSumExp,
    /// Running sums, products or extremes along an axis.
    Cumulative,
    /// The elements of the last axis in order, and their places.
    Sort,
    /// Which rows are equal.
    UniqueRows,
    /// Where numbers belong in sorted lines.
    SearchSorted,

    // Linear algebra.
    /// The matrix product.
    MatMul,
    /// The exact matrix product of bytes.
    MatMulI32,
    /// Decompositions of matrices and functions of them.
    Decomposition,
    /// `x · wᵀ` with dense weights.
    Linear,
    /// `x · wᵀ` with a quantized activation and ternary weights.
    PackedLinear,
    /// `x · wᵀ` with a quantized activation and int8 weights.
    LinearInt8,

    // Neural.
    /// `activation(gate) · up`.
    Gate,
    /// Exponentials that sum to one along an axis.
    Softmax,
    /// Normalisation by mean and variance along the last axis.
    LayerNorm,
    /// Root mean square normalisation.
    RmsNorm,
    /// Root mean square normalisation, then quantization.
    RmsNormQuantize,
    /// Rotary position embedding.
    Rope,
    /// Causal grouped-query attention.
    Attention,

    // Quantization.
    /// Activations to int8, one scale per row.
    QuantizeActivation,
    /// Weights to −1, 0, +1 and a scale.
    Ternarize,
    /// A value whose derivative is another's.
    StraightThrough,
}

/// A kind of operation, by the name of its method: what profiles count by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationType(&'static str);

impl OperationType {
    /// The name of the method.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for OperationType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// As its name.
impl serde::Serialize for OperationType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0)
    }
}

impl Op {
    /// The operation's name, as the method is called.
    pub fn name(&self) -> &'static str {
        self.operation().name()
    }

    /// The kind of operation, by which profiles count.
    pub fn operation_type(&self) -> OperationType {
        OperationType(self.name())
    }

    /// Whether the first operand can be replaced by the result while it is computed.
    pub fn works_in_place(&self) -> bool {
        self.operation().works_in_place()
    }
}
