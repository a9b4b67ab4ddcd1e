//! How far the elementary functions are from the exact value, over the whole range of `f32`.
//!
//! The oracle computes in `f64` with the functions of the system's C library (the kernels use those
//! of the `libm` crate), and by formulas that lose no digits. Errors are counted in units in the
//! last place of the exact value, an infinity being the number after the greatest one. Run with
//! `--nocapture` to see the worst of each function.

use bitnet_kernels::elementwise::UnaryKind;
use bitnet_tensor::BitNetDType::{self, BF16, F16, F32, F64};
use bitnet_tensor::{BitNetTensor, Result};
use bitnet_testkit::conformance::UNARY;
use bitnet_testkit::{Random, Tolerance};

/// The digits of a type, its smallest normal exponent, and the exponent that it has not.
#[derive(Clone, Copy)]
struct Format {
    digits: i32,
    least: i32,
    beyond: i32,
}

fn format(dtype: BitNetDType) -> Format {
    match dtype {
        F16 => Format { digits: 11, least: -14, beyond: 16 },
        BF16 => Format { digits: 8, least: -126, beyond: 128 },
        _ => Format { digits: 24, least: -126, beyond: 128 },
    }
}

impl Format {
    /// The distance of a number of this format from the exact value, in units of the last place.
    fn error(self, got: f64, exact: f64) -> f64 {
        if got.is_nan() || exact.is_nan() {
            return if got.is_nan() && exact.is_nan() { 0.0 } else { f64::INFINITY };
        }
        if got == exact {
            return 0.0;
        }
        let limit = 2f64.powi(self.beyond);
        let (got, exact) = (got.clamp(-limit, limit), exact.clamp(-limit, limit));
        let bits = (exact.abs().to_bits() >> 52) as i32 - 1023;
        let exponent = bits.clamp(self.least, self.beyond - 1);
        (got - exact).abs() / 2f64.powi(exponent - (self.digits - 1))
    }
}

/// The function in `f64`.
fn exact(kind: UnaryKind, x: f64) -> f64 {
    let sigmoid =
        |x: f64| if x < 0.0 { x.exp() / (1.0 + x.exp()) } else { 1.0 / (1.0 + (-x).exp()) };
    let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    let elu = |x: f64, alpha: f64| if x < 0.0 { alpha * x.exp_m1() } else { x };
    match kind {
        UnaryKind::Neg => -x,
        UnaryKind::Abs => x.abs(),
        UnaryKind::Sign if x == 0.0 || x.is_nan() => x,
        UnaryKind::Sign => x.signum(),
        UnaryKind::Square => x * x,
        UnaryKind::Sqrt => x.sqrt(),
        UnaryKind::Rsqrt => x.sqrt().recip(),
        UnaryKind::Reciprocal => x.recip(),
        UnaryKind::Exp => x.exp(),
        UnaryKind::Exp2 => x.exp2(),
        UnaryKind::Expm1 => x.exp_m1(),
        UnaryKind::Log => x.ln(),
        UnaryKind::Log2 => x.log2(),
        UnaryKind::Log10 => x.log10(),
        UnaryKind::Log1p => x.ln_1p(),
        UnaryKind::Sin => x.sin(),
        UnaryKind::Cos => x.cos(),
        UnaryKind::Tan => x.tan(),
        UnaryKind::Asin => x.asin(),
        UnaryKind::Acos => x.acos(),
        UnaryKind::Atan => x.atan(),
        UnaryKind::Sinh => x.sinh(),
        UnaryKind::Cosh => x.cosh(),
        UnaryKind::Tanh => x.tanh(),
        UnaryKind::Asinh => x.asinh(),
        UnaryKind::Acosh if x > 1.0 => ((x - 1.0) + ((x - 1.0) * (x + 1.0)).sqrt()).ln_1p(),
        UnaryKind::Acosh => x.acosh(),
        UnaryKind::Atanh => 0.5 * (x.ln_1p() - (-x).ln_1p()),
        UnaryKind::Floor => x.floor(),
        UnaryKind::Ceil => x.ceil(),
        UnaryKind::Round => x.round_ties_even(),
        UnaryKind::Trunc => x.trunc(),
        UnaryKind::LeakyRelu(slope) => {
            if x < 0.0 {
                slope * x
            } else {
                x
            }
        }
        UnaryKind::Elu(alpha) => elu(x, alpha),
        UnaryKind::Celu(alpha) => elu(x / alpha, 1.0) * alpha,
        UnaryKind::Selu => 1.050_700_987_355_480_5 * elu(x, 1.673_263_242_354_377_2),
        // x σ(2u) = x/2 (1 + tanh u)
        UnaryKind::GeluTanh => {
            x * sigmoid(2.0 * (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3)))
        }
        UnaryKind::Silu => x * sigmoid(x),
        UnaryKind::Mish => x * softplus(x).tanh(),
        UnaryKind::Sigmoid => sigmoid(x),
        UnaryKind::LogSigmoid if x.is_nan() => x,
        UnaryKind::LogSigmoid => -softplus(-x),
        UnaryKind::Softplus if x.is_nan() => x,
        UnaryKind::Softplus => softplus(x),
        UnaryKind::HardSigmoid => (x / 6.0 + 0.5).clamp(0.0, 1.0),
        UnaryKind::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        UnaryKind::HardTanh => x.clamp(-1.0, 1.0),
        UnaryKind::Relu6 => x.clamp(0.0, 6.0),
        UnaryKind::Relu => x.clamp(0.0, f64::INFINITY),
        UnaryKind::ReluSquared => x.clamp(0.0, f64::INFINITY).powi(2),
        UnaryKind::Softsign => x / (1.0 + x.abs()),
        // The C library has no error function in Rust: `libm`'s, which mpmath's numbers in the
        // goldens check.
        _ => bitnet_kernels::elementwise::unary_f64(kind, x),
    }
}

