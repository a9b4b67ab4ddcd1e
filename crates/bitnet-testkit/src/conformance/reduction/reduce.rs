//! Sums, products, means, extremes and tests over axes, of every type.

use bitnet_tensor::BitNetDType::{BF16, Bool, F16, F32, F64, I8, I16, I32, I64, U8, U16, U32, U64};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::conformance::Case;
use crate::random::layouts;
use crate::{Random, Tolerance};

pub(super) const ALL: [BitNetDType; 13] =
    [Bool, U8, U16, U32, U64, I8, I16, I32, I64, F16, BF16, F32, F64];

pub(super) fn cases(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(20);
    for dtype in ALL {
        for axes in [&[0][..], &[1], &[2, 0], &[-1, -2], &[]] {
            for (layout, x) in layouts(&random.tensor(dtype, &[3, 4, 17])?)? {
                reduce(cases, layout, x, axes);
            }
        }
        // Rows read across results, and cut into pieces.
        for shape in [[33, 16], [130, 40], [3, 600], [40, 3]] {
            reduce(cases, "rows", random.tensor(dtype, &shape)?, &[0]);
            reduce(cases, "short", random.tensor(dtype, &shape)?.transpose(0, 1)?, &[0]);
        }
        reduce(cases, "scalar", random.tensor(dtype, &[])?, &[]);
        reduce(cases, "no rows", random.tensor(dtype, &[0, 3])?, &[1]);
        reduce(cases, "repeated", random.tensor(dtype, &[3, 1])?.expand([2, 3, 50])?, &[0, 2]);
        product(cases, dtype, &mut random)?;
        identity(cases, dtype, &mut random)?;
    }
    for dtype in [F32, F64, I32, Bool] {
        // Long enough for several pieces.
        reduce(cases, "rows", random.tensor(dtype, &[4200, 16])?, &[0]);
        for (layout, x) in layouts(&random.tensor(dtype, &[3, 7, 20])?)? {
            reduce(cases, layout, x, &[1]);
        }
        for count in [1, 2, 15, 16, 17, 31, 64, 65, 1000, 70_000] {
            reduce(cases, "row", random.tensor(dtype, &[count])?, &[]);
            reduce(cases, "backwards", reversed(&random.tensor(dtype, &[count])?)?, &[0]);
        }
        for count in [15, 65, 1000] {
            reduce(cases, "row", random.tensor(dtype, &[3, count])?, &[-1]);
        }
    }
    let special = [
        [f32::NAN, 1.0, 2.0],
        [1.0, f32::NAN, -1.0],
        [f32::INFINITY, 1.0, -1.0],
        [f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY],
        [f32::INFINITY, f32::NEG_INFINITY, 0.0],
        [-3.0, -2.0, f32::MIN],
        [0.0, -0.0, 0.0],
    ];
    let special = BitNetTensor::from_slice(special.as_flattened(), [7, 3])?;
    for dtype in [F16, BF16, F32, F64] {
        let special = special.to_dtype(dtype)?;
        reduce(cases, "special", special.clone(), &[1]);
        // As columns beside each other.
        reduce(cases, "special columns", columns(&special, 5)?, &[0]);
    }
    Ok(())
}

/// The transposed matrix, several times beside itself, row-major.
fn columns(x: &BitNetTensor, times: usize) -> Result<BitNetTensor> {
    let transposed = x.transpose(0, 1)?.copy()?;
    BitNetTensor::cat(&vec![&transposed; times], 1)
}

fn reversed(x: &BitNetTensor) -> Result<BitNetTensor> {
    let last = x.element_count();
    x.slice(0, last - 1, last, -1)
}

/// What has a meaning for every number; products have cases of their own.
fn reduce(cases: &mut Vec<Case>, what: &str, x: BitNetTensor, axes: &[isize]) {
    let (axes, dtype) = (axes.to_vec(), x.dtype());
    let name = format!("reduce {dtype}{} {what} axes {axes:?}", x.shape());
    let sum = match dtype {
        F32 | F64 => Tolerance::sum(4 * x.element_count(), dtype),
        _ => Tolerance::ulps(1.0), // rounded once; by another order of addition
    };
    let exact = Tolerance::EXACT;
    let computation = move |x: &[BitNetTensor]| {
        let x = &x[0];
        let mut results = vec![
            x.sum(&axes, false)?,
            x.max(&axes, true)?,
            x.min(&axes, false)?,
            x.any(&axes, true)?,
            x.all(&axes, false)?,
            x.count_nonzero(&axes, true)?,
        ];
        if x.dtype().is_float() {
            results.push(x.mean(&axes, true)?);
        }
        Ok(results)
    };
    let tolerances = [sum, exact, exact, exact, exact, exact, sum];
    cases.push(Case::new(name, sum, vec![x], computation).with_tolerances(&tolerances));
}

/// Of small numbers, so that the reference's `f64` holds the products of integers.
fn product(cases: &mut Vec<Case>, dtype: BitNetDType, random: &mut Random) -> Result<()> {
    for (shape, axes) in [
        (&[3, 4, 5][..], &[1][..]),
        (&[3, 4, 5], &[0, 2]),
        (&[2, 3, 4], &[]),
        (&[20, 30], &[0]),
        (&[20, 30], &[1]),
        (&[2, 0], &[1]),
    ] {
        let count = shape.iter().product();
        let least = if dtype.is_unsigned_integer() { 1 } else { -2 };
        let small: Vec<i32> = (0..count)
            .map(|_| match least + random.below(3) as i32 {
                0 if random.below(8) > 0 => 1,
                x => x,
            })
            .collect();
        let x = BitNetTensor::from_vec(small, shape)?.to_dtype(dtype)?;
        let axes = axes.to_vec();
        let name = format!("prod {dtype}{} axes {axes:?}", x.shape());
        let computation = move |x: &[BitNetTensor]| Ok(vec![x[0].prod(&axes, false)?]);
        cases.push(Case::new(name, Tolerance::EXACT, vec![x], computation));
    }
    Ok(())
}

/// Of no elements.
fn identity(cases: &mut Vec<Case>, dtype: BitNetDType, random: &mut Random) -> Result<()> {
    let x = random.tensor(dtype, &[3, 0])?;
    let name = format!("reduce {dtype} of nothing");
    cases.push(Case::new(name, Tolerance::EXACT, vec![x], |x| {
        let x = &x[0];
        let mut results = vec![
            x.sum(&[1], false)?,
            x.prod(&[1], true)?,
            x.any(&[1], false)?,
            x.all(&[], false)?,
            x.count_nonzero(&[1], false)?,
        ];
        if x.dtype().is_float() {
            results.push(x.mean(&[1], false)?);
        }
        Ok(results)
    }));
    Ok(())
}
