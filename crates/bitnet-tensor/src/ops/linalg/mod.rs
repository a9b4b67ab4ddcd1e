//! Products and decompositions of matrices.

mod linear;
mod matmul;

pub use linear::{Linear, LinearInt8, TernaryLinear};
pub use matmul::MatMul;
