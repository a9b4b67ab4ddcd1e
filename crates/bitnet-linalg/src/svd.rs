//! Singular values, their vectors, and the inverse that every matrix has.

use crate::matrix::{fix_signs, row_major};
use crate::{Failure, Matrix, Parts};

/// `U`, the singular values in descending order, and `Vᵀ` of `A = U·diag(s)·Vᵀ`. With `full`, `U` and
/// `Vᵀ` are square. The largest element of each column of `U` is positive.
///
/// # Errors
/// `NotFinite`, `NoConvergence`.
pub fn svd(a: Matrix<'_>, full: bool) -> Result<Parts, Failure> {
    let (matrix, power) = a.scaled()?;
    let factors =
        if full { matrix.svd() } else { matrix.thin_svd() }.map_err(|_| Failure::NoConvergence)?;
    let (mut u, mut v) = (factors.U().to_owned(), factors.V().to_owned());
    let s = factors.S().column_vector();
    fix_signs(&mut u, Some(&mut v));
    let values = (0..a.rows.min(a.columns)).map(|i| power.times(s[i])).collect();
    Ok(vec![row_major(u.as_ref()), values, row_major(v.transpose())])
}

/// The singular values in descending order.
///
/// # Errors
/// As [`svd`].
pub fn singular_values(a: Matrix<'_>) -> Result<Parts, Failure> {
    if a.rows == 0 || a.columns == 0 {
        return Ok(vec![Vec::new()]);
    }
    let (matrix, power) = a.scaled()?;
    let mut values = matrix.singular_values().map_err(|_| Failure::NoConvergence)?;
    values.iter_mut().for_each(|value| *value = power.times(*value));
    Ok(vec![values])
}

/// The Moore–Penrose inverse; singular values up to `rcond` of the largest count as zero.
///
/// # Errors
/// As [`svd`].
pub fn pseudo_inverse(a: Matrix<'_>, rcond: f64) -> Result<Parts, Failure> {
    let parts = svd(a, false)?;
    let (m, n) = (a.rows, a.columns);
    let k = m.min(n);
    let (u, s, vt) = (&parts[0], &parts[1], &parts[2]);
    let smallest = rcond * s.first().copied().unwrap_or(0.0);
    let mut inverse = vec![0.0; n * m];
    for l in (0..k).filter(|&l| s[l] > smallest) {
        for i in 0..n {
            let factor = vt[l * n + i] / s[l];
            for j in 0..m {
                inverse[i * m + j] += factor * u[j * k + l];
            }
        }
    }
    Ok(vec![inverse])
}
