//! Logarithms in lanes of `f32`, within 0.8 units in the last place.
//!
//! x = 2^e · m with m near 1. The logarithm of m, and its sum with that of 2^e, are pairs of numbers of
//! which the second holds what the first has no digits for: half a unit is lost where they become one
//! number, the rest in the square of m − 1. No fused multiply-add, so that the bits are the same on every
//! tier.

use std::f64::consts;

use super::coefficients;
use crate::simd::Float;

/// Products of the first parts of these with an exponent are exact.
const LN_2: [f32; 2] = split(consts::LN_2, 16);
const LOG10_2: [f32; 2] = split(consts::LOG10_2, 16);

/// Products of the first parts of these with a number of twelve digits are exact.
const LOG2_E: [f32; 2] = split(consts::LOG2_E, 12);
const LOG10_E: [f32; 2] = split(consts::LOG10_E, 12);

/// The first `digits` of `x`, and the rest.
const fn split(x: f64, digits: u32) -> [f32; 2] {
    let rest = 53 - digits;
    let start = f64::from_bits(x.to_bits() >> rest << rest);
    [start as f32, (x - start) as f32]
}

/// ln x.
#[inline(always)]
pub(super) fn log<S: Float>(s: S, x: S::F32) -> S::F32 {
    let ordinary = is_ordinary(s, x);
    let (e, high, low) = parts(s, x, ordinary);
    let low = s.add(low, s.mul(e, s.splat(LN_2[1])));
    finish(s, x, ordinary, s.mul(e, s.splat(LN_2[0])), high, low)
}

/// The logarithm to base 2; exact of powers of two.
#[inline(always)]
pub(super) fn log2<S: Float>(s: S, x: S::F32) -> S::F32 {
    let ordinary = is_ordinary(s, x);
    let (e, high, low) = parts(s, x, ordinary);
    let (high, low) = times(s, high, low, LOG2_E);
    finish(s, x, ordinary, e, high, low)
}

/// The logarithm to base 10.
#[inline(always)]
pub(super) fn log10<S: Float>(s: S, x: S::F32) -> S::F32 {
    let ordinary = is_ordinary(s, x);
    let (e, high, low) = parts(s, x, ordinary);
    let (high, low) = times(s, high, low, LOG10_E);
    let low = s.add(low, s.mul(e, s.splat(LOG10_2[1])));
    finish(s, x, ordinary, s.mul(e, s.splat(LOG10_2[0])), high, low)
}

/// Whether all lanes are positive, normal and finite.
#[inline(always)]
fn is_ordinary<S: Float>(s: S, x: S::F32) -> bool {
    let low = s.less(x, s.splat(f32::MIN_POSITIVE));
    !s.any(s.is_nan(s.select(low, s.splat(f32::NAN), s.mul(x, s.splat(0.0)))))
}

/// e, and ln m as the sum of two numbers, of x = 2^e · m > 0 with m in [0.685, 1.37).
#[inline(always)]
fn parts<S: Float>(s: S, mut x: S::F32, ordinary: bool) -> (S::F32, S::F32, S::F32) {
    let mut offset = s.splat(0.0);
    if !ordinary {
        // Subnormal numbers are made normal.
        let tiny = s.less(x, s.splat(f32::MIN_POSITIVE));
        x = s.select(tiny, s.mul(x, s.splat((1 << 25) as f32)), x);
        offset = s.select(tiny, s.splat(-25.0), offset);
    }
    let bits = s.to_bits(x);
    let e = s.int_shr(s.int_sub(bits, s.int_splat(0.685f32.to_bits() as i32)), 23);
    let m = s.float_of_bits(s.int_sub(bits, s.int_shl(e, 23)));
    let f = s.sub(m, s.splat(1.0));
    // ln m = 2 artanh t with t = f / (f + 2), and 2t = f − f²/2 + t f²/2: no digit of f is lost.
    let t = s.div(f, s.add(f, s.splat(2.0)));
    let z = s.mul(t, t);
    let [a, b, c] = coefficients::AREA_TAIL;
    let p = s.add(s.mul(s.add(s.mul(s.splat(a), z), s.splat(b)), z), s.splat(c));
    let square = s.mul(f, s.mul(f, s.splat(0.5)));
    let rest = s.mul(t, s.add(square, s.mul(z, p)));
    let high = s.sub(f, square);
    let lost = s.sub(s.sub(f, high), square);
    (s.add(s.float_of_int(e), offset), high, s.add(rest, lost))
}

