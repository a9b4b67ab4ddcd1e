//! What is said of matrices through their decompositions: norms, rank, condition, least squares,
//! powers.

use super::decomposition::identity;
use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// A norm of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MatrixNorm {
    /// The root of the sum of squares.
    Frobenius,
    /// The sum of the singular values.
    Nuclear,
    /// The largest sum of magnitudes of a column.
    One,
    /// The smallest sum of magnitudes of a column.
    MinusOne,
    /// The largest singular value.
    Two,
    /// The smallest singular value.
    MinusTwo,
    /// The largest sum of magnitudes of a row.
    Infinity,
    /// The smallest sum of magnitudes of a row.
    MinusInfinity,
}

/// What [`BitNetTensor::lstsq`] finds.
#[derive(Debug, Clone)]
pub struct LeastSquares {
    /// The solution of smallest norm, `[.., n, k]` (`[n]` for a vector).
    pub solution: BitNetTensor,
    /// The sums of squares of `A·X − B`, one per column.
    pub residuals: BitNetTensor,
    /// The number of singular values that count, `I64 [..]`.
    pub rank: BitNetTensor,
    /// The singular values of `A` in descending order.
    pub singular_values: BitNetTensor,
}

/// # Decompositions
impl BitNetTensor {
    /// A norm of the matrices in the last two axes, `F32` or `F64`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// use bitnet_tensor::ops::MatrixNorm;
    /// let a = BitNetTensor::from_vec(vec![3.0f64, 0.0, 0.0, -4.0], [2, 2])?;
    /// assert_eq!(a.matrix_norm(MatrixNorm::Frobenius)?.item::<f64>()?, 5.0);
    /// assert_eq!(a.matrix_norm(MatrixNorm::One)?.item::<f64>()?, 4.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`; `ComputationError` for an extreme of nothing;
    /// `NumericalError` for NaN and infinities where singular values are needed.
    pub fn matrix_norm(&self, norm: MatrixNorm) -> Result<Self> {
        self.check_matrices("matrix_norm")?;
        let sums = |axis: isize| self.abs()?.sum(&[axis], false);
        composed("matrix_norm", &[self], || match norm {
            MatrixNorm::Frobenius => self.norm(2.0, &[-2, -1], false),
            MatrixNorm::Nuclear => self.svdvals()?.sum(&[-1], false),
            MatrixNorm::One => sums(-2)?.max(&[-1], false),
            MatrixNorm::MinusOne => sums(-2)?.min(&[-1], false),
            MatrixNorm::Two => self.svdvals()?.max(&[-1], false),
            MatrixNorm::MinusTwo => self.svdvals()?.min(&[-1], false),
            MatrixNorm::Infinity => sums(-1)?.max(&[-1], false),
            MatrixNorm::MinusInfinity => sums(-1)?.min(&[-1], false),
        })
    }

    /// The number of singular values above `tolerance`, `I64`; by default the larger size times the
    /// epsilon of the type times the largest of them.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f64, 2.0, 2.0, 4.0], [2, 2])?;
    /// assert_eq!(a.matrix_rank(None)?.item::<i64>()?, 1);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`svd`](Self::svd).
    pub fn matrix_rank(&self, tolerance: impl Into<Option<f64>>) -> Result<Self> {
        self.check_matrices("matrix_rank")?;
        let tolerance = tolerance.into();
        composed("matrix_rank", &[self], || {
            let values = self.detach().svdvals()?;
            match tolerance {
                Some(tolerance) => values.gt(tolerance)?.count_nonzero(&[-1], false),
                None => rank_of(&values, self.usual_rcond()),
            }
        })
    }

    /// The condition number by `norm`: of [`Two`](MatrixNorm::Two) the largest singular value over the
    /// smallest, infinite for a singular matrix; of others `‖A‖·‖A⁻¹‖`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// use bitnet_tensor::ops::MatrixNorm;
    /// let a = BitNetTensor::from_vec(vec![4.0f64, 0.0, 0.0, 2.0], [2, 2])?;
    /// assert_eq!(a.cond(MatrixNorm::Two)?.item::<f64>()?, 2.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`svd`](Self::svd) and [`inv`](Self::inv).
    pub fn cond(&self, norm: MatrixNorm) -> Result<Self> {
        self.check_matrices("cond")?;
        composed("cond", &[self], || {
            let values = || self.svdvals();
            let (largest, smallest) = match norm {
                MatrixNorm::Two => (values()?.max(&[-1], false)?, values()?.min(&[-1], false)?),
                MatrixNorm::MinusTwo => {
                    (values()?.min(&[-1], false)?, values()?.max(&[-1], false)?)
                }
                _ => return self.matrix_norm(norm)?.mul(&self.inv()?.matrix_norm(norm)?),
            };
            largest.div(&smallest)
        })
    }

