//! Functions of mathematics.

use super::unary_methods;
use super::{Unary, apply_one, apply_reusing};
use crate::BitNetTensor;
use crate::error::Result;
use crate::ops::UnaryKind;

unary_methods! {
    "# Functions of each element\n\nThey take floats and keep shape and type; `neg`, `abs`, `sign`, `square`, `relu` and the\nroundings take integers too. The half types are computed in `f32` and rounded once. The\n`into_` forms reuse the storage when nobody shares it."
    /// The negative; unsigned integers wrap around.
    neg, into_neg => Neg, "[1.0f32, -2.0]", "[-1.0, 2.0]";
    /// The absolute value; the least signed integer stays what it is.
    abs, into_abs => Abs, "[1.0f32, -2.0]", "[1.0, 2.0]";
    /// −1, 0 or 1 by the sign; NaN for NaN.
    sign, into_sign => Sign, "[3.0f32, -2.0]", "[1.0, -1.0]";
    /// The square; integers wrap around.
    square, into_square => Square, "[3.0f32, -2.0]", "[9.0, 4.0]";
    /// The square root; NaN below zero.
    sqrt, into_sqrt => Sqrt, "[4.0f32, 0.25]", "[2.0, 0.5]";
    /// `1 / √x`.
    rsqrt, into_rsqrt => Rsqrt, "[4.0f32, 0.25]", "[0.5, 2.0]";
    /// `1 / x`.
    reciprocal, into_reciprocal => Reciprocal, "[4.0f32, -0.5]", "[0.25, -2.0]";
    /// `eˣ`.
    exp, into_exp => Exp, "[0.0f32, f32::NEG_INFINITY]", "[1.0, 0.0]";
    /// `2ˣ`.
    exp2, into_exp2 => Exp2, "[3.0f32, -1.0]", "[8.0, 0.5]";
    /// `eˣ − 1`, accurate near zero.
    expm1, into_expm1 => Expm1, "[0.0f32, 1e-20]", "[0.0, 1e-20]";
    /// The natural logarithm; NaN below zero.
    log, into_log => Log, "[1.0f32, 0.0]", "[0.0, f32::NEG_INFINITY]";
    /// The logarithm to base 2.
    log2, into_log2 => Log2, "[8.0f32, 0.5]", "[3.0, -1.0]";
    /// The logarithm to base 10.
    log10, into_log10 => Log10, "[1000.0f32, 1.0]", "[3.0, 0.0]";
    /// `ln(1 + x)`, accurate near zero.
    log1p, into_log1p => Log1p, "[0.0f32, 1e-20]", "[0.0, 1e-20]";
    /// The sine of radians.
    sin, into_sin => Sin, "[0.0f32, 1e-20]", "[0.0, 1e-20]";
    /// The cosine of radians.
    cos, into_cos => Cos, "[0.0f32, 1e-20]", "[1.0, 1.0]";
    /// The tangent of radians.
    tan, into_tan => Tan, "[0.0f32, 1e-20]", "[0.0, 1e-20]";
    /// The inverse sine in radians; NaN outside of [−1, 1].
    asin, into_asin => Asin, "[0.0f32, 1e-20]", "[0.0, 1e-20]";
    /// The inverse cosine in radians; NaN outside of [−1, 1].
    acos, into_acos => Acos, "[1.0f32]", "[0.0]";
    /// The inverse tangent in radians.
    atan, into_atan => Atan, "[0.0f32, 1e-20]", "[0.0, 1e-20]";
    /// The hyperbolic sine.
    sinh, into_sinh => Sinh, "[0.0f32, 1e-20]", "[0.0, 1e-20]";
    /// The hyperbolic cosine.
    cosh, into_cosh => Cosh, "[0.0f32]", "[1.0]";
    /// The hyperbolic tangent.
    tanh, into_tanh => Tanh, "[0.0f32, 100.0]", "[0.0, 1.0]";
    /// The inverse hyperbolic sine.
    asinh, into_asinh => Asinh, "[0.0f32, 1e-20]", "[0.0, 1e-20]";
    /// The inverse hyperbolic cosine; NaN below 1.
    acosh, into_acosh => Acosh, "[1.0f32]", "[0.0]";
    /// The inverse hyperbolic tangent; NaN outside of [−1, 1].
    atanh, into_atanh => Atanh, "[0.0f32, 1.0]", "[0.0, f32::INFINITY]";
    /// The error function `2/√π ∫₀ˣ e^(−t²) dt`.
    erf, into_erf => Erf, "[0.0f32, 10.0]", "[0.0, 1.0]";
    /// `1 − erf(x)`, accurate where erf is close to 1.
    erfc, into_erfc => Erfc, "[0.0f32, f32::INFINITY]", "[1.0, 0.0]";
    /// The largest integer that is not greater; integers stay.
    floor, into_floor => Floor, "[1.5f32, -1.5]", "[1.0, -2.0]";
    /// The smallest integer that is not less; integers stay.
    ceil, into_ceil => Ceil, "[1.5f32, -1.5]", "[2.0, -1.0]";
    /// The nearest integer, halves to even; integers stay.
    round, into_round => Round, "[1.5f32, 2.5]", "[2.0, 2.0]";
    /// The integer toward zero; integers stay.
    trunc, into_trunc => Trunc, "[1.5f32, -1.5]", "[1.0, -1.0]";
}
