//! Products of matrices.

mod decomposition;
mod matmul;

pub(super) use decomposition::decomposition;
pub(crate) use decomposition::of_matrix;
pub(super) use matmul::{linear, linear_int8, matmul, matmul_i32, operand_error, packed_linear};
