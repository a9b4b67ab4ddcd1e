//! How close results have to be: one table for every operation and type, and the comparison.

use bitnet_tensor::ops::UnaryKind;
use bitnet_tensor::{BitNetDType, BitNetTensor, Mismatch, Pair};

/// How far a number may be from the reference: within any one of the three bounds. NaN and
/// infinities must be the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Units in the last place of the reference's value.
    pub ulps: f64,
    /// Of the reference's magnitude.
    pub relative: f64,
    /// As a difference.
    pub absolute: f64,
}

/// What is computed, by how exact it can be: the rows of the table of [`Tolerance::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Elements that only move; arithmetic, comparisons and logic, which are rounded correctly.
    Exact,
    /// `pow`, `atan2`, `hypot`, `floor_div`.
    TwoElements,
    /// `lerp`: three operations, each rounded, of numbers up to 8.
    Blend,
    /// Numbers at equal distances and their powers.
    Range,
    /// Sums, means, spreads and norms of a few dozen numbers.
    Reduction,
    /// Sums of up to a hundred products of normal numbers.
    Product,
    /// Matrices of a condition below 1000; their reconstruction is tested to 20 ε of their size.
    Decomposition,
    /// Normalisations, convolutions, attention, losses.
    Layer,
    /// Losses of numbers up to 100.
    LargeLoss,
    /// Scales of quantized numbers, and the numbers made of them again.
    Quantized,
}

