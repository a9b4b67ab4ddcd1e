//! Variances, norms and logarithms of sums of exponentials.

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64};
use bitnet_tensor::{BitNetTensor, Result};

use crate::conformance::Case;
use crate::random::layouts;
use crate::{Random, Tolerance};

pub(super) fn cases(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(24);
    // Long enough for several pieces.
    spread(cases, "rows", random.tensor(F64, &[4200, 16])?, &[0]);
    for dtype in [F16, BF16, F32, F64] {
        for axes in [&[0][..], &[-1], &[2, 0], &[]] {
            for (layout, x) in layouts(&random.tensor(dtype, &[4, 5, 17])?)? {
                spread(cases, layout, x, axes);
            }
        }
        for shape in [[130, 40], [3, 600], [40, 3]] {
            spread(cases, "rows", random.tensor(dtype, &shape)?, &[0]);
        }
        spread(cases, "row", random.tensor(dtype, &[3000])?, &[]);
        spread(cases, "scalar", random.tensor(dtype, &[])?, &[]);
        spread(cases, "no rows", random.tensor(dtype, &[0, 3])?, &[1]);
        let name = format!("spread of nothing {dtype}");
        cases.push(Case::new(name, Tolerance::EXACT, vec![random.tensor(dtype, &[2, 0])?], |x| {
            let x = &x[0];
            let infinite = x.norm(f64::INFINITY, &[1], false)?;
            let [variance, norm] = [x.var(&[1], 0, false)?, x.norm(2.0, &[1], false)?];
            Ok(vec![variance, norm, infinite, x.logsumexp(&[1], true)?])
        }));
        let special = [
            [f32::NAN, 1.0, 2.0],
            [f32::INFINITY, 1.0, -1.0],
            [f32::NEG_INFINITY, 1.0, 2.0],
            [f32::NEG_INFINITY; 3],
            [f32::INFINITY, f32::NEG_INFINITY, 0.0],
            [0.0, -0.0, 0.0],
            [1000.0, 999.0, -1000.0],
        ];
        let special = BitNetTensor::from_slice(special.as_flattened(), [7, 3])?.to_dtype(dtype)?;
        spread(cases, "special", special.clone(), &[1]);
        let columns = vec![special.transpose(0, 1)?.copy()?; 4];
        let columns = BitNetTensor::cat(&columns.iter().collect::<Vec<_>>(), 1)?;
        spread(cases, "special columns", columns, &[0]);
    }
    Ok(())
}

fn spread(cases: &mut Vec<Case>, what: &str, x: BitNetTensor, axes: &[isize]) {
    let (axes, dtype) = (axes.to_vec(), x.dtype());
    let name = format!("spread {dtype}{} {what} axes {axes:?}", x.shape());
    // The reference adds one after the other, in f64 too.
    let tolerance = match dtype {
        F64 => Tolerance { relative: 1e-12, ..Tolerance::absolute(1e-12) },
        F32 => Tolerance { relative: 4e-7, ..Tolerance::absolute(4e-7) },
        _ => Tolerance::ulps(1.0),
    };
    cases.push(Case::new(name, tolerance, vec![x], move |x| {
        let x = &x[0];
        let mut results = vec![
            x.var(&axes, 0, false)?,
            x.var(&axes, 1, true)?,
            x.std(&axes, 1, false)?,
            x.logsumexp(&axes, true)?,
        ];
        for p in [0.0, 1.0, 2.0, 3.0, 0.5, -1.0, f64::INFINITY, f64::NEG_INFINITY] {
            results.push(x.norm(p, &axes, p > 1.0)?);
        }
        Ok(results)
    }));
}
