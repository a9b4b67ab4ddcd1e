//! Functions of elements that have the same place in every operand.

mod binary;
mod blend;
mod compare;
mod logic;
mod operand;
mod operators;
mod select;
mod unary;

pub use binary::Binary;
pub(crate) use binary::broadcast_shape;
pub use compare::{Compare, CompareKind};
pub use operand::Operand;
pub use select::Where;
pub use unary::Unary;
