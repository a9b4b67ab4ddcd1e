//! Functions of one and two numbers in `f64`, through `libm`: the same bits on every platform; and
//! of two integers, exact.
//!
//! The functions without a vector form of their own are computed here for `f32` too, and rounded
//! once: within 0.51 units in the last place. Formulas are those that lose no digits: `erfc` for
//! the negative tail of GELU, `log1p` and `expm1` near zero.

use super::coefficients::{SELU_ALPHA, SELU_SCALE};
use super::{BinaryKind, UnaryKind};

/// The function of one `f64`. NaN gives NaN.
///
/// ```
/// use bitnet_kernels::elementwise::{UnaryKind, unary_f64};
/// assert_eq!(unary_f64(UnaryKind::Log2, 8.0), 3.0);
/// ```
pub fn unary_f64(kind: UnaryKind, x: f64) -> f64 {
    match kind {
        UnaryKind::Neg => -x,
        UnaryKind::Abs => x.abs(),
        UnaryKind::Sign if x.is_nan() => x,
        UnaryKind::Sign => f64::from(i8::from(x > 0.0) - i8::from(x < 0.0)),
        UnaryKind::Square => x * x,
        UnaryKind::Sqrt => x.sqrt(),
        UnaryKind::Rsqrt => 1.0 / x.sqrt(),
        UnaryKind::Reciprocal => 1.0 / x,
        UnaryKind::Exp => libm::exp(x),
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
        UnaryKind::Tanh => libm::tanh(x),
        UnaryKind::Asinh => asinh(x),
        UnaryKind::Acosh => acosh(x),
        UnaryKind::Atanh => libm::atanh(x),
        UnaryKind::Erf => libm::erf(x),
        UnaryKind::Erfc => libm::erfc(x),
        UnaryKind::Floor => x.floor(),
        UnaryKind::Ceil => x.ceil(),
        UnaryKind::Round => x.round_ties_even(),
        UnaryKind::Trunc => x.trunc(),
        UnaryKind::Relu => relu(x),
        UnaryKind::Relu6 => clamp(x, 0.0, 6.0),
        UnaryKind::ReluSquared => relu(x) * relu(x),
        UnaryKind::LeakyRelu(slope) => {
            if x < 0.0 {
                slope * x
            } else {
                x
            }
        }
        UnaryKind::Elu(alpha) => elu(x, alpha),
        UnaryKind::Celu(alpha) => {
            if x < 0.0 {
                alpha * libm::expm1(x / alpha)
            } else {
                x
            }
        }
        UnaryKind::Selu => SELU_SCALE * elu(x, SELU_ALPHA),
        UnaryKind::Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
        UnaryKind::GeluTanh => {
            // x/2 · (1 + tanh u) = x · σ(2u), which does not cancel.
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            x * sigmoid(2.0 * u)
        }
        UnaryKind::Silu => x * sigmoid(x),
        UnaryKind::Mish => mish(x),
        UnaryKind::Sigmoid => sigmoid(x),
        UnaryKind::LogSigmoid => -softplus(-x),
        UnaryKind::HardSigmoid => clamp(x / 6.0 + 0.5, 0.0, 1.0),
        UnaryKind::HardSwish => x * clamp(x / 6.0 + 0.5, 0.0, 1.0),
        UnaryKind::HardTanh => clamp(x, -1.0, 1.0),
        UnaryKind::Softplus => softplus(x),
        UnaryKind::Softsign => x / (1.0 + x.abs()),
    }
}

/// Not `f64::max`, which drops NaN.
fn relu(x: f64) -> f64 {
    if x < 0.0 { 0.0 } else { x }
}

fn clamp(x: f64, low: f64, high: f64) -> f64 {
    if x < low {
        low
    } else if x > high {
        high
    } else {
        x
    }
}

fn elu(x: f64, alpha: f64) -> f64 {
    if x < 0.0 { alpha * libm::expm1(x) } else { x }
}

/// 1 / (1 + e^−x), whose quotient underflows gradually where e^−x would overflow.
fn sigmoid(x: f64) -> f64 {
    if x < 0.0 {
        let e = libm::exp(x);
        e / (1.0 + e)
    } else {
        1.0 / (1.0 + libm::exp(-x))
    }
}

/// ln(1 + e^x).
fn softplus(x: f64) -> f64 {
    let small = libm::log1p(libm::exp(-x.abs()));
    if x > 0.0 { x + small } else { small }
}

/// x · tanh(ln(1 + e^x)) = x · e(e + 2) / (e(e + 2) + 2) with e = e^x.
fn mish(x: f64) -> f64 {
    if x > 40.0 {
        return x;
    }
    let e = libm::exp(x);
    let n = e * (e + 2.0);
    x * (n / (n + 2.0))
}

