//! The element types of GGUF files: their ids, names and exact sizes.
//!
//! Ids and blocks are those of llama.cpp (`ggml/include/ggml.h`, `ggml/src/ggml-common.h`), and of
//! the programs that write ternary files under ids of their own: bitnet.cpp (I2_S, TL1, TL2),
//! ik_llama.cpp (IQ1_BN, IQ2_BN) and PrismML's llama.cpp (PQ2_0, PTQ1_0).

use std::fmt;

use crate::raw::RawDType;

/// Why a shape has no size in bytes as tensors of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SizeError {
    /// The row does not consist of whole blocks.
    #[error("{0} elements are no whole number of blocks of {1}")]
    Blocks(usize, usize),
    /// The number of elements or of bytes exceeds what an address can count.
    #[error("the dimensions overflow")]
    Overflow,
    /// The type's size depends on tables that only the program that wrote it has.
    #[error("the size of type {0} depends on the kernel that it was made for")]
    Unknown(GgmlType),
}

macro_rules! ggml_types {
    ($($(#[doc = $doc:literal])* $name:ident = $id:literal, $block_len:literal, $block_bytes:literal;)*) => {
        /// How the elements of a tensor in a GGUF file are stored.
        #[allow(non_camel_case_types)] // ggml's names, by which everyone knows these types
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum GgmlType {
            $($(#[doc = $doc])* $name,)*
        }

        impl GgmlType {
            /// Every type that is recognised, by ascending id.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The number that stands for the type in files.
            #[must_use]
            pub const fn id(self) -> u32 {
                match self {
                    $(Self::$name => $id,)*
                }
            }

            /// The name that ggml and the `gguf` package use, such as `Q4_K`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Elements per block: what a row's length must be a multiple of. 1 for plain numbers.
            #[must_use]
            pub const fn block_len(self) -> usize {
                match self {
                    $(Self::$name => $block_len,)*
                }
            }

            /// Bytes per block, without what a type adds per row or tensor; 0 for
            /// [`TL1`](Self::TL1) and [`TL2`](Self::TL2), which have no blocks.
            #[must_use]
            pub const fn block_bytes(self) -> usize {
                match self {
                    $(Self::$name => $block_bytes,)*
                }
            }
        }
    };
}

ggml_types! {
    /// IEEE 754 single precision.
    F32 = 0, 1, 4;
    /// IEEE 754 half precision.
    F16 = 1, 1, 2;
    /// 4-bit codes minus 8, one f16 scale per 32.
    Q4_0 = 2, 32, 18;
    /// 4-bit codes, an f16 scale and an f16 minimum per 32.
    Q4_1 = 3, 32, 20;
    /// 5-bit codes minus 16, one f16 scale per 32.
    Q5_0 = 6, 32, 22;
    /// 5-bit codes, an f16 scale and an f16 minimum per 32.
    Q5_1 = 7, 32, 24;
    /// 8-bit codes, one f16 scale per 32.
    Q8_0 = 8, 32, 34;
    /// 8-bit codes, an f16 scale and the scaled sum per 32: activations, not found in files.
    Q8_1 = 9, 32, 36;
    /// 2-bit codes in 16 groups with 4-bit scales and minima, per 256.
    Q2_K = 10, 256, 84;
    /// 3-bit codes in 16 groups with 6-bit scales, per 256.
    Q3_K = 11, 256, 110;
    /// 4-bit codes in 8 groups with 6-bit scales and minima, per 256.
    Q4_K = 12, 256, 144;
    /// 5-bit codes in 8 groups with 6-bit scales and minima, per 256.
    Q5_K = 13, 256, 176;
    /// 6-bit codes in 16 groups with 8-bit scales, per 256.
    Q6_K = 14, 256, 210;
    /// 8-bit codes with an f32 scale and sums per 256: activations, not found in files.
    Q8_K = 15, 256, 292;
    /// Codebook quantization of 2.06 bits.
    IQ2_XXS = 16, 256, 66;
    /// Codebook quantization of 2.31 bits.
    IQ2_XS = 17, 256, 74;
    /// Codebook quantization of 3.06 bits.
    IQ3_XXS = 18, 256, 98;
    /// Codebook quantization of 1.56 bits.
    IQ1_S = 19, 256, 50;
    /// 4-bit indices into a fixed table, one f16 scale per 32.
    IQ4_NL = 20, 32, 18;
    /// Codebook quantization of 3.44 bits.
    IQ3_S = 21, 256, 110;
    /// Codebook quantization of 2.56 bits.
    IQ2_S = 22, 256, 82;
    /// 4-bit indices into a fixed table, 6-bit scales per 32, per 256.
    IQ4_XS = 23, 256, 136;
    /// Signed 8-bit.
    I8 = 24, 1, 1;
    /// Signed 16-bit.
    I16 = 25, 1, 2;
    /// Signed 32-bit.
    I32 = 26, 1, 4;
    /// Signed 64-bit.
    I64 = 27, 1, 8;
    /// IEEE 754 double precision.
    F64 = 28, 1, 8;
    /// Codebook quantization of 1.75 bits.
    IQ1_M = 29, 256, 56;
    /// bfloat16: the upper half of an `f32`.
    BF16 = 30, 1, 2;
    /// Ternary, five values per byte, one f16 scale per 256.
    TQ1_0 = 34, 256, 54;
    /// Ternary, 2 bits per value, one f16 scale per 256.
    TQ2_0 = 35, 256, 66;
    /// bitnet.cpp: ternary, 2 bits per value over the whole tensor, and behind it one f32 scale in
    /// 32 bytes. The smallest unit whose place is fixed is the byte of four values; which four,
    /// depends on the blocks of 128 (or 64) values that the writing program used.
    I2_S = 36, 4, 1;
    /// bitnet.cpp: lookup tables for one ARM kernel and one shape.
    TL1 = 38, 1, 0;
    /// bitnet.cpp: lookup tables for one x86 kernel and one shape. Shares its id with
    /// [`MXFP4`](Self::MXFP4): only in files whose architecture begins with `bitnet` is it meant.
    TL2 = 39, 1, 0;
    /// 4-bit floats (E2M1), one power of two per 32.
    MXFP4 = 39, 32, 17;
    /// 4-bit floats (E2M1), one 8-bit float scale per 16, in blocks of 64.
    NVFP4 = 40, 64, 36;
    /// One bit per value (±1), one f16 scale per 128.
    Q1_0 = 41, 128, 18;
    /// 2-bit codes minus 1, one f16 scale per 64. Files of PrismML from before llama.cpp knew this
    /// type have the blocks of [`PQ2_0`](Self::PQ2_0) under its id; the reader tells them apart.
    Q2_0 = 42, 64, 18;
    /// ik_llama.cpp: ternary, 64 values in 13 bytes, one f16 scale per row.
    IQ1_BN = 134, 64, 13;
    /// ik_llama.cpp: ternary, 64 values in 16 bytes, one f32 scale per row.
    IQ2_BN = 135, 64, 16;
    /// PrismML: 2-bit codes minus 1, one f16 scale per 128.
    PQ2_0 = 142, 128, 34;
    /// PrismML: ternary, five values per byte, one f16 scale per 128.
    PTQ1_0 = 143, 128, 28;
}

impl GgmlType {
    /// The type of that id. 39 is read as upstream does, [`MXFP4`](Self::MXFP4).
    #[must_use]
    pub fn from_id(id: u32) -> Option<Self> {
        Self::ALL.iter().copied().rev().find(|ty| ty.id() == id)
    }

    /// The type of that name, in upper or lower case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|ty| ty.name().eq_ignore_ascii_case(name))
    }

    /// Bytes at a row's beginning that belong to the row, not to a block: its scale.
    #[must_use]
    pub const fn row_header_bytes(self) -> usize {
        match self {
            Self::IQ1_BN => 2,
            Self::IQ2_BN => 4,
            _ => 0,
        }
    }

    /// Bytes behind a tensor's last row that belong to the tensor: its scale and padding.
    #[must_use]
    pub const fn tensor_trailer_bytes(self) -> usize {
        match self {
            Self::I2_S => 32,
            _ => 0,
        }
    }

    /// The same type as a plain number, for the types that are one.
    #[must_use]
    pub const fn raw_dtype(self) -> Option<RawDType> {
        Some(match self {
            Self::F32 => RawDType::F32,
            Self::F16 => RawDType::F16,
            Self::BF16 => RawDType::BF16,
            Self::F64 => RawDType::F64,
            Self::I8 => RawDType::I8,
            Self::I16 => RawDType::I16,
            Self::I32 => RawDType::I32,
            Self::I64 => RawDType::I64,
            _ => return None,
        })
    }

    /// The type that stores these plain numbers, if GGUF has one.
    #[must_use]
    pub fn from_raw_dtype(dtype: RawDType) -> Option<Self> {
        Self::ALL.iter().copied().find(|ty| ty.raw_dtype() == Some(dtype))
    }

    /// Whether every weight is −1, 0 or 1 times a scale, by the definition of the type.
    #[must_use]
    pub const fn is_ternary(self) -> bool {
        matches!(
            self,
            Self::TQ1_0
                | Self::TQ2_0
                | Self::I2_S
                | Self::TL1
                | Self::TL2
                | Self::IQ1_BN
                | Self::IQ2_BN
                | Self::PTQ1_0
        )
    }

    /// Bits per element, with the scales that lie in blocks: 4.5 for `Q4_0`.
    #[must_use]
    pub fn bits_per_element(self) -> f64 {
        8.0 * self.block_bytes() as f64 / self.block_len() as f64
    }

    /// Bytes of a row of `len` elements, without what follows the whole tensor.
    ///
    /// # Errors
    /// `len` is no multiple of [`block_len`](Self::block_len), the size overflows, or the type has
    /// no known size.
    pub fn row_bytes(self, len: usize) -> Result<usize, SizeError> {
        if self.block_bytes() == 0 {
            return Err(SizeError::Unknown(self));
        }
        if !len.is_multiple_of(self.block_len()) {
            return Err(SizeError::Blocks(len, self.block_len()));
        }
        (len / self.block_len())
            .checked_mul(self.block_bytes())
            .and_then(|bytes| bytes.checked_add(self.row_header_bytes()))
            .ok_or(SizeError::Overflow)
    }

    /// Bytes of a tensor of this shape, outermost dimension first.
    ///
    /// ```
    /// use bitnet_formats::gguf::GgmlType;
    ///
    /// assert_eq!(GgmlType::Q4_0.tensor_bytes(&[3, 64]), Ok(3 * 2 * 18));
    /// assert_eq!(GgmlType::I2_S.tensor_bytes(&[3, 128]), Ok(3 * 32 + 32));
    /// assert_eq!(GgmlType::IQ2_BN.tensor_bytes(&[3, 128]), Ok(3 * (4 + 2 * 16)));
    /// assert!(GgmlType::Q4_0.tensor_bytes(&[3, 63]).is_err());
    /// ```
    ///
    /// # Errors
    /// As [`row_bytes`](Self::row_bytes). A zero among the dimensions makes the tensor empty, but
    /// the product of the others must still be countable, so that nobody who multiplies them in
    /// another order can overflow.
    pub fn tensor_bytes(self, shape: &[usize]) -> Result<usize, SizeError> {
        let (&row, outer) = shape.split_last().unwrap_or((&1, &[]));
        let countable = shape.iter().filter(|&&dim| dim != 0);
        let countable = countable.copied().try_fold(1_usize, usize::checked_mul);
        if countable.is_none_or(|count| count > isize::MAX as usize) {
            return Err(SizeError::Overflow);
        }
        let rows: usize = outer.iter().product();
        let bytes = if self == Self::I2_S {
            // Its bytes hold four values of the tensor, not of a row.
            self.row_bytes(rows * row)?
        } else {
            self.row_bytes(row)?.checked_mul(rows).ok_or(SizeError::Overflow)?
        };
        if rows == 0 || row == 0 {
            return Ok(0);
        }
        bytes
            .checked_add(self.tensor_trailer_bytes())
            .filter(|&bytes| bytes <= isize::MAX as usize)
            .ok_or(SizeError::Overflow)
    }

    /// Why this project does not compute with the type, and what to do instead.
    #[must_use]
    pub const fn refusal(self) -> Option<&'static str> {
        match self {
            Self::TL1 | Self::TL2 => Some(
                "holds lookup tables for one kernel of bitnet.cpp and cannot be unpacked without \
                 the source that was generated for it; convert the model it was made from to I2_S, \
                 TQ1_0 or TQ2_0 instead",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What an id without a type is known to have been, for an error message.
pub(super) fn known_elsewhere(id: u32) -> Option<&'static str> {
    Some(match id {
        4 | 5 => "Q4_2 or Q4_3, removed from ggml in 2023",
        31..=33 => "a Q4_0 repacked for ARM, removed from GGUF: make the file again as Q4_0",
        37 => "I8_S of bitnet.cpp, which is for activations",
        133 | 136..=141 | 144..=158 | 202..=399 => "a type of ik_llama.cpp",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_round_trip() {
        for &ty in GgmlType::ALL {
            let same_id = if ty == GgmlType::TL2 { GgmlType::MXFP4 } else { ty };
            assert_eq!(GgmlType::from_id(ty.id()), Some(same_id), "{ty}");
            assert_eq!(GgmlType::from_name(&ty.name().to_lowercase()), Some(ty), "{ty}");
            assert_eq!(known_elsewhere(ty.id()), None, "{ty}");
            if let Some(dtype) = ty.raw_dtype() {
                assert_eq!(GgmlType::from_raw_dtype(dtype), Some(ty));
                assert_eq!((ty.block_len(), ty.block_bytes()), (1, dtype.size()));
            }
        }
        assert_eq!(GgmlType::from_id(43), None);
    }

    #[test]
    fn sizes_of_rows_and_tensors() {
        use GgmlType as T;
        assert_eq!(T::F32.tensor_bytes(&[]), Ok(4));
        assert_eq!(T::Q6_K.tensor_bytes(&[2, 3, 512]), Ok(2 * 3 * 2 * 210));
        assert_eq!(T::IQ1_BN.tensor_bytes(&[2, 64]), Ok(2 * 15));
        assert_eq!(T::I2_S.tensor_bytes(&[2, 2]), Ok(1 + 32));
        assert_eq!(T::I2_S.tensor_bytes(&[3, 3]), Err(SizeError::Blocks(9, 4)));
        assert_eq!(T::Q2_K.tensor_bytes(&[256, 1]), Err(SizeError::Blocks(1, 256)));
        assert_eq!(T::TL1.tensor_bytes(&[256]), Err(SizeError::Unknown(T::TL1)));
    }

    #[test]
    fn sizes_that_overflow() {
        let half = 1 << (usize::BITS / 2);
        for &ty in GgmlType::ALL {
            assert_eq!(ty.tensor_bytes(&[half, half, half]), Err(SizeError::Overflow), "{ty}");
            assert_eq!(ty.tensor_bytes(&[half, half, 0]), Err(SizeError::Overflow), "{ty}");
        }
        assert_eq!(GgmlType::F64.tensor_bytes(&[half / 4, half]), Err(SizeError::Overflow));
        assert_eq!(GgmlType::F64.tensor_bytes(&[half / 4, half, 0]), Ok(0));
    }
}
