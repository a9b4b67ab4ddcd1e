//! How well a model predicts a text: the mean negative log-likelihood of its tokens.

use std::sync::Arc;

use crate::error::{LlmError, Result};
use crate::model::{LogitsOf, Model, Progress};
use crate::multiple_choice::log_probability;
use crate::session::Session;

/// The likelihood of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Perplexity {
    /// The mean of −ln p of the tokens that were predicted, in nats.
    pub mean_nll: f64,
    /// The standard error of that mean, over positions.
    pub standard_error: f64,
    /// The number of tokens that were predicted.
    pub positions: usize,
}

impl Perplexity {
    /// `exp(mean_nll)`.
    pub fn perplexity(&self) -> f64 {
        self.mean_nll.exp()
    }
}

/// The likelihood of `ids` in windows of `window` tokens that do not overlap. In each window
/// every token but the first is predicted from those before it; a last window of one token is
/// left out.
///
/// # Errors
/// [`LlmError::InvalidOption`] for a window that does not fit the context or predicts nothing;
/// [`LlmError::Sample`] for logits that are no numbers.
pub fn perplexity(
    model: &Arc<Model>,
    ids: &[u32],
    window: usize,
    progress: &mut dyn FnMut(Progress),
) -> Result<Perplexity> {
    if !(2..=model.context()).contains(&window) {
        return Err(LlmError::InvalidOption {
            option: "window",
            reason: format!("is {window}; this model takes 2 to {} tokens", model.context()),
        });
    }
    let mut session = Session::with_capacity(model, window)?;
    let (mut sum, mut squares, mut positions) = (0.0f64, 0.0f64, 0usize);
    let total = ids.chunks(window).count();
    for (done, window) in ids.chunks(window).enumerate() {
        if window.len() >= 2 {
            session.truncate(0);
            // Reading back is where a lost device shows.
            let logits = session.recovering(|session| {
                session.truncate(0);
                let logits = session.forward(&window[..window.len() - 1], LogitsOf::All)?;
                Ok(logits.to_vec::<f32>()?)
            })?;
            let vocab_size = model.config().vocab_size;
            for (row, &id) in logits.chunks_exact(vocab_size).zip(&window[1..]) {
                let nll = -log_probability(row, id)?;
                sum += nll;
                squares += nll * nll;
                positions += 1;
            }
        }
        progress(Progress { done: done + 1, total });
    }
    if positions == 0 {
        return Err(LlmError::InvalidOption {
            option: "text",
            reason: format!("has {} tokens; two or more are needed", ids.len()),
        });
    }
    let mean_nll = sum / positions as f64;
    let variance = (squares / positions as f64 - mean_nll * mean_nll).max(0.0);
    Ok(Perplexity { mean_nll, standard_error: (variance / positions as f64).sqrt(), positions })
}
