//! Places of the largest and the smallest: the first one, and the first NaN.

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64};
use bitnet_tensor::{BitNetTensor, Result};

use super::reduce::ALL;
use crate::conformance::Case;
use crate::random::layouts;
use crate::{Random, Tolerance};

pub(super) fn cases(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(21);
    for dtype in ALL {
        for (layout, x) in layouts(&random.tensor(dtype, &[3, 5, 19])?)? {
            for axis in [0, 1, -1] {
                arg(cases, layout, x.clone(), Some(axis));
            }
            arg(cases, layout, x, None);
        }
        for shape in [[300, 17], [40, 3], [2, 70]] {
            let few: Vec<f32> = (0..shape[0] * shape[1]).map(|_| random.below(3) as f32).collect();
            let few = BitNetTensor::from_vec(few, shape)?.to_dtype(dtype)?;
            arg(cases, "ties", few.clone(), Some(0));
            arg(cases, "ties", few, Some(1));
        }
        arg(cases, "scalar", random.tensor(dtype, &[])?, None);
        arg(cases, "no rows", random.tensor(dtype, &[0, 3])?, Some(1));
    }
    // Long enough for several pieces.
    arg(cases, "rows", random.tensor(F32, &[4200, 17])?, Some(0));
    for count in [1, 2, 15, 16, 17, 33, 1000, 70_000] {
        for dtype in [F32, F64] {
            arg(cases, "row", random.tensor(dtype, &[count])?, Some(-1));
        }
        // Few different values: the first of the equal ones is asked for.
        let few: Vec<f32> = (0..2 * count).map(|_| random.below(3) as f32 - 1.0).collect();
        arg(cases, "ties", BitNetTensor::from_vec(few, [2, count])?, Some(-1));
    }
    let special = [
        [1.0, f32::NAN, f32::INFINITY, f32::NAN],
        [f32::NEG_INFINITY; 4],
        [f32::INFINITY; 4],
        [f32::NEG_INFINITY, -1.0, f32::INFINITY, f32::INFINITY],
        [-0.0, 0.0, -0.0, 0.0],
    ];
    let special = BitNetTensor::from_slice(special.as_flattened(), [5, 4])?;
    let wide = BitNetTensor::cat(&[&special; 8], 1)?;
    for dtype in [F16, BF16, F32, F64] {
        arg(cases, "special", special.to_dtype(dtype)?, Some(1));
        arg(cases, "special", wide.to_dtype(dtype)?, Some(0));
    }
    Ok(())
}

fn arg(cases: &mut Vec<Case>, what: &str, x: BitNetTensor, axis: Option<isize>) {
    let name = format!("argmax, argmin {}{} {what} axis {axis:?}", x.dtype(), x.shape());
    cases.push(Case::new(name, Tolerance::EXACT, vec![x], move |x| {
        Ok(vec![x[0].argmax(axis, false)?, x[0].argmin(axis, true)?])
    }));
}
