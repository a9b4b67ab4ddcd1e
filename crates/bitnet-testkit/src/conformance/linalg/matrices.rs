//! Products of every type, contractions, and decompositions of batches and views.

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
use bitnet_tensor::ops::Triangle;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::conformance::Case;
use crate::random::layouts;
use crate::{Random, Tolerance};

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    products(&mut cases)?;
    contractions(&mut cases)?;
    decompositions(&mut cases)?;
    Ok(cases)
}

/// Random elements; of integers so small that the reference's sums are exact.
fn tensor(random: &mut Random, dtype: BitNetDType, shape: &[usize]) -> Result<BitNetTensor> {
    match dtype {
        I64 | U64 => random.tensor(U16, shape)?.to_dtype(dtype),
        _ => random.tensor(dtype, shape),
    }
}

fn products(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(36);
    for dtype in [F16, BF16, U8, U16, U32, U64, I8, I16, I32, I64] {
        let mut add = |what: String, a: BitNetTensor, b: BitNetTensor| {
            let tolerance = match dtype {
                // Rounded once, after sums in f32.
                F16 | BF16 => Tolerance { ulps: 1.0, relative: 0.0, absolute: 1e-5 },
                _ => Tolerance::EXACT,
            };
            let name = format!("matmul {dtype} {what}");
            let case = Case::new(name, tolerance, vec![a, b], |x| Ok(vec![x[0].matmul(&x[1])?]));
            cases.push(case.with_tiers_that_may_differ());
        };
        let shapes: [(&[usize], &[usize]); 10] = [
            (&[1, 1], &[1, 1]),
            (&[3, 16], &[16, 5]),
            (&[15, 31], &[31, 17]),
            (&[2, 0], &[0, 3]),
            (&[0, 4], &[4, 3]),
            (&[3, 1, 2, 4], &[2, 4, 3]),
            (&[0, 2, 4], &[4, 3]),
            (&[4], &[4]),
            (&[4], &[2, 4, 3]),
            (&[2, 3, 4], &[4]),
        ];
        for (a, b) in shapes {
            let operands = (tensor(&mut random, dtype, a)?, tensor(&mut random, dtype, b)?);
            add(format!("{a:?} {b:?}"), operands.0, operands.1);
        }
        // One type of each kind of kernel.
        if !matches!(dtype, BF16 | U16 | I64) {
            continue;
        }
        // More than one tile of rows and columns.
        let large =
            (tensor(&mut random, dtype, &[130, 5])?, tensor(&mut random, dtype, &[5, 131])?);
        add("tiles".into(), large.0, large.1);
        for (first, a) in layouts(&tensor(&mut random, dtype, &[2, 5, 7])?)? {
            for (second, b) in layouts(&tensor(&mut random, dtype, &[7, 6])?)? {
                add(format!("{first} {second}"), a.clone(), b);
            }
        }
    }
    for (first, a) in layouts(&random.tensor(I8, &[2, 9, 33])?)? {
        for (second, b) in layouts(&random.tensor(I8, &[33, 5])?)? {
            let name = format!("matmul_i32 {first} {second}");
            let operands = vec![a.clone(), b];
            let computation = |x: &[BitNetTensor]| Ok(vec![x[0].matmul_i32(&x[1])?]);
            cases.push(Case::new(name, Tolerance::EXACT, operands, computation));
        }
    }
    Ok(())
}

