//! The GGUF format of llama.cpp: a header of typed metadata and tensor descriptions, then the
//! tensors, each at a multiple of the file's alignment.
//!
//! Versions 2 and 3 in little-endian order are read, version 3 is written, byte for byte as the
//! `gguf` package of llama.cpp does. Format:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! ```
//! use bitnet_formats::gguf::{GgmlType, Gguf, GgufTensorSpec, GgufWriter, MetadataBuilder};
//!
//! let mut metadata = MetadataBuilder::new();
//! metadata.push("general.architecture", "llama")?;
//! let specs = vec![GgufTensorSpec {
//!     name: "output_norm.weight".into(),
//!     ggml_type: GgmlType::F32,
//!     shape: vec![2],
//! }];
//! let mut writer = GgufWriter::new(Vec::new(), &metadata, specs)?;
//! writer.write_next(&[0; 8])?;
//! let file = writer.finish()?;
//!
//! let gguf = Gguf::parse(&file)?;
//! assert_eq!(gguf.architecture(), Some("llama"));
//! let tensor = gguf.tensor("output_norm.weight").unwrap();
//! assert_eq!((tensor.ggml_type, &*tensor.shape), (GgmlType::F32, &[2][..]));
//! assert_eq!(tensor.data, &file[tensor.range.clone()]);
//! # Ok::<(), bitnet_formats::FormatError>(())
//! ```

mod cursor;
mod ggml_type;
mod metadata;
mod read;
mod shards;
mod value;
mod write;
mod write_metadata;

pub use ggml_type::{GgmlType, SizeError};
pub use metadata::{FromValue, Metadata};
pub use read::{Gguf, GgufTensor, MAX_DIMENSIONS, MAX_METADATA_ENTRIES, MAX_TENSORS};
pub use shards::{ShardName, Split, check_shards};
pub use value::{Array, ArrayIter, MAX_ARRAY_DEPTH, Value, ValueType};
pub use write::{GgufTensorSpec, GgufWriter};
pub use write_metadata::{MetadataBuilder, ToMetadata};

/// What a file begins with.
const MAGIC: &[u8; 4] = b"GGUF";

/// The version that is written.
const VERSION: u32 = 3;

/// The key that sets the alignment of the tensors' data.
const ALIGNMENT_KEY: &str = "general.alignment";

/// The alignment of files without that key.
const DEFAULT_ALIGNMENT: u32 = 32;
