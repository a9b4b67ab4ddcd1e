//! Products and decompositions of matrices.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Tolerance;

use crate::case::Case;
use crate::family;

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let one = match case.op() {
        "matmul" => x[0].matmul(&x[1]),
        "linear" => x[0].linear(&x[1]),
        "ternary_linear" => {
            let weight = BitNetTensor::prepare_weight(&[&x[1].ternarize()?])?;
            x[0].quantize_activation()?.linear(&weight)
        }
        "linear_int8" => x[0].quantize_activation()?.linear_int8(&x[1], &x[2]),
        "quantize_activation" => {
            let quantized = x[0].quantize_activation()?;
            let codes = quantized.codes().narrow(-1, 0, quantized.features())?;
            return Ok(vec![codes, quantized.scales().clone(), quantized.sums().clone()]);
        }
        "ternarize" => {
            let weight = x[0].ternarize()?;
            let (_, codes, scales) = weight.ternary_parts().expect("a ternary weight");
            return Ok(vec![codes.clone(), scales.clone()]);
        }
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    match case.op() {
        "ternary_linear" | "linear_int8" => Tolerance::SCALED_SUM,
        _ => Tolerance::sum(16, dtype),
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/linalg.json"), evaluate, tolerance);
}
