//! Dense, int8, ternary and block products.

mod blocks;
mod matrices;

use bitnet_tensor::BitNetDType::{BF16, F16, F32, F64, I8};
use bitnet_tensor::{BitNetTensor, CodeLayout, QuantizedActivation, Result};

use super::Case;
use crate::random::layouts;
use crate::{Random, Tolerance};

pub(super) fn cases() -> Result<Vec<Case>> {
    let mut cases = matrices::cases()?;
    matmul(&mut cases)?;
    linear(&mut cases)?;
    packed_linear(&mut cases)?;
    linear_int8(&mut cases)?;
    blocks::cases(&mut cases)?;
    Ok(cases)
}

fn matmul(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(30);
    for dtype in [F32, F64] {
        let mut add = |what: String, a: BitNetTensor, b: BitNetTensor| {
            let tolerance = Tolerance::sum(2 * a.shape()[a.rank() - 1], dtype);
            let computation = |x: &[BitNetTensor]| Ok(vec![x[0].matmul(&x[1])?]);
            let case =
                Case::new(format!("matmul {dtype} {what}"), tolerance, vec![a, b], computation);
            cases.push(case.with_tiers_that_may_differ());
        };
        for [m, k, n] in [
            [1, 1, 1],
            [1, 17, 1],
            [3, 16, 5],
            [15, 31, 17],
            [64, 64, 64],
            [2, 0, 3],
            [0, 4, 3],
            [3, 4, 0],
            [70, 300, 65],
        ] {
            add(
                format!("{m}x{k}x{n}"),
                random.tensor(dtype, &[m, k])?,
                random.tensor(dtype, &[k, n])?,
            );
        }
        let batches: [(&[usize], &[usize]); 5] = [
            (&[2, 3, 4], &[2, 4, 5]),
            (&[2, 3, 4], &[4, 5]),
            (&[3, 4], &[2, 4, 5]),
            (&[3, 1, 2, 4], &[2, 4, 3]),
            (&[0, 2, 4], &[4, 3]),
        ];
        for (a, b) in batches {
            add(format!("{a:?} {b:?}"), random.tensor(dtype, a)?, random.tensor(dtype, b)?);
        }
        for (first, a) in layouts(&random.tensor(dtype, &[2, 5, 7])?)? {
            for (second, b) in layouts(&random.tensor(dtype, &[7, 6])?)? {
                add(format!("{first} {second}"), a.clone(), b);
            }
        }
    }
    Ok(())
}

fn linear(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(31);
    for dtype in [F32, BF16, F16] {
        let mut add = |what: String, x: BitNetTensor, weight: BitNetTensor| {
            let tolerance = Tolerance::sum(2 * weight.shape()[1], F32);
            let computation = |x: &[BitNetTensor]| Ok(vec![x[0].linear(&x[1])?]);
            cases.push(Case::new(
                format!("linear {dtype} {what}"),
                tolerance,
                vec![x, weight],
                computation,
            ));
        };
        for (leading, [out, inner]) in [
            (&[1][..], [1, 1]),
            (&[1], [33, 17]),
            (&[2, 3], [5, 16]),
            (&[], [7, 40]),
            (&[19], [64, 129]),
            (&[3], [0, 4]),
            (&[0], [3, 4]),
            (&[2], [3, 0]),
            (&[1], [300, 512]),
        ] {
            let x_shape = [leading, &[inner]].concat();
            add(
                format!("{x_shape:?} [{out}, {inner}]"),
                random.floats(&x_shape)?,
                random.tensor(dtype, &[out, inner])?,
            );
        }
        for (first, x) in layouts(&random.floats(&[3, 4, 18])?)? {
            for (second, weight) in layouts(&random.tensor(dtype, &[5, 18])?)? {
                add(format!("{first} {second}"), x.clone(), weight);
            }
        }
    }
    Ok(())
}

/// A weight of random codes up to `most` and random scales.
fn packed(
    random: &mut Random,
    layout: CodeLayout,
    most: usize,
    [rows, columns]: [usize; 2],
) -> Result<BitNetTensor> {
    let mut code = || random.below(2 * most + 1) as i8 - most as i8;
    let codes: Vec<i8> = (0..rows * columns).map(|_| code()).collect();
    let codes = BitNetTensor::from_vec(codes, [rows * columns])?;
    // Of few bits: the reference reads a weight as code times scale, which is exact then.
    let scales = random.floats(&[rows])?.abs()?.to_dtype(BF16)?.to_dtype(F32)?;
    BitNetTensor::packed_from_parts(layout, codes, scales, [rows, columns])
}

