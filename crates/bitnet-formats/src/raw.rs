//! A tensor as a file describes it: name, element type, shape and the bytes where they lie. The
//! meeting point of all formats, before anything knows how to compute with it.

use std::fmt;
use std::ops::Range;

/// The element types that a file may hold and this project can use. Little-endian throughout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RawDType {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned 8-bit; also the carrier of packed ternary weights.
    U8,
    /// Signed 8-bit.
    I8,
    /// Unsigned 16-bit.
    U16,
    /// Signed 16-bit.
    I16,
    /// IEEE 754 half precision.
    F16,
    /// bfloat16: the upper half of an `f32`.
    BF16,
    /// Unsigned 32-bit.
    U32,
    /// Signed 32-bit.
    I32,
    /// IEEE 754 single precision.
    F32,
    /// Unsigned 64-bit.
    U64,
    /// Signed 64-bit.
    I64,
    /// IEEE 754 double precision.
    F64,
}

impl RawDType {
    /// Every element type, by ascending size.
    pub const ALL: [Self; 13] = [
        Self::Bool,
        Self::U8,
        Self::I8,
        Self::U16,
        Self::I16,
        Self::F16,
        Self::BF16,
        Self::U32,
        Self::I32,
        Self::F32,
        Self::U64,
        Self::I64,
        Self::F64,
    ];

    /// Bytes per element.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// The name that safetensors uses, such as `BF16`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::U16 => "U16",
            Self::I16 => "I16",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::U32 => "U32",
            Self::I32 => "I32",
            Self::F32 => "F32",
            Self::U64 => "U64",
            Self::I64 => "I64",
            Self::F64 => "F64",
        }
    }

    /// The element type of that safetensors name, if it is one this project can use.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name() == name)
    }

    /// Bytes of a dense tensor of this shape, or `None` where that overflows.
    #[must_use]
    pub fn byte_len(self, shape: &[usize]) -> Option<usize> {
        // A zero anywhere makes the tensor empty, however large the other dimensions are written;
        // checked_mul alone would depend on their order.
        if shape.contains(&0) {
            return Some(0);
        }
        shape.iter().try_fold(self.size(), |bytes, &dim| bytes.checked_mul(dim))
    }
}

impl fmt::Display for RawDType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A tensor in a file: its description and its bytes, borrowed from the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawTensor<'a> {
    /// The tensor's name.
    pub name: String,
    /// Element type of `data`.
    pub dtype: RawDType,
    /// Dimensions, outermost first; row-major. Empty for a scalar.
    pub shape: Vec<usize>,
    /// The elements, little-endian, exactly `dtype.byte_len(&shape)` bytes when a parser made it.
    pub data: &'a [u8],
    /// Where `data` lies in the bytes that were parsed, from their beginning: a caller who mapped
    /// the file can make a buffer of its own from it.
    pub range: Range<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for dtype in RawDType::ALL {
            assert_eq!(RawDType::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(RawDType::from_name("F8_E4M3"), None);
        assert_eq!(RawDType::from_name("bf16"), None);
    }

    #[test]
    fn byte_len_is_checked() {
        assert_eq!(RawDType::F32.byte_len(&[]), Some(4));
        assert_eq!(RawDType::BF16.byte_len(&[3, 5]), Some(30));
        assert_eq!(RawDType::U8.byte_len(&[usize::MAX]), Some(usize::MAX));
        assert_eq!(RawDType::U16.byte_len(&[usize::MAX]), None);
        assert_eq!(RawDType::F64.byte_len(&[1 << 40, 1 << 40]), None);
        assert_eq!(RawDType::F64.byte_len(&[1 << 40, 1 << 40, 0]), Some(0));
    }
}
