//! Reading and writing files of tensors: bytes to described raw tensors.
//!
//! Everything here works on `&[u8]`, so the caller decides whether the bytes come from a
//! memory-mapped file, from the program itself or from a test. A parsed file borrows those bytes:
//! nothing is copied, and no size found in a file is trusted before it was checked against them.
//!
//! - [`gguf`]: the files of llama.cpp and bitnet.cpp, read and written;
//! - [`npy`], [`npz`]: arrays as NumPy saves them, alone and by name in a zip archive;
//! - [`safetensors`]: one `.safetensors` file, read and written;
//! - [`shards`]: `model.safetensors.index.json`, which says which file holds which tensor.
#![forbid(unsafe_code)]

pub mod error;
pub mod gguf;
mod json;
pub mod npy;
pub mod npz;
pub mod raw;
pub mod safetensors;
pub mod shards;

pub use error::FormatError;
pub use raw::{RawDType, RawTensor};
