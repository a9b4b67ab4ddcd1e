//! Layers and losses of neural networks, against PyTorch.

use bitnet_tensor::ops::{Convolution, Reduction};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::Tolerance;

use crate::case::Case;
use crate::family;

fn reduction(case: &Case<'_>) -> Reduction {
    match case.text("reduction") {
        "none" => Reduction::None,
        "mean" => Reduction::Mean,
        _ => Reduction::Sum,
    }
}

fn how(case: &Case<'_>) -> Convolution {
    Convolution {
        stride: case.sizes("stride"),
        padding: case.sizes("padding").into_iter().map(|size| (size, size)).collect(),
        dilation: case.sizes("dilation"),
        groups: case.integer("groups") as usize,
    }
}

fn evaluate(case: &Case<'_>, x: &[BitNetTensor]) -> Result<Vec<BitNetTensor>> {
    let eps = || case.float("eps");
    let lists = || (case.sizes("kernel"), case.sizes("stride"), case.sizes("padding"));
    let one = match case.op() {
        "softmax" => x[0].softmax(case.integer("axis")),
        "log_softmax" => x[0].log_softmax(case.integer("axis")),
        "layer_norm" => x[0].layer_norm(&case.sizes("sizes"), x.get(1), x.get(2), eps()),
        "group_norm" => x[0].group_norm(case.integer("groups") as usize, x.get(1), x.get(2), eps()),
        "instance_norm" => x[0].instance_norm(x.get(1), x.get(2), eps()),
        "batch_norm" => x[0].batch_norm(&x[1], &x[2], x.get(3), x.get(4), eps()),
        "convolution" => x[0].convolution(&x[1], x.get(2), &how(case)),
        "convolution_transposed" => {
            x[0].convolution_transposed(&x[1], x.get(2), &how(case), &case.sizes("extra"))
        }
        "max_pool" => {
            let (kernel, stride, padding) = lists();
            x[0].max_pool(&kernel, &stride, &padding)
        }
        "avg_pool" => {
            let (kernel, stride, padding) = lists();
            x[0].avg_pool(&kernel, &stride, &padding)
        }
        "glu" => x[0].glu(case.integer("axis")),
        "swiglu" => x[0].swiglu(case.integer("axis")),
        "attention_of_masks" => {
            let causal = case.flag("causal");
            x[0].scaled_dot_product_attention(&x[1], &x[2], x.get(3), causal, None)
        }
        "mse_loss" => x[0].mse_loss(&x[1], reduction(case)),
        "l1_loss" => x[0].l1_loss(&x[1], reduction(case)),
        "huber_loss" => x[0].huber_loss(&x[1], case.float("bend"), reduction(case)),
        "smooth_l1_loss" => x[0].smooth_l1_loss(&x[1], case.float("bend"), reduction(case)),
        "kl_div" => x[0].kl_div(&x[1], reduction(case)),
        "binary_cross_entropy" => x[0].binary_cross_entropy(&x[1], reduction(case)),
        "binary_cross_entropy_with_logits" => {
            x[0].binary_cross_entropy_with_logits(&x[1], reduction(case))
        }
        "nll_loss" | "cross_entropy" => {
            let ignored = case.has("ignored").then(|| case.integer("ignored") as i64);
            match case.op() {
                "nll_loss" => x[0].nll_loss(&x[1], x.get(2), ignored, reduction(case)),
                _ => x[0].cross_entropy(&x[1], x.get(2), ignored, reduction(case)),
            }
        }
        other => panic!("unknown operation {other}"),
    };
    Ok(vec![one?])
}

/// Sums of a few dozen numbers near one, and what is made of them.
fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    let scale = if case.op() == "binary_cross_entropy_with_logits" { 32.0 } else { 1.0 };
    match dtype {
        BitNetDType::F64 => Tolerance { ulps: 4.0, relative: 0.0, absolute: 2e-14 * scale },
        BitNetDType::F32 => Tolerance { ulps: 4.0, relative: 0.0, absolute: 8e-6 * scale },
        // Computed in f32 and rounded once: at most one unit beside the rounded float64.
        _ => Tolerance { ulps: 1.0, relative: 0.0, absolute: 4e-6 },
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/layers.json"), evaluate, tolerance);
}
