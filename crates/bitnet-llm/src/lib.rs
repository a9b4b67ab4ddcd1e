//! Load a BitNet or Llama model and generate text.
//!
//! ```no_run
//! use bitnet_llm::generation::{GenerationOptions, Generator};
//! use bitnet_llm::tokenizer::BosPolicy;
//! use bitnet_llm::{LoadOptions, Model, Session};
//!
//! let model = Model::load("path/to/model".as_ref(), &LoadOptions::default())?;
//! let prompt = model.tokenizer()?.encode("Once upon a time", BosPolicy::Auto)?;
//! let mut session = Session::new(&model)?;
//! let options = GenerationOptions::default();
//! for piece in Generator::new(&mut session, &prompt, &options)? {
//!     print!("{}", piece?);
//! }
//! # Ok::<(), bitnet_llm::LlmError>(())
//! ```

pub mod chat_template;
pub mod checkpoint;
pub mod comparison;
pub mod config;
mod error;
pub mod generation;
pub mod model;
pub mod multiple_choice;
pub mod perplexity;
mod recovery;
pub mod sampler;
mod session;
pub mod stop;
pub mod text_stream;
pub mod tokenizer;

pub use error::{LlmError, Result};
pub use model::{HeadPrecision, LoadOptions, Model, ModelFiles};
pub use session::{OnProgress, PREFILL_CHUNK, Session};
