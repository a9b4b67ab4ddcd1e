//! The values of GGUF metadata. Strings and arrays stay where they lie in the file: a vocabulary
//! of 128 thousand tokens is checked once, without an allocation per token.

use std::fmt;

use super::cursor::Cursor;
use crate::error::printable;

/// How deep arrays of arrays may nest. No known program writes any; llama.cpp refuses them.
pub const MAX_ARRAY_DEPTH: usize = 4;

/// The type of a metadata value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Unsigned 8-bit.
    U8,
    /// Signed 8-bit.
    I8,
    /// Unsigned 16-bit.
    U16,
    /// Signed 16-bit.
    I16,
    /// Unsigned 32-bit.
    U32,
    /// Signed 32-bit.
    I32,
    /// Single precision.
    F32,
    /// One byte; anything but 0 is true.
    Bool,
    /// Bytes with their length; text as a rule, but files do hold others.
    String,
    /// Values of one type with their number.
    Array,
    /// Unsigned 64-bit.
    U64,
    /// Signed 64-bit.
    I64,
    /// Double precision.
    F64,
}

impl ValueType {
    /// Every type; its index is its id in files.
    pub const ALL: [Self; 13] = [
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::Bool,
        Self::String,
        Self::Array,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// The number that stands for the type in files.
    #[must_use]
    pub const fn id(self) -> u32 {
        self as u32
    }

    /// The type of that id.
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.get(usize::try_from(id).ok()?).copied()
    }

    /// The name that llama.cpp shows, such as `u32`, `str` or `arr`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::U16 => "u16",
            Self::I16 => "i16",
            Self::U32 => "u32",
            Self::I32 => "i32",
            Self::F32 => "f32",
            Self::Bool => "bool",
            Self::String => "str",
            Self::Array => "arr",
            Self::U64 => "u64",
            Self::I64 => "i64",
            Self::F64 => "f64",
        }
    }

    /// Bytes of a value; `None` where that depends on the value.
    #[must_use]
    pub const fn size(self) -> Option<usize> {
        match self {
            Self::U8 | Self::I8 | Self::Bool => Some(1),
            Self::U16 | Self::I16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::String | Self::Array => None,
        }
    }

    /// The fewest bytes that a value takes: those of an empty string or array.
    fn least_size(self) -> u64 {
        match self {
            Self::String => 8,
            Self::Array => 12,
            _ => self.size().unwrap_or(1) as u64,
        }
    }

    pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Self, String> {
        let id = cursor.u32()?;
        Self::from_id(id).ok_or_else(|| format!("value type {id} is unknown, 0 to 12 exist"))
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A metadata value, borrowed from the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Unsigned 8-bit.
    U8(u8),
    /// Signed 8-bit.
    I8(i8),
    /// Unsigned 16-bit.
    U16(u16),
    /// Signed 16-bit.
    I16(i16),
    /// Unsigned 32-bit.
    U32(u32),
    /// Signed 32-bit.
    I32(i32),
    /// Single precision.
    F32(f32),
    /// True or false.
    Bool(bool),
    /// Bytes that are UTF-8 as a rule: like llama.cpp, the reader does not insist on it.
    String(&'a [u8]),
    /// Values of one type.
    Array(Array<'a>),
    /// Unsigned 64-bit.
    U64(u64),
    /// Signed 64-bit.
    I64(i64),
    /// Double precision.
    F64(f64),
}

impl<'a> Value<'a> {
    /// The value's type.
    #[must_use]
    pub const fn value_type(&self) -> ValueType {
        match self {
            Self::U8(_) => ValueType::U8,
            Self::I8(_) => ValueType::I8,
            Self::U16(_) => ValueType::U16,
            Self::I16(_) => ValueType::I16,
            Self::U32(_) => ValueType::U32,
            Self::I32(_) => ValueType::I32,
            Self::F32(_) => ValueType::F32,
            Self::Bool(_) => ValueType::Bool,
            Self::String(_) => ValueType::String,
            Self::Array(_) => ValueType::Array,
            Self::U64(_) => ValueType::U64,
            Self::I64(_) => ValueType::I64,
            Self::F64(_) => ValueType::F64,
        }
    }

    /// The value of any of the integer types.
    #[must_use]
    pub const fn as_integer(&self) -> Option<i128> {
        Some(match *self {
            Self::U8(value) => value as i128,
            Self::I8(value) => value as i128,
            Self::U16(value) => value as i128,
            Self::I16(value) => value as i128,
            Self::U32(value) => value as i128,
            Self::I32(value) => value as i128,
            Self::U64(value) => value as i128,
            Self::I64(value) => value as i128,
            _ => return None,
        })
    }

    pub(super) fn read(cursor: &mut Cursor<'a>, ty: ValueType) -> Result<Self, String> {
        Self::read_within(cursor, ty, 0)
    }

    fn read_within(cursor: &mut Cursor<'a>, ty: ValueType, depth: usize) -> Result<Self, String> {
        Ok(match ty {
            ValueType::U8 => Self::U8(u8::from_le_bytes(cursor.array()?)),
            ValueType::I8 => Self::I8(i8::from_le_bytes(cursor.array()?)),
            ValueType::U16 => Self::U16(u16::from_le_bytes(cursor.array()?)),
            ValueType::I16 => Self::I16(i16::from_le_bytes(cursor.array()?)),
            ValueType::U32 => Self::U32(u32::from_le_bytes(cursor.array()?)),
            ValueType::I32 => Self::I32(i32::from_le_bytes(cursor.array()?)),
            ValueType::F32 => Self::F32(f32::from_le_bytes(cursor.array()?)),
            ValueType::Bool => Self::Bool(cursor.array::<1>()? != [0]),
            ValueType::String => Self::String(cursor.string()?),
            ValueType::Array => Self::Array(Array::read(cursor, depth)?),
            ValueType::U64 => Self::U64(u64::from_le_bytes(cursor.array()?)),
            ValueType::I64 => Self::I64(i64::from_le_bytes(cursor.array()?)),
            ValueType::F64 => Self::F64(f64::from_le_bytes(cursor.array()?)),
        })
    }
}

impl fmt::Display for Value<'_> {
    /// Numbers as they are, strings shortened to a line, arrays by their first elements and length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 6;
        match self {
            Self::U8(value) => write!(f, "{value}"),
            Self::I8(value) => write!(f, "{value}"),
            Self::U16(value) => write!(f, "{value}"),
            Self::I16(value) => write!(f, "{value}"),
            Self::U32(value) => write!(f, "{value}"),
            Self::I32(value) => write!(f, "{value}"),
            Self::F32(value) => write!(f, "{value}"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::String(bytes) => {
                // Cut before it is decoded: a chat template is long, a hostile one longer.
                let line = &bytes[..bytes.len().min(1000)];
                f.write_str(&printable(&String::from_utf8_lossy(line)))
            }
            Self::Array(array) => {
                f.write_str("[")?;
                for (i, element) in array.iter().take(SHOWN).enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{element}")?;
                }
                if array.len() > SHOWN {
                    write!(f, ", … ({} {})", array.len(), array.element_type())?;
                }
                f.write_str("]")
            }
            Self::U64(value) => write!(f, "{value}"),
            Self::I64(value) => write!(f, "{value}"),
            Self::F64(value) => write!(f, "{value}"),
        }
    }
}

