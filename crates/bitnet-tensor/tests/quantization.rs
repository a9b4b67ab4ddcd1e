//! What holds of every quantization: how near the numbers come back, which codes occur, that no
//! ternary scale beats the optimal one, that bytes give back what was packed.

use bitnet_tensor::BitNetDType::{F32, F64, I16};
use bitnet_tensor::{
    BitNetTensor, Granularity, QuantizationError, QuantizationScheme, Quantized, Result,
    TernaryScale,
};
use bitnet_testkit::Random;
use proptest::prelude::*;

const TERNARY: [TernaryScale; 3] =
    [TernaryScale::AbsMean, TernaryScale::Median, TernaryScale::Optimal];

fn schemes() -> Vec<QuantizationScheme> {
    let bits = || 2..=8;
    let mut all = vec![QuantizationScheme::Binary];
    all.extend(TERNARY.map(QuantizationScheme::Ternary));
    all.extend(bits().map(|bits| QuantizationScheme::Symmetric { bits }));
    all.extend(bits().map(|bits| QuantizationScheme::Asymmetric { bits }));
    all
}

/// Rows of numbers of different magnitudes, some of them zero.
fn numbers(random: &mut Random) -> Result<BitNetTensor> {
    let (rows, columns) = (random.below(4) + 1, 2 * random.below(8) + 2);
    let x = random.floats(&[rows, columns])?;
    let magnitudes = random.floats(&[rows, 1])?.mul(8.0)?.exp()?;
    let kept = random.floats(&[rows, columns])?.gt(-0.8)?;
    kept.where_(&x.mul(&magnitudes)?, 0.0)
}

fn granularity(random: &mut Random) -> Granularity {
    [
        Granularity::Tensor,
        Granularity::Row,
        Granularity::Group(2),
        Granularity::Channel(0),
        Granularity::Channel(-1),
    ][random.below(5)]
}

/// The scale of each element.
fn scales(q: &Quantized) -> Result<BitNetTensor> {
    let zeros = q.zero_points().map(BitNetTensor::zeros_like).transpose()?;
    let ones = q.codes().ones_like()?;
    Quantized::from_parts(ones, q.scales().clone(), zeros, q.scheme(), q.granularity())?
        .dequantize()
}

fn squared_error(x: &BitNetTensor, q: &Quantized) -> Result<f64> {
    Ok(x.quantization_error(&q.dequantize()?)?.mse)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn numbers_come_back_within_half_a_scale(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (x, granularity) = (numbers(&mut random).unwrap(), granularity(&mut random));
        for bits in 2..=8 {
            for scheme in [
                QuantizationScheme::Symmetric { bits },
                QuantizationScheme::Asymmetric { bits },
            ] {
                let q = x.quantize(scheme, granularity).unwrap();
                let restored = q.dequantize().unwrap().to_vec::<f32>().unwrap();
                let scales = scales(&q).unwrap().to_vec::<f32>().unwrap();
                let x = x.to_vec::<f32>().unwrap();
                for ((x, y), scale) in x.iter().zip(&restored).zip(&scales) {
                    // The scale, the quotients and the product are rounded.
                    let range = x.abs().max(y.abs()) + 255.0 * scale;
                    let rounding = 4.0 * f32::EPSILON * range;
                    prop_assert!((x - y).abs() <= scale / 2.0 + rounding, "{scheme:?} {x} {y}");
                    prop_assert!(*x != 0.0 || *y == 0.0, "zero is exact");
                }
            }
        }
    }

    #[test]
    fn codes_are_those_of_the_scheme_and_survive_packing(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (x, granularity) = (numbers(&mut random).unwrap(), granularity(&mut random));
        for scheme in schemes() {
            let q = x.quantize(scheme, granularity).unwrap();
            let (low, high) = scheme.codes();
            let codes = q.codes().to_dtype(I16).unwrap().to_vec::<i16>().unwrap();
            prop_assert!(codes.iter().all(|&code| (low..=high).contains(&i32::from(code))));
            let columns = x.shape()[1];
            let bytes = q.pack().unwrap();
            let per_byte = 8 / scheme.bits().next_power_of_two() as usize;
            prop_assert_eq!(bytes.shape()[1], columns.div_ceil(per_byte));
            let (scales, zeros) = (q.scales().clone(), q.zero_points().cloned());
            let again = Quantized::unpack(&bytes, columns, scales, zeros, scheme, granularity);
            let again = again.unwrap();
            prop_assert_eq!(again.codes().to_dtype(I16).unwrap().to_vec::<i16>().unwrap(), codes);
            prop_assert_eq!(again.bits(), scheme.bits());
        }
    }

    #[test]
    fn no_ternary_scale_beats_the_optimal_one(seed in any::<u64>()) {
        let mut random = Random::new(seed);
        let (x, granularity) = (numbers(&mut random).unwrap(), granularity(&mut random));
        let error = |scale| {
            let q = x.quantize(QuantizationScheme::Ternary(scale), granularity).unwrap();
            squared_error(&x, &q).unwrap()
        };
        let optimal = error(TernaryScale::Optimal);
        for scale in [TernaryScale::AbsMean, TernaryScale::Median] {
            prop_assert!(optimal <= error(scale) * (1.0 + 1e-6), "{scale:?}");
        }
    }

    /// Every choice of codes with its best scale: `Σcx / Σc²`.
    #[test]
    fn the_optimal_scale_is_that_of_all_codes(seed in any::<u64>(), count in 1usize..8) {
        let mut random = Random::new(seed);
        let x = random.tensor(F64, &[count]).unwrap();
        let scheme = QuantizationScheme::Ternary(TernaryScale::Optimal);
        let q = x.quantize(scheme, Granularity::Tensor).unwrap();
        let x = x.to_vec::<f64>().unwrap();
        let error = |codes: &[f64], scale: f64| -> f64 {
            x.iter().zip(codes).map(|(x, code)| (x - code * scale).powi(2)).sum()
        };
        let mut best = f64::INFINITY;
        for choice in 0..3usize.pow(count as u32) {
            let codes: Vec<f64> =
                (0..count).map(|n| (choice / 3usize.pow(n as u32) % 3) as f64 - 1.0).collect();
            let product: f64 = x.iter().zip(&codes).map(|(x, code)| x * code).sum();
            let ones = codes.iter().map(|code| code * code).sum::<f64>().max(1.0);
            best = best.min(error(&codes, product / ones));
        }
        let codes = q.codes().to_dtype(F64).unwrap().to_vec::<f64>().unwrap();
        let got = error(&codes, q.scales().item::<f64>().unwrap());
        prop_assert!((got - best).abs() <= 1e-12, "{got}, by trying all {best}");
    }
}

