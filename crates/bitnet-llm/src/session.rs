//! One sequence of tokens being read and continued: the model's memory of a conversation.

use std::ops::ControlFlow;
use std::sync::Arc;

use bitnet_tensor::BitNetTensor;

use crate::error::{LlmError, Result};
use crate::model::{Activations, KvCache, LogitsOf, Model};

/// Tokens that are read in one pass: enough that the weights are read from memory once for many
/// tokens, few enough that the activations stay small.
pub const PREFILL_CHUNK: usize = 512;

/// Told after each chunk how many tokens are read, of how many; decides whether to go on.
pub type OnProgress<'a> = dyn FnMut(usize, usize) -> ControlFlow<()> + 'a;

/// A sequence of tokens whose keys and values are kept, so that continuing it reads only what
/// is new.
pub struct Session {
    model: Arc<Model>,
    cache: KvCache,
    activations: Activations,
    tokens: Vec<u32>,
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
        let cache = model.new_cache(capacity.min(model.context()))?;
        let activations = Activations::new(model.device())?;
        Ok(Self { model: model.clone(), cache, activations, tokens: Vec::new() })
    }

    /// The model.
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
        let start = self.tokens.len();
        self.check(start, ids)?;
        let (first, count) = (start as u32, ids.len());
        let device = self.model.device();
        let id_tensor = BitNetTensor::from_slice(ids, [1, count])?.to_device(device)?;
        let positions = BitNetTensor::arange(first..first + count as u32)?;
        let positions = positions.reshape([1, count])?.to_device(device)?;
        let logits = self.model.decoder().forward(
            &id_tensor,
            &positions,
            &mut self.cache,
            &mut self.activations,
            logits_of,
        )?;
        self.tokens.extend_from_slice(ids);
        Ok(logits)
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