/// An array of metadata values, as the bytes of the file, checked to hold what they claim.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Array<'a> {
    element: ValueType,
    len: usize,
    bytes: &'a [u8],
    depth: usize,
}

impl<'a> Array<'a> {
    /// The type of the elements.
    #[must_use]
    pub const fn element_type(&self) -> ValueType {
        self.element
    }

    /// The number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements as they lie in the file, without the array's type and length: numbers
    /// little-endian one after the other, strings each behind its `u64` length.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The elements in order.
    #[must_use]
    pub fn iter(&self) -> ArrayIter<'a> {
        ArrayIter {
            cursor: Cursor::new(self.bytes),
            element: self.element,
            left: self.len,
            depth: self.depth + 1,
        }
    }

    /// Reads over an array at `depth` arrays within others.
    fn read(cursor: &mut Cursor<'a>, depth: usize) -> Result<Self, String> {
        if depth >= MAX_ARRAY_DEPTH {
            return Err(format!("arrays nest deeper than {MAX_ARRAY_DEPTH}"));
        }
        let element = ValueType::read(cursor)?;
        let len = cursor.u64()?;
        let least = u128::from(len) * u128::from(element.least_size());
        if least > cursor.left() as u128 {
            return Err(format!(
                "an array of {len} {element} needs at least {least} bytes, {} are left in the file",
                cursor.left()
            ));
        }
        let start = cursor.position();
        match element {
            ValueType::String => {
                for i in 0..len {
                    cursor.string().map_err(|reason| format!("element {i}: {reason}"))?;
                }
            }
            ValueType::Array => {
                for i in 0..len {
                    Self::read(cursor, depth + 1)
                        .map_err(|reason| format!("element {i}: {reason}"))?;
                }
            }
            _ => {
                cursor.take(least as u64)?; // fits: at most what is left
            }
        }
        // Fits: each element takes at least one byte of what was left.
        Ok(Self { element, len: len as usize, bytes: cursor.since(start), depth })
    }
}

impl fmt::Debug for Array<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Array{}", Value::Array(*self))
    }
}

impl<'a> IntoIterator for &Array<'a> {
    type Item = Value<'a>;
    type IntoIter = ArrayIter<'a>;

    fn into_iter(self) -> ArrayIter<'a> {
        self.iter()
    }
}

/// The elements of an [`Array`].
#[derive(Clone, Debug)]
pub struct ArrayIter<'a> {
    cursor: Cursor<'a>,
    element: ValueType,
    left: usize,
    depth: usize,
}

impl<'a> Iterator for ArrayIter<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        // Cannot fail: `Array::read` went over the same bytes.
        Value::read_within(&mut self.cursor, self.element, self.depth).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for ArrayIter<'_> {}
