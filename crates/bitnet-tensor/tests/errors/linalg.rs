//! Misuse of products and decompositions, and matrices that have none.

use bitnet_tensor::BitNetDType::{Bool, F16, F64, I8, I32, I64, U8, U64};
use bitnet_tensor::BitNetTensor;
use bitnet_tensor::ops::{MatrixNorm, Triangle};

use crate::support::{assert_error, f32s, ternary, zeros};

fn matrix(values: &[f64], n: usize) -> BitNetTensor {
    BitNetTensor::from_slice(values, [values.len() / n, n]).expect("memory")
}

#[test]
fn products_that_do_not_fit() {
    let x = f32s(&[2, 3]);
    assert_error!(
        f32s(&[2]).matmul(&f32s(&[3, 2])),
        ShapeMismatch,
        "matmul(f32[2], f32[3, 2]): 2 elements meet 3 rows"
    );
    assert_error!(
        f32s(&[2]).matmul(&f32s(&[3])),
        ShapeMismatch,
        "matmul(f32[2], f32[3]): 2 elements meet 3 rows"
    );
    assert_error!(
        f32s(&[]).matmul(&x),
        ShapeMismatch,
        "matmul(f32[], f32[2, 3]): takes operands of one or more axes"
    );
    assert_error!(
        f32s(&[2, 2, 3]).matmul(&f32s(&[3, 3, 2])),
        BroadcastError,
        "matmul(f32[2, 2, 3], f32[3, 3, 2]): batch shapes do not broadcast: axis -1 has sizes 2 and 3"
    );
    assert_error!(
        x.dot(&f32s(&[3])),
        ShapeMismatch,
        "dot(f32[2, 3], f32[3]): takes two vectors of one length"
    );
    assert_error!(
        x.cross(&f32s(&[2]), -1),
        ShapeMismatch,
        "cross(f32[2, 3], f32[2]): axis -1 has not 3 elements"
    );
    assert_error!(
        f32s(&[3]).trace(),
        ShapeMismatch,
        "trace(f32[3]): takes matrices: two or more axes"
    );
    let y = f32s(&[3, 2]);
    assert_error!(
        x.tensordot(&y, [&[0][..], &[0, 1]]),
        ShapeMismatch,
        "tensordot(f32[2, 3], f32[3, 2]): 1 axes meet 2"
    );
    assert_error!(
        x.tensordot(&y, [&[2], &[0]]),
        ShapeMismatch,
        "tensordot(f32[2, 3], f32[3, 2]): there is no axis 2"
    );
    assert_error!(
        x.tensordot(&y, [&[1, -1], &[0, 1]]),
        ShapeMismatch,
        "tensordot(f32[2, 3], f32[3, 2]): axis -1 is named twice"
    );
    assert_error!(
        x.tensordot(&y, [&[0], &[0]]),
        ShapeMismatch,
        "tensordot(f32[2, 3], f32[3, 2]): axes 0 and 0 have sizes 2 and 3"
    );
    assert_error!(
        x.tensordot(&y, 3),
        ShapeMismatch,
        "tensordot(f32[2, 3], f32[3, 2]): there are no 3 axes in both"
    );
    assert_error!(
        zeros(&[1, 131_072], I8).matmul_i32(&zeros(&[131_072, 1], I8)),
        ShapeMismatch,
        "matmul_i32(i8[1, 131072], i8[131072, 1]): sums of 131072 products may not fit i32: 131071 at most"
    );
}

#[test]
fn products_of_types_without_meaning() {
    assert_error!(
        zeros(&[2, 2], Bool).matmul(&zeros(&[2, 2], Bool)),
        DTypeMismatch,
        "matmul(bool[2, 2], bool[2, 2]): takes two float or two integer operands that have a common type"
    );
    assert_error!(
        zeros(&[2, 2], U64).matmul(&zeros(&[2, 2], I64)),
        DTypeMismatch,
        "matmul(u64[2, 2], i64[2, 2]): takes two float or two integer operands that have a common type"
    );
    assert_error!(
        zeros(&[1, 1], I8).matmul_i32(&zeros(&[1, 1], U8)),
        DTypeMismatch,
        "matmul_i32(i8[1, 1], u8[1, 1]): takes two i8 operands"
    );
    assert_error!(
        f32s(&[4, 4]).matmul(&ternary()),
        UnsupportedOperation,
        "matmul(f32[4, 4], ternary[4, 8]): the product with a packed weight is x.linear(weight): x · weightᵀ"
    );
}

