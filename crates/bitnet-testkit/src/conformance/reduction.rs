//! Reductions, positions of maxima, softmax and normalisation.

use bitnet_tensor::BitNetDType::{F32, F64};
use bitnet_tensor::{BitNetTensor, Result};

use super::{Case, parts};
use crate::random::layouts;
use crate::{Random, Tolerance};

const EPS: f32 = 1e-5;

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    reductions(&mut cases)?;
    argmax(&mut cases)?;
    softmax(&mut cases)?;
    norms(&mut cases)?;
    Ok(cases)
}

fn reductions(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(20);
    for dtype in [F32, F64] {
        let mut add = |what: String, x: BitNetTensor, axes: &[isize]| {
            let axes = axes.to_vec();
            let sum = Tolerance::sum(x.element_count(), dtype);
            let name = format!("reduce {dtype} {what} axes {axes:?}");
            let computation = move |x: &[BitNetTensor]| {
                let x = &x[0];
                Ok(vec![
                    x.sum(&axes, false)?,
                    x.mean(&axes, true)?,
                    x.max(&axes, true)?,
                    x.min(&axes, false)?,
                ])
            };
            let tolerances = [sum, sum, Tolerance::EXACT, Tolerance::EXACT];
            cases.push(Case::new(name, sum, vec![x], computation).with_tolerances(&tolerances));
        };
        for count in [1, 2, 15, 16, 17, 31, 64, 65, 1000, 33_000] {
            add(format!("[{count}]"), random.tensor(dtype, &[count])?, &[]);
            add(format!("[3, {count}]"), random.tensor(dtype, &[3, count])?, &[-1]);
        }
        add("scalar".into(), random.tensor(dtype, &[])?, &[]);
        for axes in [&[0][..], &[1], &[2], &[0, 1], &[2, 0], &[-1, -2], &[0, 1, 2], &[]] {
            for (layout, x) in layouts(&random.tensor(dtype, &[4, 5, 17])?)? {
                add(layout.into(), x, axes);
            }
        }
        add("no rows".into(), random.tensor(dtype, &[0, 3])?, &[1]);
        let special = [
            [f32::NAN, 1.0, 2.0],
            [1.0, f32::NAN, -1.0],
            [f32::INFINITY, 1.0, -1.0],
            [f32::NEG_INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY],
            [f32::INFINITY, f32::NEG_INFINITY, 0.0],
            [-3.0, -2.0, f32::MIN],
        ];
        let special = BitNetTensor::from_slice(special.as_flattened(), [6, 3])?.to_dtype(dtype)?;
        add("special".into(), special, &[1]);
        let empty = random.tensor(dtype, &[3, 0])?;
        cases.push(Case::new(
            format!("reduce {dtype} of nothing"),
            Tolerance::EXACT,
            vec![empty],
            |x| Ok(vec![x[0].sum(&[1], false)?, x[0].mean(&[1], false)?]),
        ));
    }
    Ok(())
}

fn argmax(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(21);
    let mut add = |name: String, x: BitNetTensor| {
        cases.push(Case::new(format!("argmax {name}"), Tolerance::EXACT, vec![x], |x| {
            Ok(vec![x[0].argmax()?])
        }));
    };
    for count in [1, 2, 15, 16, 17, 33, 1000, 40_000] {
        add(format!("[2, {count}]"), random.floats(&[2, count])?);
        // Few different values: the first of the equal ones is asked for.
        let few: Vec<f32> = (0..2 * count).map(|_| random.below(3) as f32 - 1.0).collect();
        add(format!("ties [2, {count}]"), BitNetTensor::from_vec(few, [2, count])?);
    }
    for (layout, x) in layouts(&random.floats(&[5, 19])?)? {
        add(layout.into(), x);
    }
    let special = [
        [1.0, f32::NAN, f32::INFINITY, f32::NAN],
        [f32::NEG_INFINITY; 4],
        [f32::NEG_INFINITY, -1.0, f32::INFINITY, f32::INFINITY],
        [-0.0, 0.0, -0.0, 0.0],
    ];
    add("special".into(), BitNetTensor::from_slice(special.as_flattened(), [4, 4])?);
    add("no rows".into(), random.floats(&[0, 3])?);
    Ok(())
}