/// `libm::asinh` loses digits near zero and squares what is large.
fn asinh(x: f64) -> f64 {
    let a = x.abs();
    let magnitude = if a > 1e150 {
        libm::log(a) + std::f64::consts::LN_2
    } else {
        libm::log1p(a + a * a / (1.0 + (1.0 + a * a).sqrt()))
    };
    magnitude.copysign(x)
}

fn acosh(x: f64) -> f64 {
    if x < 1.0 {
        return f64::NAN;
    }
    if x > 1e150 {
        return libm::log(x) + std::f64::consts::LN_2;
    }
    let t = x - 1.0;
    libm::log1p(t + (2.0 * t + t * t).sqrt())
}

/// A function of two floats. Those that IEEE defines are the processor's own.
pub(super) fn binary_f64(kind: BinaryKind, a: f64, b: f64) -> f64 {
    match kind {
        BinaryKind::FloorDiv => floor_div_rem(a, b).0,
        BinaryKind::Rem => floor_div_rem(a, b).1,
        BinaryKind::Fmod => libm::fmod(a, b),
        BinaryKind::Pow => libm::pow(a, b),
        BinaryKind::Atan2 => libm::atan2(a, b),
        BinaryKind::Hypot => libm::hypot(a, b),
        BinaryKind::Copysign => a.copysign(b),
        _ => f64::NAN,
    }
}

/// Quotient and remainder as Python and NumPy define them for floats.
fn floor_div_rem(a: f64, b: f64) -> (f64, f64) {
    if b == 0.0 {
        return (a / b, f64::NAN);
    }
    let mut rem = libm::fmod(a, b);
    let mut div = (a - rem) / b;
    if rem == 0.0 {
        rem = 0.0f64.copysign(b);
    } else if (b < 0.0) != (rem < 0.0) {
        rem += b;
        div -= 1.0;
    }
    if div == 0.0 {
        return (0.0f64.copysign(a / b), rem);
    }
    let floor = div.floor();
    (if div - floor > 0.5 { floor + 1.0 } else { floor }, rem)
}

/// A function of two integers, whose low bits are the result. Division by zero, negative exponents
/// and negative shifts, which callers refuse, give 0.
pub(super) fn binary_i128(kind: BinaryKind, a: i128, b: i128, bits: u32) -> i128 {
    match kind {
        BinaryKind::FloorDiv if b != 0 => {
            a.div_euclid(b) - i128::from(b < 0 && a.rem_euclid(b) != 0)
        }
        BinaryKind::Rem if b != 0 => {
            let rem = a % b;
            if rem != 0 && (rem < 0) != (b < 0) { rem + b } else { rem }
        }
        BinaryKind::Fmod if b != 0 => a % b,
        BinaryKind::Pow if b >= 0 => wrapping_pow(a, b),
        BinaryKind::And => a & b,
        BinaryKind::Or => a | b,
        BinaryKind::Xor => a ^ b,
        BinaryKind::Shl if (0..i128::from(bits)).contains(&b) => a << b,
        BinaryKind::Shr if b >= 0 => a >> b.min(127),
        _ => 0,
    }
}

/// By squaring; the low bits are those of the power.
fn wrapping_pow(mut base: i128, mut exponent: i128) -> i128 {
    let mut power = 1i128;
    while exponent > 0 {
        if exponent & 1 == 1 {
            power = power.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        exponent >>= 1;
    }
    power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_quotients_round_down() {
        for a in -20i128..=20 {
            for b in (-7i128..=7).filter(|&b| b != 0) {
                let quotient = binary_i128(BinaryKind::FloorDiv, a, b, 8);
                let rem = binary_i128(BinaryKind::Rem, a, b, 8);
                assert_eq!(quotient, (a as f64 / b as f64).floor() as i128, "{a} {b}");
                assert_eq!(quotient * b + rem, a, "{a} {b}");
            }
        }
        assert_eq!(binary_i128(BinaryKind::Pow, -3, 5, 64), -243);
        assert_eq!(binary_i128(BinaryKind::Shr, -1, 200, 8), -1);
        assert_eq!(binary_i128(BinaryKind::Shl, 1, 8, 8), 0);
    }

    #[test]
    fn float_quotients_are_pythons() {
        // From Python's divmod.
        for (a, b, quotient, rem) in [
            (7.0, 2.0, 3.0, 1.0),
            (-7.0, 2.0, -4.0, 1.0),
            (7.0, -2.0, -4.0, -1.0),
            (1.0, 0.1, 9.0, 0.09999999999999995),
            (-0.0, 3.0, -0.0, 0.0),
            (5.0, f64::INFINITY, 0.0, 5.0),
            (-5.0, f64::INFINITY, -1.0, f64::INFINITY),
        ] {
            let got = floor_div_rem(a, b);
            assert_eq!((got.0.to_bits(), got.1), (f64::to_bits(quotient), rem), "{a} {b}");
        }
    }
}
