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
        UnaryKind::Sign if x == 0.0 || x.is_nan() => x + 0.0,
        UnaryKind::Sign => x.signum(),
        UnaryKind::Reciprocal => 1.0 / x,
        UnaryKind::Exp2 => libm::exp2(x),
        UnaryKind::Expm1 => libm::expm1(x),
        UnaryKind::Log => libm::log(x),
        UnaryKind::Log2 => libm::log2(x),
        UnaryKind::Log10 => libm::log10(x),
        UnaryKind::Log1p => libm::log1p(x),
        UnaryKind::Sin => libm::sin(x),
        UnaryKind::Cos => libm::cos(x),
        UnaryKind::Tan => libm::tan(x),
        UnaryKind::Asin => libm::asin(x),
        UnaryKind::Acos => libm::acos(x),
        UnaryKind::Atan => libm::atan(x),
        UnaryKind::Sinh => libm::sinh(x),
        UnaryKind::Cosh => libm::cosh(x),
        UnaryKind::Atanh => libm::atanh(x),
        UnaryKind::Erf => libm::erf(x),
        UnaryKind::Erfc => libm::erfc(x),
        UnaryKind::Floor => libm::floor(x),
        UnaryKind::Ceil => libm::ceil(x),
        UnaryKind::Round => libm::rint(x),
        UnaryKind::Trunc => libm::trunc(x),
        UnaryKind::LeakyRelu(slope) if x < 0.0 => slope * x,
        UnaryKind::Elu(alpha) if x < 0.0 => alpha * libm::expm1(x),
        UnaryKind::Celu(alpha) if x < 0.0 => alpha * libm::expm1(x / alpha),
        UnaryKind::LeakyRelu(_) | UnaryKind::Elu(_) | UnaryKind::Celu(_) => x,
        UnaryKind::Softsign => x / (1.0 + x.abs()),
        // Formulas whose point is their accuracy: there is one of each. They are compared with
        // mpmath's and PyTorch's numbers.
        kind => bitnet_kernels::elementwise::unary_f64(kind, x),
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
        BinaryKind::FloorDiv if b == 0.0 => a / b,
        BinaryKind::FloorDiv => {
            let rem = libm::fmod(a, b);
            let below = rem != 0.0 && (rem < 0.0) != (b < 0.0);
            let quotient = ((a - rem) / b).round() - f64::from(u8::from(below));
            if quotient == 0.0 { quotient.copysign(a / b) } else { quotient }
        }
        BinaryKind::Rem => {
            let rem = libm::fmod(a, b);
            match () {
                () if rem.is_nan() => rem,
                () if rem == 0.0 => rem.copysign(b),
                () if (rem < 0.0) != (b < 0.0) => rem + b,
                () => rem,
            }
        }
        BinaryKind::Fmod => libm::fmod(a, b),
        BinaryKind::Pow => libm::pow(a, b),
        BinaryKind::Atan2 => libm::atan2(a, b),
        BinaryKind::Hypot => libm::hypot(a, b),
        BinaryKind::Copysign => a.copysign(b),
        // Shape inference lets only integers and truth values have their bits combined.
        _ => f64::NAN,
    }
}

/// The result, of which the caller keeps the low bits, or why there is none.
pub(super) fn integer_binary(kind: BinaryKind, a: i128, b: i128) -> Result<i128, String> {
    let floor = |a: i128, b: i128| {
        (a - a.rem_euclid(b.abs())) / b - i128::from(b < 0 && a.rem_euclid(b.abs()) != 0)
    };
    Ok(match kind {
        BinaryKind::Add => a + b,
        BinaryKind::Sub => a - b,
        BinaryKind::Mul => a.wrapping_mul(b),
        BinaryKind::Max => a.max(b),
        BinaryKind::Min => a.min(b),
        BinaryKind::FloorDiv | BinaryKind::Rem | BinaryKind::Fmod if b == 0 => {
            return Err("division by zero".into());
        }
        BinaryKind::FloorDiv => floor(a, b),
        BinaryKind::Rem => a - b * floor(a, b),
        BinaryKind::Fmod => a % b,
        BinaryKind::Pow if b < 0 => return Err("an integer has no negative power".into()),
        BinaryKind::Pow => (0..b).fold(1, |power: i128, _| power.wrapping_mul(a)),
        BinaryKind::And => a & b,
        BinaryKind::Or => a | b,
        BinaryKind::Xor => a ^ b,
        BinaryKind::Shl | BinaryKind::Shr if b < 0 => {
            return Err("a shift by a negative number".into());
        }
        BinaryKind::Shl => (0..b.min(64)).fold(a, |n: i128, _| n.wrapping_mul(2)),
        BinaryKind::Shr => (0..b.min(127)).fold(a, |n, _| n.div_euclid(2)),
        _ => return Err("integers have no such operation".into()),
    })
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
