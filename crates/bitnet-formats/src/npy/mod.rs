//! The `.npy` format of NumPy: a magic number, a header that is a Python dictionary, the elements.
//!
//! The header is read by a parser of our own for the few Python literals that can stand in it; it
//! never evaluates anything, and arrays of Python objects (pickles) are refused. Format:
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
//!
//! NumPy has no bfloat16. Arrays of the `ml_dtypes` package, which JAX and ONNX use, are written by
//! `numpy.save` with the type `<V2`: that is what is written and read here as
//! [`BF16`](crate::RawDType::BF16). NumPy itself calls two bytes without a meaning `|V2`; those are
//! refused.

mod literal;
mod read;
mod stream;
mod write;

pub use read::{NpyArray, NpyHeader};
pub use stream::NpyStream;
pub use write::write_npy_header;

/// What every file begins with; the version's two bytes follow.
const MAGIC: &[u8] = b"\x93NUMPY";

/// The longest header that is read. NumPy writes longer ones only for records with many fields,
/// which have no equivalent here.
pub const MAX_HEADER_BYTES: usize = 65_536;

/// The bytes that [`NpyHeader::parse`] needs at most: magic, version, length, header.
pub const MAX_PREFIX_BYTES: usize = MAX_HEADER_BYTES + 12;

/// The most axes that an array may have, as in NumPy 2.
pub const MAX_RANK: usize = 64;
