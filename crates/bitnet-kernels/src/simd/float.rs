//! The sixteen virtual `f32` lanes: the operations that float kernels are written in.
//!
//! Every operation is one IEEE operation per lane, defined by the portable tier, so that all
//! tiers give the same bits (the payload of a NaN excepted). There is deliberately no fused
//! multiply-add.

use super::Simd;

/// How many virtual lanes a vector has, on every tier.
pub(crate) const LANES: usize = 16;

/// Sixteen lanes of `f32`. Functions are called on the value that proves the tier.
pub(crate) trait Float: Copy {
    /// Sixteen numbers.
    type F32: Copy;
    /// Sixteen integers.
    type I32: Copy;
    /// Sixteen truth values.
    type Mask: Copy;
    /// Whether sixteen accumulators and their operands fit the registers: decides the shape
    /// of register tiles, never a result.
    const WIDE: bool;

    fn splat(self, x: f32) -> Self::F32;
    fn load(self, x: &[f32; LANES]) -> Self::F32;
    fn store(self, v: Self::F32, out: &mut [f32; LANES]);
    /// Widens bf16 bit patterns.
    fn load_bf16(self, x: &[u16; LANES]) -> Self::F32;
    /// Widens f16 bit patterns.
    fn load_f16(self, x: &[u16; LANES]) -> Self::F32;
    /// Narrows to f16 bit patterns, to nearest even.
    fn store_f16(self, v: Self::F32, out: &mut [u16; LANES]);
    /// Stores integral values in [−128, 127]. Others are stored as an unspecified code.
    fn store_i8(self, v: Self::F32, out: &mut [i8; LANES]);

