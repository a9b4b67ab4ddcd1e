//! Why a model could not be loaded or run: every message names the file or the value at fault.

use std::io;
use std::path::PathBuf;

use bitnet_formats::FormatError;
use bitnet_tensor::TensorOpError;

use crate::chat_template::ChatTemplateError;
use crate::config::ConfigError;
use crate::sampler::SampleError;
use crate::stop::EmptyStopString;
use crate::tokenizer::TokenizerError;

/// The result of loading or running a model.
pub type Result<T, E = LlmError> = std::result::Result<T, E>;

/// Why a model could not be loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// A file could not be read.
    #[error("{}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// The path leads to no model.
    #[error("{}: {reason}", path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What was expected there.
        reason: String,
    },
    /// A file of weights is malformed.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// `config.json` or `generation_config.json` is malformed or asks for what is not supported.
    #[error("{origin}: {error}")]
    Config {
        /// The model.
        origin: String,
        /// What is wrong in which file.
        error: ConfigError,
    },
    /// The tokenizer's files are malformed, or a text cannot be encoded.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A file of the model is malformed.
    #[error("{origin}: {reason}")]
    Model {
        /// The model.
        origin: String,
        /// What is wrong in which file.
        reason: String,
    },
    /// A tensor of the model is missing or not what the configuration needs.
    #[error("{file}: tensor {tensor}: {reason}")]
    Weight {
        /// The file, or the model when no file has the tensor.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// The chat template is malformed or refuses the conversation.
    #[error(transparent)]
    ChatTemplate(#[from] ChatTemplateError),
    /// More tokens than the context holds.
    #[error(
        "{tokens} tokens do not fit the context of {context}: shorten the prompt or ask for fewer tokens"
    )]
    ContextExceeded {
        /// Tokens to be held.
        tokens: usize,
        /// Tokens that can be held.
        context: usize,
    },
    /// The caller's progress function asked to stop reading.
    #[error("reading was interrupted")]
    Interrupted,
    /// There is nothing to continue.
    #[error("the prompt is empty: there is no token to continue from")]
    EmptyPrompt,
    /// A token id that the model does not have.
    #[error("token id {id} is outside of the vocabulary of {vocab_size}")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// The rows of the embedding.
        vocab_size: usize,
    },
    /// An option is outside of its range.
    #[error("{option}: {reason}")]
    InvalidOption {
        /// The option's name.
        option: &'static str,
        /// What it must be.
        reason: String,
    },
    /// The sampling parameters are out of range, or no token can be chosen.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// An empty stop string.
    #[error(transparent)]
    StopString(#[from] EmptyStopString),
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] TensorOpError),
}

impl LlmError {
    /// Whether the device could not go on, so that another one may: it is lost, has no memory, or
    /// cannot do what is asked, and no other device could do it for it.
    pub fn is_of_device(&self) -> bool {
        use bitnet_tensor::backend::FailureKind::{DeviceLost, OutOfMemory, Unsupported};
        match self {
            Self::Tensor(error) => {
                matches!(error.failure(), Some(DeviceLost | OutOfMemory | Unsupported))
            }
            _ => false,
        }
    }
}
