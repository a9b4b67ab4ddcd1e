//! Continuing a sequence token by token, as text.
//!
//! ```text
//! prompt → logits → sampler → token → text stream → stop matcher → pieces of text
//!            ↑___________________|
//! ```

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use bitnet_tensor::BitNetTensor;
use bitnet_tensor::backend::profiler;

use crate::error::{LlmError, Result};
use crate::sampler::{Sampler, SamplingParams};
use crate::session::{OnProgress, Session};
use crate::stop::StopMatcher;
use crate::text_stream::TextStream;

/// What ends a generation and how tokens are chosen.
#[derive(Debug, Clone, Default)]
pub struct GenerationOptions {
    /// How tokens are chosen.
    pub sampling: SamplingParams,
    /// The most tokens to generate; by default what the context still holds.
    pub max_tokens: Option<usize>,
    /// Texts that end the generation; they are not part of it.
    pub stop_strings: Vec<String>,
    /// Whether the model's stop tokens are taken as any other.
    pub ignore_stop_tokens: bool,
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// At a stop token or a stop string.
    Stop,
    /// At the number of tokens asked for.
    Length,
    /// At the end of the context.
    ContextFull,
    /// By the caller.
    Cancelled,
}

/// A generation as a whole.
#[derive(Debug, Clone)]
pub struct Generation {
    /// The tokens of the prompt.
    pub prompt_ids: Vec<u32>,
    /// The tokens after it, without the stop token.
    pub generated_ids: Vec<u32>,
    /// Their text, up to a stop string.
    pub text: String,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// How long it took.
    pub timing: Timing,
}

/// How long a generation took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing {
    /// Tokens of the prompt that had to be read (those remembered are not).
    pub prefill_tokens: usize,
    /// Reading them.
    pub prefill: Duration,
    /// From the beginning until the first token was chosen.
    pub first_token: Duration,
    /// Passes of one token after the first was chosen.
    pub decode_tokens: usize,
    /// The time of those passes, with sampling.
    pub decode: Duration,
}

impl Generation {
    /// A generation that was cancelled before its first token.
    pub fn cancelled(prompt_ids: Vec<u32>) -> Self {
        Self {
            prompt_ids,
            generated_ids: Vec::new(),
            text: String::new(),
            finish_reason: FinishReason::Cancelled,
            timing: Timing::default(),
        }
    }
}

impl Timing {
    /// Tokens of the prompt read in a second.
    pub fn prefill_tokens_per_second(&self) -> f64 {
        rate(self.prefill_tokens, self.prefill)
    }

    /// Tokens generated in a second, after the first.
    pub fn decode_tokens_per_second(&self) -> f64 {
        rate(self.decode_tokens, self.decode)
    }
}

fn rate(count: usize, time: Duration) -> f64 {
    if count == 0 { 0.0 } else { count as f64 / time.as_secs_f64().max(1e-9) }
}

/// A generation under way: an iterator over pieces of text.
///
/// A piece never ends in the middle of a character, and never holds the beginning of a stop
/// string that may yet complete.
pub struct Generator<'a> {
    session: &'a mut Session,
    sampler: Sampler,
    stream: Option<TextStream>,
    stops: Option<StopMatcher>,
    ignore_stop_tokens: bool,
    remaining: usize,
    /// The most tokens end where the context does, not where the caller said.
    ends_with_context: bool,
    logits: BitNetTensor,
    /// The prompt and what was generated.
    ids: Vec<u32>,
    prompt_length: usize,
    text: String,
    finish_reason: Option<FinishReason>,
    started: Instant,
    timing: Timing,
}

impl<'a> Generator<'a> {
    /// Reads the prompt, of which the session may remember a part, and is then ready to
    /// generate.
    ///
    /// # Errors
    /// As [`Session::read_all`]; [`LlmError::Sample`] and [`LlmError::StopString`] for bad options.
    pub fn new(
        session: &'a mut Session,
        prompt_ids: &[u32],
        options: &GenerationOptions,
    ) -> Result<Self> {
        Self::with_progress(session, prompt_ids, options, &mut |_, _| ControlFlow::Continue(()))
    }

    /// [`new`](Self::new) that tells `progress` how many tokens of the prompt are read, of how
    /// many, and lets it break off.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`LlmError::Interrupted`].
    pub fn with_progress(
        session: &'a mut Session,
        prompt_ids: &[u32],
        options: &GenerationOptions,
        progress: &mut OnProgress<'_>,
    ) -> Result<Self> {
        let started = Instant::now();
        let sampler = Sampler::new(options.sampling.clone())?;
        let stops = StopMatcher::new(options.stop_strings.iter().cloned())?;
        let stream = session.model().tokenizer().ok().map(|tokenizer| tokenizer.stream(true));
        let mut prefill_tokens = 0;
        let logits = session.read_all(prompt_ids, &mut |done, total| {
            prefill_tokens = total;
            progress(done, total)
        })?;
        // The last token generated is not read, so one more fits than there is room for.
        let room = session.capacity() - prompt_ids.len() + 1;
        let asked = options.max_tokens.unwrap_or(usize::MAX);
        Ok(Self {
            session,
            sampler,
            stream,
            stops: Some(stops),
            ignore_stop_tokens: options.ignore_stop_tokens,
            remaining: asked.min(room),
            ends_with_context: room < asked,
            logits,
            ids: prompt_ids.to_vec(),
            prompt_length: prompt_ids.len(),
            text: String::new(),
            finish_reason: None,
            started,
            timing: Timing { prefill_tokens, prefill: started.elapsed(), ..Timing::default() },
        })
    }

