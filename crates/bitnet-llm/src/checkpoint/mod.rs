//! Checkpoints as files: reading any of them as a list of tensors, and writing another one with
//! other encodings, in little memory whatever the model's size.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use bitnet_llm::checkpoint::{Checkpoint, Container, ConvertOptions, convert};
//!
//! let checkpoint = Checkpoint::open("path/to/bitnet-b1.58-2B-4T".as_ref())?;
//! let options = ConvertOptions::new(Container::Gguf);
//! convert(&checkpoint, "2b-4t-i2_s.gguf".as_ref(), &options, &mut |_| ControlFlow::Continue(()))?;
//! # Ok::<(), bitnet_llm::LlmError>(())
//! ```

mod convert;
mod directory;
mod encode;
mod matrix;
mod metadata;
mod plan;
mod scales;
mod sink;
mod source;
mod statistics;
mod synthetic;

pub use bitnet_formats::RawDType;

pub use convert::{ConvertReport, OnConvert, TensorReport, convert};
pub use encode::EncodeError;
pub use matrix::{Encoding, Matrix, RowOrder, Stored};
pub use plan::{ConvertOptions, Pattern};
pub use scales::{ScaleUnit, Scales, TernaryRule, scales_of};
pub use source::{Checkpoint, Container, TensorEntry};
pub use statistics::{Statistics, statistics_of};
pub use synthetic::write_synthetic;
