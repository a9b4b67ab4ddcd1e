//! A loaded model: its configuration, parameters, tokenizer and chat template.

mod activations;
mod blocks;
mod decoder;
mod files;
mod head;
mod kv_cache;
mod load;
#[cfg(test)]
mod sparsity;
mod synthetic;
pub mod tensor_names;
mod weights;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bitnet_tensor::Device;
use bitnet_tensor::backend::registry;
use bitnet_tensor::memory::HybridMemoryPool;

use crate::chat_template::ChatTemplate;
use crate::config::{GenerationConfig, ModelConfig};
use crate::error::{LlmError, Result};
use crate::recovery;
use crate::tokenizer::Tokenizer;

pub use activations::Activations;
pub(crate) use blocks::{I2_S_UNSURE, refusal};
pub use decoder::{Decoder, DecoderLayer, LogitsOf};
pub use files::{EmbeddedModel, ModelFiles};
pub use head::HeadPrecision;
pub use kv_cache::{KvCache, LayerCache};
pub(crate) use synthetic::fill_ternary_codes;
pub(crate) use weights::GGUF_I2_S_BLOCK;
pub use weights::{StoredType, TensorInfo, WeightFiles};

/// The longest context that is prepared for unless [`LoadOptions::context`] says otherwise, in
/// tokens; a model's own limit may be lower.
pub const DEFAULT_CONTEXT: usize = 8192;

/// How a model is loaded.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// Where it runs. When that device has no memory for it or is lost, it runs on the next one of
    /// the chain, as the [fallback policy](bitnet_tensor::backend::FallbackPolicy) allows.
    pub device: Device,
    /// How the output head is computed.
    pub output_head: HeadPrecision,
    /// The longest context in tokens; by default the model's, up to [`DEFAULT_CONTEXT`].
    pub context: Option<usize>,
    /// Told how many layers are loaded.
    pub progress: Option<&'a dyn Fn(Progress)>,
}

impl Default for LoadOptions<'_> {
    fn default() -> Self {
        Self {
            device: Device::CPU,
            output_head: HeadPrecision::default(),
            context: None,
            progress: None,
        }
    }
}

/// How far a long task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Steps done.
    pub done: usize,
    /// Steps in all.
    pub total: usize,
}

/// A model ready to run. Shared by the sessions that use it.
pub struct Model {
    config: ModelConfig,
    decoder: Decoder,
    /// Absent in a synthetic model, which has no text.
    text: Option<Arc<TextProcessing>>,
    stop_ids: Vec<u32>,
    generation_config: GenerationConfig,
    context: usize,
    device: Device,
    output_head: HeadPrecision,
    source: Source,
    /// The same model on another device, once this one's was lost: one for all sessions.
    successor: Mutex<Option<Arc<Model>>>,
}

/// Where parameters come from, so that they can be had again: never from a device.
#[derive(Clone)]
enum Source {
    Files(Arc<WeightFiles>),
    Synthetic { seed: u64 },
}

struct TextProcessing {
    tokenizer: Tokenizer,
    chat_template: Option<ChatTemplate>,
}

impl Model {
    /// Loads the model at `path`: a GGUF file, or a directory (see [`ModelFiles::open`]).
    ///
    /// # Errors
    /// Names the file, the tensor or key, and the reason.
    pub fn load(path: &Path, options: &LoadOptions<'_>) -> Result<Arc<Self>> {
        Self::from_files(&ModelFiles::open(path)?, options)
    }

    /// Loads a model from its files.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn from_files(files: &ModelFiles, options: &LoadOptions<'_>) -> Result<Arc<Self>> {
        let config = files.config()?;
        let generation_config = files.generation_config()?;
        let bos = config.bos_token_id.or(generation_config.bos_token_id);
        let tokenizer = files.tokenizer(bos)?;
        if tokenizer.vocab_size() > config.vocab_size {
            let (vocabulary, rows) = files.sources_of_vocab_size();
            return Err(files.fault(format!(
                "{vocabulary} has {} tokens, the embedding only {} ({rows})",
                tokenizer.vocab_size(),
                config.vocab_size,
            )));
        }
        let chat_template = files.chat_template(&tokenizer)?;

