//! Element types, their promotion, and the Rust types that hold them.

use std::fmt;

use bitnet_formats::RawDType;
use bitnet_kernels::blocks::BlockFormat;
use bytemuck::{CheckedBitPattern, NoUninit};
use half::{bf16, f16};

/// The type of a tensor's elements. Serialized as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
#[non_exhaustive]
pub enum BitNetDType {
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned 8-bit integer.
    U8,
    /// Unsigned 16-bit integer.
    U16,
    /// Unsigned 32-bit integer.
    U32,
    /// Unsigned 64-bit integer.
    U64,
    /// Signed 8-bit integer.
    I8,
    /// Signed 16-bit integer.
    I16,
    /// Signed 32-bit integer.
    I32,
    /// Signed 64-bit integer.
    I64,
    /// IEEE 754 half precision.
    F16,
    /// bfloat16: the upper half of an `F32`.
    BF16,
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 double precision.
    F64,
    /// A weight of −1, 0 or +1 times a scale of its row, in packed codes.
    Ternary,
    /// A weight of −31 to 31 times a scale of its row, in packed codes.
    Int6,
    /// Rows of blocks of a weight file: small codes and their scales.
    Block(BlockFormat),
}

impl BitNetDType {
    /// Every type that stores its elements one by one.
    const DENSE: [Self; 13] = [
        Self::Bool,
        Self::U8,
        Self::U16,
        Self::U32,
        Self::U64,
        Self::I8,
        Self::I16,
        Self::I32,
        Self::I64,
        Self::F16,
        Self::BF16,
        Self::F32,
        Self::F64,
    ];

    /// Whether elements share bytes: `Ternary`, `Int6` and the block formats. Such a weight has no views
    /// and no arithmetic; it is multiplied by [`linear`](crate::BitNetTensor::linear), its rows are
    /// chosen, and [`to_dtype`](crate::BitNetTensor::to_dtype) makes numbers of it.
    pub const fn is_packed(self) -> bool {
        matches!(self, Self::Ternary | Self::Int6 | Self::Block(_))
    }

    /// Bits of one element, exactly: of a ternary code without its scale, of a block with its
    /// scales. Scales of whole rows are not counted.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BlockFormat};
    /// assert_eq!(BitNetDType::Block(BlockFormat::Q4_1).bits_per_element(), 5.0);
    /// assert_eq!(BitNetDType::Block(BlockFormat::Q6K).bits_per_element(), 6.5625);
    /// ```
    pub const fn bits_per_element(self) -> f64 {
        match self {
            Self::Block(format) => (8 * format.block_bytes()) as f64 / format.block_len() as f64,
            Self::Ternary => 2.0,
            Self::Int6 => 6.0,
            _ => match self.size_in_bytes() {
                Some(bytes) => (8 * bytes) as f64,
                None => 0.0,
            },
        }
    }

