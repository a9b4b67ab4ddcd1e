//! The matrix exponential by scaling and squaring with the Padé approximant of order 13 (Higham,
//! "The Scaling and Squaring Method for the Matrix Exponential Revisited", 2005).

use faer::linalg::solvers::Solve;
use faer::{Mat, Scale};

use crate::matrix::row_major;
use crate::{Failure, Matrix, Parts};

/// The coefficients of the numerator; the denominator has them with alternating signs.
const PADE: [f64; 14] = [
    64_764_752_532_480_000.0,
    32_382_376_266_240_000.0,
    7_771_770_303_897_600.0,
    1_187_353_796_428_800.0,
    129_060_195_264_000.0,
    10_559_470_521_600.0,
    670_442_572_800.0,
    33_522_128_640.0,
    1_323_241_920.0,
    40_840_800.0,
    960_960.0,
    16_380.0,
    182.0,
    1.0,
];

/// The 1-norm up to which the approximant is good to the last bit of an `f64`.
const LIMIT: f64 = 5.371920351148152;

/// `e^A = Σ Aᵏ/k!`.
///
/// # Errors
/// `NotFinite`, also when a power of the matrix overflows.
pub fn exponential(a: Matrix<'_>) -> Result<Parts, Failure> {
    let view = a.finite()?;
    let n = a.rows;
    if n == 0 {
        return Ok(vec![Vec::new()]);
    }
    let norm = (0..n).map(|j| (0..n).map(|i| view[(i, j)].abs()).sum::<f64>()).fold(0.0, f64::max);
    let squarings = if norm > LIMIT { (norm / LIMIT).log2().ceil() as i32 } else { 0 };
    if !norm.is_finite() || squarings > 1000 {
        return Err(Failure::NotFinite);
    }
    let a = Mat::from_fn(n, n, |i, j| view[(i, j)] * 2f64.powi(-squarings));
    let identity = Mat::<f64>::identity(n, n);
    let a2 = &a * &a;
    let a4 = &a2 * &a2;
    let a6 = &a4 * &a2;
    // Even and odd powers apart: numerator and denominator are their sum and difference.
    let half = |first: usize| {
        let high = Scale(PADE[first + 12]) * &a6
            + Scale(PADE[first + 10]) * &a4
            + Scale(PADE[first + 8]) * &a2;
        &a6 * &high
            + Scale(PADE[first + 6]) * &a6
            + Scale(PADE[first + 4]) * &a4
            + Scale(PADE[first + 2]) * &a2
            + Scale(PADE[first]) * &identity
    };
    let odd = &a * half(1);
    let even = half(0);
    let mut result = (&even - &odd).partial_piv_lu().solve(&even + &odd);
    for _ in 0..squarings {
        result = &result * &result;
    }
    let values = row_major(result.as_ref());
    if values.iter().any(|x| x.is_nan()) { Err(Failure::NotFinite) } else { Ok(vec![values]) }
}
