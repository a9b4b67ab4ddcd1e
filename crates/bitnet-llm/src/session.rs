//! One sequence of tokens being read and continued: the model's memory of a conversation.

use std::ops::ControlFlow;
use std::sync::Arc;

use bitnet_tensor::BitNetTensor;
use bitnet_tensor::backend::profiler;

use crate::error::{LlmError, Result};
use crate::model::{Activations, KvCache, LogitsOf, Model};
use crate::recovery;

/// Tokens that are read in one pass: enough that the weights are read from memory once for many
/// tokens, few enough that the activations stay small.
pub const PREFILL_CHUNK: usize = 512;

/// Told after each chunk how many tokens are read, of how many; decides whether to go on.
pub type OnProgress<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// A sequence of tokens whose keys and values are kept, so that continuing it reads only what
/// is new.
///
/// A session survives its device: when that is lost, the model is loaded on the next device of the
/// chain and the tokens are read again there before it goes on. [`recoveries`](Self::recoveries)
/// tells; [`FallbackPolicy::Error`](bitnet_tensor::backend::FallbackPolicy::Error) forbids it.
pub struct Session {
    model: Arc<Model>,
    cache: KvCache,
    activations: Activations,
    tokens: Vec<u32>,
    /// How many of the tokens the cache knows: all of them but after a loss.
    cached: usize,
    recoveries: usize,
}

