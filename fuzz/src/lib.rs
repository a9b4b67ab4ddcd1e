//! What the fuzz targets do with an input, one module per target. Each checks more than that
//! nothing panics: what was read is consistent, and what is written again is read alike.
//!
//! The modules need nothing but the crate that they test, so that ordinary tests include them by
//! path and replay the corpus (`fuzz_corpus.rs` in the tests of `bitnet-formats` and `bitnet-llm`).

#[cfg(feature = "models")]
pub mod config;
pub mod gguf;
pub mod limits;
pub mod replay;
pub mod safetensors;
#[cfg(feature = "models")]
pub mod tokenizer;
