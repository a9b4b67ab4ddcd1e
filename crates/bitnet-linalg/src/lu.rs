//! Gaussian elimination with partial pivoting, and what follows from it.

use faer::linalg::solvers::{PartialPivLu, Solve};
use faer::{Mat, MatRef};

use crate::matrix::row_major;
use crate::{Failure, Matrix, Parts};

/// `P`, `L` and `U` of `A = P·L·U`: a permutation, a unit lower trapezoid, an upper trapezoid.
///
/// # Errors
/// `NotFinite`. A singular matrix has the decomposition too.
pub fn lu(a: Matrix<'_>) -> Result<Parts, Failure> {
    let (m, n) = (a.rows, a.columns);
    let k = m.min(n);
    let factors = factor(a)?;
    let mut permutation = vec![0.0; m * m];
    for (row, &from) in factors.P().arrays().0.iter().enumerate() {
        permutation[from * m + row] = 1.0;
    }
    let lower = Mat::from_fn(m, k, |i, j| match i.cmp(&j) {
        std::cmp::Ordering::Less => 0.0,
        std::cmp::Ordering::Equal => 1.0,
        std::cmp::Ordering::Greater => factors.L()[(i, j)],
    });
    let upper = Mat::from_fn(k, n, |i, j| if i > j { 0.0 } else { factors.U()[(i, j)] });
    Ok(vec![permutation, row_major(lower.as_ref()), row_major(upper.as_ref())])
}

/// The determinant; 1 of the empty matrix. NaN and infinities go through.
///
/// # Errors
/// None.
pub fn determinant(a: Matrix<'_>) -> Result<Parts, Failure> {
    let Ok(factors) = factor(a) else { return Ok(vec![vec![f64::NAN]]) };
    let product: f64 = pivots(&factors, a.rows).product();
    Ok(vec![vec![parity(factors.P().arrays().0) * product]])
}

/// The sign of the determinant and the logarithm of its magnitude: 0 and −∞ of a singular matrix.
///
/// # Errors
/// None.
pub fn log_determinant(a: Matrix<'_>) -> Result<Parts, Failure> {
    let Ok(factors) = factor(a) else { return Ok(vec![vec![f64::NAN], vec![f64::NAN]]) };
    if pivots(&factors, a.rows).any(|pivot| pivot == 0.0) {
        return Ok(vec![vec![0.0], vec![f64::NEG_INFINITY]]);
    }
    let sign: f64 = pivots(&factors, a.rows).map(f64::signum).product();
    let logarithm = pivots(&factors, a.rows).fold(0.0, |sum, pivot| sum + pivot.abs().ln());
    Ok(vec![vec![parity(factors.P().arrays().0) * sign], vec![logarithm]])
}

/// The solution `X` of `A·X = B`.
///
/// # Errors
/// `Singular` when a pivot is zero, `NotFinite`.
pub fn solve(a: Matrix<'_>, b: Matrix<'_>) -> Result<Parts, Failure> {
    solution(a, b.view())
}

/// The inverse.
///
/// # Errors
/// As [`solve`].
pub fn inverse(a: Matrix<'_>) -> Result<Parts, Failure> {
    solution(a, Mat::<f64>::identity(a.rows, a.rows).as_ref())
}

fn solution(a: Matrix<'_>, b: MatRef<'_, f64>) -> Result<Parts, Failure> {
    let factors = factor(a)?;
    if let Some(pivot) = pivots(&factors, a.rows).position(|pivot| pivot == 0.0) {
        return Err(Failure::Singular { pivot });
    }
    if a.rows == 0 || b.ncols() == 0 {
        return Ok(vec![Vec::new()]);
    }
    Ok(vec![row_major(factors.solve(b).as_ref())])
}

fn factor(a: Matrix<'_>) -> Result<PartialPivLu<f64>, Failure> {
    Ok(a.finite()?.partial_piv_lu())
}

fn pivots(factors: &PartialPivLu<f64>, n: usize) -> impl Iterator<Item = f64> + '_ {
    (0..n).map(|i| factors.U()[(i, i)])
}

/// 1 for an even permutation, −1 for an odd one.
fn parity(permutation: &[usize]) -> f64 {
    let mut seen = vec![false; permutation.len()];
    let mut sign = 1.0;
    for start in 0..permutation.len() {
        let mut at = permutation[start];
        while !seen[start] && at != start {
            seen[at] = true;
            at = permutation[at];
            sign = -sign;
        }
    }
    sign
}
