//! Operands, and the assertion of a variant and its whole message.

use bitnet_tensor::BitNetDType::F32;
use bitnet_tensor::{BitNetDType, BitNetTensor};

pub(crate) fn zeros(shape: &[usize], dtype: BitNetDType) -> BitNetTensor {
    BitNetTensor::zeros(shape, dtype).expect("memory")
}

pub(crate) fn f32s(shape: &[usize]) -> BitNetTensor {
    zeros(shape, F32)
}

pub(crate) fn ids(values: &[u32], shape: &[usize]) -> BitNetTensor {
    BitNetTensor::from_slice(values, shape).expect("memory")
}

pub(crate) fn ternary() -> BitNetTensor {
    BitNetTensor::full([4, 8], 1.0f32).and_then(|w| w.ternarize()).expect("memory")
}

/// Asserts the variant and the whole message.
macro_rules! assert_error {
    ($result:expr, $variant:ident, $message:expr) => {
        match $result {
            Ok(_) => panic!("no error: {}", stringify!($result)),
            Err(error) => {
                assert_eq!(error.to_string(), $message);
                assert!(matches!(error, bitnet_tensor::TensorOpError::$variant(_)), "{error:?}");
            }
        }
    };
}
pub(crate) use assert_error;
