//! Truth values: logical combinations, and questions about single numbers.

use crate::backend::dispatch::composed;
use crate::error::Result;
use crate::ops::Operand;
use crate::{BitNetDType, BitNetTensor};

macro_rules! logical_methods {
    ($($(#[$doc:meta])* $method:ident => $bits:ident, $y:literal;)+) => {
        /// # Logic
        ///
        /// Operands that are not `Bool` count as true where they are not zero, as in NumPy; the
        /// result is `Bool`.
        impl BitNetTensor {
            $(
                $(#[$doc])*
                ///
                /// ```
                /// use bitnet_tensor::BitNetTensor;
                /// let a = BitNetTensor::try_from(vec![true, true, false])?;
                /// let b = BitNetTensor::try_from(vec![2.0f32, 0.0, 0.0])?;
                #[doc = concat!("assert_eq!(a.", stringify!($method), "(&b)?.to_vec::<bool>()?, ", $y, ");")]
                /// # Ok::<(), bitnet_tensor::TensorOpError>(())
                /// ```
                ///
                /// # Errors
                /// `BroadcastError`, `DeviceMismatch`.
                pub fn $method(&self, other: &Self) -> Result<Self> {
                    composed(stringify!($method), &[self, other], || {
                        let (a, b) = (self.truth()?, other.truth()?);
                        a.$bits(&b)
                    })
                }
            )+
        }
    };
}
logical_methods! {
    /// Whether both are true.
    logical_and => bitand, "[true, false, false]";
    /// Whether one is true.
    logical_or => bitor, "[true, true, false]";
    /// Whether exactly one is true.
    logical_xor => bitxor, "[false, true, false]";
}

impl BitNetTensor {
    fn truth(&self) -> Result<Self> {
        self.to_dtype(BitNetDType::Bool)
    }

    /// Whether the element is false or zero.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![0.0f32, 2.0])?;
    /// assert_eq!(x.logical_not()?.to_vec::<bool>()?, [true, false]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed weights.
    pub fn logical_not(&self) -> Result<Self> {
        composed("logical_not", &[self], || self.truth()?.bitxor(true))
    }

    /// The bits that the integer has not; of `Bool`: not.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// assert_eq!(BitNetTensor::try_from(vec![0u8, 0xf0])?.bitnot()?.to_vec::<u8>()?, [255, 15]);
    /// assert_eq!(BitNetTensor::try_from(vec![5i32])?.bitnot()?.to_vec::<i32>()?, [-6]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` for floats.
    pub fn bitnot(&self) -> Result<Self> {
        composed("bitnot", &[self], || match self.dtype() {
            BitNetDType::Bool => self.bitxor(true),
            BitNetDType::U8 => self.bitxor(u8::MAX),
            BitNetDType::U16 => self.bitxor(u16::MAX),
            BitNetDType::U32 => self.bitxor(u32::MAX),
            BitNetDType::U64 => self.bitxor(u64::MAX),
            _ => self.bitxor(-1),
        })
    }

    /// Whether the element is NaN; no integer is.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![0.0f32, f32::NAN, f32::INFINITY])?;
    /// assert_eq!(x.isnan()?.to_vec::<bool>()?, [false, true, false]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed weights.
    pub fn isnan(&self) -> Result<Self> {
        composed("isnan", &[self], || self.ne(self))
    }

    /// Whether the element is infinite; no integer is.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![0.0f32, f32::NAN, f32::NEG_INFINITY])?;
    /// assert_eq!(x.isinf()?.to_vec::<bool>()?, [false, false, true]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed weights.
    pub fn isinf(&self) -> Result<Self> {
        composed("isinf", &[self], || match self.dtype().is_float() {
            true => self.abs()?.eq(f64::INFINITY),
            false => self.ne(self),
        })
    }

    /// Whether the element is neither NaN nor infinite; every integer is.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![0.0f32, f32::NAN, f32::INFINITY])?;
    /// assert_eq!(x.isfinite()?.to_vec::<bool>()?, [true, false, false]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `UnsupportedOperation` for packed weights.
    pub fn isfinite(&self) -> Result<Self> {
        composed("isfinite", &[self], || match self.dtype().is_float() {
            true => self.abs()?.lt(f64::INFINITY),
            false => self.eq(self),
        })
    }

    /// This tensor with `value` where `mask` is true.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0])?;
    /// assert_eq!(x.masked_fill(&x.gt(1.5)?, 0.0)?.to_vec::<f32>()?, [1.0, 0.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the mask is `Bool`; `BroadcastError`, also when the mask would make
    /// the tensor larger.
    pub fn masked_fill(&self, mask: &Self, value: impl Operand) -> Result<Self> {
        let value = value.beside("masked_fill", self)?;
        composed("masked_fill", &[self, mask, &value], || {
            mask.expand(self.shape())?
                .where_(&value.expand(self.shape())?.to_dtype(self.dtype())?, self)
        })
    }
}
