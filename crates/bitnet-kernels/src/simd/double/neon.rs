//! The NEON tiers of the `f64` lanes: eight registers.

use std::arch::aarch64::*;

use super::{Double, EXPONENT_SHIFT};
use crate::simd::neon::Neon;

/// Lanes `2i` and `2i + 1` in register `i`.
type Octet = [float64x2_t; 8];

impl<const DOTPROD: bool, const I8MM: bool> Double for Neon<DOTPROD, I8MM> {
    type F64 = Octet;

    intrinsics_by_register! { 8;
        add64(a: Octet, b: Octet) -> Octet, i = vaddq_f64(a[i], b[i]);
        sub64(a: Octet, b: Octet) -> Octet, i = vsubq_f64(a[i], b[i]);
        mul64(a: Octet, b: Octet) -> Octet, i = vmulq_f64(a[i], b[i]);
        div64(a: Octet, b: Octet) -> Octet, i = vdivq_f64(a[i], b[i]);
        // Not `vmaxq_f64`, which gives NaN where either is.
        max64(a: Octet, b: Octet) -> Octet, i = vbslq_f64(vcgtq_f64(a[i], b[i]), a[i], b[i]);
        min64(a: Octet, b: Octet) -> Octet, i = vbslq_f64(vcltq_f64(a[i], b[i]), a[i], b[i]);
        pow2_64(n: Octet) -> Octet, i = vreinterpretq_f64_u64(vshlq_n_u64::<52>(vreinterpretq_u64_f64(
            vaddq_f64(n[i], vdupq_n_f64(EXPONENT_SHIFT)))));
    }

    #[inline(always)]
    fn splat64(self, x: f64) -> Octet {
        // SAFETY: `self` proves the CPU's features.
        unsafe { [vdupq_n_f64(x); 8] }
    }

    #[inline(always)]
    fn widen(self, x: Self::F32) -> Octet {
        // SAFETY: `self` proves the CPU's features.
        unsafe {
            [
                vcvt_f64_f32(vget_low_f32(x[0])),
                vcvt_high_f64_f32(x[0]),
                vcvt_f64_f32(vget_low_f32(x[1])),
                vcvt_high_f64_f32(x[1]),
                vcvt_f64_f32(vget_low_f32(x[2])),
                vcvt_high_f64_f32(x[2]),
                vcvt_f64_f32(vget_low_f32(x[3])),
                vcvt_high_f64_f32(x[3]),
            ]
        }
    }

    #[inline(always)]
    fn narrow(self, x: Octet) -> Self::F32 {
        // SAFETY: `self` proves the CPU's features.
        unsafe {
            [
                vcvt_high_f32_f64(vcvt_f32_f64(x[0]), x[1]),
                vcvt_high_f32_f64(vcvt_f32_f64(x[2]), x[3]),
                vcvt_high_f32_f64(vcvt_f32_f64(x[4]), x[5]),
                vcvt_high_f32_f64(vcvt_f32_f64(x[6]), x[7]),
            ]
        }
    }

    #[inline(always)]
    fn select64(self, mask: Self::Mask, a: Octet, b: Octet) -> Octet {
        let mut selected = b;
        for i in 0..4 {
            // SAFETY: `self` proves the CPU's features.
            unsafe {
                // A mask of 32 bits, all equal, becomes one of 64.
                let mask = vreinterpretq_s32_u32(mask[i]);
                let low = vreinterpretq_u64_s64(vmovl_s32(vget_low_s32(mask)));
                let high = vreinterpretq_u64_s64(vmovl_high_s32(mask));
                selected[2 * i] = vbslq_f64(low, a[2 * i], b[2 * i]);
                selected[2 * i + 1] = vbslq_f64(high, a[2 * i + 1], b[2 * i + 1]);
            }
        }
        selected
    }
}
