//! Normalisations and dropout.

use bitnet_tensor::ops::PadMode;
use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::shapes::from_front;
use crate::{Adapters, Miss, Outcome, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("BatchNormalization", batch_norm),
    ("Dropout", dropout),
    ("GroupNormalization", |n| {
        let groups = n.integer("num_groups", 1) as usize;
        one(n.x(0).group_norm(groups, Some(n.x(1)), Some(n.x(2)), epsilon(n)))
    }),
    ("InstanceNormalization", |n| {
        one(n.x(0).instance_norm(Some(n.x(1)), Some(n.x(2)), epsilon(n)))
    }),
    ("LRN", |n| one(local_response(n))),
    ("LayerNormalization", layer_norm),
    ("LpNormalization", |n| one(lp_normalization(n))),
    ("MeanVarianceNormalization", |n| one(mean_variance(n))),
    ("RMSNormalization", |n| one(rms_norm(n))),
];

fn epsilon(case: &Case) -> f64 {
    case.float("epsilon", 1e-5)
}

/// The axes from `axis` on.
fn normalised_axes(case: &Case) -> Vec<isize> {
    let rank = case.x(0).rank();
    (from_front(case.integer("axis", -1), rank) as isize..rank as isize).collect()
}

/// In training with the batch's own statistics, which are then mixed into the running ones.
fn batch_norm(case: &Case) -> Outcome {
    let (x, scale, bias) = (case.x(0), case.x(1), case.x(2));
    let (running_mean, running_var) = (case.x(3), case.x(4));
    if !case.flag("training_mode", false) {
        return one(x.batch_norm(
            running_mean,
            running_var,
            Some(scale),
            Some(bias),
            epsilon(case),
        ));
    }
    let axes: Vec<isize> = (0..x.rank() as isize).filter(|&axis| axis != 1).collect();
    let (mean, var) = (x.mean(&axes, false)?, x.var(&axes, 0, false)?);
    let y = x.batch_norm(&mean, &var, Some(scale), Some(bias), epsilon(case))?;
    let momentum = case.float("momentum", 0.9);
    let mean = mean.lerp(running_mean, momentum)?;
    let var = var.lerp(running_var, momentum)?;
    Ok(vec![y, mean, var])
}

fn dropout(case: &Case) -> Outcome {
    let x = case.x(0);
    let flag = |n: usize| case.given(n).map(|flag| flag.item::<bool>()).transpose();
    let ratio = case.given(1).map(|ratio| ratio.to_dtype(BitNetDType::F64)?.item::<f64>());
    if flag(2)?.unwrap_or(false) && ratio.transpose()?.unwrap_or(0.5) != 0.0 {
        return Err(Miss::OutOfScope("random numbers of another generator"));
    }
    Ok(vec![x.clone(), x.isfinite()?])
}

/// Divided by a power of the sum of squares over neighbouring channels.
fn local_response(case: &Case) -> Result<BitNetTensor> {
    let (x, size) = (case.x(0), case.integer("size", 1) as usize);
    let mut pads = vec![(0, 0); x.rank()];
    pads[1] = ((size - 1) / 2, size / 2);
    let squares = x.square()?.pad(&pads, PadMode::Constant(0.0))?;
    let sums = squares.windows(1, size, 1, 1)?.sum(&[-1], false)?;
    let scaled = sums.mul(case.float("alpha", 1e-4) / size as f64)?.add(case.float("bias", 1.0))?;
    x.div(&scaled.pow(case.float("beta", 0.75))?)
}

/// Also the mean and the reciprocal deviation of each row.
fn layer_norm(case: &Case) -> Outcome {
    let (x, axes) = (case.x(0), normalised_axes(case));
    let shape = &x.shape()[x.rank() - axes.len()..];
    let y = x.layer_norm(shape, Some(case.x(1)), case.given(2), epsilon(case))?;
    let wide = x.to_dtype(BitNetDType::F32)?;
    let deviation = wide.var(&axes, 0, true)?.add(epsilon(case))?.rsqrt()?;
    Ok(vec![y, wide.mean(&axes, true)?, deviation])
}

fn lp_normalization(case: &Case) -> Result<BitNetTensor> {
    let x = case.x(0);
    let norm = x.norm(case.float("p", 2.0), &[case.integer("axis", -1)], true)?;
    norm.ne(0)?.where_(&x.div(&norm)?, 0)
}

fn mean_variance(case: &Case) -> Result<BitNetTensor> {
    let axes = case.integers("axes").unwrap_or_else(|| vec![0, 2, 3]);
    let x = case.x(0);
    x.sub(&x.mean(&axes, true)?)?.div(&x.std(&axes, 0, true)?.add(1e-9)?)
}

/// The library's is over the last axis: the others are joined with it.
fn rms_norm(case: &Case) -> Result<BitNetTensor> {
    let (x, weight) = (case.x(0), case.x(1));
    let at = x.rank() - normalised_axes(case).len();
    let (before, after) = x.shape().split_at(at);
    let rows = x.reshape([before.iter().product::<usize>(), after.iter().product()])?;
    let weight = weight.expand(after)?.reshape([after.iter().product::<usize>()])?;
    rows.rms_norm(&weight, epsilon(case) as f32)?.reshape(x.shape().clone())
}
