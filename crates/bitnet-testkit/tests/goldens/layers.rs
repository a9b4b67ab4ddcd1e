//! Layers and losses of neural networks, against PyTorch.

use bitnet_tensor::ops::{AttentionWindow, Convolution, GateKind, Reduction, RopeMode};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};
use bitnet_testkit::{Kind, Tolerance};

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

/// Keys before and behind a query's place; −1 is all.
fn window(case: &Case<'_>) -> AttentionWindow {
    let bounds = case.list("window");
    let bound = |n: usize| usize::try_from(bounds[n]).ok();
    AttentionWindow { before: bound(0), after: bound(1) }
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
        "conv1d" => {
            let one = |name| case.sizes(name)[0];
            let (stride, padding) = (one("stride"), one("padding"));
            let groups = case.integer("groups") as usize;
            x[0].conv1d(&x[1], x.get(2), stride, padding, one("dilation"), groups)
        }
        "conv2d" => {
            let two = |name| [case.sizes(name)[0], case.sizes(name)[1]];
            let (stride, padding) = (two("stride"), two("padding"));
            let groups = case.integer("groups") as usize;
            x[0].conv2d(&x[1], x.get(2), stride, padding, two("dilation"), groups)
        }
        "rms_norm" => x[0].rms_norm(&x[1], eps()),
        "gate" => match case.text("kind") {
            "silu" => x[0].gate(GateKind::Silu, &x[1]),
            _ => x[0].gate(GateKind::ReluSquared, &x[1]),
        },
        "embedding" => x[0].embedding(&x[1]),
        "rope" => {
            let mode = match case.flag("adjacent") {
                true => RopeMode::AdjacentPairs,
                false => RopeMode::RotateHalf,
            };
            x[0].rope(&x[1], &x[2], &x[3], mode)
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
            let window = match case.has("window") {
                true => window(case),
                false => case.flag("causal").into(),
            };
            x[0].scaled_dot_product_attention(&x[1], &x[2], x.get(3), window, None)
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

fn tolerance(case: &Case<'_>, dtype: BitNetDType) -> Tolerance {
    match case.op() {
        "binary_cross_entropy_with_logits" => Tolerance::of(Kind::LargeLoss, dtype),
        "embedding" => Tolerance::of(Kind::Exact, dtype),
        _ => Tolerance::of(Kind::Layer, dtype),
    }
}

#[test]
fn goldens() {
    family(include_str!("../../goldens/layers.json"), evaluate, tolerance);
    family(include_str!("../../goldens/layer_types.json"), evaluate, tolerance);
}
