//! Quantization of activations and weights, and of anything to codes of few bits.

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64};
use bitnet_tensor::{
    BitNetTensor, Granularity, QuantizationScheme, Quantized, Result, TernaryScale,
};

use super::{Case, parts};
use crate::random::layouts;
use crate::{Random, Tolerance};

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    quantize_activation(&mut cases)?;
    ternarize(&mut cases)?;
    quantize(&mut cases)?;
    straight_through(&mut cases)?;
    Ok(cases)
}

fn quantize_activation(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(32);
    let mut add = |name: String, x: BitNetTensor| {
        let computation = |x: &[BitNetTensor]| Ok(parts(&x[0].quantize_activation()?));
        cases.push(Case::new(
            format!("quantize_activation {name}"),
            Tolerance::EXACT,
            vec![x],
            computation,
        ));
    };
    for shape in [
        &[1][..],
        &[15],
        &[16],
        &[17],
        &[63],
        &[64],
        &[65],
        &[2, 3, 33],
        &[5, 2560],
        &[1, 33_000],
        &[0, 4],
        &[2, 0],
    ] {
        add(format!("{shape:?}"), random.floats(shape)?);
    }
    for (layout, x) in layouts(&random.floats(&[3, 4, 70])?)? {
        add(layout.into(), x);
    }
    // Values that lie between two codes: halves of 1/127.
    let halves: Vec<f32> = (-254..=254).map(|n| n as f32 / 2.0).collect();
    add("ties".into(), BitNetTensor::from_vec(halves, [1, 509])?);
    let special = [
        [0.0, -0.0, 0.0, 0.0],
        [1e-6, -1e-7, 1e-40, 0.0],
        [f32::NAN, 1.0, -2.0, 0.5],
        [f32::INFINITY, 1.0, -1.0, f32::MAX],
        [f32::NEG_INFINITY, f32::NAN, 1e30, f32::MIN],
        [f32::MAX, f32::MIN, 1.0, 0.0],
    ];
    add("special".into(), BitNetTensor::from_slice(special.as_flattened(), [6, 4])?);
    Ok(())
}

fn ternarize(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(33);
    for dtype in [F32, F16, BF16] {
        for shape in [[1, 1], [3, 17], [16, 64], [9, 260]] {
            // Multiples of 1/64 sum without rounding, so scales, and with them codes, are exact.
            let values: Vec<f32> = (0..shape[0] * shape[1])
                .map(|_| (random.below(129) as f32 - 64.0) / 64.0)
                .collect();
            let weight = BitNetTensor::from_vec(values, shape)?.to_dtype(dtype)?;
            for (layout, weight) in layouts(&weight)? {
                let name = format!("ternarize {dtype} {shape:?} {layout}");
                cases.push(Case::new(name, Tolerance::EXACT, vec![weight], |x| {
                    let ternary = x[0].ternarize()?;
                    let parts = ternary
                        .packed_parts()
                        .map(|(_, codes, scales)| vec![codes.clone(), scales.clone()]);
                    Ok(parts.unwrap_or_default())
                }));
            }
        }
    }
    Ok(())
}

/// The codes, scales and zero points, and the numbers made of them again.
fn all_parts(quantized: &Quantized) -> Result<Vec<BitNetTensor>> {
    let mut all = vec![quantized.codes().clone(), quantized.scales().clone()];
    all.extend(quantized.zero_points().cloned());
    all.extend([quantized.dequantize()?, quantized.pack()?]);
    Ok(all)
}

fn quantize(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(36);
    let schemes = [
        QuantizationScheme::Binary,
        QuantizationScheme::Ternary(TernaryScale::AbsMean),
        QuantizationScheme::Ternary(TernaryScale::Median),
        QuantizationScheme::Ternary(TernaryScale::Optimal),
        QuantizationScheme::Symmetric { bits: 8 },
        QuantizationScheme::Asymmetric { bits: 4 },
    ];
    let granularities =
        [Granularity::Tensor, Granularity::Row, Granularity::Channel(1), Granularity::Group(4)];
    for scheme in schemes {
        for granularity in granularities {
            let mut add = |what: String, x: BitNetTensor| {
                let name = format!("quantize {scheme:?} {granularity:?} {what}");
                cases.push(Case::new(name, Tolerance::EXACT, vec![x], move |x| {
                    all_parts(&x[0].quantize(scheme, granularity)?)
                }));
            };
            for dtype in [F32, F64, F16, BF16] {
                // Multiples of 1/64 sum without rounding, so scales, and with them codes, are exact.
                let x = sixty_fourths(&mut random, &[3, 5, 8])?.to_dtype(dtype)?;
                add(dtype.to_string(), x);
            }
            for (layout, x) in layouts(&sixty_fourths(&mut random, &[2, 3, 16])?)? {
                add(layout.into(), x);
            }
            add("nothing".into(), BitNetTensor::zeros([0, 3, 4], F32)?);
        }
    }
    Ok(())
}

fn sixty_fourths(random: &mut Random, shape: &[usize]) -> Result<BitNetTensor> {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| (random.below(129) as f32 - 64.0) / 64.0).collect();
    BitNetTensor::from_vec(values, shape)
}

fn straight_through(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(37);
    let mut add = |what: String, x: BitNetTensor, value: BitNetTensor| {
        let computation = |x: &[BitNetTensor]| Ok(vec![x[0].straight_through(&x[1])?]);
        let name = format!("straight_through {what}");
        cases.push(Case::new(name, Tolerance::EXACT, vec![x, value], computation));
    };
    for dtype in [F32, F64, F16, BF16] {
        for shape in [&[][..], &[0], &[1], &[3, 17], &[40_000]] {
            add(
                format!("{dtype} {shape:?}"),
                random.tensor(dtype, shape)?,
                random.tensor(dtype, shape)?,
            );
        }
    }
    let x = random.floats(&[3, 4, 5])?;
    for (layout, value) in layouts(&random.floats(&[3, 4, 5])?)? {
        add(layout.into(), x.clone(), value);
    }
    Ok(())
}
