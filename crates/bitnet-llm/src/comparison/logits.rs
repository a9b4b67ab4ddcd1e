//! What two models make of a text: their logits at every position.

use std::sync::Arc;

use crate::error::{LlmError, Result};
use crate::model::{LogitsOf, Model};
use crate::session::Session;

/// Tokens that are read at once: bounds the memory of their logits.
const READ_AT_ONCE: usize = 128;

/// How far the logits of two models are apart.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct LogitsComparison {
    /// Tokens that were read; a row of logits follows each.
    pub positions: usize,
    /// The largest absolute difference.
    pub largest: f64,
    /// The mean absolute difference.
    pub mean: f64,
    /// The first position after which a logit differs by more than was tolerated.
    pub first_position: Option<usize>,
    /// The token whose logit differs most after that position.
    pub first_token: Option<usize>,
    /// Positions after which both find the same token most likely.
    pub same_best: usize,
}

/// Compares the logits of `a` and `b` after each of `ids`. Differences of up to `tolerance` are
/// none; NaN equals nothing.
///
/// # Errors
/// Vocabularies of different sizes; tokens that a model does not have or that do not fit its
/// context.
pub fn compare_logits(
    a: &Arc<Model>,
    b: &Arc<Model>,
    ids: &[u32],
    tolerance: f64,
) -> Result<LogitsComparison> {
    let vocab_size = a.config().vocab_size;
    let other = b.config().vocab_size;
    if vocab_size != other {
        return Err(LlmError::InvalidOption {
            option: "logits",
            reason: format!("cannot be compared: {vocab_size} and {other} tokens"),
        });
    }
    let mut sessions =
        [Session::with_capacity(a, ids.len())?, Session::with_capacity(b, ids.len())?];
    let mut result = LogitsComparison {
        positions: ids.len(),
        largest: 0.0,
        mean: 0.0,
        first_position: None,
        first_token: None,
        same_best: 0,
    };
    let mut sum = 0.0;
    for (chunk, ids) in ids.chunks(READ_AT_ONCE).enumerate() {
        let [a, b] = &mut sessions;
        let a = a.forward(ids, LogitsOf::All)?.to_vec::<f32>()?;
        let b = b.forward(ids, LogitsOf::All)?.to_vec::<f32>()?;
        let rows = a.chunks_exact(vocab_size).zip(b.chunks_exact(vocab_size));
        for (index, (a, b)) in rows.enumerate() {
            let (mut worst, mut token) = (0.0f64, 0);
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                let difference = if a == b { 0.0 } else { f64::from((a - b).abs()) };
                let difference = if difference.is_nan() { f64::INFINITY } else { difference };
                sum += difference;
                if difference > worst {
                    (worst, token) = (difference, index);
                }
            }
            result.largest = result.largest.max(worst);
            result.same_best += usize::from(best(a) == best(b));
            if worst > tolerance && result.first_position.is_none() {
                result.first_position = Some(chunk * READ_AT_ONCE + index);
                result.first_token = Some(token);
            }
        }
    }
    result.mean = sum / (ids.len() * vocab_size).max(1) as f64;
    Ok(result)
}

fn best(row: &[f32]) -> usize {
    bitnet_kernels::reduce::argmax(bitnet_kernels::Cpu::best(), row)
}