    /// Bytes of one element; `None` for packed types, whose elements share bytes.
    pub const fn size_in_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::U8 | Self::I8 => Some(1),
            Self::U16 | Self::I16 | Self::F16 | Self::BF16 => Some(2),
            Self::U32 | Self::I32 | Self::F32 => Some(4),
            Self::U64 | Self::I64 | Self::F64 => Some(8),
            Self::Ternary | Self::Int6 | Self::Block(_) => None,
        }
    }

    /// Whether this is `F16`, `BF16`, `F32` or `F64`.
    pub const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::BF16 | Self::F32 | Self::F64)
    }

    /// Whether this is a signed or unsigned integer (`Bool` is neither).
    pub const fn is_integer(self) -> bool {
        self.is_signed_integer() || self.is_unsigned_integer()
    }

    /// Whether this is a signed integer.
    pub const fn is_signed_integer(self) -> bool {
        matches!(self, Self::I8 | Self::I16 | Self::I32 | Self::I64)
    }

    /// Whether this is an unsigned integer.
    pub const fn is_unsigned_integer(self) -> bool {
        matches!(self, Self::U8 | Self::U16 | Self::U32 | Self::U64)
    }

    /// The type that holds both, by the Python array API standard (2024.12, "Type promotion"):
    ///
    /// | | |
    /// |---|---|
    /// | signed, signed or unsigned, unsigned | the wider |
    /// | signed, unsigned | the narrowest signed type that holds both; `U64` with signed: none |
    /// | float, float | the wider; `F16` with `BF16`: `F32` |
    /// | equal types | that type |
    /// | anything else | none: cast explicitly |
    ///
    /// ```
    /// use bitnet_tensor::BitNetDType::*;
    /// assert_eq!(U8.promote(I8), Some(I16));
    /// assert_eq!(F16.promote(BF16), Some(F32));
    /// assert_eq!(F32.promote(I32), None);
    /// ```
    pub fn promote(self, other: Self) -> Option<Self> {
        if self == other {
            return Some(self);
        }
        let (a, b) = (self.size_in_bytes()?, other.size_in_bytes()?);
        let wider = if a >= b { self } else { other };
        if self.is_float() && other.is_float() {
            return Some(if a == b { Self::F32 } else { wider });
        }
        if !self.is_integer() || !other.is_integer() {
            return None;
        }
        if self.is_signed_integer() == other.is_signed_integer() {
            return Some(wider);
        }
        let (signed, unsigned) = if self.is_signed_integer() { (a, b) } else { (b, a) };
        match signed.max(2 * unsigned) {
            1 => Some(Self::I8),
            2 => Some(Self::I16),
            4 => Some(Self::I32),
            8 => Some(Self::I64),
            _ => None,
        }
    }

    /// The lower-case name, as it is displayed: `f32`, `bf16`, `ternary`, `q4_1`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Ternary => "ternary",
            Self::Int6 => "int6",
            Self::Block(format) => match format {
                BlockFormat::Q8_0 => "q8_0",
                BlockFormat::Q4_0 => "q4_0",
                BlockFormat::Q4_1 => "q4_1",
                BlockFormat::Q5_0 => "q5_0",
                BlockFormat::Q5_1 => "q5_1",
                BlockFormat::Q2K => "q2_k",
                BlockFormat::Q3K => "q3_k",
                BlockFormat::Q4K => "q4_k",
                BlockFormat::Q5K => "q5_k",
                BlockFormat::Q6K => "q6_k",
                BlockFormat::Tq1_0 => "tq1_0",
                BlockFormat::Tq2_0 => "tq2_0",
                BlockFormat::Q1_0 => "q1_0",
                BlockFormat::Q2_0 => "q2_0",
                BlockFormat::Pq2_0 => "pq2_0",
                BlockFormat::Ptq1_0 => "ptq1_0",
                BlockFormat::Iq1Bn => "iq1_bn",
                BlockFormat::Iq2Bn => "iq2_bn",
                _ => format.name(),
            },
        }
    }
}

/// The element type of a file as that of a tensor.
impl From<RawDType> for BitNetDType {
    fn from(dtype: RawDType) -> Self {
        match dtype {
            RawDType::Bool => Self::Bool,
            RawDType::U8 => Self::U8,
            RawDType::U16 => Self::U16,
            RawDType::U32 => Self::U32,
            RawDType::U64 => Self::U64,
            RawDType::I8 => Self::I8,
            RawDType::I16 => Self::I16,
            RawDType::I32 => Self::I32,
            RawDType::I64 => Self::I64,
            RawDType::F16 => Self::F16,
            RawDType::BF16 => Self::BF16,
            RawDType::F32 => Self::F32,
            RawDType::F64 => Self::F64,
        }
    }
}

impl fmt::Display for BitNetDType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<BitNetDType> for &'static str {
    fn from(dtype: BitNetDType) -> Self {
        dtype.name()
    }
}

impl TryFrom<String> for BitNetDType {
    type Error = String;

    /// By the name that is displayed.
    fn try_from(name: String) -> Result<Self, String> {
        let blocks = BlockFormat::ALL.into_iter().map(Self::Block);
        Self::DENSE
            .into_iter()
            .chain([Self::Ternary, Self::Int6])
            .chain(blocks)
            .find(|dtype| dtype.name() == name)
            .ok_or_else(|| format!("{name} is no element type"))
    }
}

/// A Rust type that can be the element of a dense tensor.
pub trait Element: CheckedBitPattern + NoUninit + Send + Sync + PartialEq + fmt::Debug {
    /// The corresponding [`BitNetDType`].
    const DTYPE: BitNetDType;
}