fn quantized(x: &BitNetTensor) -> Result<QuantizedActivation> {
    x.quantize_activation()
}

fn packed_linear(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(34);
    let mut add = |what: String, x: BitNetTensor, weight: BitNetTensor| {
        let computation = |x: &[BitNetTensor]| {
            let weight = BitNetTensor::prepare_weight(&[&x[1]])?;
            let results = [quantized(&x[0])?.linear(&weight)?, weight.to_dtype(F32)?];
            // The convenience that quantizes for itself gives the same.
            Ok([results.clone(), [x[0].linear(&weight)?, results[1].clone()]].concat())
        };
        let case = Case::new(
            format!("packed linear {what}"),
            Tolerance::SCALED_SUM,
            vec![x, weight],
            computation,
        );
        cases.push(case.with_equal_halves());
    };
    for (leading, [out, inner]) in [
        (&[1][..], [1, 1]),
        (&[1], [15, 63]),
        (&[1], [16, 64]),
        (&[2], [17, 65]),
        (&[2, 3], [33, 129]),
        (&[], [5, 8]),
        (&[40], [20, 200]),
        (&[0], [3, 4]),
        (&[1], [260, 1500]),
    ] {
        let x_shape = [leading, &[inner]].concat();
        for (layout, most) in [(CodeLayout::Bytes, 1), (CodeLayout::Int6Bytes, 31)] {
            add(
                format!("{} {x_shape:?} [{out}, {inner}]", layout.dtype()),
                random.floats(&x_shape)?,
                packed(&mut random, layout, most, [out, inner])?,
            );
        }
    }
    // The largest sum that there is: every code 127 and every weight 1.
    let ones = BitNetTensor::full([2, 4096], 1i8)?.reshape([8192])?;
    let weight = BitNetTensor::packed_from_parts(
        CodeLayout::Bytes,
        ones,
        BitNetTensor::full([2], 1.0f32)?,
        [2, 4096],
    )?;
    add("largest sum".into(), BitNetTensor::full([2, 4096], 1.0f32)?, weight);
    // The layout of published files.
    let bytes: Vec<u8> = (0..4 * 33)
        .map(|_| (0..4).fold(0, |byte, n| byte | (random.below(3) as u8) << (2 * n)))
        .collect();
    let codes = BitNetTensor::from_vec(bytes, [4 * 33])?;
    let scales = BitNetTensor::full([16], 0.25f32)?;
    let weight = BitNetTensor::packed_from_parts(CodeLayout::HuggingFace, codes, scales, [16, 33])?;
    add("Hugging Face's layout".into(), random.floats(&[3, 33])?, weight);
    Ok(())
}

fn linear_int8(cases: &mut Vec<Case>) -> Result<()> {
    let mut random = Random::new(35);
    let mut add = |what: String, x: BitNetTensor, weight: BitNetTensor, scales: BitNetTensor| {
        let computation =
            |x: &[BitNetTensor]| Ok(vec![quantized(&x[0])?.linear_int8(&x[1], &x[2])?]);
        let name = format!("linear int8 {what}");
        cases.push(Case::new(name, Tolerance::SCALED_SUM, vec![x, weight, scales], computation));
    };
    for (leading, [out, inner]) in [
        (&[1][..], [1, 1]),
        (&[1], [15, 63]),
        (&[2, 3], [16, 64]),
        (&[], [17, 65]),
        (&[19], [33, 300]),
        (&[0], [3, 4]),
        (&[1], [500, 512]),
    ] {
        let x_shape = [leading, &[inner]].concat();
        let weight = random.tensor(I8, &[out, inner])?;
        add(
            format!("{x_shape:?} [{out}, {inner}]"),
            random.floats(&x_shape)?,
            weight,
            random.floats(&[out])?,
        );
    }
    for (layout, weight) in layouts(&random.tensor(I8, &[6, 40])?)? {
        add(layout.into(), random.floats(&[3, 40])?, weight, random.floats(&[6])?);
    }
    // The ends of the range on both sides: −128 is a code of weights.
    let extreme = BitNetTensor::full([3, 4096], -128i8)?;
    add(
        "largest sum".into(),
        BitNetTensor::full([2, 4096], -1.0f32)?,
        extreme,
        BitNetTensor::full([3], 1.0f32)?,
    );
    Ok(())
}
