//! Reductions, positions of maxima, softmax and normalisation.

mod arg;
mod order;
mod reduce;
mod spread;

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use super::{Case, parts};
use crate::random::layouts;
use crate::{Kind, Random, Tolerance};

const EPS: f32 = 1e-5;

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    reduce::cases(&mut cases)?;
    arg::cases(&mut cases)?;
    spread::cases(&mut cases)?;
    order::cases(&mut cases)?;
    softmax(&mut cases)?;
    norms(&mut cases)?;
    Ok(cases)
}

fn softmax(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(22);
    let mut add = |name: String, x: BitNetTensor| {
        cases.push(Case::new(format!("softmax {name}"), Tolerance::SOFTMAX, vec![x], |x| {
            Ok(vec![x[0].softmax(-1)?])
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
        let (x, bias) = (random.floats(shape)?, random.floats(&shape[shape.len() - 1..])?);
        layer_norm(cases, format!("{shape:?}"), vec![x.clone(), weight.clone(), bias]);
        norm(cases, format!("{shape:?}"), x, weight);
    }
    for (layout, x) in layouts(&random.floats(&[3, 4, 17])?)? {
        for (other, weight) in layouts(&random.floats(&[17])?)? {
            let operands = vec![x.clone(), weight.clone(), weight.neg()?];
            layer_norm(cases, format!("{layout} weight {other}"), operands);
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

/// `operands`: rows, weight and bias.
fn layer_norm(cases: &mut Vec<Case>, name: String, operands: Vec<BitNetTensor>) {
    let tolerance = Tolerance::of(Kind::Layer, BitNetDType::F32);
    cases.push(Case::new(format!("layer_norm {name}"), tolerance, operands, |x| {
        let size = x[1].element_count();
        Ok(vec![x[0].layer_norm(&[size], Some(&x[1]), Some(&x[2]), f64::from(EPS))?])
    }));
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