/// Bounds of each kind for `F64`, `F32`, `F16` and `BF16`: units in the last place, relative,
/// absolute. Half types are computed in `F32` and rounded once, which is one unit beside the rounded
/// `f64`, but for `Blend`, whose every step is rounded.
const TABLE: [(Kind, [[f64; 3]; 4]); 10] = [
    (Kind::Exact, [[0.0; 3]; 4]),
    (Kind::TwoElements, [[1.0, 0.0, 0.0]; 4]),
    (Kind::Blend, [[4.0, 0.0, 2e-6], [4.0, 0.0, 2e-6], [0.0, 0.0, 0.02], [0.0, 0.0, 0.1]]),
    (Kind::Range, [[2.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
    (Kind::Reduction, [[1.0, 1e-14, 2e-15], [1.0, 1e-6, 1e-6], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
    (Kind::Product, [[1.0, 0.0, 3e-14], [1.0, 0.0, 1.6e-5], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]),
    (Kind::Decomposition, [[0.0, 1e-11, 1e-11], [0.0, 1e-4, 1e-5], [0.0; 3], [0.0; 3]]),
    (Kind::Layer, [[4.0, 0.0, 2e-14], [4.0, 0.0, 8e-6], [1.0, 0.0, 4e-6], [1.0, 0.0, 4e-6]]),
    (
        Kind::LargeLoss,
        [[4.0, 0.0, 6.4e-13], [4.0, 0.0, 2.6e-4], [1.0, 0.0, 4e-6], [1.0, 0.0, 4e-6]],
    ),
    (Kind::Quantized, [[2.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0; 3], [0.0; 3]]),
];

impl Tolerance {
    /// How far numbers of `kind` may be from those of NumPy, PyTorch, SciPy and mpmath. Integers and
    /// truth values are exact; functions of one element have [`unary`](Self::unary).
    pub fn of(kind: Kind, dtype: BitNetDType) -> Self {
        let column = match dtype {
            BitNetDType::F64 => 0,
            BitNetDType::F32 => 1,
            BitNetDType::F16 => 2,
            BitNetDType::BF16 => 3,
            _ => return Self::EXACT,
        };
        let row = TABLE.iter().find(|(row, _)| *row == kind);
        let [ulps, relative, absolute] = row.map_or([0.0; 3], |(_, columns)| columns[column]);
        Self { ulps, relative, absolute }
    }

    /// The same bits (any NaN for NaN).
    pub const EXACT: Self = Self { ulps: 0.0, relative: 0.0, absolute: 0.0 };

    /// Within `n` units in the last place.
    pub const fn ulps(n: f64) -> Self {
        Self { ulps: n, ..Self::EXACT }
    }

    /// Within a difference.
    pub const fn absolute(difference: f64) -> Self {
        Self { absolute: difference, ..Self::EXACT }
    }

    /// Of a function of one element. What IEEE rounds correctly is exact; the others follow the
    /// errors that `bitnet-kernels` states. Half types are computed in `f32` and rounded once: one
    /// unit where the `f32` result is not correctly rounded.
    pub fn unary(kind: UnaryKind, dtype: BitNetDType) -> Self {
        let ulps = match kind {
            UnaryKind::Neg
            | UnaryKind::Abs
            | UnaryKind::Sign
            | UnaryKind::Square
            | UnaryKind::Sqrt
            | UnaryKind::Reciprocal
            | UnaryKind::Floor
            | UnaryKind::Ceil
            | UnaryKind::Round
            | UnaryKind::Trunc
            | UnaryKind::Relu
            | UnaryKind::Relu6
            | UnaryKind::HardTanh
            | UnaryKind::ReluSquared => return Self::EXACT,
            UnaryKind::Rsqrt => 1.0,
            UnaryKind::Exp => 2.0,
            _ => 4.0,
        };
        match dtype {
            BitNetDType::F32 => Self::ulps(ulps),
            // The reference's e^−x overflows where 1/(1 + e^−x) is not quite zero yet; and
            // e^(−x²/2) multiplies the rounding of its exponent, which is up to 745.
            BitNetDType::F64 => {
                let is_gelu = matches!(kind, UnaryKind::Gelu | UnaryKind::GeluTanh);
                Self { ulps, relative: if is_gelu { 2e-13 } else { 0.0 }, absolute: 1e-304 }
            }
            _ => Self::ulps(1.0),
        }
    }

    /// Of a product of the activation and another number: one rounding more than [`unary`](Self::unary).
    pub const GATE: Self = Self { ulps: 6.0, relative: 0.0, absolute: 1e-36 };

    /// Of a sum of `count` numbers of [−1, 1]: half a unit of 1 for each addition, and of products
    /// one more for each factor.
    pub fn sum(count: usize, dtype: BitNetDType) -> Self {
        let epsilon =
            if dtype == BitNetDType::F64 { f64::EPSILON } else { f64::from(f32::EPSILON) };
        Self { ulps: 1.0, relative: 0.0, absolute: epsilon * count as f64 }
    }

    /// Of a softmax of numbers whose differences are up to 32: the rounding of a difference is
    /// multiplied by it.
    pub const SOFTMAX: Self = Self { ulps: 0.0, relative: 8e-6, absolute: 2e-37 };

    /// Of a normalised row: the mean square, a root, a division and two products.
    pub const NORM: Self = Self { ulps: 0.0, relative: 2e-6, absolute: 0.0 };

    /// Of a rotation of numbers of [−1, 1]: two products and a sum.
    pub const ROPE: Self = Self { ulps: 0.0, relative: 0.0, absolute: 4e-7 };

    /// Of attention over values of [−1, 1].
    pub const ATTENTION: Self = Self { ulps: 0.0, relative: 0.0, absolute: 4e-6 };

    /// Of an exact integer sum multiplied by two scales.
    pub const SCALED_SUM: Self = Self { ulps: 4.0, relative: 0.0, absolute: 0.0 };

    fn allows(self, pair: &Pair, (digits, min_exponent): (i32, i32)) -> bool {
        let (got, want) = (pair.got, pair.want);
        if got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()) {
            return true;
        }
        if self == Self::EXACT || !got.is_finite() || !want.is_finite() {
            // Tolerant comparisons take either zero; an infinity is only equal to itself.
            return false;
        }
        let exponent = if want == 0.0 { min_exponent } else { want.abs().log2().floor() as i32 };
        let ulp = 2f64.powi(exponent.max(min_exponent) - (digits - 1));
        pair.difference <= self.ulps * ulp
            || pair.difference <= self.relative * want.abs()
            || pair.difference <= self.absolute
    }
}

/// What a device does with numbers below the normal ones, of magnitudes under 2⁻¹²⁶.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subnormals {
    /// It computes with them.
    Kept,
    /// It may take them for zeros, and give zeros for them, as many GPUs do.
    MayBeZero,
}

/// How two tensors differ by more than a tolerance, or that their types or shapes do.
///
/// # Errors
/// The description of the difference.
pub fn compare(
    got: &BitNetTensor,
    want: &BitNetTensor,
    tolerance: Tolerance,
) -> Result<(), String> {
    compare_with(got, want, tolerance, Subnormals::Kept)
}

/// [`compare`] for a device that treats subnormal numbers so.
///
/// # Errors
/// The description of the difference.
pub fn compare_with(
    got: &BitNetTensor,
    want: &BitNetTensor,
    tolerance: Tolerance,
    subnormals: Subnormals,
) -> Result<(), String> {
    const SMALLEST_NORMAL: f64 = f32::MIN_POSITIVE as f64;
    let is_lost = |pair: &Pair| {
        subnormals == Subnormals::MayBeZero
            && pair.want.abs() < SMALLEST_NORMAL
            && pair.got.abs() <= SMALLEST_NORMAL
    };
    let found = Mismatch::find(got, want, |pair| match got.dtype() {
        BitNetDType::F16 => tolerance.allows(pair, (11, -14)),
        BitNetDType::BF16 => tolerance.allows(pair, (8, -126)) || is_lost(pair),
        BitNetDType::F32 => tolerance.allows(pair, (24, -126)) || is_lost(pair),
        BitNetDType::F64 => tolerance.allows(pair, (53, -1022)),
        // Codes and their sums, which may differ where a value lies between two codes.
        BitNetDType::I8 | BitNetDType::I32 => tolerance.allows(pair, (64, 0)),
        _ => pair.difference == 0.0,
    });
    match found {
        Ok(None) => Ok(()),
        Ok(Some(mismatch)) => Err(mismatch.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f32) -> BitNetTensor {
        BitNetTensor::scalar(value).expect("memory")
    }

    #[test]
    fn exact_means_the_same_bits_but_any_nan() {
        let check = |a: f32, b: f32| compare(&one(a), &one(b), Tolerance::EXACT).is_ok();
        assert!(check(1.5, 1.5));
        assert!(check(f32::NAN, -f32::NAN));
        assert!(!check(0.0, -0.0));
        assert!(!check(1.0, 1.0 + f32::EPSILON));
    }

    #[test]
    fn units_in_the_last_place_follow_the_exponent() {
        let check = |a: f32, b: f32, n: f64| compare(&one(a), &one(b), Tolerance::ulps(n)).is_ok();
        assert!(check(1.0 + 2.0 * f32::EPSILON, 1.0, 2.0));
        assert!(!check(1.0 + 3.0 * f32::EPSILON, 1.0, 2.0));
        assert!(check(1e-45, 0.0, 1.0));
        assert!(!check(f32::MAX, f32::INFINITY, 1e9));
        assert!(!check(f32::NAN, 1.0, 1e9));
    }

    #[test]
    fn types_and_shapes_must_agree() {
        let row = BitNetTensor::from_vec(vec![1.0f32], [1]).expect("memory");
        assert!(compare(&one(1.0), &row, Tolerance::EXACT).is_err());
    }
}
