//! A row-major matrix, and its way into `faer` and back.

use faer::{Mat, MatRef};

use crate::Failure;

/// A row-major matrix.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// Its elements, row after row.
    pub values: &'a [f64],
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub columns: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix of `values`, row after row.
    ///
    /// # Panics
    /// If `values` does not fill it.
    pub fn new(values: &'a [f64], rows: usize, columns: usize) -> Self {
        assert_eq!(rows.checked_mul(columns), Some(values.len()), "matrix: length of the values");
        Self { values, rows, columns }
    }

    pub(crate) fn view(self) -> MatRef<'a, f64> {
        MatRef::from_row_major_slice(self.values, self.rows, self.columns)
    }

    /// Its view when all elements are finite: iterations on others may not end.
    pub(crate) fn finite(self) -> Result<MatRef<'a, f64>, Failure> {
        match self.values.iter().all(|x| x.is_finite()) {
            true => Ok(self.view()),
            false => Err(Failure::NotFinite),
        }
    }

    /// Its elements brought near 1 when their squares could overflow or vanish, and the power of two
    /// that brings results back.
    pub(crate) fn scaled(self) -> Result<(Mat<f64>, PowerOfTwo), Failure> {
        let view = self.finite()?;
        let largest = self.values.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        let power = match largest {
            0.0 | 1e-100..1e100 => PowerOfTwo(0),
            _ => PowerOfTwo(largest.log2() as i32),
        };
        let down = PowerOfTwo(-power.0);
        Ok((Mat::from_fn(self.rows, self.columns, |i, j| down.times(view[(i, j)])), power))
    }
}

/// 2 to this power.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PowerOfTwo(i32);

impl PowerOfTwo {
    /// In two steps: the power itself may be no `f64`.
    pub(crate) fn times(self, x: f64) -> f64 {
        let half = self.0 / 2;
        x * 2f64.powi(half) * 2f64.powi(self.0 - half)
    }
}

/// The elements row after row.
pub(crate) fn row_major(matrix: MatRef<'_, f64>) -> Vec<f64> {
    let (rows, columns) = matrix.shape();
    let mut values = Vec::with_capacity(rows * columns);
    for row in 0..rows {
        values.extend((0..columns).map(|column| matrix[(row, column)]));
    }
    values
}

/// Turns the columns of `first`, and with them the rows of `second`, so that the largest element
/// of each column of `first` (the first of several) is positive.
pub(crate) fn fix_signs(first: &mut Mat<f64>, mut second: Option<&mut Mat<f64>>) {
    let shared = second.as_ref().map_or(first.ncols(), |second| second.ncols().min(first.ncols()));
    for column in 0..first.ncols() {
        let mut largest = 0.0f64;
        for row in 0..first.nrows() {
            // Nearly equal elements must not let rounding choose.
            if first[(row, column)].abs() > largest.abs() * (1.0 + 1e-8) {
                largest = first[(row, column)];
            }
        }
        if largest < 0.0 {
            (0..first.nrows()).for_each(|row| first[(row, column)] = -first[(row, column)]);
            if column < shared
                && let Some(second) = &mut second
            {
                (0..second.nrows()).for_each(|row| second[(row, column)] = -second[(row, column)]);
            }
        }
    }
}
