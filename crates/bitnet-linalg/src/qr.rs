//! Orthogonal times triangular.

use crate::matrix::row_major;
use crate::{Failure, Matrix, Parts};

/// `Q` and `R` of `A = Q·R`, the diagonal of `R` not negative. With `complete`, `Q` is square;
/// otherwise it has `min(rows, columns)` columns.
///
/// # Errors
/// `NotFinite`.
pub fn qr(a: Matrix<'_>, complete: bool) -> Result<Parts, Failure> {
    let (matrix, power) = a.scaled()?;
    let factors = matrix.qr();
    let (m, n) = (a.rows, a.columns);
    let k = if complete { m } else { m.min(n) };
    let mut q = if complete { factors.compute_Q() } else { factors.compute_thin_Q() };
    let stored = factors.R();
    let mut r = vec![0.0; k * n];
    for i in 0..m.min(n) {
        let sign = if stored[(i, i)] < 0.0 { -1.0 } else { 1.0 };
        (i..n).for_each(|j| r[i * n + j] = power.times(sign * stored[(i, j)]));
        if sign < 0.0 {
            (0..m).for_each(|row| q[(row, i)] = -q[(row, i)]);
        }
    }
    Ok(vec![row_major(q.as_ref()), r])
}
