//! Losses of classes.

use bitnet_tensor::ops::Reduction;
use bitnet_tensor::{BitNetTensor, Result};

use crate::reader::Case;
use crate::{Adapters, one};

pub(crate) const ADAPTERS: Adapters = &[
    ("NegativeLogLikelihoodLoss", |n| one(negative_log_likelihood(n, n.x(0)))),
    ("SoftmaxCrossEntropyLoss", |n| {
        let log_probability = n.x(0).log_softmax(1)?;
        Ok(vec![negative_log_likelihood(n, &log_probability)?, log_probability])
    }),
];

fn negative_log_likelihood(case: &Case, x: &BitNetTensor) -> Result<BitNetTensor> {
    let ignored = case.has("ignore_index").then(|| case.integer("ignore_index", 0) as i64);
    let reduction = match case.text("reduction", "mean") {
        "none" => Reduction::None,
        "sum" => Reduction::Sum,
        _ => Reduction::Mean,
    };
    x.nll_loss(case.x(1), case.given(2), ignored, reduction)
}
