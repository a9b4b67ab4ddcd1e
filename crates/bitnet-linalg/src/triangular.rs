//! Substitution.

use crate::{Failure, Matrix, Parts};

/// Which triangle of a matrix is meant, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Triangle {
    /// The upper one; else the lower one.
    pub upper: bool,
    /// The transposed triangle is solved with.
    pub transpose: bool,
    /// The diagonal counts as ones and is not read.
    pub unit_diagonal: bool,
}

/// The solution `X` of `T·X = B` (or `Tᵀ·X = B`), `T` a triangle of `a`; the rest is not read.
///
/// # Errors
/// `Singular` for a zero on the diagonal.
pub fn solve_triangular(
    a: Matrix<'_>,
    b: Matrix<'_>,
    triangle: Triangle,
) -> Result<Parts, Failure> {
    let (n, columns) = (a.rows, b.columns);
    let at = |i: usize, j: usize| {
        if triangle.transpose { a.values[j * n + i] } else { a.values[i * n + j] }
    };
    // Transposing turns the triangle around.
    let backwards = triangle.upper != triangle.transpose;
    let mut x = b.values.to_vec();
    for step in 0..n {
        let i = if backwards { n - 1 - step } else { step };
        for known in 0..step {
            let j = if backwards { n - 1 - known } else { known };
            let factor = at(i, j);
            for c in 0..columns {
                x[i * columns + c] -= factor * x[j * columns + c];
            }
        }
        if !triangle.unit_diagonal {
            let pivot = at(i, i);
            if pivot == 0.0 {
                return Err(Failure::Singular { pivot: i });
            }
            x[i * columns..][..columns].iter_mut().for_each(|x| *x /= pivot);
        }
    }
    Ok(vec![x])
}
