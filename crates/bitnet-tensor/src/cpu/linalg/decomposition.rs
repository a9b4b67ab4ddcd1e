//! Decompositions: matrices in `f64` go to `bitnet-linalg`, one after the other or on many threads.

use bitnet_linalg as kernels;
use bitnet_linalg::{Failure, Matrix, Parts};

use crate::error::bail;
use crate::ops::Decomposition;
use crate::shape::count;
use crate::{BitNetDType, BitNetTensor, TensorShape};

pub(in crate::cpu) fn decomposition(
    op: Decomposition,
    inputs: &[&BitNetTensor],
    outputs: &mut [BitNetTensor],
) -> crate::Result<()> {
    let batch = match outputs.first() {
        // The solution has the broadcast batch; other results begin with that of the matrix.
        Some(x) if inputs.len() == 2 => x.shape()[..x.rank() - 2].to_vec(),
        _ => inputs[0].shape()[..inputs[0].rank() - 2].to_vec(),
    };
    let values: Vec<Vec<f64>> =
        inputs.iter().map(|x| expanded(x, &batch)?.to_f64_vec()).collect::<crate::Result<_>>()?;
    let sizes: Vec<[usize; 2]> =
        inputs.iter().map(|x| [x.shape()[x.rank() - 2], x.shape()[x.rank() - 1]]).collect();
    let [m, n] = sizes[0];
    let dtype = inputs[0].dtype();
    let matrix = |operand: usize, number: usize| {
        let [rows, columns] = sizes[operand];
        let length = rows * columns;
        Matrix::new(&values[operand][number * length..][..length], rows, columns)
    };
    let one = |number: usize| {
        let b = (inputs.len() == 2).then(|| matrix(1, number));
        of_matrix(op, dtype, matrix(0, number), b)
    };
    let work = m.saturating_mul(n).saturating_mul(m.min(n));
    match kernels::batch(count(&batch), work, one) {
        Ok(results) => write(&results, outputs),
        Err((number, failure)) => {
            let place = if batch.is_empty() { String::new() } else { format!("matrix {number}: ") };
            let name = crate::ops::Op::from(op).name();
            bail!(NumericalError, name, inputs, "{place}{failure}")
        }
    }
}

/// The parts of one matrix; `dtype` is the type that it had.
pub(crate) fn of_matrix(
    op: Decomposition,
    dtype: BitNetDType,
    a: Matrix<'_>,
    b: Option<Matrix<'_>>,
) -> Result<Parts, Failure> {
    let epsilon = if dtype == BitNetDType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    // Without a right-hand side there is nothing to solve for.
    let b = b.unwrap_or(Matrix::new(&[], 0, 0));
    match op {
        Decomposition::Lu => kernels::lu(a),
        Decomposition::Qr { complete } => kernels::qr(a, complete),
        Decomposition::Cholesky { upper } => kernels::cholesky(a, upper),
        Decomposition::Svd { full } => kernels::svd(a, full),
        Decomposition::SingularValues => kernels::singular_values(a),
        Decomposition::Eigh => kernels::symmetric_eigenvectors(a),
        Decomposition::EigenvaluesSymmetric => kernels::symmetric_eigenvalues(a),
        Decomposition::Eig => kernels::eigenvectors(a),
        Decomposition::Eigenvalues => kernels::eigenvalues(a),
        Decomposition::Determinant => kernels::determinant(a),
        Decomposition::LogDeterminant => kernels::log_determinant(a),
        Decomposition::Inverse => kernels::inverse(a),
        Decomposition::PseudoInverse { rcond } => {
            let usual = a.rows.max(a.columns) as f64 * epsilon;
            kernels::pseudo_inverse(a, rcond.unwrap_or(usual))
        }
        Decomposition::Exponential => kernels::exponential(a),
        Decomposition::Solve => kernels::solve(a, b),
        Decomposition::SolveTriangular(triangle) => kernels::solve_triangular(a, b, triangle),
    }
}

fn expanded(x: &BitNetTensor, batch: &[usize]) -> crate::Result<BitNetTensor> {
    let matrix = &x.shape()[x.rank() - 2..];
    let shape: TensorShape = batch.iter().chain(matrix).copied().collect();
    if *x.shape() == shape { Ok(x.clone()) } else { x.detach().expand(shape) }
}

fn write(results: &[Parts], outputs: &mut [BitNetTensor]) -> crate::Result<()> {
    for (n, output) in outputs.iter_mut().enumerate() {
        let values = results.iter().flat_map(|parts| &parts[n]);
        if output.dtype() == BitNetDType::F64 {
            output.try_mut::<f64>()?.iter_mut().zip(values).for_each(|(out, &x)| *out = x);
        } else {
            output.try_mut::<f32>()?.iter_mut().zip(values).for_each(|(out, &x)| *out = x as f32);
        }
    }
    Ok(())
}
