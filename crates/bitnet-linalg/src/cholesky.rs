//! The triangular root of a positive definite matrix.

use faer::linalg::cholesky::llt::factor::LltError;
use faer::{Mat, Side};

use crate::matrix::row_major;
use crate::{Failure, Matrix, Parts};

/// The lower `L` of `A = L·Lᵀ`, or with `upper` the upper `U` of `A = Uᵀ·U`. Only that triangle of
/// `A` is read.
///
/// # Errors
/// `NotPositiveDefinite`, `NotFinite`.
pub fn cholesky(a: Matrix<'_>, upper: bool) -> Result<Parts, Failure> {
    let view = a.finite()?;
    let n = a.rows;
    let factors = view.llt(if upper { Side::Upper } else { Side::Lower }).map_err(
        |LltError::NonPositivePivot { index }| Failure::NotPositiveDefinite { pivot: index },
    )?;
    let l = factors.L();
    let triangle = Mat::from_fn(n, n, |i, j| {
        let (i, j) = if upper { (j, i) } else { (i, j) };
        if i < j { 0.0 } else { l[(i, j)] }
    });
    Ok(vec![row_major(triangle.as_ref())])
}