/// Every 4099th bit pattern, and the neighbours of the points where functions change their ways.
fn samples() -> Vec<f32> {
    const POINTS: [f32; 24] = [
        0.0,
        f32::MIN_POSITIVE,
        1e-4,
        0.25,
        0.5,
        0.625,
        std::f32::consts::LN_2,
        1.0,
        1.5,
        std::f32::consts::FRAC_PI_2,
        2.5,
        3.0,
        std::f32::consts::PI,
        6.0,
        9.0,
        10.0,
        16.6,
        20.0,
        40.0,
        87.3,
        88.72,
        103.9,
        8_388_608.0,
        f32::MAX,
    ];
    let mut all: Vec<f32> = (0..=u32::MAX).step_by(4099).map(f32::from_bits).collect();
    for point in POINTS {
        let bits = point.to_bits();
        let near = (bits.saturating_sub(300)..=bits.saturating_add(300)).map(f32::from_bits);
        all.extend(near.flat_map(|x| [x, -x]));
    }
    all.push(f32::NAN);
    all
}

/// The worst error of results in a format, and where it is.
fn worst(x: &[f64], got: &[f64], format: Format, exact: impl Fn(f64) -> f64) -> (f64, f64, f64) {
    let errors = x.iter().zip(got).map(|(&x, &got)| (format.error(got, exact(x)), x, got));
    errors.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default()
}

fn wide(x: &BitNetTensor) -> Result<Vec<f64>> {
    x.to_dtype(F64)?.to_vec()
}

/// Checks every function over these inputs, the functions shared out to threads.
fn check(inputs: &BitNetTensor) -> Result<()> {
    let dtype = inputs.dtype();
    let x = wide(inputs)?;
    let one =
        |kind: UnaryKind, method: fn(&BitNetTensor) -> Result<BitNetTensor>| -> Result<bool> {
            let got = wide(&method(inputs)?)?;
            let (error, at, got) = worst(&x, &got, format(dtype), |x| exact(kind, x));
            // Half a unit is what rounding the exact value costs; the table counts from the rounded one.
            let limit = Tolerance::unary(kind, dtype).ulps + 0.5;
            println!("{kind:?} {dtype}: {error:.3} ulp at {at:e}, which gave {got:e}");
            Ok(error <= limit)
        };
    let results: Vec<Result<bool>> = std::thread::scope(|scope| {
        let halves: Vec<_> = (0..2)
            .map(|half| {
                let (one, all) = (&one, UNARY.into_iter().skip(half).step_by(2));
                scope.spawn(move || {
                    all.map(|(kind, method, _)| one(kind, method)).collect::<Vec<_>>()
                })
            })
            .collect();
        halves.into_iter().flat_map(|half| half.join().expect("no panic")).collect()
    });
    let failures = results.into_iter().collect::<Result<Vec<_>>>()?;
    assert!(failures.into_iter().all(|good| good), "more than the table of tolerances allows");
    Ok(())
}

#[test]
fn functions_of_one_f32() -> Result<()> {
    check(&BitNetTensor::try_from(samples())?)
}

/// All the numbers there are.
#[test]
fn functions_of_one_half() -> Result<()> {
    let bits = BitNetTensor::try_from((0..=u16::MAX).collect::<Vec<_>>())?;
    check(&bits.bitcast(F16)?)?;
    check(&bits.bitcast(BF16)?)
}

#[test]
fn functions_of_two_f32() -> Result<()> {
    type Method = fn(&BitNetTensor, &BitNetTensor) -> Result<BitNetTensor>;
    type Exact = fn(f64, f64) -> f64;
    let functions: [(&str, Method, Exact); 3] = [
        ("pow", |a, b| a.pow(b), f64::powf),
        ("atan2", |a, b| a.atan2(b), f64::atan2),
        ("hypot", |a, b| a.hypot(b), f64::hypot),
    ];
    let mut random = Random::new(71);
    // Any bits, and pairs of moderate size, most powers of which are finite.
    let mut pairs: Vec<[f32; 2]> = (0..300_000)
        .map(|_| [random.bits(), random.bits()].map(|bits| f32::from_bits(bits as u32)))
        .collect();
    pairs.extend(
        (0..300_000).map(|_| [random.unit() * 40.0, random.unit() * 20.0].map(|x| x as f32)),
    );
    let side = |n: usize| BitNetTensor::try_from(pairs.iter().map(|p| p[n]).collect::<Vec<_>>());
    let (a, b) = (side(0)?, side(1)?);
    for (name, method, exact) in functions {
        let got = wide(&method(&a, &b)?)?;
        let errors = pairs.iter().zip(got).map(|(&[a, b], got)| {
            (format(F32).error(got, exact(f64::from(a), f64::from(b))), a, b)
        });
        let (error, a, b) = errors.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or_default();
        println!("{name}: {error:.3} ulp at {a:e}, {b:e}");
        assert!(error <= 1.0, "{name}: {error} ulp at {a:e}, {b:e}");
    }
    Ok(())
}
