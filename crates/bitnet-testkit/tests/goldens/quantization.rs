//! Codes, scales and the numbers made of them again, against NumPy and PyTorch.

use bitnet_tensor::BitNetDType::F32;
use bitnet_tensor::{
    BitNetDType, BitNetTensor, Granularity, QuantizationScheme, Result, TernaryScale,
};
use bitnet_testkit::{Kind, Tolerance};

use crate::case::Case;
use crate::family;

fn scheme(text: &str) -> QuantizationScheme {
    let (kind, bits) = text.split_once(' ').unwrap_or((text, "0"));
    let bits = bits.parse().expect("bits");
    match kind {
        "binary" => QuantizationScheme::Binary,
        "absmean" => QuantizationScheme::Ternary(TernaryScale::AbsMean),
        "median" => QuantizationScheme::Ternary(TernaryScale::Median),
        "optimal" => QuantizationScheme::Ternary(TernaryScale::Optimal),
        "symmetric" => QuantizationScheme::Symmetric { bits },
        "asymmetric" => QuantizationScheme::Asymmetric { bits },
        other => panic!("unknown scheme {other}"),
    }
}

fn granularity(text: &str) -> Granularity {
    match text.split_once(' ') {
        Some(("channel", axis)) => Granularity::Channel(axis.parse().expect("an axis")),
        Some(("group", size)) => Granularity::Group(size.parse().expect("a size")),
        _ if text == "row" => Granularity::Row,
        _ => Granularity::Tensor,
    }
}

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    match case.op() {
        "quantize" => {
            let how = (scheme(case.text("scheme")), granularity(case.text("granularity")));
            let quantized = x[0].quantize(how.0, how.1)?;
            let mut parts = vec![quantized.codes().clone(), quantized.scales().clone()];
            parts.extend(quantized.zero_points().cloned());
            parts.push(quantized.dequantize()?);
            Ok(parts)
        }
        "quantize_activation" => {
            let quantized = x[0].quantize_activation()?;
            let codes = quantized.codes().narrow(-1, 0, quantized.features())?;
            Ok(vec![codes, quantized.scales().clone(), quantized.sums().clone()])
        }
        "fake_quantize_activation" => Ok(vec![x[0].fake_quantize_activation()?]),
        "ternarize" => {
            let weight = x[0].ternarize()?;
            let (_, codes, scales) = weight.packed_parts().expect("a ternary weight");
            // The general way to the same.
            let scheme = QuantizationScheme::Ternary(TernaryScale::AbsMean);
            let general = x[0].quantize(scheme, Granularity::Tensor)?.to_weight()?;
            let (_, same_codes, same_scales) = general.packed_parts().expect("a ternary weight");
            assert_eq!(same_codes.to_vec::<i8>()?, codes.to_vec::<i8>()?);
            assert_eq!(same_scales.to_vec::<f32>()?, scales.to_vec::<f32>()?);
            Ok(vec![codes.clone(), scales.clone()])
        }
        "fake_quantize_affine" => {
            let (v, range) = (x[0].with_grad(), ("low", "high"));
            let range = (case.integer(range.0) as i32, case.integer(range.1) as i32);
            let y = v.fake_quantize_affine(&x[1], &x[2], case.integer("axis"), range)?;
            let gradients = y.mul(&x[3])?.sum(&[], false)?.backward()?;
            let gradient = gradients.get(&v).expect("a gradient").clone();
            Ok(vec![y.detach(), gradient])
        }
        "pack_bits" => {
            let bits = case.integer("bits") as u32;
            let packed = x[0].pack_bits(bits)?;
            let columns = x[0].shape()[x[0].rank() - 1];
            let again = packed.unpack_bits(bits, columns)?;
            assert_eq!(again.to_vec::<u8>()?, x[0].to_vec::<u8>()?);
            assert_eq!(again.shape(), x[0].shape());
            Ok(vec![packed])
        }
        "quantization_error" => {
            let error = x[0].quantization_error(&x[1])?;
            let measures = vec![
                error.mse,
                error.sqnr_db,
                error.psnr_db,
                error.cosine_similarity,
                error.max_abs_error,
            ];
            Ok(vec![BitNetTensor::try_from(measures)?.to_device(x[0].device())?])
        }
        other => panic!("unknown operation {other}"),
    }
}

fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    match (case.op(), dtype) {
        ("quantization_error", _) => Tolerance { relative: 1e-12, ..Tolerance::EXACT },
        // Codes are exact; a scale is a mean, a number is a product with it.
        ("quantize", _) => Tolerance::of(Kind::Quantized, dtype),
        ("fake_quantize_affine", F32) => Tolerance { relative: 1e-6, ..Tolerance::EXACT },
        _ => Tolerance::EXACT,
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/quantization.json"), evaluate, tolerance);
}