#[test]
fn subscripts_that_do_not_fit() {
    let (x, y) = (f32s(&[2, 3]), f32s(&[4, 5]));
    let cases = [
        ("ij,jk->ik", "'j' has size 4 in operand 1 and 3 before"),
        ("ij,kl->im", "output: 'm' is in no operand"),
        ("ij,kl->ii", "output: 'i' is named twice"),
        ("ij,kl->i2", "output: '2' is not a letter"),
        ("...ij,kl->...ij...", "output: '...' may be there once"),
        ("i...,kl->ik", "output: '...' is missing"),
        ("ii,kl", "'i' has sizes 2 and 3 in operand 0"),
        ("i...,k...", "axis -1 of '...' has size 5 in operand 1 and 3 before"),
    ];
    for (specification, reason) in cases {
        assert_error!(
            BitNetTensor::einsum(specification, &[&x, &y]),
            ShapeMismatch,
            format!("einsum(f32[2, 3], f32[4, 5]): \"{specification}\": {reason}")
        );
    }
    let cases = [
        ("ij,k->i", "1: 1 subscripts name 2 axes"),
        ("ijk,kl->i", "0: 3 subscripts name 2 axes"),
        ("...ijk,kl", "0: 3 subscripts name 2 axes"),
        ("ij,k-l", "1: '-' is not a letter"),
        ("i.j,kl", "0: '.' is not a letter"),
    ];
    for (specification, reason) in cases {
        assert_error!(
            BitNetTensor::einsum(specification, &[&x, &y]),
            ShapeMismatch,
            format!("einsum(f32[2, 3], f32[4, 5]): \"{specification}\", operand {reason}")
        );
    }
    assert_error!(
        BitNetTensor::einsum("ij->i", &[&x, &y]),
        ShapeMismatch,
        "einsum(f32[2, 3], f32[4, 5]): \"ij->i\" is for 1 operands, not for 2"
    );
    assert_error!(
        BitNetTensor::einsum("", &[]),
        ShapeMismatch,
        "einsum: \"\" is for 1 operands, not for 0"
    );
    assert_error!(
        BitNetTensor::einsum("ij,ij", &[&x, &zeros(&[2, 3], I32)]),
        DTypeMismatch,
        "einsum(f32[2, 3], i32[2, 3]): the operands have no common type"
    );
}

#[test]
fn matrices_that_are_none() {
    let x = zeros(&[2, 3], F64);
    assert_error!(x.det(), ShapeMismatch, "det(f64[2, 3]): 2 by 3 is not square");
    assert_error!(x.inv(), ShapeMismatch, "inv(f64[2, 3]): 2 by 3 is not square");
    assert_error!(x.eigh(), ShapeMismatch, "eigh(f64[2, 3]): 2 by 3 is not square");
    assert_error!(
        x.matrix_power(2),
        ShapeMismatch,
        "matrix_power(f64[2, 3]): 2 by 3 is not square"
    );
    let vector = zeros(&[3], F64);
    assert_error!(vector.lu(), ShapeMismatch, "lu(f64[3]): takes matrices: two or more axes");
    assert_error!(
        vector.matrix_norm(MatrixNorm::One),
        ShapeMismatch,
        "matrix_norm(f64[3]): takes matrices: two or more axes"
    );
    assert_error!(
        zeros(&[0, 0], F64).matrix_norm(MatrixNorm::Two),
        ComputationError,
        "matrix_norm(f64[0, 0]): max(f64[0]): no elements: there is no largest"
    );
    let square = zeros(&[3, 3], F64);
    assert_error!(
        square.solve(&zeros(&[2, 1], F64)),
        ShapeMismatch,
        "solve(f64[3, 3], f64[2, 1]): 3 columns meet 2 rows"
    );
    assert_error!(
        square.solve(&zeros(&[], F64)),
        ShapeMismatch,
        "solve(f64[3, 3], f64[]): a scalar has no rows"
    );
    assert_error!(
        square.lstsq(&zeros(&[2], F64), None),
        ShapeMismatch,
        "lstsq(f64[3, 3], f64[2]): b has not 3 rows"
    );
    assert_error!(
        zeros(&[2, 3, 3], F64).solve(&zeros(&[3, 3, 1], F64)),
        BroadcastError,
        "solve(f64[2, 3, 3], f64[3, 3, 1]): batch shapes do not broadcast: axis -1 has sizes 2 and 3"
    );
}

