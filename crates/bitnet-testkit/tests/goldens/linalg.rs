//! Products and decompositions of matrices.

use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::ops::{MatrixNorm, Triangle};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::{Kind, Tolerance};

use crate::case::Case;
use crate::family;

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let one = match case.op() {
        "matmul" => x[0].matmul(&x[1]),
        "matmul_i32" => x[0].matmul_i32(&x[1]),
        "linear" => x[0].linear(&x[1]),
        "dot" => x[0].dot(&x[1]),
        "outer" => x[0].outer(&x[1]),
        "kron" => x[0].kron(&x[1]),
        "cross" => x[0].cross(&x[1], case.integer("axis")),
        "trace" => x[0].trace(),
        "tensordot" => tensordot(case, x),
        "einsum" => BitNetTensor::einsum(case.text("spec"), &x.iter().collect::<Vec<_>>()),
        "ternary_linear" => {
            let weight = BitNetTensor::prepare_weight(&[&x[1].ternarize()?])?;
            x[0].quantize_activation()?.linear(&weight)
        }
        "linear_int8" => x[0].quantize_activation()?.linear_int8(&x[1], &x[2]),
        _ => return decomposition(case, x),
    };
    Ok(vec![one?])
}

fn decomposition(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let a = &x[0];
    let one = match case.op() {
        "det" => a.det(),
        "inv" => a.inv(),
        "cholesky" => a.cholesky(case.flag("upper")),
        "svdvals" => a.svdvals(),
        "eigvalsh" => a.eigvalsh(),
        "solve" => a.solve(&x[1]),
        "matrix_exp" => a.matrix_exp(),
        "matrix_power" => a.matrix_power(case.integer("power") as i32),
        "pinv" => a.pinv(None),
        "matrix_rank" => a.matrix_rank(None),
        "cond" => a.cond(MatrixNorm::Two),
        "triangular_solve" => {
            let triangle = Triangle {
                upper: case.flag("upper"),
                transpose: case.flag("transpose"),
                unit_diagonal: case.flag("unit"),
            };
            a.triangular_solve(&x[1], triangle)
        }
        "matrix_norm" => a.matrix_norm(match case.text("norm") {
            "fro" => MatrixNorm::Frobenius,
            "nuc" => MatrixNorm::Nuclear,
            "1" => MatrixNorm::One,
            "-1" => MatrixNorm::MinusOne,
            "2" => MatrixNorm::Two,
            "-2" => MatrixNorm::MinusTwo,
            "inf" => MatrixNorm::Infinity,
            _ => MatrixNorm::MinusInfinity,
        }),
        "slogdet" => return a.slogdet().map(|(sign, logarithm)| vec![sign, logarithm]),
        "eigvals" => return a.eigvals().map(|(real, imaginary)| vec![real, imaginary]),
        "lu" => return a.lu().map(|(p, l, u)| vec![p, l, u]),
        "qr" => return a.qr(case.flag("complete")).map(|(q, r)| vec![q, r]),
        "svd" => return a.svd(false).map(|(u, s, vt)| vec![u, s, vt]),
        "eigh" => return a.eigh().map(|(w, v)| vec![w, v]),
        "eig" => {
            let found = a.eig()?;
            let vectors = [found.vectors_real, found.vectors_imaginary];
            return Ok([[found.values_real, found.values_imaginary], vectors].concat());
        }
        "lstsq" => {
            let found = a.lstsq(&x[1], None)?;
            return Ok(vec![found.solution, found.residuals, found.rank, found.singular_values]);
        }
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    match case.op() {
        "ternary_linear" | "linear_int8" => Tolerance::SCALED_SUM,
        "matmul" | "linear" | "dot" | "outer" | "einsum" | "tensordot" => {
            Tolerance::of(Kind::Product, dtype)
        }
        "kron" | "trace" | "matrix_power" if !matches!(dtype, F32 | F64) => {
            Tolerance::of(Kind::Product, dtype)
        }
        _ => Tolerance::of(Kind::Decomposition, dtype),
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/linalg.json"), evaluate, tolerance);
}

fn tensordot(case: &Case<'_>, x: &[BitNetTensor]) -> Result<BitNetTensor> {
    if case.has("count") {
        return x[0].tensordot(&x[1], case.integer("count") as usize);
    }
    let (first, second) = (case.list("first"), case.list("second"));
    x[0].tensordot(&x[1], [&first[..], &second[..]])
}
