//! Singular values and vectors, and the pseudoinverse.

use smallvec::smallvec;

use super::qr::three;
use super::{Decomposition, identity, inverse_differences, scale_columns, scale_rows, t};
use crate::BitNetTensor;
use crate::backend::dispatch::{apply, apply_one};
use crate::error::Result;
use crate::ops::{Derivative, OperandGradients};

/// With `F = 1/(sⱼ² − sᵢ²)`: of `s` `U·diag(ds)·Vᵀ`; of `U` `U·(F∘(UᵀdU − dUᵀU))·S·Vᵀ +
/// (I − UUᵀ)·dU·S⁻¹·Vᵀ`; of `V` the mirror image (Townsend, "Differentiating the Singular Value
/// Decomposition", 2016).
pub(super) fn backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let (u, s, vt) = (&context.outputs[0], &context.outputs[1], &context.outputs[2]);
    let gradient = context.gradient;
    let da = match context.position {
        0 => of_vectors(u, s, gradient)?.matmul(vt)?,
        1 => scale_columns(u, gradient)?.matmul(vt)?,
        _ => u.matmul(&t(&of_vectors(&t(vt)?, s, &t(gradient)?)?)?)?,
    };
    Ok(smallvec![Some(da)])
}

/// `U·(F∘(UᵀdU − dUᵀU))·S + (I − UUᵀ)·dU·S⁻¹`.
fn of_vectors(u: &BitNetTensor, s: &BitNetTensor, du: &BitNetTensor) -> Result<BitNetTensor> {
    let inside = t(u)?.matmul(du)?;
    let turned = inverse_differences(&s.square()?)?.mul(&inside.sub(&t(&inside)?)?)?;
    let first = u.matmul(&scale_columns(&turned, s)?)?;
    let outside = du.sub(&u.matmul(&inside)?)?;
    first.add(&scale_columns(&outside, &s.reciprocal()?)?)
}

pub(super) fn values_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let (u, _, vt) = context.inputs[0].svd(false)?;
    Ok(smallvec![Some(u.matmul(&scale_rows(context.gradient, &vt)?)?)])
}

/// `−Pᵀ·G·Pᵀ + (I − A·P)·Gᵀ·P·Pᵀ + Pᵀ·P·Gᵀ·(I − P·A)` (Golub and Pereyra, "The Differentiation of
/// Pseudo-Inverses", 1973).
pub(super) fn pseudo_inverse_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let (a, p, g) = (context.inputs[0], context.output(), context.gradient);
    let (m, n) = (a.shape()[a.rank() - 2], a.shape()[a.rank() - 1]);
    let (pt, gt) = (t(p)?, t(g)?);
    let first = pt.matmul(g)?.matmul(&pt)?;
    let outside = identity(m, a)?.sub(&a.matmul(p)?)?;
    let second = outside.matmul(&gt)?.matmul(p)?.matmul(&pt)?;
    let outside = identity(n, a)?.sub(&p.matmul(a)?)?;
    let third = pt.matmul(p)?.matmul(&gt)?.matmul(&outside)?;
    Ok(smallvec![Some(second.add(&third)?.sub(&first)?)])
}

/// # Decompositions
impl BitNetTensor {
    /// `U`, the singular values `s` in descending order, and `Vᵀ` of `A = U·diag(s)·Vᵀ`, for `F32` or
    /// `F64` `[.., m, n]`. With `full` `U` and `Vᵀ` are square, otherwise `[.., m, k]` and `[.., k, n]`,
    /// `k` the smaller size. The largest element of each column of `U` is positive. The thin form
    /// has a derivative where singular values differ (and are not zero).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![3.0f64, 0.0, 0.0, 4.0], [2, 2])?;
    /// let (_, s, _) = a.svd(false)?;
    /// assert_eq!(s.to_vec::<f64>()?, [4.0, 3.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `NumericalError` for NaN and infinities; `ShapeMismatch`, `DTypeMismatch`.
    pub fn svd(&self, full: bool) -> Result<(Self, Self, Self)> {
        three(apply(Decomposition::Svd { full }, &[self])?)
    }

    /// The singular values in descending order.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![3.0f64, 0.0, 0.0, 4.0], [2, 2])?;
    /// assert_eq!(a.svdvals()?.to_vec::<f64>()?, [4.0, 3.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`svd`](Self::svd).
    pub fn svdvals(&self) -> Result<Self> {
        apply_one(Decomposition::SingularValues, &[self])
    }

    /// The Moore–Penrose inverse `[.., n, m]` of `F32` or `F64` `[.., m, n]`. Singular values up to
    /// `rcond` times the largest count as zero; by default the larger size times the epsilon of the
    /// type.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![2.0f64, 0.0], [2, 1])?;
    /// assert_eq!(a.pinv(None)?.to_vec::<f64>()?, [0.5, 0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`svd`](Self::svd).
    pub fn pinv(&self, rcond: impl Into<Option<f64>>) -> Result<Self> {
        apply_one(Decomposition::PseudoInverse { rcond: rcond.into() }, &[self])
    }
}
