//! Generating for several sequences at once: the weights are read once for a token of each.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use bitnet::llm::model::{Activations, KvCache, LogitsOf};
use bitnet::{BitNetTensor, LlmError, Model};
use serde::Serialize;

use super::measurement::Measurement;
use super::report::interval;
use super::speed::{Workload, best, random_ids};
use crate::progress::LazyBar;

/// The most sequences of a batch: more is a server's work, and takes its memory.
const MOST_SEQUENCES: usize = 256;

/// What a number of sequences reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct BatchReport {
    /// How many at once.
    pub(super) sequences: usize,
    /// Tokens per second, of all together.
    pub(super) tokens_per_second: Measurement,
}

impl BatchReport {
    /// In a report: what it is, and its speed beside `alone`, that of one.
    pub(super) fn line(&self, alone: f64) -> (String, String) {
        let rate = self.tokens_per_second.median;
        let times = rate / alone.max(1e-9);
        let interval = interval(&self.tokens_per_second);
        (
            format!("{} sequences", self.sequences),
            format!("{rate:.1} tokens/s, {times:.1} times one{interval}"),
        )
    }
}

/// A number of sequences, as the option has it.
pub(super) fn sequences(text: &str) -> Result<usize, String> {
    match text.trim().parse() {
        Ok(count) if (1..=MOST_SEQUENCES).contains(&count) => Ok(count),
        _ => Err(format!("must be a number from 1 to {MOST_SEQUENCES}")),
    }
}

/// Measures `model` with each number of sequences in `counts`: all read prompts of the workload's length
/// and go on together.
pub(super) fn measure(
    model: &Arc<Model>,
    workload: Workload,
    counts: &[usize],
    quiet: bool,
) -> Result<Vec<BatchReport>> {
    let runs = workload.warmup.saturating_add(workload.repeat);
    let total = runs.saturating_mul(counts.len());
    let mut bar = LazyBar::new("batches", quiet);
    let mut reports = Vec::new();
    for (n, &sequences) in counts.iter().enumerate() {
        let mut batch = Batch::read(model, sequences, workload)?;
        let mut rates = Vec::new();
        for run in 0..runs {
            bar.update(n * runs + run, total);
            let begun = Instant::now();
            batch.generate(workload.gen_tokens)?;
            let tokens = (sequences * workload.gen_tokens) as f64;
            if run >= workload.warmup {
                rates.push(tokens / begun.elapsed().as_secs_f64().max(1e-9));
            }
        }
        reports.push(BatchReport { sequences, tokens_per_second: Measurement::of(rates) });
    }
    Ok(reports)
}

/// Sequences that have read their prompts.
struct Batch<'a> {
    model: &'a Model,
    cache: KvCache,
    activations: Activations,
    /// The tokens that follow the prompts.
    next: Vec<u32>,
    prompt_tokens: usize,
}

impl<'a> Batch<'a> {
    fn read(model: &'a Model, sequences: usize, workload: Workload) -> Result<Self> {
        let tokens = workload.prompt_tokens.saturating_add(workload.gen_tokens);
        if tokens > model.context() {
            return Err(LlmError::ContextExceeded { tokens, context: model.context() }.into());
        }
        let mut cache = model.new_cache(sequences, tokens)?;
        cache.reserve(tokens)?;
        let activations = Activations::new(model.device())?;
        let prompt_tokens = workload.prompt_tokens;
        let mut batch = Self { model, cache, activations, next: Vec::new(), prompt_tokens };
        let prompts = random_ids(model.config().vocab_size, sequences * prompt_tokens);
        batch.next = batch.pass(&prompts, 0)?;
        Ok(batch)
    }

    /// As many tokens of each after its prompt, which are forgotten.
    fn generate(&mut self, tokens: usize) -> Result<()> {
        let mut ids = self.next.clone();
        for place in self.prompt_tokens..self.prompt_tokens + tokens {
            ids = self.pass(&ids, place)?;
        }
        Ok(())
    }

    /// The most likely tokens after `ids`, as many of each sequence, of which the first are at `start`.
    fn pass(&mut self, ids: &[u32], start: usize) -> Result<Vec<u32>> {
        let (device, sequences) = (self.model.device(), self.cache.sequences());
        let tokens = ids.len() / sequences;
        let ids = BitNetTensor::from_slice(ids, [sequences, tokens])?.to_device(device)?;
        let positions = BitNetTensor::arange(start as u32..(start + tokens) as u32)?;
        let positions = positions.expand([sequences, tokens])?.copy()?.to_device(device)?;
        let (cache, activations) = (&mut self.cache, &mut self.activations);
        let decoder = self.model.decoder();
        best(&decoder.forward(&ids, &positions, cache, activations, LogitsOf::Last)?)
    }
}