        let context = context_of(&config, options)?;
        let stop_ids = stop_ids(&config, &generation_config, &tokenizer, chat_template.as_ref());
        let source = Source::Files(files.weights.clone());
        let (decoder, device) = source.decoder_somewhere(&config, options, context)?;
        Ok(Arc::new(Self {
            config,
            decoder,
            text: Some(Arc::new(TextProcessing { tokenizer, chat_template })),
            stop_ids,
            generation_config,
            context,
            device,
            output_head: options.output_head,
            source,
            successor: Mutex::default(),
        }))
    }

    /// A model of the shapes of `config` with random ternary weights, to measure speed with. It
    /// has no tokenizer. The same seed gives the same weights.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn synthetic(
        config: ModelConfig,
        seed: u64,
        options: &LoadOptions<'_>,
    ) -> Result<Arc<Self>> {
        let context = context_of(&config, options)?;
        let source = Source::Synthetic { seed };
        let (decoder, device) = source.decoder_somewhere(&config, options, context)?;
        Ok(Arc::new(Self {
            config,
            decoder,
            text: None,
            stop_ids: Vec::new(),
            generation_config: GenerationConfig::default(),
            context,
            device,
            output_head: options.output_head,
            source,
            successor: Mutex::default(),
        }))
    }

    /// The same model on `device`: the parameters are loaded anew from where they came from, what is
    /// not on a device is shared.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn on(&self, device: Device) -> Result<Arc<Self>> {
        let options = LoadOptions {
            device,
            output_head: self.output_head,
            context: Some(self.context),
            progress: None,
        };
        Ok(Arc::new(Self {
            config: self.config.clone(),
            decoder: self.source.decoder(&self.config, &options, self.context)?,
            text: self.text.clone(),
            stop_ids: self.stop_ids.clone(),
            generation_config: self.generation_config.clone(),
            context: self.context,
            device,
            output_head: self.output_head,
            source: self.source.clone(),
            successor: Mutex::default(),
        }))
    }

    /// The same model on the next device of the chain that can hold it, for sessions whose device
    /// failed with `cause`: loaded by the first that asks, shared by all.
    pub(crate) fn successor(&self, cause: LlmError) -> Result<Arc<Self>> {
        let mut successor = self.successor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = &*successor {
            return Ok(model.clone());
        }
        for device in registry::devices_after(self.device) {
            match self.on(device) {
                Ok(model) => {
                    *successor = Some(model.clone());
                    return Ok(model);
                }
                Err(error) if error.is_of_device() => {}
                Err(error) => return Err(error),
            }
        }
        Err(cause)
    }

    /// The hyperparameters.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// How the model's authors want it sampled.
    pub fn generation_config(&self) -> &GenerationConfig {
        &self.generation_config
    }

    /// The parameters and the forward pass.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// When the model is synthetic.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        match &self.text {
            Some(text) => Ok(&text.tokenizer),
            None => Err(LlmError::Model {
                origin: "synthetic model".into(),
                reason: "it has no tokenizer".into(),
            }),
        }
    }

    /// The chat template, where the model has one.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.text.as_ref()?.chat_template.as_ref()
    }

    /// The tokens that end an answer: of `config.json` and `generation_config.json` or of a GGUF
    /// file's metadata, and the end of an assistant's turn in the chat template.
    pub fn stop_ids(&self) -> &[u32] {
        &self.stop_ids
    }

    /// The longest context in tokens.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Where it runs.
    pub fn device(&self) -> Device {
        self.device
    }

    /// An empty cache for `sequences` sequences of up to `capacity` tokens each.
    ///
    /// # Errors
    /// When memory cannot be had.
    pub fn new_cache(&self, sequences: usize, capacity: usize) -> Result<KvCache> {
        let config = &self.config;
        let shape = [sequences, capacity, config.num_key_value_heads, config.head_dim];
        Ok(KvCache::new(config.num_hidden_layers, shape, self.device)?)
    }
}

impl Source {
    fn decoder(
        &self,
        config: &ModelConfig,
        options: &LoadOptions<'_>,
        context: usize,
    ) -> Result<Decoder> {
        let decoder = match self {
            Self::Files(weights) => load::load(config, weights, options, context)?,
            Self::Synthetic { seed } => synthetic::decoder(config, *seed, options, context)?,
        };
        release_loading_memory();
        Ok(decoder)
    }

    /// The parameters on the device of `options`, or on the next one that can hold them.
    fn decoder_somewhere(
        &self,
        config: &ModelConfig,
        options: &LoadOptions<'_>,
        context: usize,
    ) -> Result<(Decoder, Device)> {
        let refusal = match self.decoder(config, options, context) {
            Ok(decoder) => return Ok((decoder, options.device)),
            Err(error) if recovery::is_allowed(&error) => error,
            Err(error) => return Err(error),
        };
        for device in registry::devices_after(options.device) {
            match self.decoder(config, &LoadOptions { device, ..*options }, context) {
                Ok(decoder) => {
                    recovery::record(options.device, device, &refusal);
                    return Ok((decoder, device));
                }
                Err(error) if error.is_of_device() => {}
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }
}

/// Gives blocks that only loading needed back to the system.
fn release_loading_memory() {
    HybridMemoryPool::global().trim();
}

fn context_of(config: &ModelConfig, options: &LoadOptions<'_>) -> Result<usize> {
    let limit = config.max_position_embeddings;
    match options.context {
        None => Ok(limit.min(DEFAULT_CONTEXT)),
        Some(context) if (1..=limit).contains(&context) => Ok(context),
        Some(context) => Err(LlmError::InvalidOption {
            option: "context",
            reason: format!("is {context}; this model takes 1 to {limit} tokens"),
        }),
    }
}

fn stop_ids(
    config: &ModelConfig,
    generation_config: &GenerationConfig,
    tokenizer: &Tokenizer,
    chat_template: Option<&ChatTemplate>,
) -> Vec<u32> {
    // A template that refuses the probe's plain exchange names no end of a turn.
    let turn_end = chat_template.and_then(|template| template.turn_end(tokenizer).ok().flatten());
    let mut ids = config.eos_token_ids.clone();
    ids.extend(&generation_config.eos_token_ids);
    ids.extend(tokenizer.eos());
    ids.extend(turn_end);
    ids.sort_unstable();
    ids.dedup();
    ids
}