fn softmax(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(22);
    let mut add = |name: String, x: BitNetTensor| {
        cases.push(Case::new(format!("softmax {name}"), Tolerance::SOFTMAX, vec![x], |x| {
            Ok(vec![x[0].softmax()?])
        }));
    };
    let scale = BitNetTensor::scalar(16.0f32)?;
    for shape in [
        &[1][..],
        &[15],
        &[16],
        &[17],
        &[0],
        &[3, 0],
        &[0, 3],
        &[2, 3, 33],
        &[2, 4096],
        &[1, 33_000],
    ] {
        add(format!("{shape:?}"), random.floats(shape)?.mul(&scale)?);
    }
    for (layout, x) in layouts(&random.floats(&[3, 4, 17])?.mul(&scale)?)? {
        add(layout.into(), x);
    }
    let special = [
        [f32::NEG_INFINITY; 3],
        [f32::NEG_INFINITY, 0.0, 1.0],
        [f32::INFINITY, 0.0, 1.0],
        [f32::NAN, 0.0, 1.0],
        [1e30, 1e30, -1e30],
        [-0.0, 0.0, 0.0],
    ];
    add("special".into(), BitNetTensor::from_slice(special.as_flattened(), [6, 3])?);
    Ok(())
}

fn norms(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(23);
    for shape in [
        &[1][..],
        &[15],
        &[16],
        &[17],
        &[2, 3, 33],
        &[5, 512],
        &[1, 2560],
        &[3, 33_000],
        &[0, 4],
        &[2, 0],
    ] {
        let weight = random.floats(&shape[shape.len() - 1..])?;
        norm(cases, format!("{shape:?}"), random.floats(shape)?, weight);
    }
    for (layout, x) in layouts(&random.floats(&[3, 4, 17])?)? {
        for (other, weight) in layouts(&random.floats(&[17])?)? {
            norm(cases, format!("{layout} weight {other}"), x.clone(), weight);
        }
    }
    let special = [
        [0.0f32, 0.0, 0.0],
        [1e-20, -1e-20, 0.0],
        [1e15, -1e15, 3e14],
        [f32::NAN, 1.0, 2.0],
        [-0.0, 1.0, -1e-40],
    ];
    let special = BitNetTensor::from_slice(special.as_flattened(), [5, 3])?;
    norm(cases, "special".into(), special, BitNetTensor::from_vec(vec![1.0f32, -0.5, 2.0], [3])?);
    Ok(())
}

/// The norm against the reference, and the fused norm and quantization against the two steps.
fn norm(cases: &mut Vec<Case>, name: String, x: BitNetTensor, weight: BitNetTensor) {
    let operands = vec![x, weight];
    let computation = |x: &[BitNetTensor]| Ok(vec![x[0].rms_norm(&x[1], EPS)?]);
    cases.push(Case::new(
        format!("rms_norm {name}"),
        Tolerance::NORM,
        operands.clone(),
        computation,
    ));

    // A rounding of the norm can move a code that lies between two: by one, and the sum of
    // codes with it. The two ways on the device itself have no such excuse.
    let features = operands[1].element_count() as f64;
    let code = Tolerance::absolute(1.0);
    let one_way =
        [code, Tolerance { relative: 4e-6, ..Tolerance::EXACT }, Tolerance::absolute(features)];
    let computation = |x: &[BitNetTensor]| {
        let steps = x[0].rms_norm(&x[1], EPS)?.quantize_activation()?;
        let fused = x[0].rms_norm_quantize(&x[1], EPS)?;
        Ok([parts(&steps), parts(&fused)].concat())
    };
    let case = Case::new(format!("rms_norm_quantize {name}"), code, operands, computation);
    cases.push(case.with_tolerances(&[one_way, one_way].concat()).with_equal_halves());
}