    fn add(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sub(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn mul(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn div(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a > b ? a : b`: `b` where either is NaN.
    fn max(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// `a < b ? a : b`: `b` where either is NaN.
    fn min(self, a: Self::F32, b: Self::F32) -> Self::F32;
    fn sqrt(self, a: Self::F32) -> Self::F32;
    fn abs(self, a: Self::F32) -> Self::F32;
    fn neg(self, a: Self::F32) -> Self::F32;
    /// To the nearest integral value, halves to even.
    fn round(self, a: Self::F32) -> Self::F32;
    /// 2^n for integral n in [−126, 127]; unspecified otherwise.
    fn pow2(self, n: Self::F32) -> Self::F32;

    /// `a < b`; false where either is NaN.
    fn less(self, a: Self::F32, b: Self::F32) -> Self::Mask;
    fn is_nan(self, a: Self::F32) -> Self::Mask;
    /// `mask ? a : b`.
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Whether any lane is true.
    fn any(self, mask: Self::Mask) -> bool;

    fn int_splat(self, x: i32) -> Self::I32;
    /// The bits of each number.
    fn to_bits(self, a: Self::F32) -> Self::I32;
    fn float_of_bits(self, a: Self::I32) -> Self::F32;
    /// Integral values within ±2^31; unspecified otherwise.
    fn to_int(self, a: Self::F32) -> Self::I32;
    /// To the nearest number.
    fn float_of_int(self, a: Self::I32) -> Self::F32;
    /// Wraps around.
    fn int_sub(self, a: Self::I32, b: Self::I32) -> Self::I32;
    fn int_xor(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// a · 2^n, wrapping, of n < 32.
    fn int_shl(self, a: Self::I32, n: i32) -> Self::I32;
    /// ⌊a / 2^n⌋ of n < 32.
    fn int_shr(self, a: Self::I32, n: i32) -> Self::I32;
    /// The entry of each index in [0, 32); of others an unspecified one.
    fn lookup(self, table: &[f32; 2 * LANES], index: Self::I32) -> Self::F32;

    /// The sums of sixteen vectors: lane `i` is `reduce_add` of `v[i]`.
    fn reduce_add_each(self, v: &[Self::F32; LANES]) -> Self::F32;

    /// The sum of the lanes, in the one order of all tiers: halves onto each other.
    #[inline(always)]
    fn reduce_add(self, v: Self::F32) -> f32 {
        self.fold(v, |a, b| a + b)
    }

    /// The largest lane. No lane is NaN. (Not `f32::max`, which may give either of two zeros.)
    #[inline(always)]
    fn reduce_max(self, v: Self::F32) -> f32 {
        self.fold(v, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn fold(self, v: Self::F32, f: impl Fn(f32, f32) -> f32) -> f32 {
        let mut a = self.to_array(v);
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                a[i] = f(a[i], a[i + half]);
            }
        }
        a[0]
    }

    #[inline(always)]
    fn to_array(self, v: Self::F32) -> [f32; LANES] {
        let mut out = [0.0; LANES];
        self.store(v, &mut out);
        out
    }

    /// The first up to sixteen values; lanes beyond the end are `fill`.
    #[inline(always)]
    fn load_partial(self, x: &[f32], fill: f32) -> Self::F32 {
        match x.first_chunk() {
            Some(full) => self.load(full),
            None => {
                let mut padded = [fill; LANES];
                padded[..x.len()].copy_from_slice(x);
                self.load(&padded)
            }
        }
    }

    /// Stores as many lanes as `out` holds, at most sixteen.
    #[inline(always)]
    fn store_partial(self, v: Self::F32, out: &mut [f32]) {
        match out.first_chunk_mut() {
            Some(full) => self.store(v, full),
            None => out.copy_from_slice(&self.to_array(v)[..out.len()]),
        }
    }
}

/// A function of one vector: what a closure would be, but always inlined.
pub(crate) trait LaneFn: Copy {
    fn call<S: Simd>(self, s: S, v: S::F32) -> S::F32;
}

/// Defines unit structs that are [`LaneFn`]s.
macro_rules! lane_fns {
    ($($(#[$doc:meta])* $name:ident($s:ident, $v:ident) = $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name;

        impl $crate::simd::LaneFn for $name {
            #[inline(always)]
            fn call<S: $crate::simd::Simd>(self, $s: S, $v: S::F32) -> S::F32 {
                $value
            }
        }
    )*};
}
pub(crate) use lane_fns;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Kernel;
    use crate::{Cpu, reference};
    use std::hint::black_box;

    /// Every operation on every pair of sixteen-lane windows of `a` and `b`.
    struct All<'a>(&'a [f32], &'a [f32]);

    impl Kernel for All<'_> {
        type Output = Vec<u32>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<u32> {
            let mut out = Vec::new();
            let limit = s.splat(2e9);
            let table = std::array::from_fn(|i| i as f32);
            for (a, b) in self.0.as_chunks::<LANES>().0.iter().zip(self.1.as_chunks::<LANES>().0) {
                let (x, y) = (s.load(black_box(a)), s.load(black_box(b)));
                let bits = a.map(|v| (v.to_bits() >> 16) as u16);
                let vectors = [
                    s.add(x, y),
                    s.sub(x, y),
                    s.mul(x, y),
                    s.div(x, y),
                    s.max(x, y),
                    s.min(x, y),
                    s.sqrt(x),
                    s.abs(x),
                    s.neg(x),
                    s.round(x),
                    s.select(s.less(x, y), x, y),
                    s.select(s.is_nan(x), y, x),
                    s.load_bf16(&bits),
                    s.load_f16(&bits),
                    s.reduce_add_each(&std::array::from_fn(|i| s.mul(x, s.splat(i as f32)))),
                    s.pow2(s.splat(a[0].clamp(-126.0, 127.0).round())),
                    s.splat(f32::from(u8::from(s.any(s.is_nan(x))))),
                    s.float_of_int(s.to_int(s.round(s.select(s.less(s.abs(x), limit), x, limit)))),
                    s.float_of_bits(s.int_xor(s.to_bits(x), s.to_bits(y))),
                    s.float_of_int(s.int_sub(s.to_bits(x), s.to_bits(y))),
                    s.float_of_int(s.int_shr(s.int_sub(s.to_bits(x), s.int_splat(3)), 23)),
                    s.float_of_bits(s.int_shl(s.to_bits(x), 5)),
                    s.lookup(&table, s.to_int(s.round(s.min(s.abs(y), s.splat(31.0))))),
                ];
                let mut push =
                    |v: f32| out.push(if v.is_nan() { 0x7fc0_0000 } else { v.to_bits() });
                vectors.iter().for_each(|&v| s.to_array(v).into_iter().for_each(&mut push));
                push(s.reduce_add(x));
                push(s.reduce_max(s.select(s.is_nan(x), s.splat(-0.0), x)));
                let mut half = [0; LANES];
                s.store_f16(x, &mut half);
                out.extend(half.map(
                    |h| {
                        if half::f16::from_bits(h).is_nan() { 0 } else { h.into() }
                    },
                ));
                let mut codes = [0; LANES];
                s.store_i8(
                    s.round(s.select(
                        s.is_nan(x),
                        y,
                        s.min(s.max(x, s.splat(-128.0)), s.splat(127.0)),
                    )),
                    &mut codes,
                );
                if !a.iter().any(|v| v.is_nan()) {
                    out.extend(codes.map(|c| c as u32));
                }
            }
            out
        }
    }

    /// Every f16 widened, and what is at, just below and just above each and the middle to the next
    /// narrowed.
    struct Halves;

    impl Kernel for Halves {
        type Output = (Vec<u32>, Vec<u16>);

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> (Vec<u32>, Vec<u16>) {
            let (mut wide, mut narrow) = (Vec::new(), Vec::new());
            for first in (0..=u16::MAX).step_by(LANES) {
                let bits = std::array::from_fn(|i| first + i as u16);
                let x = s.to_array(s.load_f16(black_box(&bits)));
                wide.extend(reference::bits(&x));
                for offset in [-1, 0, 1, 0xfff, 0x1000, 0x1001] {
                    let near = x.map(|x| f32::from_bits(x.to_bits().wrapping_add_signed(offset)));
                    let mut half = [0; LANES];
                    s.store_f16(s.load(&near), &mut half);
                    for (half, near) in half.into_iter().zip(near) {
                        narrow.push(if near.is_nan() { 0x7e00 } else { half });
                    }
                }
            }
            (wide, narrow)
        }
    }

    #[test]
    fn all_tiers_agree_on_every_half() {
        let expected = Cpu::available()[0].run(Halves);
        for cpu in Cpu::available() {
            assert!(cpu.run(Halves) == expected, "{cpu}");
        }
    }

    /// Which vectors have a lane beyond a million.
    struct AnyBeyond<'a>(&'a [[f32; LANES]]);

    impl Kernel for AnyBeyond<'_> {
        type Output = Vec<bool>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<bool> {
            let mut found = Vec::new();
            for x in self.0 {
                found.push(s.any(s.less(s.splat(1e6), s.abs(s.load(x)))));
            }
            found
        }
    }

    /// Beside signaling NaNs too, which a maximum over lanes before the comparison would prefer.
    #[test]
    fn one_true_lane_is_found() {
        for other in [0.0, f32::NAN, f32::from_bits(0x7f80_0001)] {
            let mut vectors = [[other; LANES]; LANES + 1];
            for (i, vector) in vectors[..LANES].iter_mut().enumerate() {
                vector[i] = -3e38;
            }
            for &cpu in Cpu::available() {
                let mut expected = vec![true; LANES];
                expected.push(false);
                assert_eq!(cpu.run(AnyBeyond(black_box(&vectors))), expected, "{cpu}");
            }
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
