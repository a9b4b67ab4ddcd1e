//! What the elements of a tensor are: how many of each code, how large the numbers.

use bitnet_kernels::{OperandError, parallel};

use super::matrix::Matrix;
use super::scales::Fault;

/// The elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Statistics {
    /// How many codes are −1, 0 and 1; absent where the encoding is not ternary.
    pub codes: Option<[u64; 3]>,
    /// The smallest and the largest scale of a ternary encoding.
    pub scales: Option<[f32; 2]>,
    /// The smallest number.
    pub min: f32,
    /// The largest number.
    pub max: f32,
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub standard_deviation: f64,
    /// The mean of the magnitudes.
    pub mean_magnitude: f64,
    /// Numbers that are NaN or infinite; they are left out of the others.
    pub not_finite: u64,
}

#[derive(Clone, Copy)]
struct Sums {
    codes: [u64; 3],
    min: f32,
    max: f32,
    count: u64,
    sum: f64,
    squares: f64,
    magnitudes: f64,
    not_finite: u64,
}

impl Sums {
    const NONE: Self = Self {
        codes: [0; 3],
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
        count: 0,
        sum: 0.0,
        squares: 0.0,
        magnitudes: 0.0,
        not_finite: 0,
    };

    fn add(&mut self, numbers: &[f32]) {
        for &number in numbers {
            if !number.is_finite() {
                self.not_finite += 1;
                continue;
            }
            let wide = f64::from(number);
            self.count += 1;
            self.sum += wide;
            self.squares += wide * wide;
            self.magnitudes += wide.abs();
            self.min = self.min.min(number);
            self.max = self.max.max(number);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.codes.iter_mut().zip(other.codes).for_each(|(a, b)| *a += b);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
        self.magnitudes += other.magnitudes;
        self.not_finite += other.not_finite;
    }
}

/// Reads the whole matrix, row by row.
///
/// # Errors
/// Elements that cannot be read as numbers.
pub fn statistics_of(matrix: &Matrix<'_>) -> Result<Statistics, OperandError> {
    let cols = matrix.cols();
    let ternary = matrix.encoding().is_ternary();
    let mut rows = vec![Sums::NONE; matrix.rows()];
    let fault = Fault::new();
    parallel::for_each_chunk_mut(&mut rows, 16, |piece, rows| {
        let (mut numbers, mut codes) = (vec![0.0; cols], vec![0; cols]);
        for (index, sums) in rows.iter_mut().enumerate() {
            let row = piece * 16 + index;
            if fault.keep(matrix.read_row(row, &mut numbers)).is_some() {
                sums.add(&numbers);
            }
            if ternary && fault.keep(matrix.read_codes(row, &mut codes)).is_some() {
                codes.iter().for_each(|code| sums.codes[(code + 1) as usize] += 1);
            }
        }
    });
    fault.into_result()?;
    let mut total = Sums::NONE;
    rows.iter().for_each(|row| total.merge(row));
    if total.count == 0 {
        return Ok(Statistics { not_finite: total.not_finite, ..Statistics::default() });
    }
    let count = total.count as f64;
    let mean = total.sum / count;
    Ok(Statistics {
        codes: ternary.then_some(total.codes),
        scales: match ternary {
            true => Some(matrix.scales()?.range().into()),
            false => None,
        },
        min: total.min,
        max: total.max,
        mean,
        standard_deviation: (total.squares / count - mean * mean).max(0.0).sqrt(),
        mean_magnitude: total.magnitudes / count,
        not_finite: total.not_finite,
    })
}
