//! Products of matrices.

mod matmul;

pub(super) use matmul::{linear, linear_int8, matmul, operand_error, ternary_linear};
