//! Layers and losses of neural networks.

use bitnet_tensor::BitNetDType::F64;
use bitnet_tensor::ops::{AttentionWindow, Convolution, GateKind, Reduction, RopeMode};
use bitnet_tensor::random::Generator;
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::Random;

use crate::check::{check, positive};

#[test]
fn softmax_along_any_axis() -> Result<()> {
    let x = [Random::new(81).tensor(F64, &[2, 3, 4])?];
    for axis in [0, 1, -1] {
        check("softmax", &x, &move |x| x[0].softmax(axis))?;
        check("log_softmax", &x, &move |x| x[0].log_softmax(axis))?;
    }
    Ok(())
}

#[test]
fn normalisation() -> Result<()> {
    let mut random = Random::new(82);
    let x = random.tensor(F64, &[2, 4, 3])?;
    let (weight, bias) = (random.tensor(F64, &[3])?, random.tensor(F64, &[3])?);
    check("layer_norm", &[x.clone(), weight, bias], &|x| {
        x[0].layer_norm(&[3], Some(&x[1]), Some(&x[2]), 1e-5)
    })?;
    let (weight, bias) = (random.tensor(F64, &[4])?, random.tensor(F64, &[4])?);
    let operands = [x.clone(), weight, bias];
    check("group_norm", &operands, &|x| x[0].group_norm(2, Some(&x[1]), Some(&x[2]), 1e-5))?;
    check("instance_norm", &operands, &|x| x[0].instance_norm(Some(&x[1]), Some(&x[2]), 1e-5))?;
    let (mean, variance) = (random.tensor(F64, &[4])?, positive(&mut random, F64, &[4])?);
    check("batch_norm", &[x, mean, variance], &|x| x[0].batch_norm(&x[1], &x[2], None, None, 1e-5))
}

#[test]
fn convolutions_and_pools() -> Result<()> {
    let mut random = Random::new(83);
    let how = Convolution {
        stride: vec![2, 1],
        padding: vec![(1, 0), (0, 2)],
        dilation: vec![1, 2],
        groups: 2,
    };
    let operands = [
        random.tensor(F64, &[2, 4, 4, 5])?,
        random.tensor(F64, &[2, 2, 2, 2])?,
        random.tensor(F64, &[2])?,
    ];
    let copy = how.clone();
    check("convolution", &operands, &move |x| x[0].convolution(&x[1], Some(&x[2]), &copy))?;
    let operands = [random.tensor(F64, &[1, 2, 3, 3])?, random.tensor(F64, &[2, 2, 2, 2])?];
    check("convolution_transposed", &operands, &move |x| {
        x[0].convolution_transposed(&x[1], None, &how, &[1, 0])
    })?;
    let operands = [random.tensor(F64, &[1, 2, 5])?, random.tensor(F64, &[3, 2, 2])?];
    check("conv1d", &operands, &|x| x[0].conv1d(&x[1], None, 2, 1, 1, 1))?;
    let operands = [random.tensor(F64, &[1, 2, 3, 4])?, random.tensor(F64, &[2, 1, 2, 2])?];
    check("conv2d", &operands, &|x| x[0].conv2d(&x[1], None, [1, 2], [1, 0], [1, 1], 2))?;
    let x = [random.tensor(F64, &[1, 2, 5, 4])?];
    check("max_pool", &x, &|x| x[0].max_pool(&[2, 2], &[2, 1], &[1, 0]))?;
    check("avg_pool", &x, &|x| x[0].avg_pool(&[2, 2], &[1, 2], &[0, 1]))
}

