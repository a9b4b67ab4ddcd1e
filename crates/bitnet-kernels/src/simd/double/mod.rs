//! Sixteen virtual lanes of `f64`: what functions of `f32` are computed in where the last bit of
//! the result depends on more digits than `f32` has.
//!
//! As for `Float`, every operation is one IEEE operation per lane and nothing is fused.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod sse41;

use super::Float;

/// Sixteen lanes of `f64`.
pub(crate) trait Double: Float {
    /// Sixteen numbers.
    type F64: Copy;

    fn splat64(self, x: f64) -> Self::F64;
    /// Exact.
    fn widen(self, x: Self::F32) -> Self::F64;
    /// To nearest even.
    fn narrow(self, x: Self::F64) -> Self::F32;

    fn add64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    fn sub64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    fn mul64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    fn div64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a > b ? a : b`: `b` where either is NaN.
    fn max64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// `a < b ? a : b`: `b` where either is NaN.
    fn min64(self, a: Self::F64, b: Self::F64) -> Self::F64;
    /// 2^n for integral n in [−1022, 1023]; unspecified otherwise.
    fn pow2_64(self, n: Self::F64) -> Self::F64;
    /// `mask ? a : b`.
    fn select64(self, mask: Self::Mask, a: Self::F64, b: Self::F64) -> Self::F64;

    /// To the nearest integral value, halves to even, of |a| < 2^51.
    #[inline(always)]
    fn round64(self, a: Self::F64) -> Self::F64 {
        let shift = self.splat64(SHIFT);
        self.sub64(self.add64(a, shift), shift)
    }
}

/// 1.5 · 2^52: adding it leaves no fraction bits, and the low bits hold the integer.
const SHIFT: f64 = 6_755_399_441_055_744.0;

/// [`SHIFT`], and the bias of an exponent.
const EXPONENT_SHIFT: f64 = SHIFT + 1023.0;

#[cfg(test)]
mod tests {
    use crate::simd::{Kernel, LANES, Simd};
    use crate::{Cpu, reference};
    use std::hint::black_box;

    /// Every operation on every pair of sixteen-lane windows of both.
    struct All<'a>(&'a [f32], &'a [f32]);

    impl Kernel for All<'_> {
        type Output = Vec<u32>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<u32> {
            let mut out = Vec::new();
            for (a, b) in self.0.as_chunks::<LANES>().0.iter().zip(self.1.as_chunks::<LANES>().0) {
                let (a, b) = (s.load(black_box(a)), s.load(black_box(b)));
                let third = s.splat64(1.0 / 3.0);
                // Digits that `f32` does not have.
                let (x, y) = (s.mul64(s.widen(a), third), s.mul64(s.widen(b), third));
                let n = s.round64(s.widen(s.min(s.max(a, s.splat(-500.0)), s.splat(500.0))));
                let values = [
                    s.add64(x, y),
                    s.sub64(x, y),
                    s.mul64(x, y),
                    s.div64(x, y),
                    s.max64(x, y),
                    s.min64(x, y),
                    s.select64(s.less(a, b), x, y),
                    n,
                    s.mul64(s.pow2_64(n), s.pow2_64(s.sub64(s.splat64(0.0), n))),
                ];
                for value in values {
                    let high = s.narrow(value);
                    // What narrowing left, scaled to where it can be seen.
                    let low = s.sub64(value, s.widen(high));
                    let low = s.narrow(s.mul64(low, s.splat64(2f64.powi(40))));
                    out.extend(reference::bits(&s.to_array(high)));
                    out.extend(reference::bits(&s.to_array(low)));
                }
            }
            out
        }
    }

    #[test]
    fn all_tiers_agree_on_every_operation() {
        let a = reference::awkward_floats(4096, 1);
        let b = reference::awkward_floats(4096, 2);
        let expected = Cpu::available()[0].run(All(&a, &b));
        for cpu in Cpu::available() {
            assert_eq!(cpu.run(All(&a, &b)), expected, "{cpu}");
        }
    }
}
