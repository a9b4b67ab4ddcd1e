//! Products and decompositions of matrices.

mod decomposition;
mod einsum;
mod linear;
mod matmul;
mod measures;
mod products;

pub use decomposition::{Decomposition, Eigen, Triangle};
pub use linear::{Linear, LinearInt8, PackedLinear};
pub use matmul::{MatMul, MatMulI32};
pub use measures::{LeastSquares, MatrixNorm};
pub use products::ContractedAxes;
