//! The derivatives of the functions of one element.

use crate::BitNetTensor;
use crate::error::Result;
use crate::ops::UnaryKind;

/// `dy · f′(x)`, where `y` is `f(x)`.
pub(super) fn of(
    kind: UnaryKind,
    x: &BitNetTensor,
    y: &BitNetTensor,
    dy: &BitNetTensor,
) -> Result<BitNetTensor> {
    const LN_2: f64 = std::f64::consts::LN_2;
    const LN_10: f64 = std::f64::consts::LN_10;
    let derivative = match kind {
        UnaryKind::Neg => return dy.neg(),
        UnaryKind::Abs => x.sign()?,
        // Steps: flat wherever there is a derivative.
        UnaryKind::Sign
        | UnaryKind::Floor
        | UnaryKind::Ceil
        | UnaryKind::Round
        | UnaryKind::Trunc => return dy.mul(0.0),
        UnaryKind::Square => x.add(x)?,
        UnaryKind::Sqrt => return dy.div(y.add(y)?),
        // −x^(−3/2) / 2 = −y³ / 2
        UnaryKind::Rsqrt => y.square()?.mul(y)?.mul(-0.5)?,
        UnaryKind::Reciprocal => y.square()?.neg()?,
        UnaryKind::Exp => y.clone(),
        UnaryKind::Exp2 => y.mul(LN_2)?,
        UnaryKind::Expm1 => y.add(1.0)?,
        UnaryKind::Log => return dy.div(x),
        UnaryKind::Log2 => return dy.div(x.mul(LN_2)?),
        UnaryKind::Log10 => return dy.div(x.mul(LN_10)?),
        UnaryKind::Log1p => return dy.div(x.add(1.0)?),
        UnaryKind::Sin => x.cos()?,
        UnaryKind::Cos => x.sin()?.neg()?,
        UnaryKind::Tan => y.square()?.add(1.0)?,
        UnaryKind::Asin => one_minus(&x.square()?)?.rsqrt()?,
        UnaryKind::Acos => one_minus(&x.square()?)?.rsqrt()?.neg()?,
        UnaryKind::Atan => return dy.div(x.square()?.add(1.0)?),
        UnaryKind::Sinh => x.cosh()?,
        UnaryKind::Cosh => x.sinh()?,
        UnaryKind::Tanh => one_minus(&y.square()?)?,
        UnaryKind::Asinh => x.square()?.add(1.0)?.rsqrt()?,
        // (x − 1)(x + 1) does not cancel near 1.
        UnaryKind::Acosh => x.sub(1.0)?.mul(x.add(1.0)?)?.rsqrt()?,
        UnaryKind::Atanh => return dy.div(one_minus(&x.square()?)?),
        UnaryKind::Erf => bell(x, std::f64::consts::FRAC_2_SQRT_PI)?,
        UnaryKind::Erfc => bell(x, -std::f64::consts::FRAC_2_SQRT_PI)?,
        UnaryKind::Relu => return x.gt(0)?.where_(dy, 0),
        UnaryKind::Relu6 => return inside(x, 0.0, 6.0)?.where_(dy, 0),
        UnaryKind::ReluSquared => x.relu()?.mul(2.0)?,
        UnaryKind::LeakyRelu(slope) => return x.gt(0.0)?.where_(dy, dy.mul(slope)?),
        // α eˣ = y + α below zero.
        UnaryKind::Elu(alpha) => return x.gt(0.0)?.where_(dy, y.add(alpha)?.mul(dy)?),
        UnaryKind::Celu(alpha) => {
            return x.gt(0.0)?.where_(dy, x.mul(1.0 / alpha)?.exp()?.mul(dy)?);
        }
        UnaryKind::Selu => {
            let positive = BitNetTensor::scalar(1.0f64)?.selu()?.item::<f64>()?;
            let at_minus_infinity = BitNetTensor::scalar(-1e9f64)?.selu()?.item::<f64>()?;
            let below = y.sub(at_minus_infinity)?.mul(dy)?;
            return x.gt(0.0)?.where_(&dy.mul(positive)?, below);
        }
        // Φ(x) + x φ(x)
        UnaryKind::Gelu => {
            let phi = x.mul(-std::f64::consts::FRAC_1_SQRT_2)?.erfc()?.mul(0.5)?;
            let density = bell(
                &x.mul(std::f64::consts::FRAC_1_SQRT_2)?,
                0.5 * std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2,
            )?;
            phi.add(x.mul(density)?)?
        }
        // y = x σ(v), v = 2√(2/π)(x + 0.044715 x³): σ + x σ(1 − σ) v′
        UnaryKind::GeluTanh => {
            let scale = 2.0 * (2.0 / std::f64::consts::PI).sqrt();
            let square = x.square()?;
            let v = square.mul(0.044715)?.add(1.0)?.mul(x)?.mul(scale)?;
            let slope = square.mul(3.0 * 0.044715)?.add(1.0)?.mul(scale)?;
            let sigma = v.sigmoid()?;
            let inner = sigma.mul(one_minus(&sigma)?)?.mul(x)?.mul(slope)?;
            sigma.add(inner)?
        }
        // σ(x) + y (1 − σ(x)), y = x σ(x)
        UnaryKind::Silu => {
            let sigma = x.sigmoid()?;
            sigma.add(y.mul(one_minus(&sigma)?)?)?
        }
        // With t = tanh(softplus(x)): t + x σ(x)(1 − t²)
        UnaryKind::Mish => {
            let t = x.softplus()?.tanh()?;
            t.add(x.mul(x.sigmoid()?)?.mul(one_minus(&t.square()?)?)?)?
        }
        UnaryKind::Sigmoid => y.mul(one_minus(y)?)?,
        UnaryKind::LogSigmoid => x.neg()?.sigmoid()?,
        UnaryKind::HardSigmoid => return inside(x, -3.0, 3.0)?.where_(&dy.mul(1.0 / 6.0)?, 0.0),
        UnaryKind::HardSwish => {
            let middle = x.mul(1.0 / 3.0)?.add(0.5)?.mul(dy)?;
            return x.ge(3.0)?.where_(dy, x.gt(-3.0)?.where_(&middle, 0.0)?);
        }
        UnaryKind::HardTanh => return inside(x, -1.0, 1.0)?.where_(dy, 0.0),
        UnaryKind::Softplus => x.sigmoid()?,
        UnaryKind::Softsign => return dy.div(x.abs()?.add(1.0)?.square()?),
        _ => return dy.mul(f64::NAN),
    };
    dy.mul(derivative)
}

fn one_minus(x: &BitNetTensor) -> Result<BitNetTensor> {
    x.neg()?.add(1.0)
}

/// `scale · e^(−x²)`.
fn bell(x: &BitNetTensor, scale: f64) -> Result<BitNetTensor> {
    x.square()?.neg()?.exp()?.mul(scale)
}

/// Whether `low < x < high`.
fn inside(x: &BitNetTensor, low: f64, high: f64) -> Result<BitNetTensor> {
    x.gt(low)?.where_(&x.lt(high)?, false)
}
