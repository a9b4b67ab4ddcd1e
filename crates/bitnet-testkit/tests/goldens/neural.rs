//! Operations of neural networks.

use bitnet_tensor::ops::RopeMode;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Tolerance;

use crate::case::Case;
use crate::family;

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let one = match case.op() {
        "rope" => {
            let mode = match case.flag("adjacent") {
                true => RopeMode::AdjacentPairs,
                false => RopeMode::RotateHalf,
            };
            x[0].rope(&x[1], &x[2], &x[3], mode)
        }
        "attention" => x[0].attention(&x[1], &x[2], &x[3], case.float("scale") as f32),
        "softmax" => x[0].softmax(-1),
        "rms_norm" => x[0].rms_norm(&x[1], case.float("eps") as f32),
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

fn tolerance(_: &Case<'_>, _: BitNetDType) -> Tolerance {
    Tolerance::ATTENTION
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/neural.json"), evaluate, tolerance);
}
