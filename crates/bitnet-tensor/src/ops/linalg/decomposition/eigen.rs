//! Eigenvalues and eigenvectors.

use smallvec::smallvec;

use super::qr::two;
use super::{Decomposition, identity, inverse_differences, scale_columns, symmetric, t};
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

/// Complex matrices: their real and imaginary parts.
struct Complex {
    re: BitNetTensor,
    im: BitNetTensor,
}

impl Complex {
    fn matmul(&self, other: &Self) -> Result<Self> {
        Ok(Self {
            re: self.re.matmul(&other.re)?.sub(self.im.matmul(&other.im)?)?,
            im: self.re.matmul(&other.im)?.add(self.im.matmul(&other.re)?)?,
        })
    }

    /// Conjugated and transposed.
    fn adjoint(&self) -> Result<Self> {
        Ok(Self { re: t(&self.re)?, im: t(&self.im)?.neg()? })
    }

    /// Element by element.
    fn times(&self, other: &Self) -> Result<Self> {
        Ok(Self {
            re: self.re.mul(&other.re)?.sub(self.im.mul(&other.im)?)?,
            im: self.re.mul(&other.im)?.add(self.im.mul(&other.re)?)?,
        })
    }
}

/// `Re(V⁻ᴴ·K·Vᴴ)`, where `K` is what the values give on the diagonal and the vectors beside it: the
/// gradient of a function of `V⁻¹·dA·V`. The complex system is solved as a real one of twice the size.
fn through_vectors(v: &Complex, k: &Complex) -> Result<OperandGradients> {
    let adjoint = v.adjoint()?;
    let right = k.matmul(&adjoint)?;
    let system = BitNetTensor::cat(
        &[
            &BitNetTensor::cat(&[&adjoint.re, &adjoint.im.neg()?], -1)?,
            &BitNetTensor::cat(&[&adjoint.im, &adjoint.re], -1)?,
        ],
        -2,
    )?;
    let solution = system.solve(&BitNetTensor::cat(&[&right.re, &right.im], -2)?)?;
    let n = v.re.shape()[v.re.rank() - 1];
    Ok(smallvec![Some(solution.narrow(-2, 0, n)?)])
}

/// The diagonal matrices of `values`.
fn diagonal(values: &BitNetTensor) -> Result<BitNetTensor> {
    let n = values.shape()[values.rank() - 1];
    identity(n, values)?.mul(&values.unsqueeze(-1)?)
}

/// Of the eigenvalues, whose change is the diagonal of `V⁻¹·dA·V`.
fn values_gradient(
    v: &Complex,
    gradient: &BitNetTensor,
    is_real: bool,
) -> Result<OperandGradients> {
    let (given, nothing) = (diagonal(gradient)?, v.re.zeros_like()?);
    let (re, im) = if is_real { (given, nothing) } else { (nothing, given) };
    through_vectors(v, &Complex { re, im })
}

pub(super) fn general_values_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let found = context.inputs[0].eig()?;
    let v = Complex { re: found.vectors_real, im: found.vectors_imaginary };
    values_gradient(&v, context.gradient, context.position == 0)
}

/// A vector changes by `V·(F∘(V⁻¹·dA·V))` with `F = 1/(wⱼ − wᵢ)`, and by the multiple of itself that
/// keeps its length 1 and its largest element real (Boeddeker et al., "On the Computation of
/// Complex-valued Gradients", 2017, for other norms of the vectors).
pub(super) fn general_backward(context: &Derivative<'_>) -> Result<OperandGradients> {
    let [wr, wi, vr, vi] = [0, 1, 2, 3].map(|n| &context.outputs[n]);
    let v = Complex { re: vr.clone(), im: vi.clone() };
    if context.position < 2 {
        return values_gradient(&v, context.gradient, context.position == 0);
    }
    let (given, nothing) = (context.gradient.clone(), vr.zeros_like()?);
    let (gr, gi) = if context.position == 2 { (given, nothing) } else { (nothing, given) };
    // gᴴ·v of each column.
    let along_re = gr.mul(vr)?.add(gi.mul(vi)?)?.sum(&[-2], true)?;
    let along_im = gr.mul(vi)?.sub(gi.mul(vr)?)?.sum(&[-2], true)?;
    // The element that is kept real: the largest of those that are.
    let size = vi.eq(0.0)?.where_(&vr.abs()?, -1.0)?;
    let largest = size.argmax(-2, true)?;
    let phase = along_im.div(vr.take_along_axis(-2, &largest)?)?;
    let g = Complex {
        re: gr.sub(along_re.mul(vr)?)?,
        im: gi.sub(along_re.mul(vi)?)?.scatter_add(-2, &largest, &phase)?,
    };
    // The conjugate of 1/(wⱼ − wᵢ), 0 on the diagonal.
    let one = identity(vr.shape()[vr.rank() - 1], vr)?;
    let difference = |w: &BitNetTensor| w.unsqueeze(-2)?.sub(&w.unsqueeze(-1)?);
    let (dr, di) = (difference(wr)?, difference(wi)?);
    let squares = dr.square()?.add(di.square()?)?.add(&one)?;
    let f = Complex { re: dr.div(&squares)?, im: di.div(&squares)? };
    through_vectors(&v, &f.times(&v.adjoint()?.matmul(&g)?)?)
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
    /// length 1, its largest element real and positive. It has a derivative where eigenvalues differ.
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
