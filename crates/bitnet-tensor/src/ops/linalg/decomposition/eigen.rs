//! Eigenvalues and eigenvectors.

use smallvec::smallvec;

use super::qr::two;
use super::{Decomposition, inverse_differences, scale_columns, symmetric, t};
use crate::BitNetTensor;
use crate::backend::dispatch::{apply, apply_one};
use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients};

/// `V·(diag(dw) + F∘(VᵀdV))·Vᵀ` with `F = 1/(wⱼ − wᵢ)`, made symmetric (Giles, "Collected Matrix
/// Derivative Results", 2008).
pub(super) fn backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let (w, v, gradient) = (&context.outputs[0], &context.outputs[1], context.gradient);
    let da = match context.position {
        0 => scale_columns(v, gradient)?.matmul(&t(v)?)?,
        _ => {
            let inside = inverse_differences(w)?.mul(&t(v)?.matmul(gradient)?)?;
            v.matmul(&inside)?.matmul(&t(v)?)?
        }
    };
    Ok(smallvec![Some(symmetric(&da)?)])
}

pub(super) fn values_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let (_, v) = context.inputs[0].eigh()?;
    Ok(smallvec![Some(scale_columns(&v, context.gradient)?.matmul(&t(&v)?)?)])
}

/// The eigenvalues and eigenvectors of real matrices that need not be symmetric: complex numbers as
/// pairs of tensors.
#[derive(Debug, Clone)]
pub struct Eigen {
    /// The real parts of the eigenvalues `[.., n]`, ascending.
    pub values_real: BitNetTensor,
    /// Their imaginary parts, ascending among equal real parts.
    pub values_imaginary: BitNetTensor,
    /// The real parts of the eigenvectors, the columns of `[.., n, n]`.
    pub vectors_real: BitNetTensor,
    /// Their imaginary parts.
    pub vectors_imaginary: BitNetTensor,
}

/// # Decompositions
impl BitNetTensor {
    /// The eigenvalues in ascending order and orthonormal eigenvectors as columns, of symmetric `F32`
    /// or `F64` `[.., n, n]`. The lower triangle is read; the largest element of each vector is
    /// positive. The gradient is that of symmetric changes, where eigenvalues differ.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![2.0f64, 0.0, 0.0, 1.0], [2, 2])?;
    /// let (w, _) = a.eigh()?;
    /// assert_eq!(w.to_vec::<f64>()?, [1.0, 2.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `NumericalError` for NaN and infinities; `ShapeMismatch`, `DTypeMismatch`.
    pub fn eigh(&self) -> Result<(Self, Self)> {
        two(apply(Decomposition::Eigh, &[self])?)
    }

    /// The eigenvalues of symmetric matrices, in ascending order.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let a = BitNetTensor::from_vec(vec![2.0f64, 0.0, 0.0, 1.0], [2, 2])?;
    /// assert_eq!(a.eigvalsh()?.to_vec::<f64>()?, [1.0, 2.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`eigh`](Self::eigh).
    pub fn eigvalsh(&self) -> Result<Self> {
        apply_one(Decomposition::EigenvaluesSymmetric, &[self])
    }

    /// The eigenvalues and eigenvectors of any real `F32` or `F64` `[.., n, n]`. Each vector has
    /// length 1, its largest element real and positive. It has no derivative.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let quarter_turn = BitNetTensor::from_vec(vec![0.0f64, -1.0, 1.0, 0.0], [2, 2])?;
    /// assert_eq!(quarter_turn.eig()?.values_imaginary.to_vec::<f64>()?, [-1.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `NumericalError` for NaN and infinities; `ShapeMismatch`, `DTypeMismatch`.
    pub fn eig(&self) -> Result<Eigen> {
        let mut outputs = apply(Decomposition::Eig, &[self])?.into_iter();
        let mut next = || match outputs.next() {
            Some(output) => Ok(output),
            None => bail!(InternalError, "eig", &[self], "a result is missing"),
        };
        Ok(Eigen {
            values_real: next()?,
            values_imaginary: next()?,
            vectors_real: next()?,
            vectors_imaginary: next()?,
        })
    }

    /// The real and the imaginary parts of the eigenvalues of any real matrices.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let quarter_turn = BitNetTensor::from_vec(vec![0.0f64, -1.0, 1.0, 0.0], [2, 2])?;
    /// assert_eq!(quarter_turn.eigvals()?.1.to_vec::<f64>()?, [-1.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`eig`](Self::eig).
    pub fn eigvals(&self) -> Result<(Self, Self)> {
        two(apply(Decomposition::Eigenvalues, &[self])?)
    }
}
