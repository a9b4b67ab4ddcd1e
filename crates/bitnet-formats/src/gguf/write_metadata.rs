//! Metadata to be written, key by key, in the bytes of a GGUF file.

use std::collections::HashSet;

use super::ALIGNMENT_KEY;
use super::value::{Value, ValueType};
use crate::error::FormatError;

/// The metadata of a file that is going to be written, in the order in which it was added.
///
/// ```
/// use bitnet_formats::gguf::{Gguf, GgufWriter, MetadataBuilder};
///
/// let mut metadata = MetadataBuilder::new();
/// metadata.push("general.architecture", "llama")?;
/// metadata.push("tokenizer.ggml.scores", &[0.0_f32, -1.5][..])?;
/// let first = GgufWriter::new(Vec::new(), &metadata, Vec::new())?.finish()?;
///
/// // What was read is carried over as it is.
/// let mut metadata = MetadataBuilder::new();
/// for (key, value) in Gguf::parse(&first)?.metadata().entries() {
///     metadata.push(key, *value)?;
/// }
/// let second = GgufWriter::new(Vec::new(), &metadata, Vec::new())?.finish()?;
/// assert_eq!(first, second);
/// # Ok::<(), bitnet_formats::FormatError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MetadataBuilder {
    encoded: Vec<u8>,
    keys: HashSet<String>,
    alignment: Option<u32>,
}

impl MetadataBuilder {
    /// No metadata yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key. `general.alignment` also sets the alignment of the file.
    ///
    /// # Errors
    /// The key is empty or there already, or the alignment is no power of two of type `u32`.
    pub fn push(&mut self, key: &str, value: impl ToMetadata) -> Result<(), FormatError> {
        if key.is_empty() {
            return Err(FormatError::metadata(key, "the key is empty"));
        }
        if self.keys.contains(key) {
            return Err(FormatError::metadata(key, "the key occurs twice"));
        }
        let mut encoded = Vec::new();
        put_string(&mut encoded, key.as_bytes());
        let (ty, value_at) = (value.value_type(), encoded.len() + 4);
        put_u32(&mut encoded, ty.id());
        value.encode(&mut encoded);
        if key == ALIGNMENT_KEY {
            let bytes = encoded[value_at..].try_into().ok();
            let alignment = bytes.filter(|_| ty == ValueType::U32).map(u32::from_le_bytes);
            let Some(alignment) = alignment.filter(|alignment| alignment.is_power_of_two()) else {
                return Err(FormatError::metadata(key, "expected a power of two (u32)"));
            };
            self.alignment = Some(alignment);
        }
        self.encoded.extend_from_slice(&encoded);
        self.keys.insert(key.to_owned());
        Ok(())
    }

    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys with their values, as the file has them.
    pub(super) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// The alignment that was asked for.
    pub(super) fn alignment(&self) -> Option<u32> {
        self.alignment
    }

    /// Whether the key was added.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.keys.contains(key)
    }
}

/// A Rust value that can be written as metadata.
pub trait ToMetadata {
    /// The type under which it is written.
    fn value_type(&self) -> ValueType;

    /// Appends the value without its type.
    fn encode(&self, out: &mut Vec<u8>);
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

macro_rules! numbers {
    ($($ty:ident $value_type:ident;)*) => {$(
        impl ToMetadata for $ty {
            fn value_type(&self) -> ValueType {
                ValueType::$value_type
            }

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }

        /// An array.
        impl ToMetadata for &[$ty] {
            fn value_type(&self) -> ValueType {
                ValueType::Array
            }

            fn encode(&self, out: &mut Vec<u8>) {
                put_u32(out, ValueType::$value_type.id());
                put_u64(out, self.len() as u64);
                for value in *self {
                    value.encode(out);
                }
            }
        }
    )*};
}

numbers! {
    u8 U8;
    i8 I8;
    u16 U16;
    i16 I16;
    u32 U32;
    i32 I32;
    f32 F32;
    u64 U64;
    i64 I64;
    f64 F64;
}

impl ToMetadata for bool {
    fn value_type(&self) -> ValueType {
        ValueType::Bool
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

/// An array.
impl ToMetadata for &[bool] {
    fn value_type(&self) -> ValueType {
        ValueType::Array
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, ValueType::Bool.id());
        put_u64(out, self.len() as u64);
        out.extend(self.iter().map(|&value| u8::from(value)));
    }
}

impl ToMetadata for &str {
    fn value_type(&self) -> ValueType {
        ValueType::String
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_string(out, self.as_bytes());
    }
}

fn put_strings<'a>(out: &mut Vec<u8>, strings: impl ExactSizeIterator<Item = &'a str>) {
    put_u32(out, ValueType::String.id());
    put_u64(out, strings.len() as u64);
    for string in strings {
        put_string(out, string.as_bytes());
    }
}

/// An array of strings.
impl ToMetadata for &[&str] {
    fn value_type(&self) -> ValueType {
        ValueType::Array
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_strings(out, self.iter().copied());
    }
}

/// An array of strings.
impl ToMetadata for &[String] {
    fn value_type(&self) -> ValueType {
        ValueType::Array
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_strings(out, self.iter().map(String::as_str));
    }
}

/// What was read from another file, as it is.
impl ToMetadata for Value<'_> {
    fn value_type(&self) -> ValueType {
        Value::value_type(self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(value) => value.encode(out),
            Self::I8(value) => value.encode(out),
            Self::U16(value) => value.encode(out),
            Self::I16(value) => value.encode(out),
            Self::U32(value) => value.encode(out),
            Self::I32(value) => value.encode(out),
            Self::F32(value) => value.encode(out),
            Self::Bool(value) => value.encode(out),
            Self::String(bytes) => put_string(out, bytes),
            Self::Array(array) => {
                put_u32(out, array.element_type().id());
                put_u64(out, array.len() as u64);
                out.extend_from_slice(array.as_bytes());
            }
            Self::U64(value) => value.encode(out),
            Self::I64(value) => value.encode(out),
            Self::F64(value) => value.encode(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::GgufWriter;

    #[test]
    fn metadata_that_cannot_be_written() {
        let mut metadata = MetadataBuilder::new();
        metadata.push("a", 1_u8).unwrap();
        assert!(metadata.push("a", 2_u8).is_err());
        assert!(metadata.push("", 2_u8).is_err());
        assert!(metadata.push("general.alignment", 48_u32).is_err());
        assert!(metadata.push("general.alignment", 64_i32).is_err());
        assert!(!metadata.contains("general.alignment"));
        metadata.push("general.alignment", 64_u32).unwrap();
        let file = GgufWriter::new(Vec::new(), &metadata, Vec::new());
        assert_eq!(file.unwrap().finish().unwrap().len() % 64, 0);
    }
}
