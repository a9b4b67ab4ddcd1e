//! Determinants, inverses, solutions and exponentials.

use smallvec::smallvec;

use super::qr::two;
use super::{Decomposition, Triangle, t};
use crate::BitNetTensor;
use crate::backend::dispatch::{apply, apply_one, composed};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients};

/// `dy·A⁻ᵀ`, `dy` one number per matrix.
fn times_inverse(a: &BitNetTensor, dy: &BitNetTensor) -> Result<OperandGradients> {
    let inverse = t(&a.inv()?)?;
    Ok(smallvec![Some(dy.unsqueeze(-1)?.unsqueeze(-1)?.mul(&inverse)?)])
}

/// `det·A⁻ᵀ·dy`: of a singular matrix there is none in this form.
pub(super) fn determinant_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    times_inverse(context.inputs[0], &context.gradient.mul(context.output())?)
}

pub(super) fn log_determinant_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    match context.position {
        // The sign is constant where the determinant is not zero.
        0 => Ok(smallvec![Some(context.inputs[0].mul(0.0)?)]),
        _ => times_inverse(context.inputs[0], context.gradient),
    }
}

pub(super) fn backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let transposed = t(context.output())?;
    Ok(smallvec![Some(transposed.matmul(context.gradient)?.matmul(&transposed)?.neg()?)])
}

pub(super) fn solve_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let (a, b, x) = (context.inputs[0], context.inputs[1], context.output());
    let db = apply_one(Decomposition::Solve, &[&t(a)?, context.gradient])?;
    let da = db.matmul(&t(x)?)?.neg()?.sum_to(a.shape())?;
    Ok(smallvec![Some(da), Some(db.sum_to(b.shape())?)])
}

pub(super) fn solve_triangular_backward(
    triangle: Triangle,
    context: &Derivative<'_>,
) -> Result<OperandGradients> {
    let (a, b, x) = (context.inputs[0], context.inputs[1], context.output());
    let turned = Triangle { transpose: !triangle.transpose, ..triangle };
    let db = apply_one(Decomposition::SolveTriangular(turned), &[a, context.gradient])?;
    let da = db.matmul(&t(x)?)?.neg()?.sum_to(a.shape())?;
    let da = if triangle.transpose { t(&da)? } else { da };
    let beside = isize::from(triangle.unit_diagonal);
    let da = if triangle.upper { da.triu(beside)? } else { da.tril(-beside)? };
    Ok(smallvec![Some(da), Some(db.sum_to(b.shape())?)])
}

/// The upper right block of `exp([[Aᵀ, dY], [0, Aᵀ]])` (Mathias, "A Chain Rule for Matrix Functions",
/// 1996).
pub(super) fn exponential_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let (a, dy) = (t(context.inputs[0])?, context.gradient);
    let n = a.shape()[a.rank() - 1];
    let upper = BitNetTensor::cat(&[&a, dy], -1)?;
    let lower = BitNetTensor::cat(&[&a.mul(0.0)?, &a], -1)?;
    let both = BitNetTensor::cat(&[&upper, &lower], -2)?.matrix_exp()?;
    Ok(smallvec![Some(both.narrow(-2, 0, n)?.narrow(-1, n, n)?)])
}

/// # Decompositions
impl BitNetTensor {
    /// The determinant of `F32` or `F64` `[.., n, n]`; 0 of a singular matrix, 1 of the empty one. Its
    /// derivative needs the inverse.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![2.0f64, 0.0, 1.0, 3.0], [2, 2])?;
    /// assert_eq!(a.det()?.item::<f64>()?, 6.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`.
    pub fn det(&self) -> Result<Self> {
        apply_one(Decomposition::Determinant, &[self])
    }

    /// The sign of the determinant and the logarithm of its magnitude: 0 and −∞ of a singular matrix.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![-1.0f64, 0.0, 0.0, 1.0], [2, 2])?;
    /// let (sign, logarithm) = a.slogdet()?;
    /// assert_eq!((sign.item::<f64>()?, logarithm.item::<f64>()?), (-1.0, 0.0));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`det`](Self::det).
    pub fn slogdet(&self) -> Result<(Self, Self)> {
        two(apply(Decomposition::LogDeterminant, &[self])?)
    }

    /// The inverse of `F32` or `F64` `[.., n, n]`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![2.0f64, 0.0, 0.0, 4.0], [2, 2])?;
    /// assert_eq!(a.inv()?.to_vec::<f64>()?, [0.5, 0.0, 0.0, 0.25]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `NumericalError` when a matrix is singular; `ShapeMismatch`, `DTypeMismatch`.
    pub fn inv(&self) -> Result<Self> {
        apply_one(Decomposition::Inverse, &[self])
    }

    /// The solution `X` of `self · X = b`. `b` is a vector `[n]` or matrices `[.., n, k]`; batch axes
    /// broadcast.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![2.0f64, 0.0, 0.0, 4.0], [2, 2])?;
    /// let b = BitNetTensor::from_vec(vec![2.0f64, 2.0], [2])?;
    /// assert_eq!(a.solve(&b)?.to_vec::<f64>()?, [1.0, 0.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`inv`](Self::inv), and `BroadcastError`.
    pub fn solve(&self, b: &Self) -> Result<Self> {
        self.solve_with(Decomposition::Solve, "solve", b)
    }

    /// The solution `X` of `T · X = b`, `T` a triangle of this matrix; the other elements are not
    /// read. `b` as for [`solve`](Self::solve).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// use bitnet_tensor::ops::Triangle;
    /// let a = BitNetTensor::from_vec(vec![2.0f64, 9.0, 1.0, 4.0], [2, 2])?;
    /// let b = BitNetTensor::from_vec(vec![2.0f64, 5.0], [2])?;
    /// assert_eq!(a.triangular_solve(&b, Triangle::default())?.to_vec::<f64>()?, [1.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    pub fn triangular_solve(&self, b: &Self, triangle: Triangle) -> Result<Self> {
        self.solve_with(Decomposition::SolveTriangular(triangle), "triangular_solve", b)
    }

    fn solve_with(&self, op: Decomposition, name: &'static str, b: &Self) -> Result<Self> {
        match b.rank() {
            0 => bail!(ShapeMismatch, name, &[self, b], "a scalar has no rows"),
            1 => composed(name, &[self, b], || {
                apply_one(op, &[self, &b.unsqueeze(-1)?])?.squeeze(-1)
            }),
            _ => apply_one(op, &[self, b]),
        }
    }

    /// `e^A = Σ Aᵏ/k!` of `F32` or `F64` `[.., n, n]`, by scaling and squaring with the Padé approximant
    /// of order 13.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![0.0f64, 1.0, 0.0, 0.0], [2, 2])?;
    /// let one = BitNetTensor::from_vec(vec![1.0f64, 1.0, 0.0, 1.0], [2, 2])?;
    /// assert!(a.matrix_exp()?.allclose(&one, 1e-12, 0.0)?);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `NumericalError` for NaN and infinities; `ShapeMismatch`, `DTypeMismatch`.
    pub fn matrix_exp(&self) -> Result<Self> {
        apply_one(Decomposition::Exponential, &[self])
    }
}