    /// The solution of smallest norm among those that make `‖self·X − b‖` smallest. `b` is a vector
    /// `[m]` or matrices `[.., m, k]`; singular values up to `rcond` of the largest count as zero.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f64, 1.0], [2, 1])?;
    /// let b = BitNetTensor::from_vec(vec![1.0f64, 3.0], [2])?;
    /// let mean = a.lstsq(&b, None)?.solution.item::<f64>()?;
    /// assert!((mean - 2.0).abs() < 1e-12);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`svd`](Self::svd), and `BroadcastError`.
    pub fn lstsq(&self, b: &Self, rcond: impl Into<Option<f64>>) -> Result<LeastSquares> {
        self.check_matrices("lstsq")?;
        let rows = b.shape().get(b.rank().saturating_sub(2)).copied();
        let m = self.shape()[self.rank() - 2];
        if rows != Some(m) {
            bail!(ShapeMismatch, "lstsq", &[self, b], "b has not {m} rows");
        }
        let rcond = rcond.into().unwrap_or(self.usual_rcond());
        composed("lstsq", &[self, b], || {
            let singular_values = self.detach().svdvals()?;
            let solution = self.pinv(rcond)?.matmul(b)?;
            let axis = if b.rank() == 1 { -1 } else { -2 };
            let residuals = self.matmul(&solution)?.sub(b)?.square()?.sum(&[axis], false)?;
            let rank = rank_of(&singular_values, rcond)?;
            Ok(LeastSquares { solution, residuals, rank, singular_values })
        })
    }

    /// The product of `exponent` factors; a negative exponent takes the inverse, 0 gives the identity.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f64, 1.0, 0.0, 1.0], [2, 2])?;
    /// assert_eq!(a.matrix_power(5)?.to_vec::<f64>()?, [1.0, 5.0, 0.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`matmul`](Self::matmul) and [`inv`](Self::inv); `ShapeMismatch` unless square.
    pub fn matrix_power(&self, exponent: i32) -> Result<Self> {
        self.check_matrices("matrix_power")?;
        let (m, n) = (self.shape()[self.rank() - 2], self.shape()[self.rank() - 1]);
        if m != n {
            bail!(ShapeMismatch, "matrix_power", &[self], "{m} by {n} is not square");
        }
        composed("matrix_power", &[self], || {
            let mut square = if exponent < 0 { self.inv()? } else { self.clone() };
            let mut rest = exponent.unsigned_abs();
            let mut power: Option<Self> = None;
            while rest > 0 {
                if rest & 1 == 1 {
                    power = Some(match power {
                        Some(power) => power.matmul(&square)?,
                        None => square.clone(),
                    });
                }
                rest >>= 1;
                if rest > 0 {
                    square = square.matmul(&square)?;
                }
            }
            match power {
                Some(power) => Ok(power),
                None => identity(n, self)?.expand(self.shape())?.contiguous(),
            }
        })
    }

    fn check_matrices(&self, name: &'static str) -> Result<()> {
        match self.rank() {
            0 | 1 => bail!(ShapeMismatch, name, &[self], "takes matrices: two or more axes"),
            _ => Ok(()),
        }
    }

    /// The larger size times the epsilon of the type.
    fn usual_rcond(&self) -> f64 {
        let larger = self.shape()[self.rank() - 2..].iter().copied().max().unwrap_or(0);
        let epsilon = match self.dtype() {
            BitNetDType::F64 => f64::EPSILON,
            _ => f64::from(f32::EPSILON),
        };
        larger as f64 * epsilon
    }
}

/// How many of `values`, in descending order, exceed `rcond` of the first.
fn rank_of(values: &BitNetTensor, rcond: f64) -> Result<BitNetTensor> {
    if values.shape()[values.rank() - 1] == 0 {
        return values.gt(0.0)?.count_nonzero(&[-1], false);
    }
    values.gt(&values.narrow(-1, 0, 1)?.mul(rcond)?)?.count_nonzero(&[-1], false)
}
