//! Decompositions by what they promise: factors that compose to the matrix, orthonormal vectors,
//! triangles that are triangles. What is unique is compared with NumPy in the goldens.

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
use bitnet_tensor::ops::{Eigen, MatrixNorm, Triangle};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;

const SHAPES: [&[usize]; 12] = [
    &[1, 1],
    &[2, 2],
    &[5, 5],
    &[7, 3],
    &[3, 7],
    &[2, 3, 4, 4],
    &[3, 4, 2],
    &[0, 0],
    &[0, 3],
    &[3, 0],
    &[0, 4, 4],
    &[40, 40],
];

fn t(x: &BitNetTensor) -> Result<BitNetTensor> {
    x.transpose(-1, -2)
}

fn product(factors: &[&BitNetTensor]) -> Result<BitNetTensor> {
    factors[1..].iter().try_fold(factors[0].clone(), |product, factor| product.matmul(factor))
}

/// Asserts that all elements differ by at most `tolerance` epsilons of the largest element.
fn close(what: &str, got: &BitNetTensor, want: &BitNetTensor) -> Result<()> {
    assert_eq!((got.shape(), got.dtype()), (want.shape(), want.dtype()), "{what}");
    if got.element_count() == 0 {
        return Ok(());
    }
    let largest = want.to_dtype(F64)?.abs()?.max(&[], false)?.item::<f64>()?.max(1.0);
    let difference = got.to_dtype(F64)?.sub(&want.to_dtype(F64)?)?.abs()?.max(&[], false)?;
    let n = want.shape().iter().rev().take(2).copied().max().unwrap_or(1) as f64;
    let epsilon = if want.dtype() == F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
    let error = difference.item::<f64>()? / (largest * epsilon * n);
    assert!(error < 20.0, "{what} of {want:?}: off by {error} epsilons");
    Ok(())
}

fn orthonormal(what: &str, columns: &BitNetTensor) -> Result<()> {
    let shape = columns.shape();
    let (leading, n) = (&shape[..shape.len() - 2], shape[shape.len() - 1]);
    let identity = BitNetTensor::eye(n, columns.dtype())?;
    let identity = identity.expand([leading, &[n, n]].concat())?;
    close(what, &product(&[&t(columns)?, columns])?, &identity)
}

fn triangular(what: &str, x: &BitNetTensor, upper: bool) -> Result<()> {
    let kept = if upper { x.triu(0)? } else { x.tril(0)? };
    assert_eq!(kept.to_dtype(F64)?.to_vec::<f64>()?, x.to_dtype(F64)?.to_vec::<f64>()?, "{what}");
    Ok(())
}

fn diagonal(d: &BitNetTensor) -> Result<BitNetTensor> {
    let n = d.shape()[d.rank() - 1];
    BitNetTensor::eye(n, d.dtype())?.mul(&d.unsqueeze(-2)?)
}

/// Random matrices of every shape and type, and views of them; then matrices without full rank.
fn matrices() -> Result<Vec<BitNetTensor>> {
    let mut random = Random::new(80);
    let mut matrices = Vec::new();
    for dtype in [F32, F64] {
        for shape in SHAPES {
            let x = random.tensor(dtype, shape)?;
            matrices.push(t(&x)?);
            matrices.push(x.flip(&[-1])?);
        }
        matrices.push(random.tensor(dtype, &[1, 3, 4])?.expand([2, 3, 4])?);
        matrices.push(BitNetTensor::zeros([3, 3], dtype)?);
        matrices.push(BitNetTensor::ones([4, 3], dtype)?);
        matrices.push(random.tensor(dtype, &[5, 1])?.mul(&random.tensor(dtype, &[1, 4])?)?);
        matrices.push(BitNetTensor::eye(4, dtype)?.mul(1e-30)?);
    }
    Ok(matrices)
}

fn square() -> Result<Vec<BitNetTensor>> {
    let mut matrices = matrices()?;
    matrices.retain(|x| x.shape()[x.rank() - 1] == x.shape()[x.rank() - 2]);
    Ok(matrices)
}

#[test]
fn lu_composes() -> Result<()> {
    for a in matrices()? {
        let (p, l, u) = a.lu()?;
        close("P·L·U", &product(&[&p, &l, &u])?, &a)?;
        orthonormal("P", &p)?;
        triangular("L", &l, false)?;
        triangular("U", &u, true)?;
        // The pivots are the largest of their columns.
        assert!(l.abs()?.le(1.0)?.all(&[], false)?.item::<bool>()?, "{a:?}");
    }
    Ok(())
}