impl Session {
    /// An empty sequence of up to the model's context.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new(model: &Arc<Model>) -> Result<Self> {
        Self::with_capacity(model, model.context())
    }

    /// An empty sequence of up to `capacity` tokens, at most the model's context.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn with_capacity(model: &Arc<Model>, capacity: usize) -> Result<Self> {
        let _span = profiler::scope("begin session");
        let capacity = capacity.min(model.context());
        let mut model = model.clone();
        let mut recoveries = 0;
        let (cache, activations) = loop {
            match working_memory(&model, capacity) {
                Ok(memory) => break memory,
                Err(error) if recovery::is_allowed(&error) => {
                    model = next_model(&model, error)?;
                    recoveries += 1;
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Self { model, cache, activations, tokens: Vec::new(), cached: 0, recoveries })
    }

    /// The model, on the device where the session is now.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The tokens read so far.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The most tokens that can be held.
    pub fn capacity(&self) -> usize {
        self.cache.capacity()
    }

    /// Forgets all but the first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        self.tokens.truncate(length);
        self.cached = self.cached.min(length);
    }

    /// How often it went on on another device.
    pub fn recoveries(&self) -> usize {
        self.recoveries
    }

    /// Calls `work`. When the session's device fails in it, goes on to the next device and calls it
    /// again: for work that reads results back, which is where an asynchronous device reports its
    /// loss. `work` begins from the session's tokens each time.
    ///
    /// # Errors
    /// Those of `work`; of the device when there is none to go on to.
    pub fn recovering<T>(&mut self, mut work: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        let tokens = self.tokens.len();
        loop {
            let error = match work(self) {
                Err(error) if recovery::is_allowed(&error) => error,
                result => return result,
            };
            let model = next_model(&self.model, error)?;
            (self.cache, self.activations) = working_memory(&model, self.capacity())?;
            self.model = model;
            self.recoveries += 1;
            self.tokens.truncate(tokens);
            self.cached = 0;
        }
    }

    /// Makes `ids` the tokens of this sequence and returns the logits that follow them,
    /// `F32 [1, 1, vocabulary]`. What it has in common with the tokens read so far is not read
    /// again. `progress` is told how many of the new tokens are read, of how many.
    ///
    /// # Errors
    /// [`LlmError::EmptyPrompt`], [`LlmError::ContextExceeded`], [`LlmError::TokenOutOfRange`];
    /// nothing is read then. [`LlmError::Interrupted`] when `progress` breaks: what was read so far
    /// is remembered.
    pub fn read_all(&mut self, ids: &[u32], progress: &mut OnProgress<'_>) -> Result<BitNetTensor> {
        let common = self.tokens.iter().zip(ids).take_while(|(a, b)| a == b).count();
        // The last token is read again if need be: its logits are what is asked for.
        let common = common.min(ids.len().saturating_sub(1));
        self.check(common, &ids[common..])?;
        self.truncate(common);
        self.read_chunks(&ids[common..], progress)
    }

    /// Reads `ids` after the tokens so far and returns the logits that follow,
    /// `F32 [1, 1, vocabulary]`.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all), but it is never interrupted.
    pub fn read(&mut self, ids: &[u32]) -> Result<BitNetTensor> {
        self.check(self.tokens.len(), ids)?;
        self.read_chunks(ids, &mut |_, _| ControlFlow::Continue(()))
    }

    fn read_chunks(&mut self, ids: &[u32], progress: &mut OnProgress<'_>) -> Result<BitNetTensor> {
        let mut logits = None;
        let mut done = 0;
        for chunk in ids.chunks(PREFILL_CHUNK) {
            logits = Some(self.forward(chunk, LogitsOf::Last)?);
            done += chunk.len();
            if progress(done, ids.len()).is_break() {
                return Err(LlmError::Interrupted);
            }
        }
        logits.ok_or(LlmError::EmptyPrompt)
    }

    /// Reads `ids` in one pass after the tokens so far: logits `F32 [1, tokens or 1, vocabulary]`.
    ///
    /// # Errors
    /// As [`read_all`](Self::read_all).
    pub fn forward(&mut self, ids: &[u32], logits_of: LogitsOf) -> Result<BitNetTensor> {
        self.check(self.tokens.len(), ids)?;
        let logits = self.recovering(|session| {
            session.catch_up()?;
            session.pass(ids, session.cached, logits_of)
        })?;
        self.tokens.extend_from_slice(ids);
        self.cached = self.tokens.len();
        Ok(logits)
    }

    /// The logits that follow the tokens so far, once more, as [`read`](Self::read) returned them:
    /// the last token is read again.
    ///
    /// # Errors
    /// [`LlmError::EmptyPrompt`] when nothing was read, and as [`forward`](Self::forward).
    pub fn read_again(&mut self) -> Result<BitNetTensor> {
        let Some(last) = self.tokens.pop() else { return Err(LlmError::EmptyPrompt) };
        self.cached = self.cached.min(self.tokens.len());
        let logits = self.forward(&[last], LogitsOf::Last);
        if logits.is_err() {
            self.tokens.push(last);
        }
        logits
    }

    /// Makes the cache know all tokens again.
    fn catch_up(&mut self) -> Result<()> {
        while self.cached < self.tokens.len() {
            let end = self.tokens.len().min(self.cached + PREFILL_CHUNK);
            let chunk = self.tokens[self.cached..end].to_vec();
            self.pass(&chunk, self.cached, LogitsOf::Last)?;
            self.cached = end;
        }
        Ok(())
    }

    /// One pass over `ids`, of which the first is token number `start`.
    fn pass(&mut self, ids: &[u32], start: usize, logits_of: LogitsOf) -> Result<BitNetTensor> {
        let (first, count) = (start as u32, ids.len());
        let _span = profiler::scope("forward");
        self.cache.reserve(start + count)?;
        let device = self.model.device();
        let id_tensor = BitNetTensor::from_slice(ids, [1, count])?.to_device(device)?;
        let positions = BitNetTensor::arange(first..first + count as u32)?;
        let positions = positions.reshape([1, count])?.to_device(device)?;
        Ok(self.model.decoder().forward(
            &id_tensor,
            &positions,
            &mut self.cache,
            &mut self.activations,
            logits_of,
        )?)
    }

    fn check(&self, start: usize, ids: &[u32]) -> Result<()> {
        if ids.is_empty() {
            return Err(LlmError::EmptyPrompt);
        }
        let (tokens, context) = (start + ids.len(), self.capacity());
        if tokens > context {
            return Err(LlmError::ContextExceeded { tokens, context });
        }
        let vocab_size = self.model.config().vocab_size;
        match ids.iter().find(|&&id| id as usize >= vocab_size) {
            Some(&id) => Err(LlmError::TokenOutOfRange { id, vocab_size }),
            None => Ok(()),
        }
    }
}

fn working_memory(model: &Model, capacity: usize) -> Result<(KvCache, Activations)> {
    Ok((model.new_cache(1, capacity)?, Activations::new(model.device())?))
}

/// The model to go on with after `error`.
fn next_model(model: &Arc<Model>, error: LlmError) -> Result<Arc<Model>> {
    let cause = error.to_string();
    let next = model.successor(error)?;
    recovery::record(model.device(), next.device(), &cause);
    Ok(next)
}
