//! Elementwise functions of one and two slices. Single-threaded: the caller, who knows the
//! whole loop nest, splits the range.

mod binary;
pub mod coefficients;
mod gelu;
mod logarithm;
pub(crate) mod math;
mod scalar;
mod unary;
mod wide;

pub use binary::{BinaryKind, Element, Operand, binary, binary_assign, binary_assign_reversed};
pub use scalar::unary_f64;
pub use unary::{GateKind, UnaryKind, gate, unary, unary_assign};