mod sealed {
    /// Keeps [`super::Number`] to the types of numbers that tensors have.
    pub trait Sealed {}
}

/// A number: every [`Element`] but `bool`, with the conversions between any two of them.
pub trait Number: Element + bytemuck::Pod + sealed::Sealed {
    /// Whether it is a floating point type.
    const IS_FLOAT: bool;
    /// The number, rounded to `f64` where it has more digits.
    fn to_f64(self) -> f64;
    /// Floats round to nearest even; integers truncate toward zero and saturate, NaN becomes 0.
    fn from_f64(value: f64) -> Self;
    /// The integer; floats truncate.
    fn to_i128(self) -> i128;
    /// Floats round to nearest even; integers keep the low bits.
    fn from_i128(value: i128) -> Self;

    /// The conversion of [`BitNetTensor::to_dtype`](crate::BitNetTensor::to_dtype).
    #[inline(always)]
    fn cast<T: Number>(self) -> T {
        if Self::IS_FLOAT { T::from_f64(self.to_f64()) } else { T::from_i128(self.to_i128()) }
    }
}

macro_rules! element {
    ($($rust:ty => $dtype:ident),+) => {$(
        impl Element for $rust {
            const DTYPE: BitNetDType = BitNetDType::$dtype;
        }
    )+};
}
element!(bool => Bool, u8 => U8, u16 => U16, u32 => U32, u64 => U64, i8 => I8, i16 => I16,
         i32 => I32, i64 => I64, f16 => F16, bf16 => BF16, f32 => F32, f64 => F64);

macro_rules! number {
    ($is_float:literal: $($rust:ty),+) => {$(
        impl sealed::Sealed for $rust {}
        impl Number for $rust {
            const IS_FLOAT: bool = $is_float;
            #[inline(always)]
            fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)]
            fn from_f64(value: f64) -> Self { value as $rust }
            #[inline(always)]
            fn to_i128(self) -> i128 { self as i128 }
            #[inline(always)]
            fn from_i128(value: i128) -> Self { value as $rust }
        }
    )+};
}
number!(false: u8, u16, u32, u64, i8, i16, i32, i64);
number!(true: f32, f64);

macro_rules! half_number {
    ($($rust:ty),+) => {$(
        impl sealed::Sealed for $rust {}
        impl Number for $rust {
            const IS_FLOAT: bool = true;
            #[inline(always)]
            fn to_f64(self) -> f64 { <$rust>::to_f64(self) }
            // Not `half`'s own `from_f64`, which ignores the low 32 bits when it decides a tie.
            #[inline(always)]
            fn from_f64(value: f64) -> Self { <$rust>::from_f32(round_to_odd(value)) }
            #[inline(always)]
            fn to_i128(self) -> i128 { <$rust>::to_f64(self) as i128 }
            #[inline(always)]
            fn from_i128(value: i128) -> Self { <Self as Number>::from_f64(integer_to_odd(value)) }
        }
    )+};
}
half_number!(f16, bf16);

/// The `f32` next to `value` toward zero, its last bit set if that lost anything. Rounding it to
/// a half type gives what rounding `value` once would: the last bit remembers what was lost.
#[inline(always)]
fn round_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let widened = f64::from(nearest);
    if widened == value || value.is_nan() {
        return nearest;
    }
    let beyond = u32::from(widened.abs() > value.abs());
    f32::from_bits((nearest.to_bits() - beyond) | 1)
}

/// The same of an integer that `f64` does not hold.
fn integer_to_odd(value: i128) -> f64 {
    let nearest = value as f64;
    let widened = nearest as i128;
    if widened == value {
        return nearest;
    }
    let beyond = u64::from(widened.unsigned_abs() > value.unsigned_abs());
    f64::from_bits((nearest.to_bits() - beyond) | 1)
}

