//! Layers of neural networks, and quantization.

use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme, Result};

use crate::workload::{Run, Workload, numbers, run};

const fn of(family: &'static str, name: &'static str, make: fn() -> Result<Run>) -> Workload {
    Workload { family, name, make }
}

fn rows(call: fn(&BitNetTensor) -> Result<BitNetTensor>) -> Result<Run> {
    let x = numbers([1024, 1024])?;
    run(move || call(&x))
}

/// Channels last but two: `[batch, channels, size, size]`, filters of 3 by 3 with padding 1.
fn convolution(batch: usize, channels: usize, size: usize) -> Result<Run> {
    let x = numbers([batch, channels, size, size])?;
    let weight = numbers([channels, channels, 3, 3])?;
    run(move || x.conv2d(&weight, None, [1, 1], [1, 1], [1, 1], 1))
}

fn attention(tokens: usize, causal: bool) -> Result<Run> {
    let heads = |_| numbers([1, 8, tokens, 64]);
    let (q, k, v) = (heads(0)?, heads(1)?, heads(2)?);
    run(move || q.scaled_dot_product_attention(&k, &v, None, causal, None))
}

pub(crate) const WORKLOADS: &[Workload] = &[
    of("softmax", "softmax 1024x1024", || rows(|x| x.softmax(-1))),
    of("softmax", "softmax axis 0 1024x1024", || rows(|x| x.softmax(0))),
    of("softmax", "log_softmax 1024x1024", || rows(|x| x.log_softmax(-1))),
    of("normalization", "layer_norm 1024x1024", || {
        let (x, weight, bias) = (numbers([1024, 1024])?, numbers([1024])?, numbers([1024])?);
        run(move || x.layer_norm(&[1024], Some(&weight), Some(&bias), 1e-5))
    }),
    of("normalization", "rms_norm 1024x1024", || {
        let (x, weight) = (numbers([1024, 1024])?, numbers([1024])?);
        run(move || x.rms_norm(&weight, 1e-5))
    }),
    of("convolution", "conv2d 1x16x32x32", || convolution(1, 16, 32)),
    of("convolution", "conv2d 4x64x56x56", || convolution(4, 64, 56)),
    of("convolution", "max_pool 4x64x56x56", || {
        let x = numbers([4, 64, 56, 56])?;
        run(move || x.max_pool(&[2, 2], &[2, 2], &[0, 0]))
    }),
    of("attention", "8 heads of 64, 128 tokens", || attention(128, false)),
    of("attention", "8 heads of 64, 512 tokens", || attention(512, false)),
    of("attention", "8 heads of 64, 512 tokens, causal", || attention(512, true)),
    of("quantization", "int8 per row 1024x1024", || {
        rows(|x| Ok(x.quantize_activation()?.codes().clone()))
    }),
    of("quantization", "ternary 1024x1024", || rows(|x| x.ternarize())),
    of("quantization", "4 bits, groups of 64, there and back 1024x1024", || {
        let scheme = QuantizationScheme::Symmetric { bits: 4 };
        let x = numbers([1024, 1024])?;
        run(move || x.quantize(scheme, Granularity::Group(64))?.dequantize())
    }),
];
