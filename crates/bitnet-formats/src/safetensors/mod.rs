//! The safetensors format: a `u64` length, a JSON header, the tensors' bytes.
//!
//! The parser is our own, because the official crate's errors often cannot name the tensor at
//! fault, and a person with a broken download needs exactly that; the official crate is the oracle
//! of the tests. Format: <https://huggingface.co/docs/safetensors/index#format>.

mod read;
mod write;

pub use read::SafeTensors;
pub use write::{SafeTensorsWriter, TensorSpec, write_safetensors};

/// The key under which the header keeps its string map.
const METADATA_KEY: &str = "__metadata__";

/// Bytes of the length that opens the file; the header is padded to a multiple of it.
const LENGTH_BYTES: usize = 8;

/// The longest header that is read or written, as in the official implementation.
pub const MAX_HEADER_BYTES: usize = 100_000_000;
