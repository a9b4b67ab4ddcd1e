//! The metadata of a GGUF file: keys in the order of the file, values asked for by Rust type.
//!
//! Programs disagree about the width of integers (a count is `u32` here and `i32` there), so that a
//! number is taken from any integer type that holds it; everything else must have its type.

use std::collections::HashMap;

use super::value::{Array, Value, ValueType};
use crate::error::{FormatError, printable};

/// The keys and values of a file.
///
/// ```
/// use bitnet_formats::gguf::{Gguf, GgufWriter, MetadataBuilder};
///
/// let mut metadata = MetadataBuilder::new();
/// metadata.push("general.architecture", "llama")?;
/// metadata.push("llama.block_count", 30_u32)?;
/// metadata.push("tokenizer.ggml.tokens", &["<s>", "a"][..])?;
/// let file = GgufWriter::new(Vec::new(), &metadata, Vec::new())?.finish()?;
///
/// let gguf = Gguf::parse(&file)?;
/// let metadata = gguf.metadata();
/// assert_eq!(metadata.require::<usize>("llama.block_count")?, 30);
/// assert_eq!(metadata.require::<Vec<&str>>("tokenizer.ggml.tokens")?, ["<s>", "a"]);
/// assert_eq!(metadata.get::<f32>("llama.rope.freq_base")?, None);
/// let error = metadata.require::<&str>("llama.block_count").unwrap_err();
/// assert_eq!(error.to_string(), "metadata llama.block_count: is u32, expected str");
/// # Ok::<(), bitnet_formats::FormatError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Metadata<'a> {
    entries: Vec<(&'a str, Value<'a>)>,
    by_key: HashMap<&'a str, usize>,
}

impl<'a> Metadata<'a> {
    /// Adds an entry; `false` if the key is there already.
    pub(super) fn insert(&mut self, key: &'a str, value: Value<'a>) -> bool {
        let fresh = self.by_key.insert(key, self.entries.len()).is_none();
        self.entries.push((key, value));
        fresh
    }

    /// The entries in the order of the file.
    #[must_use]
    pub fn entries(&self) -> &[(&'a str, Value<'a>)] {
        &self.entries
    }

    /// The value of a key, whatever its type.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<Value<'a>> {
        self.by_key.get(key).map(|&index| self.entries[index].1)
    }

    /// The value of a key as a `T`; `None` where the file has no such key.
    ///
    /// # Errors
    /// [`FormatError::Metadata`]: the value has another type, or is a number that `T` cannot hold.
    pub fn get<T: FromValue<'a>>(&self, key: &str) -> Result<Option<T>, FormatError> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        T::from_value(value).map(Some).map_err(|reason| FormatError::metadata(key, reason))
    }

    /// The value of a key that must be there.
    ///
    /// # Errors
    /// As [`get`](Self::get), and where the file has no such key.
    pub fn require<T: FromValue<'a>>(&self, key: &str) -> Result<T, FormatError> {
        self.get(key)?.ok_or_else(|| FormatError::metadata(key, "is missing"))
    }
}

/// A Rust type that a metadata value can be asked for as.
pub trait FromValue<'a>: Sized {
    /// The value as this type.
    ///
    /// # Errors
    /// What the value is, and what was expected.
    fn from_value(value: Value<'a>) -> Result<Self, String>;
}

fn unexpected<T>(value: Value<'_>, expected: &str) -> Result<T, String> {
    Err(match value {
        Value::Array(array) => format!("is arr of {}, expected {expected}", array.element_type()),
        _ => format!("is {}, expected {expected}", value.value_type()),
    })
}

macro_rules! integers {
    ($($ty:ident)*) => {$(
        impl<'a> FromValue<'a> for $ty {
            fn from_value(value: Value<'a>) -> Result<Self, String> {
                let Some(integer) = value.as_integer() else {
                    return unexpected(value, "an integer");
                };
                Self::try_from(integer).map_err(|_| {
                    format!("is {integer}, which is not between {} and {}", Self::MIN, Self::MAX)
                })
            }
        }
    )*};
}

integers!(u8 i8 u16 i16 u32 i32 u64 i64 usize);

impl<'a> FromValue<'a> for f32 {
    fn from_value(value: Value<'a>) -> Result<Self, String> {
        match value {
            Value::F32(value) => Ok(value),
            Value::F64(value) => Ok(value as Self),
            _ => unexpected(value, "f32"),
        }
    }
}

impl<'a> FromValue<'a> for f64 {
    fn from_value(value: Value<'a>) -> Result<Self, String> {
        match value {
            Value::F32(value) => Ok(Self::from(value)),
            Value::F64(value) => Ok(value),
            _ => unexpected(value, "f64"),
        }
    }
}

impl<'a> FromValue<'a> for bool {
    fn from_value(value: Value<'a>) -> Result<Self, String> {
        match value {
            Value::Bool(value) => Ok(value),
            _ => unexpected(value, "bool"),
        }
    }
}

/// The bytes of a string, whether they are text or not.
impl<'a> FromValue<'a> for &'a [u8] {
    fn from_value(value: Value<'a>) -> Result<Self, String> {
        match value {
            Value::String(bytes) => Ok(bytes),
            _ => unexpected(value, "str"),
        }
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(value: Value<'a>) -> Result<Self, String> {
        let bytes = <&[u8]>::from_value(value)?;
        std::str::from_utf8(bytes).map_err(|error| {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
            format!("{} is not UTF-8: {error}", printable(&shown))
        })
    }
}

impl<'a> FromValue<'a> for Array<'a> {
    fn from_value(value: Value<'a>) -> Result<Self, String> {
        match value {
            Value::Array(array) => Ok(array),
            _ => unexpected(value, ValueType::Array.name()),
        }
    }
}

impl<'a, T: FromValue<'a>> FromValue<'a> for Vec<T> {
    fn from_value(value: Value<'a>) -> Result<Self, String> {
        let array = Array::from_value(value)?;
        let element =
            |(i, value)| T::from_value(value).map_err(|reason| format!("element {i} {reason}"));
        // Grows with what was converted: an array of bytes asked for as 64-bit numbers takes eight
        // times its size in the file, and no more than that.
        array.iter().enumerate().map(element).collect()
    }
}