#[test]
fn decompositions_of_types_without_them() {
    assert_error!(
        zeros(&[2, 2], F16).svd(false),
        DTypeMismatch,
        "svd(f16[2, 2]): takes f32 or f64 (convert with to_dtype)"
    );
    assert_error!(
        zeros(&[2, 2], I32).inv(),
        DTypeMismatch,
        "inv(i32[2, 2]): takes f32 or f64 (convert with to_dtype)"
    );
}

#[test]
fn matrices_without_the_decomposition() {
    let singular = matrix(&[1.0, 2.0, 2.0, 4.0], 2);
    assert_error!(singular.inv(), NumericalError, "inv(f64[2, 2]): singular: pivot 1 is zero");
    assert_error!(
        singular.matrix_power(-1),
        NumericalError,
        "matrix_power(f64[2, 2]): inv(f64[2, 2]): singular: pivot 1 is zero"
    );
    let zero = zeros(&[2, 2], F64);
    assert_error!(
        zero.solve(&singular),
        NumericalError,
        "solve(f64[2, 2], f64[2, 2]): singular: pivot 0 is zero"
    );
    let both = BitNetTensor::stack(&[&BitNetTensor::eye(2, F64).expect("memory"), &zero], 0)
        .expect("memory");
    assert_error!(
        both.inv(),
        NumericalError,
        "inv(f64[2, 2, 2]): matrix 1: singular: pivot 0 is zero"
    );
    assert_error!(
        matrix(&[1.0, 0.0, 1.0, 0.0], 2).triangular_solve(&singular, Triangle::default()),
        NumericalError,
        "triangular_solve(f64[2, 2], f64[2, 2]): singular: pivot 1 is zero"
    );
    assert_error!(
        matrix(&[1.0, 2.0, 2.0, 1.0], 2).cholesky(false),
        NumericalError,
        "cholesky(f64[2, 2]): not positive definite: pivot 1 is not positive"
    );
    let unknown = matrix(&[1.0, f64::NAN, 2.0, 1.0], 2);
    let infinite = matrix(&[1.0, f64::INFINITY, 2.0, 1.0], 2);
    for x in [unknown, infinite] {
        assert_error!(x.svd(true), NumericalError, "svd(f64[2, 2]): an element is NaN or infinite");
        assert_error!(x.eig(), NumericalError, "eig(f64[2, 2]): an element is NaN or infinite");
        assert_error!(x.qr(true), NumericalError, "qr(f64[2, 2]): an element is NaN or infinite");
        assert_error!(
            x.matrix_exp(),
            NumericalError,
            "matrix_exp(f64[2, 2]): an element is NaN or infinite"
        );
    }
}

#[test]
fn derivatives_that_there_are_not() {
    let x = matrix(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.5], 2).with_grad();
    let (q, _) = x.qr(true).expect("a decomposition");
    assert_error!(
        q.sum(&[], false).and_then(|sum| sum.backward()),
        UnsupportedOperation,
        "qr(f64[3, 2]): columns that complete a basis have no derivative: it is defined for rows ≤ \
         columns"
    );
    let (_, s, _) = x.svd(true).expect("a decomposition");
    assert_error!(
        s.sum(&[], false).and_then(|sum| sum.backward()),
        UnsupportedOperation,
        "svd(f64[3, 2]): no derivative is defined"
    );
}
