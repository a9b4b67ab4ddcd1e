//! Eigenvalues and eigenvectors, of symmetric matrices and of any.

use faer::linalg::solvers::Eigen;
use faer::{MatRef, Side, c64};

use crate::matrix::{fix_signs, row_major};
use crate::{Failure, Matrix, Parts};

/// The eigenvalues of a symmetric matrix in ascending order. Its lower triangle is read.
///
/// # Errors
/// `NotFinite`, `NoConvergence`.
pub fn symmetric_eigenvalues(a: Matrix<'_>) -> Result<Parts, Failure> {
    let (matrix, power) = a.scaled()?;
    if a.rows == 0 {
        return Ok(vec![Vec::new()]);
    }
    let mut values =
        matrix.self_adjoint_eigenvalues(Side::Lower).map_err(|_| Failure::NoConvergence)?;
    values.iter_mut().for_each(|value| *value = power.times(*value));
    Ok(vec![values])
}

/// The eigenvalues of a symmetric matrix in ascending order, and orthonormal eigenvectors as
/// columns, the largest element of each positive. The lower triangle is read.
///
/// # Errors
/// As [`symmetric_eigenvalues`].
pub fn symmetric_eigenvectors(a: Matrix<'_>) -> Result<Parts, Failure> {
    let (matrix, power) = a.scaled()?;
    if a.rows == 0 {
        return Ok(vec![Vec::new(); 2]);
    }
    let factors = matrix.self_adjoint_eigen(Side::Lower).map_err(|_| Failure::NoConvergence)?;
    let mut vectors = factors.U().to_owned();
    fix_signs(&mut vectors, None);
    let values = factors.S().column_vector();
    Ok(vec![(0..a.rows).map(|i| power.times(values[i])).collect(), row_major(vectors.as_ref())])
}

/// The real and the imaginary parts of the eigenvalues, ascending by real, then imaginary part.
///
/// # Errors
/// As [`symmetric_eigenvalues`].
pub fn eigenvalues(a: Matrix<'_>) -> Result<Parts, Failure> {
    let (matrix, power) = a.scaled()?;
    if a.rows == 0 {
        return Ok(vec![Vec::new(); 2]);
    }
    let values: Vec<c64> = matrix.eigenvalues().map_err(|_| Failure::NoConvergence)?;
    let order = ascending(&values);
    Ok(vec![
        order.iter().map(|&n| power.times(values[n].re)).collect(),
        order.iter().map(|&n| power.times(values[n].im)).collect(),
    ])
}

/// The real and the imaginary parts of the eigenvalues as [`eigenvalues`] orders them, and those of
/// the eigenvectors as columns: of length 1, their largest element real and positive.
///
/// # Errors
/// As [`symmetric_eigenvalues`].
pub fn eigenvectors(a: Matrix<'_>) -> Result<Parts, Failure> {
    let (matrix, power) = a.scaled()?;
    let n = a.rows;
    if n == 0 {
        return Ok(vec![Vec::new(); 4]);
    }
    let factors = Eigen::new_from_real(matrix.as_ref()).map_err(|_| Failure::NoConvergence)?;
    let diagonal = factors.S().column_vector();
    let values: Vec<c64> = (0..n).map(|i| diagonal[i]).collect();
    let order = ascending(&values);
    let mut parts = vec![
        order.iter().map(|&i| power.times(values[i].re)).collect(),
        order.iter().map(|&i| power.times(values[i].im)).collect(),
        vec![0.0; n * n],
        vec![0.0; n * n],
    ];
    for (column, &from) in order.iter().enumerate() {
        for (row, x) in normalised(factors.U(), from).into_iter().enumerate() {
            parts[2][row * n + column] = x.re;
            parts[3][row * n + column] = x.im;
        }
    }
    Ok(parts)
}

fn ascending(values: &[c64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (values[a], values[b]);
        a.re.total_cmp(&b.re).then(a.im.total_cmp(&b.im))
    });
    order
}

/// Column `column`, of length 1, the first of its largest elements real and positive.
fn normalised(vectors: MatRef<'_, c64>, column: usize) -> Vec<c64> {
    let x: Vec<c64> = (0..vectors.nrows()).map(|row| vectors[(row, column)]).collect();
    let size = |x: &c64| x.re.hypot(x.im);
    let length = x.iter().fold(0.0f64, |sum, x| sum.hypot(size(x)));
    let (mut largest, mut place) = (c64::new(0.0, 0.0), 0);
    for (row, x) in x.iter().enumerate() {
        if size(x) > size(&largest) * (1.0 + 1e-8) {
            (largest, place) = (*x, row);
        }
    }
    if length == 0.0 {
        return x;
    }
    // Divided by its phase: multiplied with the conjugate.
    let (re, im) = (largest.re / size(&largest), -largest.im / size(&largest));
    let mut turned: Vec<c64> = x
        .iter()
        .map(|x| c64::new((x.re * re - x.im * im) / length, (x.re * im + x.im * re) / length))
        .collect();
    // Of rounding.
    turned[place].im = 0.0;
    turned
}
