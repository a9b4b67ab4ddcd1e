//! Decompositions of matrices, and the functions of matrices that follow from them.
//!
//! One operation per result, over the last two axes; leading axes are a batch. `F32` is computed in
//! `f64` and rounded once.

mod cholesky;
mod eigen;
mod inverse;
mod qr;
mod svd;

use smallvec::smallvec;

use crate::error::{Result, bail};
use crate::ops::{Derivative, OperandGradients, Operation, Specs, TensorSpec, no_derivative};
use crate::{BitNetDType, BitNetTensor, TensorShape};

pub use bitnet_linalg::Triangle;
pub use eigen::Eigen;

/// A function of the matrices in the last two axes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Decomposition {
    /// `P`, `L`, `U` of `A = P·L·U`.
    Lu,
    /// `Q`, `R` of `A = Q·R`.
    Qr {
        /// Whether `Q` is square.
        complete: bool,
    },
    /// `L` of `A = L·Lᵀ`, or `U` of `A = Uᵀ·U`.
    Cholesky {
        /// Whether the upper triangle is read and returned.
        upper: bool,
    },
    /// `U`, `s`, `Vᵀ` of `A = U·diag(s)·Vᵀ`.
    Svd {
        /// Whether `U` and `Vᵀ` are square.
        full: bool,
    },
    /// `s` alone.
    SingularValues,
    /// `w`, `V` of the symmetric `A = V·diag(w)·Vᵀ`.
    Eigh,
    /// `w` alone.
    EigenvaluesSymmetric,
    /// Real and imaginary parts of eigenvalues and eigenvectors.
    Eig,
    /// Real and imaginary parts of the eigenvalues.
    Eigenvalues,
    /// The determinant.
    Determinant,
    /// The determinant's sign and the logarithm of its magnitude.
    LogDeterminant,
    /// The inverse.
    Inverse,
    /// The Moore–Penrose inverse.
    PseudoInverse {
        /// Singular values up to this part of the largest count as zero; by default the larger size
        /// times the epsilon of the type.
        rcond: Option<f64>,
    },
    /// `e^A`.
    Exponential,
    /// `X` of `A·X = B`.
    Solve,
    /// `X` of `T·X = B`.
    SolveTriangular(Triangle),
}

impl Decomposition {
    fn needs_square(self) -> bool {
        !matches!(
            self,
            Self::Lu
                | Self::Qr { .. }
                | Self::Svd { .. }
                | Self::SingularValues
                | Self::PseudoInverse { .. }
        )
    }
}