    /// The next piece of text, perhaps empty when a token completes no character; `None` at the
    /// end.
    ///
    /// # Errors
    /// When the model cannot go on, e.g. its logits are not numbers.
    pub fn next_piece(&mut self) -> Result<Option<String>> {
        if self.finish_reason.is_some() {
            return Ok(None);
        }
        if self.remaining == 0 {
            let reason = if self.ends_with_context {
                FinishReason::ContextFull
            } else {
                FinishReason::Length
            };
            return self.end(reason).map(Some);
        }
        let begun = Instant::now();
        let is_first = self.ids.len() == self.prompt_length;
        if !is_first {
            let last = self.ids[self.ids.len() - 1];
            self.logits = self.session.read(&[last])?;
        }
        let id = {
            let _span = profiler::scope("sample");
            self.choose()?
        };
        if is_first {
            self.timing.first_token = self.started.elapsed();
        } else {
            self.timing.decode_tokens += 1;
            self.timing.decode += begun.elapsed();
        }
        self.remaining -= 1;
        if !self.ignore_stop_tokens && self.session.model().stop_ids().contains(&id) {
            return self.end(FinishReason::Stop).map(Some);
        }
        self.ids.push(id);
        let _span = profiler::scope("detokenize");
        let decoded = match &mut self.stream {
            Some(stream) => stream.push(id)?.unwrap_or_default(),
            None => String::new(),
        };
        let Some(stops) = &mut self.stops else { return Ok(None) };
        let emitted = stops.push(&decoded);
        self.text.push_str(&emitted.text);
        if emitted.stopped_by.is_some() {
            self.finish_reason = Some(FinishReason::Stop);
        }
        Ok(Some(emitted.text))
    }

    /// The next token. Reading the logits back is where a lost device shows: they are made again
    /// then, on another one.
    fn choose(&mut self) -> Result<u32> {
        let Self { session, sampler, logits, ids, .. } = self;
        let mut is_first = true;
        session.recovering(|session| {
            if !std::mem::take(&mut is_first) {
                *logits = session.read_again()?;
            }
            choose(sampler, logits, ids)
        })
    }

    /// Emits what was held back.
    fn end(&mut self, reason: FinishReason) -> Result<String> {
        self.finish_reason = Some(reason);
        let rest = self.stream.take().map(TextStream::finish).transpose()?.unwrap_or_default();
        let Some(mut stops) = self.stops.take() else { return Ok(String::new()) };
        let emitted = stops.push(&rest);
        let mut piece = emitted.text;
        if emitted.stopped_by.is_none() {
            piece.push_str(&stops.finish());
        } else {
            self.finish_reason = Some(FinishReason::Stop);
        }
        self.text.push_str(&piece);
        Ok(piece)
    }

    /// Ends the generation by the wish of the caller and returns the text that was held back.
    ///
    /// # Errors
    /// When the held back bytes cannot be decoded.
    pub fn cancel(&mut self) -> Result<String> {
        if self.finish_reason.is_some() {
            Ok(String::new())
        } else {
            self.end(FinishReason::Cancelled)
        }
    }

    /// The generation so far.
    pub fn finish(mut self) -> Generation {
        let generated_ids = self.ids.split_off(self.prompt_length);
        Generation {
            prompt_ids: self.ids,
            generated_ids,
            text: self.text,
            finish_reason: self.finish_reason.unwrap_or(FinishReason::Cancelled),
            timing: self.timing,
        }
    }
}

fn choose(sampler: &mut Sampler, logits: &BitNetTensor, ids: &[u32]) -> Result<u32> {
    if sampler.params().temperature == 0.0 && sampler.params().repetition_penalty == 1.0 {
        // Only the id leaves the device.
        let id: u32 = logits.argmax(-1, false)?.to_vec::<i64>()?[0] as u32;
        let best = logits.narrow(-1, id as usize, 1)?.item::<f32>()?;
        if best.is_finite() {
            return Ok(id);
        } // else the sampler says what is wrong
    }
    let logits = logits.to_vec::<f32>()?;
    Ok(sampler.sample(&logits, ids)?)
}

impl Iterator for Generator<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_piece().transpose()
    }
}

/// Continues a prompt in a session to the end.
///
/// # Errors
/// As [`Generator::new`] and [`Generator::next_piece`].
pub fn generate(
    session: &mut Session,
    prompt_ids: &[u32],
    options: &GenerationOptions,
) -> Result<Generation, LlmError> {
    let mut generator = Generator::new(session, prompt_ids, options)?;
    while generator.next_piece()?.is_some() {}
    Ok(generator.finish())
}