/// Runs `$body` with `$T` bound to the Rust type of a numeric dense dtype; `$other` otherwise.
macro_rules! with_number_type {
    ($dtype:expr, $T:ident => $body:expr, $other:expr) => {
        match $dtype {
            $crate::BitNetDType::U8 => {
                type $T = u8;
                $body
            }
            $crate::BitNetDType::U16 => {
                type $T = u16;
                $body
            }
            $crate::BitNetDType::U32 => {
                type $T = u32;
                $body
            }
            $crate::BitNetDType::U64 => {
                type $T = u64;
                $body
            }
            $crate::BitNetDType::I8 => {
                type $T = i8;
                $body
            }
            $crate::BitNetDType::I16 => {
                type $T = i16;
                $body
            }
            $crate::BitNetDType::I32 => {
                type $T = i32;
                $body
            }
            $crate::BitNetDType::I64 => {
                type $T = i64;
                $body
            }
            $crate::BitNetDType::F16 => {
                type $T = half::f16;
                $body
            }
            $crate::BitNetDType::BF16 => {
                type $T = half::bf16;
                $body
            }
            $crate::BitNetDType::F32 => {
                type $T = f32;
                $body
            }
            $crate::BitNetDType::F64 => {
                type $T = f64;
                $body
            }
            _ => $other,
        }
    };
}
pub(crate) use with_number_type;

#[cfg(test)]
mod tests {
    use super::BitNetDType::{self, *};
    use super::BlockFormat;

    const ALL: [BitNetDType; 16] = [
        Bool,
        U8,
        U16,
        U32,
        U64,
        I8,
        I16,
        I32,
        I64,
        F16,
        BF16,
        F32,
        F64,
        Ternary,
        Block(BlockFormat::Q4_1),
        Block(BlockFormat::Q6K),
    ];

    #[test]
    fn names_are_read_back() {
        for dtype in ALL.into_iter().chain(BlockFormat::ALL.map(Block)) {
            assert_eq!(BitNetDType::try_from(dtype.name().to_owned()), Ok(dtype));
            if let Block(format) = dtype {
                assert!(format.name().eq_ignore_ascii_case(dtype.name()));
            }
        }
        assert!(BitNetDType::try_from("q9_9".to_owned()).is_err());
    }

    #[test]
    fn promotion_is_symmetric_and_idempotent() {
        for a in ALL {
            assert_eq!(a.promote(a), Some(a));
            for b in ALL {
                assert_eq!(a.promote(b), b.promote(a), "{a} {b}");
            }
        }
    }

    #[test]
    fn half_types_round_once() {
        // Just above and below a tie, by less than an f32 shows; the tie itself; a subnormal; overflow.
        let tie = 1.0 + 2f64.powi(-8);
        let bf = |x: f64| <half::bf16 as super::Number>::from_f64(x).to_f64();
        assert_eq!([bf(tie), bf(tie + 1e-12), bf(tie - 1e-12)], [1.0, 1.0 + 2f64.powi(-7), 1.0]);
        assert_eq!([bf(-tie), bf(-tie - 1e-12)], [-1.0, -1.0 - 2f64.powi(-7)]);
        let f = |x: f64| <half::f16 as super::Number>::from_f64(x).to_f64();
        let tie = 1.0 + 2f64.powi(-11);
        assert_eq!([f(tie), f(tie + 1e-12), f(tie - 1e-12)], [1.0, 1.0 + 2f64.powi(-10), 1.0]);
        assert_eq!([f(2f64.powi(-25)), f(2f64.powi(-25) * (1.0 + 1e-12))], [0.0, 2f64.powi(-24)]);
        assert_eq!(
            [f(65_519.999_999_999), f(65520.0), f(-1e300)],
            [65504.0, f64::INFINITY, f64::NEG_INFINITY]
        );
        assert!(f(f64::NAN).is_nan() && f(-0.0).is_sign_negative());
    }

    #[test]
    fn promotion_follows_the_array_api_table() {
        // Rows of "Mixed integer kinds" and "Floating-point" of the standard.
        for (a, b, expected) in [
            (I8, U8, Some(I16)),
            (I8, U16, Some(I32)),
            (I8, U32, Some(I64)),
            (I64, U32, Some(I64)),
            (I32, U16, Some(I32)),
            (I64, U64, None),
            (F32, F64, Some(F64)),
            (F16, F32, Some(F32)),
            (Bool, I8, None),
            (I32, F32, None),
        ] {
            assert_eq!(a.promote(b), expected, "{a} {b}");
        }
    }
}
