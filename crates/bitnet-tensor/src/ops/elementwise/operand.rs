//! What stands on the right of a binary operation: a tensor or a number.

use std::borrow::Cow;

use half::{bf16, f16};

use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// A tensor, or a number that takes the type and the device of the tensor beside it.
///
/// As in the Python array API a number does not promote: `f32` plus `2` or `2.5` is `f32`. A number
/// that the type cannot hold (2.5 or 300 in `u8`) is refused.
///
/// ```
/// use bitnet_tensor::BitNetTensor;
/// let x = BitNetTensor::from_vec(vec![1.0f32, 2.0], [2])?;
/// assert_eq!(x.mul(3)?.add(0.5)?.to_vec::<f32>()?, [3.5, 6.5]);
/// assert_eq!(x.add(&x)?.to_vec::<f32>()?, [2.0, 4.0]);
/// assert_eq!((&x * 2.0).to_vec::<f32>()?, [2.0, 4.0]);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
pub trait Operand: sealed::Sealed {
    /// The operand as a tensor that can stand beside `other` in `operation`.
    #[doc(hidden)]
    fn beside(
        &self,
        operation: &'static str,
        other: &BitNetTensor,
    ) -> Result<Cow<'_, BitNetTensor>>;
}

mod sealed {
    /// Keeps [`super::Operand`] to tensors and numbers.
    pub trait Sealed {}
}

impl sealed::Sealed for BitNetTensor {}
impl Operand for BitNetTensor {
    fn beside(&self, _: &'static str, _: &BitNetTensor) -> Result<Cow<'_, BitNetTensor>> {
        Ok(Cow::Borrowed(self))
    }
}

impl<T: Operand + ?Sized> sealed::Sealed for &T {}
impl<T: Operand + ?Sized> Operand for &T {
    fn beside(
        &self,
        operation: &'static str,
        other: &BitNetTensor,
    ) -> Result<Cow<'_, BitNetTensor>> {
        (**self).beside(operation, other)
    }
}

/// A number of the host, exact.
#[derive(Clone, Copy)]
enum Scalar {
    Bool(bool),
    Integer(i128),
    Float(f64),
}

macro_rules! number_operands {
    ($($type:ty => $variant:ident($convert:expr);)+) => {$(
        impl sealed::Sealed for $type {}
        impl Operand for $type {
            fn beside(&self, operation: &'static str, other: &BitNetTensor)
            -> Result<Cow<'_, BitNetTensor>> {
                let convert: fn($type) -> _ = $convert;
                scalar_beside(Scalar::$variant(convert(*self)), operation, other).map(Cow::Owned)
            }
        }
    )+};
}
number_operands! {
    bool => Bool(|x| x);
    u8 => Integer(i128::from);
    u16 => Integer(i128::from);
    u32 => Integer(i128::from);
    u64 => Integer(i128::from);
    usize => Integer(|x| x as i128);
    i8 => Integer(i128::from);
    i16 => Integer(i128::from);
    i32 => Integer(i128::from);
    i64 => Integer(i128::from);
    isize => Integer(|x| x as i128);
    f16 => Float(f64::from);
    bf16 => Float(f64::from);
    f32 => Float(f64::from);
    f64 => Float(|x| x);
}

fn scalar_beside(
    scalar: Scalar,
    operation: &'static str,
    other: &BitNetTensor,
) -> Result<BitNetTensor> {
    let dtype = other.dtype();
    let tensor = match scalar {
        Scalar::Bool(value) if dtype == BitNetDType::Bool => BitNetTensor::scalar(value),
        Scalar::Float(value) if dtype.is_float() => BitNetTensor::scalar(value),
        Scalar::Integer(value) if dtype.is_float() => BitNetTensor::scalar(value as f64),
        Scalar::Integer(value) if dtype.is_integer() && holds(dtype, value) => {
            // Exact for every integer type: the low 64 bits are kept and read as the type's own.
            let bits = BitNetTensor::scalar(value as i64)?;
            return bits.to_dtype(dtype)?.to_device(other.device());
        }
        _ => {
            let text = match scalar {
                Scalar::Bool(value) => value.to_string(),
                Scalar::Integer(value) => value.to_string(),
                Scalar::Float(value) => value.to_string(),
            };
            bail!(DTypeMismatch, operation, &[other], "the number {text} is not of type {dtype}")
        }
    };
    tensor?.to_dtype(dtype)?.to_device(other.device())
}

/// Whether an integer type holds `value`.
fn holds(dtype: BitNetDType, value: i128) -> bool {
    let bits = 8 * dtype.size_in_bytes().unwrap_or(0) as u32;
    if dtype.is_signed_integer() {
        let limit = 1i128 << (bits - 1);
        (-limit..limit).contains(&value)
    } else {
        (0..1i128 << bits).contains(&value)
    }
}
