//! Multiple choice by likelihood: of several continuations of a text, the one that the model finds
//! most likely is its answer. Minimal pairs of sentences (BLiMP) are the case of two without a text
//! before them.
//!
//! What is counted is what `lm-evaluation-harness` counts, so that figures can be compared: the
//! sum of the log-probabilities of a continuation's tokens (`acc`), and the same divided by its
//! length in characters (`acc_norm`).

mod item;

use std::sync::Arc;

use bitnet_kernels::{Cpu, reduce};

use crate::error::{LlmError, Result};
use crate::model::{LogitsOf, Model};
use crate::sampler::SampleError;
use crate::session::Session;
use crate::tokenizer::BosPolicy;

pub use item::{Item, ItemError, parse_items};

/// Tokens whose logits are computed at once: bounds their memory, 65 MB with 128,256 tokens.
const SCORED_AT_ONCE: usize = 128;

/// What a model makes of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// ln p of each choice after the context: the sum over its tokens.
    pub log_likelihoods: Vec<f64>,
    /// The tokens that were counted, of each choice.
    pub tokens: Vec<usize>,
    /// The choice with the largest log-likelihood; the first of equals.
    pub best: usize,
    /// The choice with the largest log-likelihood per character; the first of equals.
    pub best_by_length: usize,
}

/// Reads items with one model. Keys and values of what the choices of an item have in common are
/// computed once.
pub struct Scorer {
    session: Session,
}

impl Scorer {
    /// A scorer with the context of the model.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new(model: &Arc<Model>) -> Result<Self> {
        Ok(Self { session: Session::new(model)? })
    }

    /// The likelihood of each choice.
    ///
    /// The context and a choice are encoded together. Counted are the tokens from the first in which
    /// a choice of the item departs from the context encoded alone; mostly these are the tokens of
    /// the choice. Where that is the first of the text, because there is no context and the tokenizer
    /// adds no beginning of text, it follows the beginning-of-text token all the same, or, where
    /// there is none, the end-of-text token.
    ///
    /// # Errors
    /// [`LlmError::ContextExceeded`]; [`LlmError::EmptyPrompt`] for a choice without tokens, or a
    /// first token that follows nothing; [`LlmError::Sample`] for logits that are no numbers; errors
    /// of the tokenizer.
    pub fn score(&mut self, item: &Item) -> Result<Scored> {
        let model = self.session.model().clone();
        let tokenizer = model.tokenizer()?;
        let context = tokenizer.encode(&item.context, BosPolicy::Auto)?;
        let texts = item
            .choices
            .iter()
            .map(|choice| tokenizer.encode(&item.text_with(choice), BosPolicy::Auto));
        let mut texts = texts.collect::<Result<Vec<_>, _>>()?;
        let mut begin = texts.iter().map(|text| common_length(&context, text)).min().unwrap_or(0);
        if begin == 0 {
            let start = tokenizer.bos().or(tokenizer.eos()).ok_or(LlmError::EmptyPrompt)?;
            texts.iter_mut().for_each(|text| text.insert(0, start));
            begin = 1;
        }
        let mut log_likelihoods = Vec::with_capacity(texts.len());
        for text in &texts {
            log_likelihoods.push(self.log_likelihood(text, begin)?);
        }
        let lengths = item.choices.iter().map(|choice| choice.chars().count().max(1) as f64);
        let by_length: Vec<f64> =
            log_likelihoods.iter().zip(lengths).map(|(sum, length)| sum / length).collect();
        Ok(Scored {
            best: first_largest(&log_likelihoods),
            best_by_length: first_largest(&by_length),
            tokens: texts.iter().map(|text| text.len() - begin).collect(),
            log_likelihoods,
        })
    }

    /// Σ ln p of `ids[begin..]`, each after the tokens before it.
    fn log_likelihood(&mut self, ids: &[u32], begin: usize) -> Result<f64> {
        if begin >= ids.len() {
            return Err(LlmError::EmptyPrompt);
        }
        let context = self.session.capacity();
        if ids.len() > context {
            return Err(LlmError::ContextExceeded { tokens: ids.len(), context });
        }
        // What is read already stays; the last token before those that count is read again if need
        // be, because its logits are asked for.
        let read = common_length(self.session.tokens(), ids).min(begin - 1);
        self.session.truncate(read);
        if read < begin - 1 {
            self.session.read(&ids[read..begin - 1])?;
        }
        let vocab_size = self.session.model().config().vocab_size;
        let mut sum = 0.0;
        let scored = ids[begin - 1..ids.len() - 1].chunks(SCORED_AT_ONCE);
        for (inputs, targets) in scored.zip(ids[begin..].chunks(SCORED_AT_ONCE)) {
            let logits = self.session.forward(inputs, LogitsOf::All)?.to_vec::<f32>()?;
            for (row, &target) in logits.chunks_exact(vocab_size).zip(targets) {
                sum += log_probability(row, target)?;
            }
        }
        Ok(sum)
    }
}

/// ln p of the token `target` where `row` are the logits.
pub(crate) fn log_probability(row: &[f32], target: u32) -> Result<f64> {
    let normalizer = f64::from(reduce::log_sum_exp(Cpu::best(), row));
    let value = f64::from(row[target as usize]) - normalizer;
    if !value.is_finite() {
        let token = row.iter().position(|logit| !logit.is_finite()).unwrap_or(0);
        return Err(SampleError::NotFinite { token, value: row[token] }.into());
    }
    Ok(value)
}

fn common_length(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn first_largest(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

/// A share of items with its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Accuracy {
    /// The share, 0 to 1.
    pub mean: f64,
    /// Of the mean, from the variance of the sample: `√(p (1 − p) / (n − 1))`; 0 for one item.
    pub standard_error: f64,
}

impl Accuracy {
    /// The accuracy of `correct` of `items`.
    ///
    /// ```
    /// use bitnet_llm::multiple_choice::Accuracy;
    /// let accuracy = Accuracy::new(3, 4);
    /// assert_eq!((accuracy.mean, accuracy.standard_error), (0.75, 0.25));
    /// ```
    pub fn new(correct: usize, items: usize) -> Self {
        let mean = if items == 0 { 0.0 } else { correct as f64 / items as f64 };
        let spread = mean * (1.0 - mean);
        let standard_error = if items > 1 { (spread / (items - 1) as f64).sqrt() } else { 0.0 };
        Self { mean, standard_error }
    }
}