#[test]
fn qr_composes() -> Result<()> {
    for a in matrices()? {
        for complete in [false, true] {
            let (q, r) = a.qr(complete)?;
            close("Q·R", &product(&[&q, &r])?, &a)?;
            orthonormal("Q", &q)?;
            triangular("R", &r, true)?;
            assert!(r.diagonal(0, -2, -1)?.ge(0.0)?.all(&[], false)?.item::<bool>()?, "{a:?}");
        }
    }
    Ok(())
}

#[test]
fn cholesky_composes() -> Result<()> {
    for a in square()? {
        let n = a.shape()[a.rank() - 1];
        let spd = a.matmul(&t(&a)?)?.add(&BitNetTensor::eye(n, a.dtype())?)?;
        let lower = spd.cholesky(false)?;
        close("L·Lᵀ", &product(&[&lower, &t(&lower)?])?, &spd)?;
        triangular("L", &lower, false)?;
        let upper = spd.cholesky(true)?;
        close("Uᵀ·U", &product(&[&t(&upper)?, &upper])?, &spd)?;
        triangular("U", &upper, true)?;
    }
    Ok(())
}

#[test]
fn svd_composes() -> Result<()> {
    for a in matrices()? {
        let (u, s, vt) = a.svd(false)?;
        close("U·S·Vᵀ", &product(&[&u, &diagonal(&s)?, &vt])?, &a)?;
        orthonormal("U", &u)?;
        orthonormal("V", &t(&vt)?)?;
        close("svdvals", &a.svdvals()?, &s)?;
        let descending = s.sort(-1, true)?.0;
        assert_eq!(descending.to_dtype(F64)?.to_vec::<f64>()?, s.to_dtype(F64)?.to_vec::<f64>()?);
        assert!(s.ge(0.0)?.all(&[], false)?.item::<bool>()?);
        let (u, s, vt) = a.svd(true)?;
        orthonormal("U", &u)?;
        orthonormal("V", &t(&vt)?)?;
        let k = s.shape()[s.rank() - 1];
        let thin = product(&[&u.narrow(-1, 0, k)?, &diagonal(&s)?, &vt.narrow(-2, 0, k)?])?;
        close("the thin part of U·S·Vᵀ", &thin, &a)?;
    }
    Ok(())
}

#[test]
fn eigh_composes() -> Result<()> {
    for a in square()? {
        let a = a.add(&t(&a)?)?;
        let (w, v) = a.eigh()?;
        close("V·W·Vᵀ", &product(&[&v, &diagonal(&w)?, &t(&v)?])?, &a)?;
        orthonormal("V", &v)?;
        close("eigvalsh", &a.eigvalsh()?, &w)?;
        // The upper triangle is not read.
        let (lower, _) = a.tril(0)?.eigh()?;
        close("of the lower triangle", &lower, &w)?;
    }
    Ok(())
}

#[test]
fn eig_composes() -> Result<()> {
    for a in square()? {
        let Eigen { values_real, values_imaginary, vectors_real, vectors_imaginary } = a.eig()?;
        // A·(x + iy) = (x + iy)·(re + i·im), part by part.
        let (re, im) = (diagonal(&values_real)?, diagonal(&values_imaginary)?);
        let (x, y) = (&vectors_real, &vectors_imaginary);
        let difference = a.matmul(x)?.add(&y.matmul(&im)?)?.sub(&x.matmul(&re)?)?;
        close("real part", &a.add(&difference)?, &a)?;
        let difference = a.matmul(y)?.sub(&x.matmul(&im)?)?.sub(&y.matmul(&re)?)?;
        close("imaginary part", &a.add(&difference)?, &a)?;
        let lengths = x.square()?.add(&y.square()?)?.sum(&[-2], false)?;
        close("lengths", &lengths, &lengths.ones_like()?)?;
        let (real, imaginary) = a.eigvals()?;
        close("eigvals", &real.sort(-1, false)?.0, &values_real.sort(-1, false)?.0)?;
        close("eigvals", &imaginary.sort(-1, false)?.0, &values_imaginary.sort(-1, false)?.0)?;
    }
    Ok(())
}

