//! Repetitions of reading a prompt and of generating after it, and their speeds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bitnet::tensor::backend::profiler;
use bitnet::{BitNetTensor, LlmError, Model, Session};

use super::SEED;
use super::measurement::Measurement;
use super::operations::Recording;
use crate::profiling;
use crate::progress::LazyBar;

/// How much is read and generated, and how often.
#[derive(Debug, Clone, Copy)]
pub(super) struct Workload {
    pub(super) prompt_tokens: usize,
    pub(super) gen_tokens: usize,
    pub(super) repeat: usize,
    pub(super) warmup: usize,
}

/// Tokens per second.
pub(super) struct Speed {
    pub(super) prefill: Measurement,
    pub(super) decode: Measurement,
}

/// Measures `model`. `between` is called after each repetition that counts.
pub(super) fn measure(
    model: &Arc<Model>,
    workload: Workload,
    quiet: bool,
    mut between: impl FnMut() -> Result<()>,
) -> Result<Speed> {
    // Before there is a prompt: one of any length would have to fit the memory.
    let (tokens, context) =
        (workload.prompt_tokens.saturating_add(workload.gen_tokens), model.context());
    if tokens > context {
        return Err(LlmError::ContextExceeded { tokens, context }.into());
    }
    let prompt = random_ids(model.config().vocab_size, workload.prompt_tokens);
    let mut session = Session::new(model)?;
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    let runs = workload.warmup.saturating_add(workload.repeat);
    let mut bar = LazyBar::new("repetitions", quiet);
    for run in 0..runs {
        bar.update(run, runs);
        let (read, generated) = repetition(&mut session, &prompt, workload.gen_tokens)?;
        let rate = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64().max(1e-9);
        if run >= workload.warmup {
            prefill.push(rate(prompt.len(), read));
            decode.push(rate(workload.gen_tokens, generated));
            between()?;
        }
    }
    Ok(Speed { prefill: Measurement::of(prefill), decode: Measurement::of(decode) })
}

/// Repetitions on which the profiler looks.
pub(super) fn record(model: &Arc<Model>, workload: Workload) -> Result<Vec<Recording>> {
    let prompt = random_ids(model.config().vocab_size, workload.prompt_tokens);
    let mut session = Session::new(model)?;
    repetition(&mut session, &prompt, workload.gen_tokens)?;
    let recording = |_| {
        let profiler = profiling::start()?;
        let (prompt_read, _) = repetition(&mut session, &prompt, workload.gen_tokens)?;
        Ok(Recording { profile: profiler.finish(), prompt_read })
    };
    (0..workload.repeat).map(recording).collect()
}

/// Reads the prompt and generates after it: the times of both.
fn repetition(
    session: &mut Session,
    prompt: &[u32],
    gen_tokens: usize,
) -> Result<(Duration, Duration)> {
    session.truncate(0);
    let begun = Instant::now();
    let mut id = best(&session.read(prompt)?)?[0];
    let read = begun.elapsed();
    for _ in 0..gen_tokens {
        id = best(&session.read(&[id])?)?[0];
    }
    Ok((read, begun.elapsed() - read))
}

/// The most likely token of each sequence.
pub(super) fn best(logits: &BitNetTensor) -> Result<Vec<u32>> {
    let _span = profiler::scope("sample");
    Ok(logits.argmax(-1, false)?.to_vec::<i64>()?.into_iter().map(|id| id as u32).collect())
}

/// Token ids as from a generator with a fixed seed (Knuth's MMIX linear congruential one).
pub(super) fn random_ids(vocab_size: usize, count: usize) -> Vec<u32> {
    let mut state = SEED;
    let next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % vocab_size as u64) as u32
    };
    std::iter::repeat_with(next).take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_are_in_the_vocabulary_and_differ() {
        let ids = random_ids(100, 50);
        assert!(ids.iter().all(|&id| id < 100));
        assert!(ids.iter().any(|&id| id != ids[0]));
    }
}
