//! The files of a model, wherever they are: a directory as Hugging Face lays it out, a GGUF file,
//! or bytes in the program; and what each says of configuration, tokenizer and chat template.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitnet_formats::gguf::ShardName;
use bitnet_formats::shards::ShardIndex;
use bitnet_tensor::I2sBlock;

use super::weights::{SINGLE_FILE, WeightFiles};
use crate::chat_template::ChatTemplate;
use crate::config::{GenerationConfig, GgufTensorFacts, ModelConfig};
use crate::error::{LlmError, Result};
use crate::tokenizer::{GgufVocabulary, Tokenizer};

/// The contents of a model's files. Weights are mapped, not read.
pub struct ModelFiles {
    /// Where the files come from: a directory, or what the program calls them.
    origin: String,
    description: Description,
    /// Shared with the models made of them, which may have to be loaded again.
    pub(super) weights: Arc<WeightFiles>,
}

/// What is not weights.
enum Description {
    /// Files beside the weights.
    HuggingFace {
        config: Vec<u8>,
        generation_config: Option<Vec<u8>>,
        tokenizer: Vec<u8>,
        tokenizer_config: Option<Vec<u8>>,
        chat_template: Option<Vec<u8>>,
    },
    /// The metadata of the weights' file.
    Gguf,
}

/// A model inside of the program.
#[derive(Clone, Copy)]
pub struct EmbeddedModel {
    /// What errors call it.
    pub name: &'static str,
    /// `config.json`.
    pub config: &'static [u8],
    /// `tokenizer.json`.
    pub tokenizer: &'static [u8],
    /// `tokenizer_config.json`.
    pub tokenizer_config: &'static [u8],
    /// `model.safetensors`, best aligned to 64 bytes: unaligned tensors are copied.
    pub weights: &'static [u8],
}

