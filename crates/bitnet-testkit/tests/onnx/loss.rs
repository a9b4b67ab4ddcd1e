//! Losses of classes.

use bitnet_tensor::{BitNetDType, BitNetTensor, Result};

use crate::reader::Case;
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("NegativeLogLikelihoodLoss", |n| one(negative_log_likelihood(n, n.x(0)))),
    ("SoftmaxCrossEntropyLoss", |n| {
        let log_probability = n.x(0).log_softmax(1)?;
        Ok(vec![negative_log_likelihood(n, &log_probability)?, log_probability])
    }),
];

/// The weighted mean, sum or list of `−x[target]`, without the entries to ignore.
fn negative_log_likelihood(case: &Case, x: &BitNetTensor) -> Result<BitNetTensor> {
    let target = case.x(1);
    let target = target.to_dtype(BitNetDType::I64)?;
    let counts = match case.has("ignore_index") {
        true => target.ne(case.integer("ignore_index", 0))?,
        false => target.eq(&target)?,
    };
    let class = target.masked_fill(&counts.logical_not()?, 0)?;
    let chosen = x.gather(1, &class.unsqueeze(1)?)?.squeeze(1)?.neg()?;
    let weight = match case.given(2) {
        Some(weight) => weight.index_select(0, &class)?,
        None => chosen.ones_like()?,
    };
    let weight = weight.masked_fill(&counts.logical_not()?, 0.0)?;
    let losses = chosen.mul(&weight)?;
    match case.text("reduction", "mean") {
        "none" => Ok(losses),
        "sum" => losses.sum(&[], false),
        _ => losses.sum(&[], false)?.div(&weight.sum(&[], false)?),
    }
}
