//! Functions of one and two elements.

use crate::BitNetDType;
use crate::ops::{BinaryKind, UnaryKind};

pub(super) fn unary(kind: UnaryKind, x: f64) -> f64 {
    match kind {
        UnaryKind::Neg => -x,
        UnaryKind::Abs => x.abs(),
        UnaryKind::Square => x * x,
        UnaryKind::Sqrt => x.sqrt(),
        UnaryKind::Rsqrt => 1.0 / x.sqrt(),
        UnaryKind::Exp => libm::exp(x),
        UnaryKind::Relu => {
            if x < 0.0 {
                0.0
            } else {
                x
            }
        }
        UnaryKind::ReluSquared => {
            if x < 0.0 {
                0.0
            } else {
                x * x
            }
        }
        UnaryKind::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
        UnaryKind::Silu => x / (1.0 + libm::exp(-x)),
        UnaryKind::Tanh => libm::tanh(x),
    }
}

pub(super) fn binary(kind: BinaryKind, a: f64, b: f64) -> f64 {
    match kind {
        BinaryKind::Add => a + b,
        BinaryKind::Sub => a - b,
        BinaryKind::Mul => a * b,
        BinaryKind::Div => a / b,
        BinaryKind::Max => {
            if a.is_nan() || a > b {
                a
            } else {
                b
            }
        }
        BinaryKind::Min => {
            if a.is_nan() || a < b {
                a
            } else {
                b
            }
        }
    }
}

pub(super) fn integer_binary(kind: BinaryKind, a: i128, b: i128) -> i128 {
    match kind {
        BinaryKind::Add => a + b,
        BinaryKind::Sub => a - b,
        BinaryKind::Mul => a * b,
        BinaryKind::Max => a.max(b),
        BinaryKind::Min => a.min(b),
        // Shape inference lets only floats be divided.
        BinaryKind::Div => a.checked_div(b).unwrap_or(0),
    }
}

/// Width and signedness of an integer type.
pub(super) fn integer_bits(dtype: BitNetDType) -> Option<(u32, bool)> {
    let bytes = dtype.size_in_bytes().filter(|_| dtype.is_integer())?;
    Some((8 * bytes as u32, dtype.is_signed_integer()))
}

/// Integers keep their low bits. Exact while the result is exact in `f64`.
pub(super) fn wrap(value: i128, bits: Option<(u32, bool)>) -> f64 {
    let Some((bits, signed)) = bits else { return value as f64 };
    let low = value & ((1i128 << bits) - 1);
    let negative = signed && low >> (bits - 1) == 1;
    (if negative { low - (1i128 << bits) } else { low }) as f64
}
