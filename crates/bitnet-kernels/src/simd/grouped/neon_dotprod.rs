//! Dot products of groups on NEON with `dotprod`, and with `i8mm`.

use std::arch::aarch64::*;

use super::{CodeBytes, GroupDot};
use crate::simd::Float;
use crate::simd::dot::{quad, sdot, usdot};
use crate::simd::neon::Neon;

impl<const I8MM: bool> GroupDot for Neon<true, I8MM> {
    /// Four rows each.
    type Sums = [int32x4_t; 4];

    #[inline(always)]
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[[uint8x16_t; 4]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [int32x4_t; 4] {
        // SAFETY: `self` proves `dotprod`; register arithmetic only. Codes are below 128.
        unsafe {
            let (mut high, mut low) = ([vdupq_n_s32(0); 4], [vdupq_n_s32(start); 4]);
            for (planes, q) in planes.iter().zip(q) {
                for k in 0..4 {
                    let (q_high, q_low) = (quad(q[0][k]), quad(q[1][k]));
                    for i in 0..4 {
                        let codes = vreinterpretq_s8_u8(planes[k][i]);
                        high[i] = sdot(high[i], codes, q_high);
                        low[i] = sdot(low[i], codes, q_low);
                    }
                }
            }
            join(high, low)
        }
    }

    /// `usdot` takes the codes as they are; for `sdot` they lose 128, and Σ 128 · q is added.
    #[inline(always)]
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[[uint8x16_t; 4]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [int32x4_t; 4] {
        // SAFETY: `self` proves `dotprod`, and `i8mm` where it is used; register arithmetic, and loads
        // of the sixteen bytes of four quads.
        unsafe {
            let mut low = [vdupq_n_s32(start); 4];
            if !I8MM {
                let (mut high_sum, mut low_sum) = (vdupq_n_s32(0), vdupq_n_s32(0));
                let minus_128 = vdupq_n_s8(-128);
                for q in q {
                    high_sum = sdot(high_sum, vld1q_s8(q[0].as_ptr().cast()), minus_128);
                    low_sum = sdot(low_sum, vld1q_s8(q[1].as_ptr().cast()), minus_128);
                }
                let minus = vaddvq_s32(vaddq_s32(vshlq_n_s32::<8>(high_sum), low_sum));
                low = [vdupq_n_s32(start.wrapping_sub(minus)); 4];
            }
            let mut high = [vdupq_n_s32(0); 4];
            for (planes, q) in planes.iter().zip(q) {
                for k in 0..4 {
                    let (q_high, q_low) = (quad(q[0][k]), quad(q[1][k]));
                    for i in 0..4 {
                        let codes = planes[k][i];
                        if I8MM {
                            high[i] = usdot(high[i], codes, q_high);
                            low[i] = usdot(low[i], codes, q_low);
                        } else {
                            let codes = vreinterpretq_s8_u8(veorq_u8(codes, vdupq_n_u8(128)));
                            high[i] = sdot(high[i], codes, q_high);
                            low[i] = sdot(low[i], codes, q_low);
                        }
                    }
                }
            }
            join(high, low)
        }
    }

    #[inline(always)]
    fn sums_to_f32(self, sums: [int32x4_t; 4]) -> [float32x4_t; 4] {
        self.float_of_int(sums)
    }
}

/// `256 · high + low`.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
unsafe fn join(high: [int32x4_t; 4], low: [int32x4_t; 4]) -> [int32x4_t; 4] {
    let mut sums = low;
    for i in 0..4 {
        // SAFETY: the caller's promise; register arithmetic only.
        sums[i] = unsafe { vaddq_s32(vshlq_n_s32::<8>(high[i]), low[i]) };
    }
    sums
}
