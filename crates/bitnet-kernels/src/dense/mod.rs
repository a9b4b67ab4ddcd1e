//! Dense products: linear layers and general matrix multiplication.

mod linear;
mod matmul;
pub(crate) mod tile;

pub use linear::{Weights, linear};
pub use matmul::{MatmulElement, Matrix, matmul};
