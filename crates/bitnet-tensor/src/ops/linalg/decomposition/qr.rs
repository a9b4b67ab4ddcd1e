//! LU and QR: factors with zeros below or above the diagonal.

use smallvec::smallvec;

use super::{Decomposition, Triangle, t};
use crate::BitNetTensor;
use crate::backend::dispatch::apply;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Outputs};

/// `(dQ + Q·copyltu(M))·R⁻ᵀ` with `M = R·dRᵀ − dQᵀ·Q` (Walter and Lehmann, "Algorithmic
/// Differentiation of Linear Algebra Functions", 2012).
pub(super) fn backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let (q, r, gradient) = (&context.outputs[0], &context.outputs[1], context.gradient);
    let (rows, columns) = (q.shape()[q.rank() - 2], r.shape()[r.rank() - 1]);
    if rows < columns {
        bail!(
            UnsupportedOperation,
            "qr",
            context.inputs,
            "the derivative is defined for rows ≥ columns"
        );
    }
    let m = match context.position {
        0 => t(gradient)?.matmul(q)?.neg()?,
        _ => r.matmul(&t(gradient)?)?,
    };
    let mirrored = q.matmul(&m.tril(0)?.add(&t(&m.tril(-1)?)?)?)?;
    let sum = if context.position == 0 { mirrored.add(gradient)? } else { mirrored };
    // X·R⁻ᵀ is (R⁻¹·Xᵀ)ᵀ.
    let upper = Triangle { upper: true, ..Triangle::default() };
    Ok(smallvec![Some(t(&r.triangular_solve(&t(&sum)?, upper)?)?)])
}

/// The two outputs of an operation.
pub(super) fn two(outputs: Outputs) -> Result<(BitNetTensor, BitNetTensor)> {
    let count = outputs.len();
    let mut outputs = outputs.into_iter();
    match (outputs.next(), outputs.next()) {
        (Some(first), Some(second)) => Ok((first, second)),
        _ => bail!(InternalError, "decomposition", &[], "{count} results are not two"),
    }
}

/// The three outputs of an operation.
pub(super) fn three(outputs: Outputs) -> Result<(BitNetTensor, BitNetTensor, BitNetTensor)> {
    let count = outputs.len();
    let mut outputs = outputs.into_iter();
    match (outputs.next(), outputs.next(), outputs.next()) {
        (Some(first), Some(second), Some(third)) => Ok((first, second, third)),
        _ => bail!(InternalError, "decomposition", &[], "{count} results are not three"),
    }
}

/// # Decompositions
impl BitNetTensor {
    /// `P`, `L` and `U` of `A = P·L·U` by partial pivoting, for `F32` or `F64` `[.., m, n]`: a
    /// permutation `[.., m, m]`, a unit lower `[.., m, k]` and an upper `[.., k, n]`, `k` the smaller
    /// size. It has no derivative.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![1.0f64, 2.0, 4.0, 4.0], [2, 2])?;
    /// let (p, l, u) = a.lu()?;
    /// assert_eq!(u.to_vec::<f64>()?, [4.0, 4.0, 0.0, 1.0]);
    /// assert_eq!(p.matmul(&l)?.matmul(&u)?.to_vec::<f64>()?, a.to_vec::<f64>()?);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `NumericalError` for NaN and infinities; `ShapeMismatch`, `DTypeMismatch`.
    pub fn lu(&self) -> Result<(Self, Self, Self)> {
        three(apply(Decomposition::Lu, &[self])?)
    }

    /// `Q` and `R` of `A = Q·R` for `F32` or `F64` `[.., m, n]`: the columns of `Q` orthonormal, `R`
    /// upper triangular. The diagonal of `R` is not negative, which makes the result unique where the
    /// columns are independent (LAPACK's may differ by the sign of rows). With `complete` `Q` is
    /// `[.., m, m]`, otherwise `[.., m, min(m, n)]`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![0.0f64, 2.0, 3.0, 1.0], [2, 2])?;
    /// let (q, r) = a.qr(false)?;
    /// assert!(q.matmul(&r)?.sub(&a)?.norm(2.0, &[], false)?.item::<f64>()? < 1e-12);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `NumericalError` for NaN and infinities; `ShapeMismatch`, `DTypeMismatch`.
    pub fn qr(&self, complete: bool) -> Result<(Self, Self)> {
        two(apply(Decomposition::Qr { complete }, &[self])?)
    }
}
