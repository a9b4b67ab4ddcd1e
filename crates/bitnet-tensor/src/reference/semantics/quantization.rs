//! Fewer bits per element.

use super::Array;
use crate::ops::padded_features;

/// Codes, scales and sums of codes. The rounding decisions are made in `f32`, as the models
/// that were trained with it made them.
pub(super) fn quantize_activation(x: &Array) -> Vec<Vec<f64>> {
    let (mut codes, mut scales, mut sums) = (Vec::new(), Vec::new(), Vec::new());
    let padding = padded_features(x.last()) - x.last();
    for row in x.rows() {
        // What is not finite makes the scale NaN: it spoils every product, as it would in floats.
        let spoiled = row.iter().any(|x| !x.is_finite());
        let magnitude = row.iter().fold(0.0f32, |max, &x| max.max(x.abs() as f32));
        let magnitude = magnitude.clamp(1e-5, f32::MAX);
        let scale = 127.0 / magnitude;
        let code = |x: f64| (x as f32 * scale).round_ties_even().clamp(-128.0, 127.0);
        let quantized = row.iter().map(|&x| if x.is_nan() { 0.0 } else { code(x) });
        let quantized: Vec<f64> = quantized.map(f64::from).collect();
        sums.push(quantized.iter().sum());
        scales.push(if spoiled { f64::NAN } else { f64::from(magnitude / 127.0) });
        codes.extend(quantized);
        codes.extend(std::iter::repeat_n(0.0, padding));
    }
    vec![codes, scales, sums]
}

/// What codes of 16 bits with a scale for each 32 of a row keep of `x`; decisions in `f32` as above.
/// What is not finite makes its group NaN.
pub(super) fn by_groups(x: &Array) -> Array {
    const MAX_CODE: f32 = 32639.0; // two bytes of 127
    let group = |x: &[f64]| -> Vec<f64> {
        let magnitude = x.iter().fold(0.0f32, |max, &x| max.max(x.abs() as f32));
        if !x.iter().all(|x| x.is_finite()) {
            return vec![f64::NAN; x.len()];
        }
        let factor = MAX_CODE / magnitude;
        let factor = if factor.is_finite() { factor } else { 0.0 };
        let scale = f64::from(magnitude / MAX_CODE);
        x.iter().map(|&x| f64::from((x as f32 * factor).round_ties_even()) * scale).collect()
    };
    let values = x.rows().flat_map(|row| row.chunks(32).flat_map(group).collect::<Vec<_>>());
    Array { shape: x.shape.clone(), dtype: x.dtype, values: values.collect() }
}

/// Codes and the scale of each row; rounding decisions as in [`quantize_activation`].
pub(super) fn ternarize(weight: &Array) -> Vec<Vec<f64>> {
    let mean = weight.values.iter().map(|w| w.abs()).sum::<f64>() / weight.values.len() as f64;
    let scale = (mean as f32).max(1e-5);
    let inverse = 1.0 / scale;
    let code = |&w: &f64| f64::from((w as f32 * inverse).round_ties_even().clamp(-1.0, 1.0));
    vec![weight.values.iter().map(code).collect(), vec![f64::from(scale); weight.shape[0]]]
}