#[test]
fn ternarize_is_the_absmean_of_all() -> Result<()> {
    let w = Random::new(93).floats(&[70, 130])?;
    let scheme = QuantizationScheme::Ternary(TernaryScale::AbsMean);
    let general = w.quantize(scheme, Granularity::Tensor)?.to_weight()?.to_dtype(F32)?;
    // The kernel sums in f32: the last bit of the mean may differ.
    let special = w.ternarize()?.to_dtype(F32)?.to_vec::<f32>()?;
    for (a, b) in general.to_vec::<f32>()?.into_iter().zip(special) {
        assert!((a - b).abs() <= f32::EPSILON, "{a} {b}");
    }
    // A scale per row enters the product with it.
    let rows = w.quantize(scheme, Granularity::Row)?;
    let weight = BitNetTensor::prepare_weight(&[&rows.to_weight()?])?;
    assert_eq!(weight.to_dtype(F32)?.to_vec::<f32>()?, rows.dequantize()?.to_vec::<f32>()?);
    Ok(())
}

#[test]
fn a_block_with_a_nan_or_an_infinity_is_nan() -> Result<()> {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let x = BitNetTensor::from_slice(&[1.0, bad, -2.0, 1.0, 0.5, -2.0], [2, 3])?;
        for scheme in schemes() {
            let q = x.quantize(scheme, Granularity::Row)?;
            let numbers = q.dequantize()?.to_vec::<f32>()?;
            assert!(numbers[..3].iter().all(|x| x.is_nan()), "{scheme:?} {bad}");
            assert!(numbers[3..].iter().all(|x| x.is_finite()), "{scheme:?} {bad}");
        }
    }
    Ok(())
}

#[test]
fn zeros_are_exact() -> Result<()> {
    let x = BitNetTensor::from_slice(&[0.0f32, -0.0, 0.0, 0.0], [2, 2])?;
    for scheme in schemes() {
        for granularity in [Granularity::Tensor, Granularity::Row, Granularity::Channel(1)] {
            let numbers = x.quantize(scheme, granularity)?.dequantize()?.to_vec::<f32>()?;
            assert_eq!(numbers, [0.0; 4], "{scheme:?}");
        }
    }
    Ok(())
}

#[test]
fn the_error_can_be_read_and_written() -> Result<()> {
    let x = BitNetTensor::try_from(vec![3.0f32, 4.0])?;
    let error = x.quantization_error(&BitNetTensor::try_from(vec![3.0f32, 3.5])?)?;
    assert_eq!(
        error.to_string(),
        "mse 1.250e-1, sqnr 20.00 dB, psnr 21.07 dB, cosine 0.997880, max |error| 5.000e-1"
    );
    let text = serde_json::to_string(&error).expect("JSON");
    let read: QuantizationError = serde_json::from_str(&text).expect("the same");
    // Readers of JSON may lose the last bit.
    assert_eq!((read.mse, read.max_abs_error), (error.mse, error.max_abs_error));
    assert!((read.cosine_similarity - error.cosine_similarity).abs() < 1e-15);

    let same = x.quantization_error(&x)?;
    assert_eq!((same.mse, same.max_abs_error), (0.0, 0.0));
    assert_eq!((same.sqnr_db, same.psnr_db), (f64::INFINITY, f64::INFINITY));
    // Of a packed weight.
    let w = Random::new(94).floats(&[8, 16])?;
    let error = w.quantization_error(&w.ternarize()?)?;
    assert!(error.cosine_similarity > 0.8 && error.sqnr_db > 3.0, "{error}");
    Ok(())
}
