//! The portable tier: plain Rust over sixteen-element arrays, vectorised by the compiler
//! for the target's baseline.

use std::hint::black_box;

use super::Simd;
use super::float::{Float, LANES};

/// The portable tier; always supported.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scalar;

impl Simd for Scalar {}

/// Applies a function of one or two numbers lane by lane.
macro_rules! lanewise {
    ($($name:ident($a:ident $(, $b:ident)?) = $value:expr;)*) => {$(
        #[inline(always)]
        fn $name(self, a: Self::F32 $(, $b: Self::F32)?) -> Self::F32 {
            std::array::from_fn(|i| {
                let $a = a[i];
                $(let $b = $b[i];)?
                $value
            })
        }
    )*};
}

impl Float for Scalar {
    type F32 = [f32; LANES];
    type I32 = [i32; LANES];
    type Mask = [bool; LANES];
    const WIDE: bool = false;

    lanewise! {
        add(a, b) = a + b;
        sub(a, b) = a - b;
        mul(a, b) = a * b;
        div(a, b) = a / b;
        max(a, b) = if a > b { a } else { b };
        min(a, b) = if a < b { a } else { b };
        sqrt(a) = a.sqrt();
        abs(a) = a.abs();
        neg(a) = -a;
        round(a) = round_ties_even(a);
        pow2(n) = f32::from_bits(((n as i32 + 127) as u32) << 23);
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F32 {
        [x; LANES]
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F32 {
        *x
    }

    #[inline(always)]
    fn store(self, v: Self::F32, out: &mut [f32; LANES]) {
        *out = v;
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u16; LANES]) -> Self::F32 {
        x.map(|bits| f32::from_bits(u32::from(bits) << 16))
    }

    #[inline(always)]
    fn load_f16(self, x: &[u16; LANES]) -> Self::F32 {
        x.map(|bits| half::f16::from_bits(bits).to_f32())
    }

    #[inline(always)]
    fn store_f16(self, v: Self::F32, out: &mut [u16; LANES]) {
        *out = v.map(|x| half::f16::from_f32(x).to_bits());
    }

    #[inline(always)]
    fn store_i8(self, v: Self::F32, out: &mut [i8; LANES]) {
        *out = v.map(|x| x as i8);
    }

    #[inline(always)]
    fn less(self, a: Self::F32, b: Self::F32) -> Self::Mask {
        std::array::from_fn(|i| a[i] < b[i])
    }

    #[inline(always)]
    fn is_nan(self, a: Self::F32) -> Self::Mask {
        a.map(f32::is_nan)
    }

    #[inline(always)]
    fn select(self, mask: Self::Mask, a: Self::F32, b: Self::F32) -> Self::F32 {
        std::array::from_fn(|i| if mask[i] { a[i] } else { b[i] })
    }

    /// On AArch64 LLVM makes a maximum of an `or` of comparisons, as `neon.rs` says: there the lanes are
    /// hidden from it.
    #[inline(always)]
    fn any(self, mask: Self::Mask) -> bool {
        let mask = if cfg!(target_arch = "aarch64") { black_box(mask) } else { mask };
        mask.into_iter().fold(false, |any, lane| any | lane)
    }

    #[inline(always)]
    fn int_splat(self, x: i32) -> Self::I32 {
        [x; LANES]
    }

    #[inline(always)]
    fn to_bits(self, a: Self::F32) -> Self::I32 {
        a.map(|x| x.to_bits() as i32)
    }

    #[inline(always)]
    fn float_of_bits(self, a: Self::I32) -> Self::F32 {
        a.map(|x| f32::from_bits(x as u32))
    }

    #[inline(always)]
    fn to_int(self, a: Self::F32) -> Self::I32 {
        a.map(|x| x as i32)
    }

    #[inline(always)]
    fn float_of_int(self, a: Self::I32) -> Self::F32 {
        a.map(|x| x as f32)
    }

    #[inline(always)]
    fn int_sub(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        std::array::from_fn(|i| a[i].wrapping_sub(b[i]))
    }

    #[inline(always)]
    fn int_xor(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        std::array::from_fn(|i| a[i] ^ b[i])
    }

    #[inline(always)]
    fn int_shl(self, a: Self::I32, n: i32) -> Self::I32 {
        a.map(|x| x << n)
    }

    #[inline(always)]
    fn int_shr(self, a: Self::I32, n: i32) -> Self::I32 {
        a.map(|x| x >> n)
    }

    #[inline(always)]
    fn lookup(self, table: &[f32; 2 * LANES], index: Self::I32) -> Self::F32 {
        index.map(|i| table[i as usize % (2 * LANES)])
    }

    #[inline(always)]
    fn reduce_add_each(self, v: &[Self::F32; LANES]) -> Self::F32 {
        std::array::from_fn(|i| self.reduce_add(v[i]))
    }
}

/// `f32::round_ties_even` without the call into the C library that the x86-64 baseline makes
/// of it: adding 1.5 · 2^23 leaves no fraction bits, and the addition rounds halves to even.
#[inline(always)]
fn round_ties_even(a: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    let rounded = (a.abs() + SHIFT) - SHIFT;
    // From 2^22 on the trick fails; from 2^23 on there is no fraction.
    if a.abs() < 4_194_304.0 { rounded.copysign(a) } else { a.round_ties_even() }
}