#[test]
fn gates_and_attention() -> Result<()> {
    let mut random = Random::new(84);
    let x = [random.tensor(F64, &[3, 4])?];
    check("glu", &x, &|x| x[0].glu(-1))?;
    check("swiglu", &x, &|x| x[0].swiglu(1))?;
    let ids = BitNetTensor::from_slice(&[2i64, 0, 2], [3])?;
    check("embedding", &x, &move |x| x[0].embedding(&ids))?;
    let operands = [
        random.tensor(F64, &[4, 3, 2])?,
        random.tensor(F64, &[2, 3, 2])?,
        random.tensor(F64, &[2, 3, 2])?,
    ];
    for causal in [false, true] {
        check("scaled_dot_product_attention", &operands, &move |x| {
            x[0].scaled_dot_product_attention(&x[1], &x[2], None, causal, None)
        })?;
    }
    for window in [AttentionWindow::sliding(2), AttentionWindow { before: None, after: Some(1) }] {
        check("windowed attention", &operands, &move |x| {
            x[0].scaled_dot_product_attention(&x[1], &x[2], None, window, None)
        })?;
    }
    // The second query sees nothing.
    let mask = BitNetTensor::from_slice(&[true, false, true, false, false, false], [2, 3])?;
    let operands = [operands[0].narrow(1, 0, 2)?.copy()?, operands[1].clone()];
    check("masked attention", &operands, &move |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[1], Some(&mask), false, None)
    })
}

#[test]
fn losses() -> Result<()> {
    let mut random = Random::new(85);
    for reduction in [Reduction::None, Reduction::Mean, Reduction::Sum] {
        let pair = [random.tensor(F64, &[3, 4])?, random.tensor(F64, &[3, 4])?];
        check("mse_loss", &pair, &move |x| x[0].mse_loss(&x[1], reduction))?;
        check("l1_loss", &pair, &move |x| x[0].l1_loss(&x[1], reduction))?;
        check("huber_loss", &pair, &move |x| x[0].huber_loss(&x[1], 0.3, reduction))?;
        check("smooth_l1_loss", &pair, &move |x| x[0].smooth_l1_loss(&x[1], 0.3, reduction))?;
        let share = positive(&mut random, F64, &[3, 4])?.mul(0.6)?;
        let operands = [pair[0].clone(), share.clone()];
        check("kl_div", &operands, &move |x| x[0].kl_div(&x[1], reduction))?;
        check("binary_cross_entropy_with_logits", &operands, &move |x| {
            x[0].binary_cross_entropy_with_logits(&x[1], reduction)
        })?;
        let operands = [share, operands[0].sigmoid()?];
        check("binary_cross_entropy", &operands, &move |x| {
            x[0].binary_cross_entropy(&x[1], reduction)
        })?;
        let target = BitNetTensor::from_slice(&[1i64, -7, 3], [3])?;
        let weight = positive(&mut random, F64, &[4])?;
        check("nll_loss", &pair[..1], &|x| x[0].nll_loss(&target, None, Some(-7), reduction))?;
        check("cross_entropy", &pair[..1], &move |x| {
            x[0].cross_entropy(&target, Some(&weight), Some(-7), reduction)
        })?;
    }
    Ok(())
}

/// The forms of `F64`, which the fused operations of inference do not compute.
#[test]
fn layers_of_models_in_f64() -> Result<()> {
    let mut random = Random::new(86);
    let operands = [random.tensor(F64, &[3, 4])?, random.tensor(F64, &[4])?];
    check("rms_norm", &operands, &|x| x[0].rms_norm(&x[1], 1e-5))?;
    let operands = [positive(&mut random, F64, &[3, 4])?.neg()?, random.tensor(F64, &[3, 4])?];
    for kind in [GateKind::Silu, GateKind::ReluSquared] {
        check("gate", &operands, &move |x| x[0].gate(kind, &x[1]))?;
    }
    let positions = BitNetTensor::from_vec(vec![0u32, 3], [1, 2])?;
    let operands = [
        random.tensor(F64, &[1, 2, 2, 4])?,
        random.tensor(F64, &[4, 2])?,
        random.tensor(F64, &[4, 2])?,
    ];
    for mode in [RopeMode::RotateHalf, RopeMode::AdjacentPairs] {
        check("rope", &operands, &|x| x[0].rope(&x[1], &x[2], &positions, mode)?.square())?;
    }
    // The same elements are kept each time.
    check("dropout", &operands[..1], &|x| x[0].dropout(0.4, &mut Generator::new(3))?.square())
}