impl ModelFiles {
    /// The model at `path`: a GGUF file (of a model in several parts, any part), a directory with
    /// one GGUF model, or a directory with `config.json`, `tokenizer.json`, `model.safetensors` (or
    /// shards with their index), and the optional `tokenizer_config.json`,
    /// `generation_config.json`, `chat_template.jinja`.
    ///
    /// # Errors
    /// When a file is missing, unreadable, or malformed safetensors or GGUF.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |cause| LlmError::Io { path: path.into(), cause };
        let metadata = fs::metadata(path).map_err(io)?;
        if !metadata.is_dir() {
            let is_gguf = metadata.is_file() && begins_with_magic(path).map_err(io)?;
            return if is_gguf { Self::open_gguf(path) } else { Err(not_a_model(path)) };
        }
        let has = |name: &str| path.join(name).exists();
        if !has(SINGLE_FILE)
            && !has(ShardIndex::FILE_NAME)
            && let Some(file) = only_gguf(path)?
        {
            return Self::open_gguf(&file);
        }
        Ok(Self {
            origin: path.display().to_string(),
            description: Description::HuggingFace {
                config: read(&path.join("config.json"))?,
                generation_config: read_optional(&path.join("generation_config.json"))?,
                tokenizer: read(&path.join("tokenizer.json"))?,
                tokenizer_config: read_optional(&path.join("tokenizer_config.json"))?,
                chat_template: read_optional(&path.join("chat_template.jinja"))?,
            },
            weights: Arc::new(WeightFiles::open_directory(path)?),
        })
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        Ok(Self {
            origin: path.display().to_string(),
            description: Description::Gguf,
            weights: Arc::new(WeightFiles::open_gguf(path)?),
        })
    }

    /// The same files, whose I2_S tensors have blocks of that length: for files that do not show it.
    /// It must come before anything else is asked of them.
    #[must_use]
    pub fn with_i2_s_block(self, block: I2sBlock) -> Self {
        self.weights.set_i2_s_block(block);
        self
    }

    /// The files of a model inside of the program.
    ///
    /// # Errors
    /// When the weights are malformed safetensors.
    pub fn embedded(model: &EmbeddedModel) -> Result<Self> {
        Ok(Self {
            origin: model.name.to_owned(),
            description: Description::HuggingFace {
                config: model.config.to_vec(),
                generation_config: None,
                tokenizer: model.tokenizer.to_vec(),
                tokenizer_config: Some(model.tokenizer_config.to_vec()),
                chat_template: None,
            },
            weights: Arc::new(WeightFiles::embedded(model.name, model.weights)?),
        })
    }

    /// The text of a file beside the weights, by its name.
    pub(crate) fn text(&self, name: &str) -> Option<&[u8]> {
        let Description::HuggingFace {
            config,
            generation_config,
            tokenizer,
            tokenizer_config,
            chat_template,
        } = &self.description
        else {
            return None;
        };
        match name {
            "config.json" => Some(config),
            "generation_config.json" => generation_config.as_deref(),
            "tokenizer.json" => Some(tokenizer),
            "tokenizer_config.json" => tokenizer_config.as_deref(),
            "chat_template.jinja" => chat_template.as_deref(),
            _ => None,
        }
    }

    /// What `config.json` or the metadata say, without loading anything.
    ///
    /// # Errors
    /// [`LlmError::Config`] when it is malformed or asks for what is not supported.
    pub fn config(&self) -> Result<ModelConfig> {
        let config = match &self.description {
            Description::HuggingFace { config, .. } => ModelConfig::from_json(config),
            Description::Gguf => {
                let embedding = self.weights.stored_name("model.embed_tokens.weight");
                let Some(info) = self.weights.info(&embedding) else {
                    return Err(self.weights.fault(&embedding, "is missing"));
                };
                let facts = GgufTensorFacts {
                    vocab_size: info.shape.first().copied().unwrap_or(0),
                    has_output: self
                        .weights
                        .info(&self.weights.stored_name("lm_head.weight"))
                        .is_some(),
                };
                ModelConfig::from_gguf(self.weights.gguf()?.metadata(), facts)
            }
        };
        config.map_err(|error| LlmError::Config { origin: self.origin.clone(), error })
    }

    /// How the authors want the model sampled, where the files say it.
    ///
    /// # Errors
    /// [`LlmError::Config`] when it is malformed.
    pub fn generation_config(&self) -> Result<GenerationConfig> {
        let config = match &self.description {
            Description::HuggingFace { generation_config: Some(json), .. } => {
                GenerationConfig::from_json(json)
            }
            Description::HuggingFace { .. } => Ok(GenerationConfig::default()),
            Description::Gguf => GenerationConfig::from_gguf(self.weights.gguf()?.metadata()),
        };
        config.map_err(|error| LlmError::Config { origin: self.origin.clone(), error })
    }

    /// The tokenizer. `bos` is what the configurations name as beginning of text: it counts where
    /// the tokenizer's own files do not say.
    ///
    /// # Errors
    /// When its files or metadata are malformed or ask for what is not supported.
    pub fn tokenizer(&self, bos: Option<u32>) -> Result<Tokenizer> {
        match &self.description {
            Description::HuggingFace { tokenizer, tokenizer_config, .. } => {
                let tokenizer_config = tokenizer_config.as_deref();
                let loaded = Tokenizer::from_json(tokenizer, tokenizer_config)
                    .map_err(|error| self.fault(error.to_string()))?;
                Ok(match (tokenizer_config, bos) {
                    (None, Some(id)) => loaded.with_bos(id),
                    _ => loaded,
                })
            }
            Description::Gguf => {
                let gguf = self.weights.gguf()?;
                let vocabulary =
                    GgufVocabulary::from_metadata(gguf.metadata(), gguf.architecture());
                let vocabulary = vocabulary.map_err(|error| error.in_file(&self.origin))?;
                let tokenizer = Tokenizer::from_gguf(&vocabulary);
                tokenizer.map_err(|error| self.fault(error.to_string()))
            }
        }
    }

    /// The chat template, where the model has one.
    ///
    /// # Errors
    /// When it is not valid.
    pub fn chat_template(&self, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>> {
        let template = match &self.description {
            Description::HuggingFace { tokenizer_config, chat_template, .. } => {
                let file = chat_template.as_deref().map(std::str::from_utf8).transpose();
                let file =
                    file.map_err(|error| self.fault(format!("chat_template.jinja: {error}")))?;
                ChatTemplate::from_files(tokenizer, tokenizer_config.as_deref(), file)
            }
            Description::Gguf => {
                let gguf = self.weights.gguf()?;
                let source = gguf.metadata().get::<&str>("tokenizer.chat_template");
                let source = source.map_err(|error| error.in_file(&self.origin))?;
                source.map(|source| ChatTemplate::for_tokenizer(source, tokenizer)).transpose()
            }
        };
        template.map_err(|error| self.fault(error.to_string()))
    }

    /// What says how many tokens there are, in errors: for the tokenizer and for the embedding.
    pub(super) fn sources_of_vocab_size(&self) -> (&'static str, &'static str) {
        match self.description {
            Description::HuggingFace { .. } => ("tokenizer.json", "vocab_size in config.json"),
            Description::Gguf => ("tokenizer.ggml.tokens", "the rows of token_embd.weight"),
        }
    }

    /// The tensors of the weights.
    pub fn weights(&self) -> &WeightFiles {
        &self.weights
    }

    /// An error about the model as a whole.
    pub(super) fn fault(&self, reason: String) -> LlmError {
        LlmError::Model { origin: self.origin.clone(), reason }
    }
}

fn begins_with_magic(path: &Path) -> io::Result<bool> {
    let mut magic = [0; 4];
    match File::open(path)?.read_exact(&mut magic) {
        Ok(()) => Ok(&magic == b"GGUF"),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// The GGUF model in a directory; `None` where there is none.
fn only_gguf(directory: &Path) -> Result<Option<PathBuf>> {
    let io = |cause| LlmError::Io { path: directory.into(), cause };
    let mut models = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        let later_part = ShardName::parse(&name).is_some_and(|shard| shard.number != 1);
        if name.ends_with(".gguf") && !later_part {
            models.push(name);
        }
    }
    models.sort_unstable();
    match models.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some(directory.join(name))),
        names => Err(LlmError::NotAModel {
            path: directory.into(),
            reason: format!("has {} GGUF models, name one: {}", names.len(), names.join(", ")),
        }),
    }
}

fn not_a_model(path: &Path) -> LlmError {
    LlmError::NotAModel {
        path: path.into(),
        reason: "a model is a GGUF file, or a directory with config.json, tokenizer.json and \
                 model.safetensors"
            .into(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|cause| LlmError::Io { path: path.into(), cause })
}

pub(super) fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(LlmError::Io { path: path.into(), cause }),
    }
}
