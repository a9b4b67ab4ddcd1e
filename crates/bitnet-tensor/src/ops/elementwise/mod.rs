//! Functions of elements that have the same place in every operand.

mod binary;
mod operand;
mod operators;
mod unary;

pub use binary::Binary;
pub use operand::Operand;
pub use unary::Unary;
