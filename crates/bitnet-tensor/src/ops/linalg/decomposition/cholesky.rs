//! The triangular root of positive definite matrices.

use smallvec::smallvec;

use super::{Decomposition, Triangle, identity, symmetric, t};
use crate::BitNetTensor;
use crate::backend::dispatch::apply_one;
use crate::error::Result;
use crate::ops::{Derivative, OperandGradients};

/// `L⁻ᵀ·Φ(Lᵀ·dL)·L⁻¹`, made symmetric; `Φ` keeps the lower triangle and half of the diagonal
/// (Murray, "Differentiation of the Cholesky decomposition", 2016).
pub(super) fn backward(upper: bool, context: &Derivative<'_>) -> Result<OperandGradients> {
    let (factor, gradient) = (&context.outputs[0], context.gradient);
    let (l, dl) =
        if upper { (t(factor)?, t(gradient)?) } else { (factor.clone(), gradient.clone()) };
    let product = t(&l)?.matmul(&dl)?.tril(0)?;
    let n = l.shape()[l.rank() - 1];
    let half = product.mul(&identity(n, &l)?)?.mul(0.5)?;
    let phi = product.sub(&half)?;
    let transposed = Triangle { transpose: true, ..Triangle::default() };
    let left = l.triangular_solve(&phi, transposed)?;
    // X·L⁻¹ is (L⁻ᵀ·Xᵀ)ᵀ.
    let both = t(&l.triangular_solve(&t(&left)?, transposed)?)?;
    Ok(smallvec![Some(symmetric(&both)?)])
}

/// # Decompositions
impl BitNetTensor {
    /// The lower `L` of `A = L·Lᵀ`, or with `upper` the `U` of `A = Uᵀ·U`, for symmetric positive
    /// definite matrices, `F32` or `F64` `[.., n, n]`. Only that triangle is read; the gradient is
    /// that of symmetric changes.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![4.0f64, 2.0, 2.0, 5.0], [2, 2])?;
    /// assert_eq!(a.cholesky(false)?.to_vec::<f64>()?, [2.0, 0.0, 1.0, 2.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `NumericalError` when a matrix is not positive definite; `ShapeMismatch`, `DTypeMismatch`.
    pub fn cholesky(&self, upper: bool) -> Result<Self> {
        apply_one(Decomposition::Cholesky { upper }, &[self])
    }
}