#[test]
fn inverses_and_solutions_undo_the_product() -> Result<()> {
    let mut random = Random::new(81);
    for dtype in [F32, F64] {
        for shape in [&[1, 1][..], &[5, 5], &[2, 3, 3], &[0, 0], &[0, 2, 2], &[60, 60]] {
            let n = shape[shape.len() - 1];
            let eye = BitNetTensor::eye(n, dtype)?;
            let a = random.tensor(dtype, shape)?.add(&eye.mul((n + 2) as f64)?)?;
            let identity = eye.expand(a.shape())?;
            close("A·A⁻¹", &a.matmul(&a.inv()?)?, &identity)?;
            close("pinv", &a.pinv(None)?, &a.inv()?)?;
            let b = random.tensor(dtype, &[n, 2])?;
            let expanded = b.expand([&shape[..shape.len() - 2], &[n, 2]].concat())?;
            close("A·X", &a.matmul(&a.solve(&b)?)?, &expanded)?;
            let vector = random.tensor(dtype, &[n])?;
            let expanded = vector.expand(&shape[..shape.len() - 1])?;
            close("A·x", &a.matmul(&a.solve(&vector)?.unsqueeze(-1)?)?.squeeze(-1)?, &expanded)?;
            let upper = Triangle { upper: true, ..Triangle::default() };
            let x = a.triangular_solve(&vector, upper)?.unsqueeze(-1)?;
            close("U·x", &a.triu(0)?.matmul(&x)?.squeeze(-1)?, &expanded)?;
        }
    }
    Ok(())
}

/// The four conditions of Penrose.
#[test]
fn pseudo_inverses() -> Result<()> {
    for a in matrices()? {
        let p = a.pinv(None)?;
        close("A·P·A", &product(&[&a, &p, &a])?, &a)?;
        close("P·A·P", &product(&[&p, &a, &p])?, &p)?;
        let (ap, pa) = (a.matmul(&p)?, p.matmul(&a)?);
        close("A·P is symmetric", &t(&ap)?, &ap)?;
        close("P·A is symmetric", &t(&pa)?, &pa)?;
    }
    Ok(())
}

#[test]
fn least_squares_without_full_rank() -> Result<()> {
    // Two equal columns share the coefficient: the shortest of the solutions.
    let a = BitNetTensor::from_vec(vec![1.0f64, 1.0, 2.0, 2.0, 3.0, 3.0], [3, 2])?;
    let b = BitNetTensor::from_vec(vec![2.0f64, 4.0, 6.0], [3])?;
    let found = a.lstsq(&b, None)?;
    close("solution", &found.solution, &BitNetTensor::ones([2], F64)?)?;
    assert_eq!(found.rank.item::<i64>()?, 1);
    assert!(found.residuals.item::<f64>()? < 1e-24);
    // More unknowns than equations, and a batch.
    let mut random = Random::new(82);
    let (a, b) = (random.tensor(F64, &[2, 2, 4])?, random.tensor(F64, &[2, 2, 3])?);
    let found = a.lstsq(&b, None)?;
    close("A·X", &a.matmul(&found.solution)?, &b)?;
    assert_eq!(found.rank.to_vec::<i64>()?, [2, 2]);
    Ok(())
}

#[test]
fn ranks_and_conditions() -> Result<()> {
    let rank = |x: &BitNetTensor| x.matrix_rank(None)?.item::<i64>();
    for dtype in [F32, F64] {
        assert_eq!(rank(&BitNetTensor::zeros([3, 2], dtype)?)?, 0);
        assert_eq!(rank(&BitNetTensor::zeros([0, 2], dtype)?)?, 0);
        assert_eq!(rank(&BitNetTensor::ones([3, 4], dtype)?)?, 1);
        assert_eq!(rank(&BitNetTensor::eye(5, dtype)?)?, 5);
        assert_eq!(BitNetTensor::eye(5, dtype)?.matrix_rank(1.5)?.item::<i64>()?, 0);
        let zeros = BitNetTensor::zeros([2, 2], dtype)?.add(&BitNetTensor::eye(2, dtype)?)?;
        let singular = zeros.narrow(0, 0, 1)?.expand([2, 2])?;
        let cond = singular.cond(MatrixNorm::Two)?.to_dtype(F64)?.item::<f64>()?;
        assert!(cond > 1e7, "{cond}");
    }
    // 1 / (i + j + 1): the condition number of the Hilbert matrix of 5 rows.
    let hilbert: Vec<f64> = (0..25).map(|at| 1.0 / (at / 5 + at % 5 + 1) as f64).collect();
    let hilbert = BitNetTensor::from_vec(hilbert, [5, 5])?;
    let cond = hilbert.cond(MatrixNorm::Two)?.item::<f64>()?;
    assert!((cond / 476_607.250_24 - 1.0).abs() < 1e-8, "{cond}");
    Ok(())
}