/// The product of a sum of two numbers and a constant, as such a sum.
#[inline(always)]
fn times<S: Float>(s: S, high: S::F32, low: S::F32, factor: [f32; 2]) -> (S::F32, S::F32) {
    // The first twelve digits.
    let start = s.float_of_bits(s.int_shl(s.int_shr(s.to_bits(high), 12), 12));
    let low = s.mul(s.add(low, s.sub(high, start)), s.splat(factor[0] + factor[1]));
    (s.mul(start, s.splat(factor[0])), s.add(low, s.mul(start, s.splat(factor[1]))))
}

/// `exponent` + `high` + `low`, the first zero or greater than the second, if x is finite and positive.
#[inline(always)]
fn finish<S: Float>(
    s: S,
    x: S::F32,
    ordinary: bool,
    exponent: S::F32,
    high: S::F32,
    low: S::F32,
) -> S::F32 {
    let first = s.add(exponent, high);
    let lost = s.add(s.sub(exponent, first), high);
    let y = s.add(first, s.add(low, lost));
    if ordinary { y } else { with_pole(s, x, 0.0, y) }
}

/// `y` where x is finite and above `pole`; −∞ at it, NaN below, ∞ for ∞.
#[inline(always)]
pub(super) fn with_pole<S: Float>(s: S, x: S::F32, pole: f32, y: S::F32) -> S::F32 {
    let outside = s.select(s.less(x, s.splat(pole)), s.splat(f32::NAN), s.splat(f32::NEG_INFINITY));
    let y = s.select(s.less(s.splat(pole), x), y, outside);
    // ∞ and NaN.
    s.select(s.less(x, s.splat(f32::INFINITY)), y, x)
}

#[cfg(test)]
mod tests {
    use crate::elementwise::{UnaryKind, unary};
    use crate::{Cpu, reference};

    const KINDS: [UnaryKind; 3] = [UnaryKind::Log, UnaryKind::Log2, UnaryKind::Log10];

    fn of(cpu: Cpu, kind: UnaryKind, x: &[f32]) -> Vec<f32> {
        let mut out = vec![f32::NAN; x.len()];
        unary(cpu, kind, x, &mut out);
        out
    }

    /// Vectors of positive numbers take a shorter way than those with others among them.
    #[test]
    fn numbers_do_not_depend_on_those_beside_them() {
        let first = f32::MIN_POSITIVE.to_bits();
        let x: Vec<f32> =
            (first..f32::INFINITY.to_bits()).step_by(99_991).map(f32::from_bits).collect();
        for kind in KINDS {
            let expected = of(Cpu::available()[0], kind, &x);
            for &cpu in Cpu::available() {
                assert_eq!(
                    reference::bits(&of(cpu, kind, &x)),
                    reference::bits(&expected),
                    "{cpu}"
                );
                for other in [0.0, -1.0, 1e-40, f32::INFINITY, f32::NAN] {
                    let mut beside = x.clone();
                    beside.iter_mut().skip(5).step_by(16).for_each(|x| *x = other);
                    for (i, y) in of(cpu, kind, &beside).into_iter().enumerate() {
                        if i % 16 != 5 {
                            assert_eq!(y.to_bits(), expected[i].to_bits(), "{cpu} {:e}", x[i]);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn exact_where_the_logarithm_is_and_at_the_ends() {
        let inputs = [1.0, 0.0, -0.0, f32::INFINITY, -1.0, -1e-45, f32::NEG_INFINITY, f32::NAN];
        let (pole, nan) = (f32::NEG_INFINITY, f32::NAN);
        let expected = [0.0, pole, pole, f32::INFINITY, nan, nan, nan, nan];
        let powers: Vec<f32> = (-149..128).map(|n| 2f64.powi(n) as f32).collect();
        let exponents: Vec<f32> = (-149i16..128).map(f32::from).collect();
        for &cpu in Cpu::available() {
            for kind in KINDS {
                let got = of(cpu, kind, &inputs);
                assert_eq!(reference::bits(&got), reference::bits(&expected), "{kind:?} {cpu}");
                assert_eq!(reference::bits(&of(cpu, kind, &[1.0; 16])), [0; 16], "{kind:?} {cpu}");
            }
            assert_eq!(of(cpu, UnaryKind::Log2, &powers), exponents, "{cpu}");
        }
    }
}
