//! Comparisons of two tensors, element by element: the result is `Bool`.

use smallvec::smallvec;

use crate::backend::dispatch::apply_one;
use crate::error::{Result, bail};
use crate::ops::elementwise::binary::{broadcast_shape, common_type};
use crate::ops::{
    Derivative, Operand, OperandGradients, OperandTypes, Operation, Specs, TensorSpec,
};
use crate::{BitNetDType, BitNetTensor};

/// What is asked of two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareKind {
    /// Whether they are equal; NaN is not equal to itself.
    Eq,
    /// Whether they differ.
    Ne,
    /// Whether the first is less.
    Lt,
    /// Whether the first is less or equal.
    Le,
    /// Whether the first is greater.
    Gt,
    /// Whether the first is greater or equal.
    Ge,
}

impl CompareKind {
    /// The answer for two elements of a type.
    #[inline(always)]
    pub fn holds<T: PartialOrd>(self, a: T, b: T) -> bool {
        match self {
            Self::Eq => a == b,
            Self::Ne => a != b,
            Self::Lt => a < b,
            Self::Le => a <= b,
            Self::Gt => a > b,
            Self::Ge => a >= b,
        }
    }
}

/// A question about two elements, broadcast: `Bool`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compare(pub CompareKind);

impl Operation for Compare {
    fn name(&self) -> &'static str {
        match self.0 {
            CompareKind::Eq => "eq",
            CompareKind::Ne => "ne",
            CompareKind::Lt => "lt",
            CompareKind::Le => "le",
            CompareKind::Gt => "gt",
            CompareKind::Ge => "ge",
        }
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<OperandTypes>> {
        let dtype = common_type(self.name(), inputs)?;
        if dtype.is_packed() {
            bail!(UnsupportedOperation, self.name(), inputs, "not for ternary: dequantize first");
        }
        Ok(Some(smallvec![dtype, dtype]))
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let shape = broadcast_shape(self.name(), inputs)?;
        Ok(smallvec![TensorSpec::new(shape, BitNetDType::Bool)])
    }

    fn backward(&self, _: &Derivative<'_>) -> Result<OperandGradients> {
        Ok(smallvec![None, None])
    }
}

macro_rules! comparison_methods {
    ($($(#[$doc:meta])* $method:ident => $kind:ident, $example:literal;)+) => {
        /// # Comparisons
        ///
        /// The result is `Bool`; shapes broadcast, types promote, and the other operand may be a
        /// number. Any comparison with NaN is false, except `ne`.
        impl BitNetTensor {
            $(
                $(#[$doc])*
                ///
                /// ```
                /// use bitnet_tensor::BitNetTensor;
                /// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0, f32::NAN], [3])?;
                #[doc = concat!("assert_eq!(x.", stringify!($method), "(2.0)?.to_vec::<bool>()?, ", $example, ");")]
                /// # Ok::<(), bitnet_tensor::TensorOpError>(())
                /// ```
                ///
                /// # Errors
                /// `BroadcastError`, `DTypeMismatch`, `DeviceMismatch`.
                pub fn $method(&self, other: impl Operand) -> Result<Self> {
                    let other = other.beside(stringify!($method), self)?;
                    apply_one(Compare(CompareKind::$kind), &[self, &other])
                }
            )+
        }
    };
}
comparison_methods! {
    /// Whether the elements are equal.
    eq => Eq, "[false, true, false]";
    /// Whether the elements differ.
    ne => Ne, "[true, false, true]";
    /// Whether these are less.
    lt => Lt, "[true, false, false]";
    /// Whether these are less or equal.
    le => Le, "[true, true, false]";
    /// Whether these are greater.
    gt => Gt, "[false, false, false]";
    /// Whether these are greater or equal.
    ge => Ge, "[false, true, false]";
}
