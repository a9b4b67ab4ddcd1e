//! Products and decompositions of matrices.

use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::ops::{MatrixNorm, Triangle};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;

use crate::check::{Function, check};

/// Matrices far from singular: random ones and the multiple of the identity that dominates them.
fn regular(random: &mut Random, shape: &[usize]) -> Result<BitNetTensor> {
    let n = shape[shape.len() - 1];
    let values: Vec<f64> = (0..n * n).map(|at| if at % (n + 1) == 0 { 3.0 } else { 0.0 }).collect();
    random.tensor(F64, shape)?.add(&BitNetTensor::from_vec(values, [n, n])?)
}

/// Matrices whose singular values, and those of their symmetric part, differ: 1, 2, 3, … disturbed.
fn distinct(random: &mut Random, shape: &[usize]) -> Result<BitNetTensor> {
    let (m, n) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let value = |at: usize| if at / n == at % n { (at / n + 1) as f64 } else { 0.0 };
    let values: Vec<f64> = (0..m * n).map(value).collect();
    random.tensor(F64, shape)?.mul(0.2)?.add(&BitNetTensor::from_vec(values, [m, n])?)
}

fn one(name: &str, x: BitNetTensor, function: &Function<'_>) -> Result<()> {
    check(name, &[x], function)
}

#[test]
fn products_of_vectors_and_tensors() -> Result<()> {
    let mut random = Random::new(70);
    for dtype in [F64, F32] {
        let mut tensor = |shape: &[usize]| random.tensor(dtype, shape);
        check("dot", &[tensor(&[4])?, tensor(&[4])?], &|x| x[0].dot(&x[1]))?;
        for (a, b) in [(&[3][..], &[3, 2][..]), (&[2, 3], &[3]), (&[3], &[3]), (&[3], &[2, 3, 2])] {
            check("matmul", &[tensor(a)?, tensor(b)?], &|x| x[0].matmul(&x[1]))?;
        }
        check("outer", &[tensor(&[3])?, tensor(&[2])?], &|x| x[0].outer(&x[1]))?;
        check("kron", &[tensor(&[2, 1])?, tensor(&[2, 3])?], &|x| x[0].kron(&x[1]))?;
        check("cross", &[tensor(&[2, 3])?, tensor(&[3])?], &|x| x[0].cross(&x[1], -1))?;
        check("tensordot", &[tensor(&[2, 3, 2])?, tensor(&[2, 3, 4])?], &|x| {
            x[0].tensordot(&x[1], [&[1, 2], &[1, 0]])
        })?;
        check("tensordot", &[tensor(&[2, 3])?, tensor(&[3, 2])?], &|x| x[0].tensordot(&x[1], 1))?;
        one("trace", tensor(&[2, 3, 4])?, &|x| x[0].trace())?;
        one("matrix_power", tensor(&[3, 3])?.mul(0.5)?, &|x| x[0].matrix_power(3))?;
    }
    // The promoted operand's gradient has its own type.
    let inputs = [random.tensor(F32, &[2, 3])?, random.tensor(F64, &[3, 2])?];
    check("matmul", &inputs, &|x| x[0].matmul(&x[1]))
}