impl Operation for Decomposition {
    fn name(&self) -> &'static str {
        match self {
            Self::Lu => "lu",
            Self::Qr { .. } => "qr",
            Self::Cholesky { .. } => "cholesky",
            Self::Svd { .. } => "svd",
            Self::SingularValues => "svdvals",
            Self::Eigh => "eigh",
            Self::EigenvaluesSymmetric => "eigvalsh",
            Self::Eig => "eig",
            Self::Eigenvalues => "eigvals",
            Self::Determinant => "det",
            Self::LogDeterminant => "slogdet",
            Self::Inverse => "inv",
            Self::PseudoInverse { .. } => "pinv",
            Self::Exponential => "matrix_exp",
            Self::Solve => "solve",
            Self::SolveTriangular(_) => "triangular_solve",
        }
    }

    fn infer(&self, inputs: &[&BitNetTensor]) -> Result<Specs> {
        let a = inputs[0];
        let dtype = a.dtype();
        let float = matches!(dtype, BitNetDType::F32 | BitNetDType::F64);
        if !float || inputs.iter().any(|input| input.dtype() != dtype) {
            bail!(DTypeMismatch, self.name(), inputs, "takes f32 or f64 (convert with to_dtype)");
        }
        if inputs.iter().any(|input| input.rank() < 2) {
            bail!(ShapeMismatch, self.name(), inputs, "takes matrices: two or more axes");
        }
        let (batch, matrix) = a.shape().split_at(a.rank() - 2);
        let (m, n) = (matrix[0], matrix[1]);
        if self.needs_square() && m != n {
            bail!(ShapeMismatch, self.name(), inputs, "{m} by {n} is not square");
        }
        let k = m.min(n);
        let spec = |sizes: &[usize]| {
            let shape: TensorShape = batch.iter().chain(sizes).copied().collect();
            TensorSpec::new(shape, dtype)
        };
        Ok(match *self {
            Self::Lu => [spec(&[m, m]), spec(&[m, k]), spec(&[k, n])].into_iter().collect(),
            Self::Qr { complete } => {
                let k = if complete { m } else { k };
                [spec(&[m, k]), spec(&[k, n])].into_iter().collect()
            }
            Self::Svd { full: true } => {
                [spec(&[m, m]), spec(&[k]), spec(&[n, n])].into_iter().collect()
            }
            Self::Svd { full: false } => {
                [spec(&[m, k]), spec(&[k]), spec(&[k, n])].into_iter().collect()
            }
            Self::SingularValues | Self::EigenvaluesSymmetric => smallvec![spec(&[k])],
            Self::Eigh => [spec(&[n]), spec(&[n, n])].into_iter().collect(),
            Self::Eigenvalues => [spec(&[n]), spec(&[n])].into_iter().collect(),
            Self::Eig => {
                [spec(&[n]), spec(&[n]), spec(&[n, n]), spec(&[n, n])].into_iter().collect()
            }
            Self::Determinant => smallvec![spec(&[])],
            Self::LogDeterminant => [spec(&[]), spec(&[])].into_iter().collect(),
            Self::PseudoInverse { .. } => smallvec![spec(&[n, m])],
            Self::Cholesky { .. } | Self::Inverse | Self::Exponential => smallvec![spec(&[n, n])],
            Self::Solve | Self::SolveTriangular(_) => {
                let b = inputs[1];
                let (b_batch, right) = b.shape().split_at(b.rank() - 2);
                if right[0] != n {
                    bail!(ShapeMismatch, self.name(), inputs, "{n} columns meet {} rows", right[0]);
                }
                match TensorShape::from(batch).broadcast(&TensorShape::from(b_batch)) {
                    Ok(batch) => {
                        let shape: TensorShape = batch.iter().chain(right).copied().collect();
                        smallvec![TensorSpec::new(shape, dtype)]
                    }
                    Err((axis, left, right)) => bail!(
                        BroadcastError,
                        self.name(),
                        inputs,
                        "batch shapes do not broadcast: axis {axis} has sizes {left} and {right}"
                    ),
                }
            }
        })
    }

    fn operand_types(&self, inputs: &[&BitNetTensor]) -> Result<Option<crate::ops::OperandTypes>> {
        let [a, b] = inputs else { return Ok(None) };
        // What has no common type is refused by the shape rule.
        Ok(a.dtype().promote(b.dtype()).map(|dtype| smallvec![dtype; 2]))
    }

    fn backward(&self, context: &Derivative<'_>) -> Result<OperandGradients> {
        match *self {
            Self::Lu => qr::lu_backward(context),
            Self::Qr { complete } => qr::backward(complete, context),
            Self::Cholesky { upper } => cholesky::backward(upper, context),
            Self::Svd { full: false } => svd::backward(context),
            Self::SingularValues => svd::values_backward(context),
            Self::Eigh => eigen::backward(context),
            Self::EigenvaluesSymmetric => eigen::values_backward(context),
            Self::Eig => eigen::general_backward(context),
            Self::Eigenvalues => eigen::general_values_backward(context),
            Self::Determinant => inverse::determinant_backward(context),
            Self::LogDeterminant => inverse::log_determinant_backward(context),
            Self::Inverse => inverse::backward(context),
            Self::PseudoInverse { .. } => svd::pseudo_inverse_backward(context),
            Self::Exponential => inverse::exponential_backward(context),
            Self::Solve => inverse::solve_backward(context),
            Self::SolveTriangular(triangle) => {
                inverse::solve_triangular_backward(triangle, context)
            }
            _ => Err(no_derivative(self.name(), context)),
        }
    }
}

/// The transposed matrices.
fn t(x: &BitNetTensor) -> Result<BitNetTensor> {
    x.transpose(-1, -2)
}

/// `x · diag(d)`.
fn scale_columns(x: &BitNetTensor, d: &BitNetTensor) -> Result<BitNetTensor> {
    x.mul(&d.unsqueeze(-2)?)
}

/// `diag(d) · x`.
fn scale_rows(d: &BitNetTensor, x: &BitNetTensor) -> Result<BitNetTensor> {
    d.unsqueeze(-1)?.mul(x)
}

/// The identity of `n` rows, of the type and on the device of `x`.
pub(super) fn identity(n: usize, x: &BitNetTensor) -> Result<BitNetTensor> {
    BitNetTensor::eye(n, x.dtype())?.to_device(x.device())
}

/// `1/(values[j] − values[i])` at (i, j), 0 on the diagonal.
fn inverse_differences(values: &BitNetTensor) -> Result<BitNetTensor> {
    let n = values.shape()[values.rank() - 1];
    let one = identity(n, values)?;
    let differences = values.unsqueeze(-2)?.sub(&values.unsqueeze(-1)?)?;
    // The diagonal is 0 + 1, and 1/1 − 1 again nothing.
    differences.add(&one)?.reciprocal()?.sub(&one)
}

/// The part of `x` that is symmetric.
fn symmetric(x: &BitNetTensor) -> Result<BitNetTensor> {
    x.add(&t(x)?)?.mul(0.5)
}