#[test]
fn nan_and_infinity_in_determinants() -> Result<()> {
    for bad in [f64::NAN, f64::INFINITY] {
        let a = BitNetTensor::from_vec(vec![1.0, bad, 2.0, 3.0], [2, 2])?;
        assert!(a.det()?.item::<f64>()?.is_nan());
        assert!(a.slogdet()?.1.item::<f64>()?.is_nan());
    }
    Ok(())
}

/// Squares of these numbers overflow or vanish; the decompositions scale them.
#[test]
fn very_large_and_very_small_numbers() -> Result<()> {
    let mut random = Random::new(83);
    for scale in [1e300f64, 1e-300, 1e-320] {
        let a = random.tensor(F64, &[5, 5])?.add(&BitNetTensor::eye(5, F64)?)?.mul(scale)?;
        let symmetric = a.add(&t(&a)?)?;
        let relative = |what: &str, got: BitNetTensor, want: &BitNetTensor| {
            let error = got.sub(want)?.abs()?.max(&[], false)?.item::<f64>()?;
            // Denormal numbers have few digits.
            let tolerance = (1e-13 * scale).max(1e-322);
            assert!(error <= tolerance, "{what} of {scale:e}: {error:e}");
            Ok::<_, bitnet_tensor::TensorOpError>(())
        };
        let (p, l, u) = a.lu()?;
        relative("lu", product(&[&p, &l, &u])?, &a)?;
        let (q, r) = a.qr(false)?;
        relative("qr", product(&[&q, &r])?, &a)?;
        let (u, s, vt) = a.svd(false)?;
        relative("svd", product(&[&u, &diagonal(&s)?, &vt])?, &a)?;
        relative("svdvals", a.svdvals()?, &s)?;
        let (w, v) = symmetric.eigh()?;
        relative("eigh", product(&[&v, &diagonal(&w)?, &t(&v)?])?, &symmetric)?;
        relative("eigvalsh", symmetric.eigvalsh()?, &w)?;
        let e = a.eig()?;
        let (re, im) = (diagonal(&e.values_real)?, diagonal(&e.values_imaginary)?);
        let left = a.matmul(&e.vectors_real)?;
        let right = e.vectors_real.matmul(&re)?.sub(&e.vectors_imaginary.matmul(&im)?)?;
        relative("eig", left, &right)?;
    }
    Ok(())
}

#[test]
fn vectors_in_products() -> Result<()> {
    let a = BitNetTensor::from_vec(vec![1i32, 2, 3], [3])?;
    let b = BitNetTensor::from_vec((0..6).collect::<Vec<i32>>(), [3, 2])?;
    assert_eq!(a.matmul(&a)?.item::<i32>()?, 14);
    assert_eq!(a.matmul(&b)?.to_vec::<i32>()?, [16, 22]);
    assert_eq!(t(&b)?.matmul(&a)?.to_vec::<i32>()?, [16, 22]);
    let empty = BitNetTensor::zeros([0], I32)?;
    assert_eq!(empty.dot(&empty)?.item::<i32>()?, 0);
    // Products of 16-bit numbers must not pass through a signed 32-bit one that overflows.
    let large = BitNetTensor::from_vec(vec![65_535u16], [1])?;
    assert_eq!(large.matmul(&large)?.item::<u16>()?, 1);
    let lowest = BitNetTensor::from_vec(vec![i64::MIN, -1], [2])?;
    assert_eq!(lowest.matmul(&lowest)?.item::<i64>()?, 1);
    Ok(())
}

#[test]
fn large_products_of_every_type() -> Result<()> {
    // Sums of ones count.
    for dtype in [F16, BF16, F32, F64, U8, U16, U32, U64, I8, I16, I32, I64] {
        let (a, b) =
            (BitNetTensor::ones([300, 100], dtype)?, BitNetTensor::ones([100, 200], dtype)?);
        let c = a.matmul(&b)?;
        assert_eq!((c.shape(), c.dtype()), (&[300, 200].into(), dtype));
        assert!(c.to_dtype(F64)?.eq(100.0)?.all(&[], false)?.item::<bool>()?, "{dtype}");
    }
    Ok(())
}
