//! LU and QR: factors with zeros below or above the diagonal.

use smallvec::smallvec;

use super::{Decomposition, Triangle, t};
use crate::BitNetTensor;
use crate::backend::dispatch::apply;
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Outputs};

/// The solution of `X·Uᵀ = x` with an upper triangular `U`: `(U⁻¹·xᵀ)ᵀ`.
fn divided_by_transposed(x: &BitNetTensor, u: &BitNetTensor) -> Result<BitNetTensor> {
    let upper = Triangle { upper: true, ..Triangle::default() };
    t(&u.triangular_solve(&t(x)?, upper)?)
}

/// The first `count` columns of matrices, and the others.
fn columns(x: &BitNetTensor, count: usize) -> Result<(BitNetTensor, BitNetTensor)> {
    let all = x.shape()[x.rank() - 1];
    Ok((x.narrow(-1, 0, count)?, x.narrow(-1, count, all - count)?))
}

/// Of as many rows as columns or more, `(dQ + Q·copyltu(M))·R⁻ᵀ` with `M = R·dRᵀ − dQᵀ·Q` (Walter and
/// Lehmann, "Algorithmic Differentiation of Linear Algebra Functions", 2012). Of more columns, `A =
/// (X, Y)` and `R = (U, V)` with `Y = Q·V`: what `dV` adds to `dQ` is `Y·dVᵀ`, and the gradient of `Y`
/// is `Q·dV`.
pub(super) fn backward(complete: bool, context: &Derivative<'_>) -> Result<OperandGradients> {
    let (q, r, gradient) = (&context.outputs[0], &context.outputs[1], context.gradient);
    let a = context.inputs[0];
    let (m, n) = (a.shape()[a.rank() - 2], a.shape()[a.rank() - 1]);
    if complete && m > n {
        bail!(
            UnsupportedOperation,
            "qr",
            context.inputs,
            "columns that complete a basis have no derivative: it is defined for rows ≤ columns"
        );
    }
    let k = m.min(n);
    let (square, _) = columns(r, k)?;
    let (dq, dr, rest) = match context.position {
        0 => (Some(gradient.clone()), None, None),
        _ => {
            let ((_, y), (du, dv)) = (columns(a, k)?, columns(gradient, k)?);
            let dq = if n > k { Some(y.matmul(&t(&dv)?)?) } else { None };
            (dq, Some(du), Some(q.matmul(&dv)?))
        }
    };
    let mut mixed = match &dr {
        Some(dr) => square.matmul(&t(dr)?)?,
        None => square.zeros_like()?,
    };
    if let Some(dq) = &dq {
        mixed = mixed.sub(t(dq)?.matmul(q)?)?;
    }
    let mut sum = q.matmul(&mixed.tril(0)?.add(&t(&mixed.tril(-1)?)?)?)?;
    if let Some(dq) = &dq {
        sum = sum.add(dq)?;
    }
    let dx = divided_by_transposed(&sum, &square)?;
    let dy = match rest {
        Some(dy) => dy,
        None => columns(&a.zeros_like()?, k)?.1,
    };
    Ok(smallvec![Some(BitNetTensor::cat(&[&dx, &dy], -1)?)])
}

/// `P·L⁻ᵀ·(tril(Lᵀ·dL, −1) + triu(dU·Uᵀ))·U⁻ᵀ` of square factors. What is left of `L` below or of `U`
/// beside a square follows from it, `L₂ = B₂·U⁻¹` or `U₂ = L⁻¹·B₂` with `B = Pᵀ·A`, and adds to the
/// gradient of the square factor.
pub(super) fn lu_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let [p, l, u] = [0, 1, 2].map(|n| &context.outputs[n]);
    let a = context.inputs[0];
    if context.position == 0 {
        // A permutation is constant where the pivots differ.
        return Ok(smallvec![Some(a.zeros_like()?)]);
    }
    let (m, n) = (a.shape()[a.rank() - 2], a.shape()[a.rank() - 1]);
    let k = m.min(n);
    let rows = |x: &BitNetTensor| -> Result<(BitNetTensor, BitNetTensor)> {
        Ok((x.narrow(-2, 0, k)?, x.narrow(-2, k, m - k)?))
    };
    let ((l1, l2), (u1, u2)) = (rows(l)?, columns(u, k)?);
    let by_transposed_l = Triangle { transpose: true, unit_diagonal: true, ..Triangle::default() };
    let (dl, du) = match context.position {
        1 => (context.gradient.clone(), u.zeros_like()?),
        _ => (l.zeros_like()?, context.gradient.clone()),
    };
    let ((mut dl1, dl2), (mut du1, du2)) = (rows(&dl)?, columns(&du, k)?);
    let below = divided_by_transposed(&dl2, &u1)?;
    let beside = l1.triangular_solve(&du2, by_transposed_l)?;
    dl1 = dl1.sub(beside.matmul(&t(&u2)?)?)?;
    du1 = du1.sub(t(&l2)?.matmul(&below)?)?;
    let inner = t(&l1)?.matmul(&dl1)?.tril(-1)?.add(du1.matmul(&t(&u1)?)?.triu(0)?)?;
    let square = divided_by_transposed(&l1.triangular_solve(&inner, by_transposed_l)?, &u1)?;
    let whole = match m > n {
        true => BitNetTensor::cat(&[&square, &below], -2)?,
        false => BitNetTensor::cat(&[&square, &beside], -1)?,
    };
    Ok(smallvec![Some(p.matmul(&whole)?)])
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
    /// size. It has a derivative where the first `k` columns are independent.
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
    /// `[.., m, m]`, otherwise `[.., m, min(m, n)]`. It has a derivative where the first columns are
    /// independent, complete for `m ≤ n`.
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
