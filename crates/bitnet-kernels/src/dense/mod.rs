//! Dense products: linear layers and general matrix multiplication.

mod integer;
mod linear;
mod matmul;
pub(crate) mod tile;

pub use integer::{Half, Ring, matmul_half, matmul_integer};
pub use linear::{Weights, linear};
pub use matmul::{MatmulElement, Matrix, matmul};
