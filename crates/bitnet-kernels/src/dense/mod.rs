//! Dense products: linear layers and general matrix multiplication.

#[cfg(target_arch = "x86_64")]
mod bf16_dots;
mod few_rows;
mod half;
mod integer;
mod linear;
mod matmul;
pub(crate) mod tile;

pub use half::{Half, matmul_half};
pub use integer::{Ring, matmul_integer};
pub use linear::{Weights, linear};
pub use matmul::{MatmulElement, Matrix, matmul};