#[test]
fn einsum() -> Result<()> {
    let mut random = Random::new(71);
    let cases: [(&str, &[&[usize]]); 11] = [
        ("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        ("ij,jk,kl->li", &[&[2, 3], &[3, 2], &[2, 4]]),
        ("ii->i", &[&[3, 3]]),
        ("ii", &[&[3, 3]]),
        ("iij,jj->i", &[&[2, 2, 3], &[3, 3]]),
        ("...ij,...jk->...ik", &[&[2, 1, 2, 3], &[2, 3, 2]]),
        ("ij,ij->ij", &[&[2, 3], &[2, 3]]),
        ("ij,ij->i", &[&[2, 3], &[2, 3]]),
        ("ij,k->", &[&[2, 3], &[2]]),
        ("ij,jk->ki", &[&[2, 1], &[3, 2]]),
        ("a...b->b...a", &[&[2, 3, 2]]),
    ];
    for (specification, shapes) in cases {
        let inputs: Vec<BitNetTensor> =
            shapes.iter().map(|shape| random.tensor(F64, shape)).collect::<Result<_>>()?;
        check(specification, &inputs, &|x| {
            BitNetTensor::einsum(specification, &x.iter().collect::<Vec<_>>())
        })?;
    }
    Ok(())
}

#[test]
fn determinants_inverses_and_solutions() -> Result<()> {
    let mut random = Random::new(72);
    for shape in [&[1, 1][..], &[3, 3], &[2, 3, 3]] {
        let a = regular(&mut random, shape)?;
        one("det", a.clone(), &|x| x[0].det())?;
        one("slogdet", a.clone(), &|x| Ok(x[0].slogdet()?.1))?;
        one("sign of slogdet", a.clone(), &|x| x[0].slogdet()?.0.mul(&x[0].det()?))?;
        one("inv", a.clone(), &|x| x[0].inv())?;
        one("matrix_power", a.clone(), &|x| x[0].matrix_power(-2))?;
        one("matrix_exp", a.mul(0.3)?, &|x| x[0].matrix_exp())?;
    }
    let shapes: [(&[usize], &[usize]); 4] =
        [(&[3, 3], &[3]), (&[3, 3], &[3, 2]), (&[2, 3, 3], &[3, 2]), (&[3, 3], &[2, 3, 1])];
    for (a, b) in shapes {
        let inputs = [regular(&mut random, a)?, random.tensor(F64, b)?];
        check("solve", &inputs, &|x| x[0].solve(&x[1]))?;
        for bits in 0..8 {
            let triangle = Triangle {
                upper: bits & 1 != 0,
                transpose: bits & 2 != 0,
                unit_diagonal: bits & 4 != 0,
            };
            let name = format!("{triangle:?}");
            check(&name, &inputs, &|x| x[0].triangular_solve(&x[1], triangle))?;
        }
    }
    let inputs =
        [random.tensor(F32, &[2, 2])?.add(&regular(&mut random, &[2, 2])?.to_dtype(F32)?)?];
    check("inv of f32", &inputs, &|x| x[0].inv())
}

/// Functions of symmetric matrices are fed with the symmetric part, as their derivative is that of
/// symmetric changes.
#[test]
fn factors_of_symmetric_matrices() -> Result<()> {
    let mut random = Random::new(73);
    let symmetric = |x: &BitNetTensor| x.add(&x.transpose(-1, -2)?)?.mul(0.5);
    for shape in [&[1, 1][..], &[3, 3], &[2, 3, 3]] {
        let a = distinct(&mut random, shape)?;
        for upper in [false, true] {
            one("cholesky", a.clone(), &|x| {
                x[0].matmul(&x[0].transpose(-1, -2)?)?.cholesky(upper)
            })?;
        }
        one("eigh, values", a.clone(), &|x| Ok(symmetric(&x[0])?.eigh()?.0))?;
        one("eigh, vectors", a.clone(), &|x| Ok(symmetric(&x[0])?.eigh()?.1))?;
        one("eigvalsh", a, &|x| symmetric(&x[0])?.eigvalsh())?;
    }
    Ok(())
}

#[test]
fn orthogonal_factors() -> Result<()> {
    let mut random = Random::new(74);
    for shape in [&[3, 3][..], &[2, 3], &[2, 2, 4]] {
        let a = distinct(&mut random, shape)?;
        one("complete qr, q", a.clone(), &|x| Ok(x[0].qr(true)?.0))?;
        one("complete qr, r", a, &|x| Ok(x[0].qr(true)?.1))?;
    }
    for shape in [&[3, 3][..], &[4, 3], &[2, 3, 2], &[2, 4], &[2, 1, 3]] {
        let a = distinct(&mut random, shape)?;
        one("qr, q", a.clone(), &|x| Ok(x[0].qr(false)?.0))?;
        one("qr, r", a, &|x| Ok(x[0].qr(false)?.1))?;
    }
    for shape in [&[3, 3][..], &[4, 3], &[2, 3], &[2, 3, 2]] {
        let a = distinct(&mut random, shape)?;
        one("svd, u", a.clone(), &|x| Ok(x[0].svd(false)?.0))?;
        one("svd, s", a.clone(), &|x| Ok(x[0].svd(false)?.1))?;
        one("svd, vt", a.clone(), &|x| Ok(x[0].svd(false)?.2))?;
        one("svdvals", a.clone(), &|x| x[0].svdvals())?;
        one("pinv", a.clone(), &|x| x[0].pinv(None))?;
        for norm in [MatrixNorm::Frobenius, MatrixNorm::Nuclear, MatrixNorm::One, MatrixNorm::Two] {
            one("matrix_norm", a.clone(), &|x| x[0].matrix_norm(norm))?;
        }
        one("cond", a, &|x| x[0].cond(MatrixNorm::Two))?;
    }
    let inputs = [distinct(&mut random, &[4, 2])?, random.tensor(F64, &[4, 2])?];
    check("lstsq", &inputs, &|x| Ok(x[0].lstsq(&x[1], None)?.solution))
}

/// The pivots are clear, so that no step of the differences exchanges rows.
#[test]
fn triangular_factors() -> Result<()> {
    let mut random = Random::new(75);
    for shape in [&[1, 1][..], &[3, 3], &[4, 2], &[2, 4], &[2, 3, 3], &[2, 3, 2], &[2, 2, 3]] {
        // Rows backwards: the permutation is not the identity.
        let a = distinct(&mut random, shape)?.flip(&[-2])?.copy()?;
        one("lu, l", a.clone(), &|x| x[0].lu()?.1.square())?;
        one("lu, u", a.clone(), &|x| Ok(x[0].lu()?.2))?;
        one("lu, all", a, &|x| {
            let (p, l, u) = x[0].lu()?;
            p.matmul(&l)?.matmul(&u.square()?)
        })?;
    }
    Ok(())
}

/// Real and complex eigenvalues, all different: a disturbed rotation beside a diagonal.
#[test]
fn eigenvalues_of_any_matrix() -> Result<()> {
    let mut random = Random::new(76);
    let base = [1.0, -2.0, 0.3, 0.1, 2.0, 1.5, 0.0, 0.2, 0.2, -0.4, 4.0, 0.3, 0.1, 0.3, -0.2, -3.0];
    let base = BitNetTensor::from_slice(&base, [4, 4])?;
    for shape in [&[4, 4][..], &[2, 4, 4]] {
        let a = random.tensor(F64, shape)?.mul(0.2)?.add(&base)?;
        assert!(a.eig()?.values_imaginary.abs()?.max(&[], false)?.item::<f64>()? > 0.5);
        one("eigvals, real", a.clone(), &|x| Ok(x[0].eigvals()?.0))?;
        one("eigvals, imaginary", a.clone(), &|x| Ok(x[0].eigvals()?.1))?;
        one("eig, real values", a.clone(), &|x| Ok(x[0].eig()?.values_real))?;
        one("eig, imaginary values", a.clone(), &|x| Ok(x[0].eig()?.values_imaginary))?;
        one("eig, real vectors", a.clone(), &|x| Ok(x[0].eig()?.vectors_real))?;
        one("eig, imaginary vectors", a, &|x| Ok(x[0].eig()?.vectors_imaginary))?;
    }
    one("one number", BitNetTensor::from_slice(&[2.5f64], [1, 1])?, &|x| {
        let found = x[0].eig()?;
        found.values_real.add(found.vectors_real.squeeze(-1)?)
    })
}