fn contractions(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(37);
    let specifications: [(&'static str, &[&[usize]]); 8] = [
        ("ij,jk,kl->li", &[&[5, 17], &[17, 3], &[3, 9]]),
        ("bhqd,bhkd->bhqk", &[&[2, 3, 4, 8], &[2, 3, 5, 8]]),
        ("ii->i", &[&[6, 6]]),
        ("iij,jj->", &[&[4, 4, 3], &[3, 3]]),
        ("...ij,...jk", &[&[2, 1, 2, 3], &[4, 3, 2]]),
        ("ij,ij->ij", &[&[3, 5], &[3, 5]]),
        ("i,j->ij", &[&[3], &[0]]),
        ("ij,jk->ik", &[&[2, 0], &[0, 3]]),
    ];
    for dtype in [F32, F64, I32] {
        for (specification, shapes) in specifications {
            let operands: Vec<BitNetTensor> =
                shapes.iter().map(|shape| random.tensor(dtype, shape)).collect::<Result<_>>()?;
            let tolerance =
                if dtype == I32 { Tolerance::EXACT } else { Tolerance::sum(256, dtype) };
            let name = format!("einsum {dtype} {specification}");
            let case = Case::new(name, tolerance, operands, move |x| {
                let operands: Vec<&BitNetTensor> = x.iter().collect();
                Ok(vec![BitNetTensor::einsum(specification, &operands)?])
            });
            cases.push(case.with_tiers_that_may_differ());
        }
        let operands = vec![random.tensor(dtype, &[2, 3])?, random.tensor(dtype, &[3, 2])?];
        let tolerance = if dtype == I32 { Tolerance::EXACT } else { Tolerance::sum(8, dtype) };
        let case = Case::new(format!("tensordot, outer, kron {dtype}"), tolerance, operands, |x| {
            Ok(vec![x[0].tensordot(&x[1], 1)?, x[0].outer(&x[1])?, x[0].kron(&x[1])?])
        });
        cases.push(case.with_tiers_that_may_differ());
    }
    Ok(())
}

fn decompositions(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(38);
    for dtype in [F32, F64] {
        let tolerance = match dtype {
            F32 => Tolerance { ulps: 0.0, relative: 1e-4, absolute: 1e-5 },
            _ => Tolerance { ulps: 0.0, relative: 1e-10, absolute: 1e-10 },
        };
        let mut add = |what: &str, operands: &[&BitNetTensor], computation: Computation| {
            let operands = operands.iter().map(|x| (*x).clone()).collect();
            let case = Case::new(format!("{what} {dtype}"), tolerance, operands, computation);
            cases.push(case.with_tiers_that_may_differ());
        };
        for shape in [&[1, 1][..], &[5, 5], &[3, 2, 4, 4], &[0, 2, 2], &[0, 0]] {
            let n = shape[shape.len() - 1];
            let dominant = BitNetTensor::eye(n, dtype)?.mul(2.0 * (n as f64 + 1.0))?;
            let b = random.tensor(dtype, &[n, 2])?;
            for (layout, a) in layouts(&random.tensor(dtype, shape)?.add(&dominant)?)? {
                let named = |what: &str| format!("{what} {shape:?} {layout}");
                add(&named("det, inv"), &[&a], |x| Ok(vec![x[0].det()?, x[0].inv()?]));
                add(&named("solve"), &[&a, &b], |x| {
                    let triangle = Triangle { upper: true, ..Triangle::default() };
                    Ok(vec![x[0].solve(&x[1])?, x[0].triangular_solve(&x[1], triangle)?])
                });
                add(&named("slogdet"), &[&a], |x| {
                    let (sign, logarithm) = x[0].slogdet()?;
                    Ok(vec![sign, logarithm])
                });
                add(&named("matrix_exp"), &[&a], |x| Ok(vec![x[0].mul(0.01)?.matrix_exp()?]));
                add(&named("cholesky"), &[&a], |x| {
                    let product = x[0].matmul(&x[0].transpose(-1, -2)?)?;
                    Ok(vec![product.cholesky(false)?, product.cholesky(true)?])
                });
            }
        }
        for shape in [&[4, 3][..], &[2, 3, 4], &[0, 3]] {
            for (layout, a) in layouts(&random.tensor(dtype, shape)?)? {
                let named = |what: &str| format!("{what} {shape:?} {layout}");
                add(&named("lu"), &[&a], |x| {
                    let (p, l, u) = x[0].lu()?;
                    Ok(vec![p, l, u])
                });
                add(&named("qr"), &[&a], |x| {
                    let (q, r) = x[0].qr(false)?;
                    Ok(vec![q, r])
                });
                add(&named("svdvals"), &[&a], |x| Ok(vec![x[0].svdvals()?]));
                add(&named("pinv"), &[&a], |x| Ok(vec![x[0].pinv(None)?]));
            }
        }
        for (layout, a) in layouts(&random.tensor(dtype, &[2, 4, 4])?)? {
            add(&format!("eigvalsh {layout}"), &[&a], |x| {
                Ok(vec![x[0].add(&x[0].transpose(-1, -2)?)?.eigvalsh()?])
            });
            add(&format!("eigvals {layout}"), &[&a], |x| {
                let (real, imaginary) = x[0].eigvals()?;
                Ok(vec![real, imaginary])
            });
        }
    }
    Ok(())
}

type Computation = fn(&[BitNetTensor]) -> Result<Vec<BitNetTensor>>;
