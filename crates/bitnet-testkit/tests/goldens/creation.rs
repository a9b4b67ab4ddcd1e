//! Tensors made from rules.

use bitnet_tensor::{BitNetDType, BitNetTensor, Number, Result};
use bitnet_testkit::{Kind, Tolerance};
use half::{bf16, f16};

use crate::case::Case;
use crate::family;

fn arange<T: Number>(case: &Case<'_>) -> Result<BitNetTensor> {
    let number = |name| T::from_f64(case.float(name));
    let (range, step) = (number("start")..number("end"), number("step"));
    let made = BitNetTensor::arange_step(range.clone(), step)?;
    if case.float("step") == 1.0 {
        assert_eq!(BitNetTensor::arange(range)?.to_vec::<T>()?, made.to_vec::<T>()?);
    }
    Ok(made)
}

fn ranged(case: &Case<'_>) -> Result<BitNetTensor> {
    match case.dtype("dtype") {
        BitNetDType::U8 => arange::<u8>(case),
        BitNetDType::U16 => arange::<u16>(case),
        BitNetDType::U32 => arange::<u32>(case),
        BitNetDType::U64 => arange::<u64>(case),
        BitNetDType::I8 => arange::<i8>(case),
        BitNetDType::I16 => arange::<i16>(case),
        BitNetDType::I32 => arange::<i32>(case),
        BitNetDType::I64 => arange::<i64>(case),
        BitNetDType::F16 => arange::<f16>(case),
        BitNetDType::BF16 => arange::<bf16>(case),
        BitNetDType::F32 => arange::<f32>(case),
        _ => arange::<f64>(case),
    }
}

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let dtype = || case.dtype("dtype");
    let size = |name| case.integer(name) as usize;
    let bounds = || (case.float("start"), case.float("end"), size("count"));
    let one = match case.op() {
        "zeros" => BitNetTensor::zeros(case.sizes("shape"), dtype()),
        "ones" => BitNetTensor::ones(case.sizes("shape"), dtype()),
        "zeros_like" => x[0].zeros_like(),
        "ones_like" => x[0].ones_like(),
        "full_like" if x[0].dtype() == BitNetDType::Bool => x[0].full_like(false),
        "full_like" => x[0].full_like(case.integer("value")),
        "arange" => ranged(case),
        "linspace" => {
            let (start, end, count) = bounds();
            BitNetTensor::linspace(start, end, count, dtype())
        }
        "logspace" => {
            let (start, end, count) = bounds();
            BitNetTensor::logspace(start, end, count, case.float("base"), dtype())
        }
        "eye" => BitNetTensor::eye(size("n"), dtype()),
        "eye_rectangular" => {
            BitNetTensor::eye_rectangular(size("rows"), size("columns"), case.integer("k"), dtype())
        }
        "tri" => BitNetTensor::tri(size("rows"), size("columns"), case.integer("k"), dtype()),
        "diag" => x[0].diag(case.integer("k")),
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

/// Sums and powers of `f64`, rounded once.
fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    match case.op() {
        "linspace" | "logspace" => Tolerance::of(Kind::Range, dtype),
        _ => Tolerance::of(Kind::Exact, dtype),
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/creation.json"), evaluate, tolerance);
}
