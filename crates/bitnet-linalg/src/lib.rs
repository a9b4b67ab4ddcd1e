//! Decompositions of matrices: slices in, vectors out; knows no tensor.
//!
//! A crate of its own so that the generic code of `faer` is compiled once, and only by those who
//! use it. Everything is computed in `f64`, sequentially: [`batch`] runs many matrices on the
//! threads of `bitnet-kernels`. Results whose sign is free get one by a rule (see each function),
//! so that they do not depend on the algorithm.

mod cholesky;
mod eigen;
mod exponential;
mod lu;
mod matrix;
mod qr;
mod svd;
mod triangular;

use std::fmt;

pub use cholesky::cholesky;
pub use eigen::{eigenvalues, eigenvectors, symmetric_eigenvalues, symmetric_eigenvectors};
pub use exponential::exponential;
pub use lu::{determinant, inverse, log_determinant, lu, solve};
pub use matrix::Matrix;
pub use qr::qr;
pub use svd::{pseudo_inverse, singular_values, svd};
pub use triangular::{Triangle, solve_triangular};

/// The parts of a decomposition, each row-major.
pub type Parts = Vec<Vec<f64>>;

/// Why a matrix has no decomposition of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// An element is NaN or infinite.
    NotFinite,
    /// This pivot is zero.
    Singular {
        /// Which, counted from 0.
        pivot: usize,
    },
    /// The leading minor that ends with this pivot is not positive.
    NotPositiveDefinite {
        /// Which, counted from 0.
        pivot: usize,
    },
    /// The iteration did not settle.
    NoConvergence,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFinite => f.write_str("an element is NaN or infinite"),
            Self::Singular { pivot } => write!(f, "singular: pivot {pivot} is zero"),
            Self::NotPositiveDefinite { pivot } => {
                write!(f, "not positive definite: pivot {pivot} is not positive")
            }
            Self::NoConvergence => f.write_str("the iteration does not converge"),
        }
    }
}

impl std::error::Error for Failure {}

/// Runs `one` for matrices `0..count` on several threads, each costing about `work` operations.
///
/// # Errors
/// The first failure, with the number of its matrix.
pub fn batch(
    count: usize,
    work: usize,
    one: impl Fn(usize) -> Result<Parts, Failure> + Sync,
) -> Result<Vec<Parts>, (usize, Failure)> {
    let mut results: Vec<Result<Parts, Failure>> = vec![Ok(Parts::new()); count];
    let grain = ((1 << 16) / work.max(1)).max(1);
    bitnet_kernels::parallel::for_each_chunk_mut(&mut results, grain, |piece, results| {
        for (n, result) in results.iter_mut().enumerate() {
            *result = one(piece * grain + n);
        }
    });
    let numbered = results.into_iter().enumerate();
    numbered.map(|(n, result)| result.map_err(|failure| (n, failure))).collect()
}
