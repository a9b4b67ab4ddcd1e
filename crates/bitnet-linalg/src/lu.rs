//! Gaussian elimination with partial pivoting, and what follows from it.

use faer::linalg::solvers::Solve;
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
    let factors = Factors::new(a)?;
    let mut permutation = vec![0.0; m * m];
    for (row, &from) in factors.order.iter().enumerate() {
        permutation[from * m + row] = 1.0;
    }
    let lower = Mat::from_fn(m, k, |i, j| match i.cmp(&j) {
        std::cmp::Ordering::Less => 0.0,
        std::cmp::Ordering::Equal => 1.0,
        std::cmp::Ordering::Greater => factors.packed[(i, j)],
    });
    let upper = Mat::from_fn(k, n, |i, j| if i > j { 0.0 } else { factors.packed[(i, j)] });
    Ok(vec![permutation, row_major(lower.as_ref()), row_major(upper.as_ref())])
}

/// The determinant; 1 of the empty matrix. NaN and infinities go through.
///
/// # Errors
/// None.
pub fn determinant(a: Matrix<'_>) -> Result<Parts, Failure> {
    let Ok(factors) = Factors::new(a) else { return Ok(vec![vec![f64::NAN]]) };
    let product: f64 = factors.pivots().product();
    Ok(vec![vec![parity(&factors.order) * product]])
}

/// The sign of the determinant and the logarithm of its magnitude: 0 and −∞ of a singular matrix.
///
/// # Errors
/// None.
pub fn log_determinant(a: Matrix<'_>) -> Result<Parts, Failure> {
    let Ok(factors) = Factors::new(a) else { return Ok(vec![vec![f64::NAN], vec![f64::NAN]]) };
    if factors.pivots().any(|pivot| pivot == 0.0) {
        return Ok(vec![vec![0.0], vec![f64::NEG_INFINITY]]);
    }
    let sign: f64 = factors.pivots().map(f64::signum).product();
    let logarithm = factors.pivots().fold(0.0, |sum, pivot| sum + pivot.abs().ln());
    Ok(vec![vec![parity(&factors.order) * sign], vec![logarithm]])
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
    let factors = a.finite()?.partial_piv_lu();
    let pivots = (0..a.rows).map(|i| factors.U()[(i, i)]);
    if pivots.clone().any(|pivot| pivot == 0.0 || !pivot.is_finite()) {
        let pivot = Factors::eliminate(a).pivots().position(|pivot| pivot == 0.0);
        return Err(pivot.map_or(Failure::NotFinite, |pivot| Failure::Singular { pivot }));
    }
    if a.rows == 0 || b.ncols() == 0 {
        return Ok(vec![Vec::new()]);
    }
    Ok(vec![row_major(factors.solve(b).as_ref())])
}

/// `L` below the diagonal, `U` above and on it.
struct Factors {
    packed: Mat<f64>,
    /// The rows of the matrix in the order of those of `L`.
    order: Vec<usize>,
}

impl Factors {
    fn new(a: Matrix<'_>) -> Result<Self, Failure> {
        let factors = a.finite()?.partial_piv_lu();
        let (l, u) = (factors.L(), factors.U());
        let packed =
            Mat::from_fn(a.rows, a.columns, |i, j| if i > j { l[(i, j)] } else { u[(i, j)] });
        // faer divides by pivots of zero.
        let whole = (0..a.columns).all(|j| (0..a.rows).all(|i| packed[(i, j)].is_finite()));
        match whole {
            true => Ok(Self { packed, order: factors.P().arrays().0.to_vec() }),
            false => Ok(Self::eliminate(a)),
        }
    }

    /// Row by row, leaving out columns whose pivot is zero.
    fn eliminate(a: Matrix<'_>) -> Self {
        let (m, n) = (a.rows, a.columns);
        let mut packed = a.view().to_owned();
        let mut order: Vec<usize> = (0..m).collect();
        for k in 0..m.min(n) {
            let larger = |best: usize, i: usize| {
                if packed[(i, k)].abs() > packed[(best, k)].abs() { i } else { best }
            };
            let best = (k + 1..m).fold(k, larger);
            if best != k {
                order.swap(best, k);
                for j in 0..n {
                    let above = packed[(k, j)];
                    packed[(k, j)] = packed[(best, j)];
                    packed[(best, j)] = above;
                }
            }
            let pivot = packed[(k, k)];
            if pivot == 0.0 {
                continue;
            }
            for i in k + 1..m {
                let factor = packed[(i, k)] / pivot;
                packed[(i, k)] = factor;
                for j in k + 1..n {
                    packed[(i, j)] -= factor * packed[(k, j)];
                }
            }
        }
        Self { packed, order }
    }

    fn pivots(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.packed.nrows()).map(|i| self.packed[(i, i)])
    }
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
