//! The operators of the language: the methods, with a panic instead of an error.

use std::ops;

use crate::BitNetTensor;
use crate::backend::dispatch::{apply_assign, apply_reusing};
use crate::error::Result;
use crate::ops::{Binary, BinaryKind, Operand};

macro_rules! operators {
    ($($Trait:ident, $operator:ident, $AssignTrait:ident, $assign:ident => $kind:ident;)+) => {$(
        impl<O: Operand> ops::$Trait<O> for &BitNetTensor {
            type Output = BitNetTensor;
            /// # Panics
            /// With the message of the method's error.
            #[track_caller]
            fn $operator(self, other: O) -> BitNetTensor {
                unwrap(BitNetTensor::$operator(self, other))
            }
        }

        impl<O: Operand> ops::$Trait<O> for BitNetTensor {
            type Output = BitNetTensor;
            /// Reuses the storage of `self` when nobody shares it.
            ///
            /// # Panics
            /// With the message of the method's error.
            #[track_caller]
            fn $operator(self, other: O) -> BitNetTensor {
                unwrap(reusing(BinaryKind::$kind, stringify!($operator), self, other))
            }
        }

        impl<O: Operand> ops::$AssignTrait<O> for BitNetTensor {
            /// Replaces the tensor by the result, in its storage when nobody shares it. The result
            /// may have another shape or type, as that of the operator.
            ///
            /// # Panics
            /// With the message of the method's error; the tensor is as it was before then.
            #[track_caller]
            fn $assign(&mut self, other: O) {
                unwrap(assign(BinaryKind::$kind, stringify!($operator), self, other));
            }
        }
    )+};
}
operators! {
    Add, add, AddAssign, add_assign => Add;
    Sub, sub, SubAssign, sub_assign => Sub;
    Mul, mul, MulAssign, mul_assign => Mul;
    Div, div, DivAssign, div_assign => Div;
    Rem, rem, RemAssign, rem_assign => Rem;
    BitAnd, bitand, BitAndAssign, bitand_assign => And;
    BitOr, bitor, BitOrAssign, bitor_assign => Or;
    BitXor, bitxor, BitXorAssign, bitxor_assign => Xor;
    Shl, shl, ShlAssign, shl_assign => Shl;
    Shr, shr, ShrAssign, shr_assign => Shr;
}

/// A number on the left takes the type of the tensor.
macro_rules! operators_of_numbers {
    ($($number:ty),+) => {
        operators_of_numbers!(each Add, add; Sub, sub; Mul, mul; Div, div; Rem, rem => $($number),+);
    };
    (each $($Trait:ident, $operator:ident);+ => $number:ty $(, $more:ty)*) => {
        $(
            impl ops::$Trait<&BitNetTensor> for $number {
                type Output = BitNetTensor;
                /// # Panics
                /// With the message of the method's error.
                #[track_caller]
                fn $operator(self, other: &BitNetTensor) -> BitNetTensor {
                    unwrap(left(self, stringify!($operator), other).and_then(|a| {
                        BitNetTensor::$operator(&a, other)
                    }))
                }
            }

            impl ops::$Trait<BitNetTensor> for $number {
                type Output = BitNetTensor;
                /// # Panics
                /// With the message of the method's error.
                #[track_caller]
                fn $operator(self, other: BitNetTensor) -> BitNetTensor {
                    ops::$Trait::$operator(self, &other)
                }
            }
        )+
        operators_of_numbers!(each $($Trait, $operator);+ => $($more),*);
    };
    (each $($Trait:ident, $operator:ident);+ =>) => {};
}
operators_of_numbers!(f32, f64, i32, i64, u8, u32, usize);

fn left(number: impl Operand, name: &'static str, other: &BitNetTensor) -> Result<BitNetTensor> {
    Ok(number.beside(name, other)?.into_owned())
}

impl ops::Not for &BitNetTensor {
    type Output = BitNetTensor;
    /// # Panics
    /// With the message of [`bitnot`](BitNetTensor::bitnot)'s error.
    #[track_caller]
    fn not(self) -> BitNetTensor {
        unwrap(self.bitnot())
    }
}

impl ops::Neg for &BitNetTensor {
    type Output = BitNetTensor;
    /// # Panics
    /// With the message of the method's error.
    #[track_caller]
    fn neg(self) -> BitNetTensor {
        unwrap(BitNetTensor::neg(self))
    }
}

impl ops::Neg for BitNetTensor {
    type Output = BitNetTensor;
    /// Reuses the storage of `self` when nobody shares it.
    ///
    /// # Panics
    /// With the message of the method's error.
    #[track_caller]
    fn neg(self) -> BitNetTensor {
        unwrap(self.into_neg())
    }
}

fn reusing(
    kind: BinaryKind,
    name: &'static str,
    first: BitNetTensor,
    other: impl Operand,
) -> Result<BitNetTensor> {
    let other = other.beside(name, &first)?;
    apply_reusing(Binary(kind), first, &[&other])
}

fn assign(
    kind: BinaryKind,
    name: &'static str,
    target: &mut BitNetTensor,
    other: impl Operand,
) -> Result<()> {
    let other = other.beside(name, target)?;
    apply_assign(Binary(kind), target, &[&other])
}

#[track_caller]
fn unwrap<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}
