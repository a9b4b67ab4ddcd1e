//! Dot products of groups on NEON without `dotprod`.

use std::arch::aarch64::*;

use super::{CodeBytes, GroupDot};
use crate::simd::neon::Neon;
use crate::simd::{DotSimd, Float};

impl GroupDot for Neon<false, false> {
    /// Four rows each.
    type Sums = [int32x4_t; 4];

    #[inline(always)]
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[[uint8x16_t; 4]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [int32x4_t; 4] {
        const { assert!(N <= 2) };
        let (mut high, mut low) = (self.partial_zero(), self.partial_zero());
        for (planes, [q_high, q_low]) in planes.iter().zip(q) {
            for k in 0..4 {
                high = self.plane_dot(high, planes[k], &q_high[k]);
                low = self.plane_dot(low, planes[k], &q_low[k]);
            }
        }
        // SAFETY: `self` proves NEON; register arithmetic only.
        unsafe {
            let mut sums = [vdupq_n_s32(start); 4];
            for i in 0..4 {
                let high = vshlq_n_s32::<8>(vpaddlq_s16(high[i]));
                sums[i] = vaddq_s32(sums[i], vaddq_s32(high, vpaddlq_s16(low[i])));
            }
            sums
        }
    }

    /// In 16 bits, into which the two bytes of an activation go.
    #[inline(always)]
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[[uint8x16_t; 4]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [int32x4_t; 4] {
        // SAFETY: `self` proves NEON; register arithmetic and a load of four numbers. A plane adds at most 2 · 255 · 32,639
        // to a lane.
        unsafe {
            // Lanes 2r and 2r + 1 belong to row r (of two).
            let mut pairs = [vdupq_n_s32(0); 8];
            for (planes, [q_high, q_low]) in planes.iter().zip(q) {
                for k in 0..4 {
                    let mut quad = [0; 4];
                    for i in 0..4 {
                        quad[i] = 256 * i16::from(q_high[k][i]) + i16::from(q_low[k][i]);
                    }
                    // Columns 0 and 2, and 1 and 3, again and again.
                    let quad = vld1_s16(quad.as_ptr());
                    let both = vcombine_s16(quad, quad);
                    let q = [vuzp1q_s16(both, both), vuzp2q_s16(both, both)];
                    for (n, &codes) in planes[k].iter().enumerate() {
                        // Registers 0 and 2 have the even columns of eight rows, 1 and 3 the odd.
                        let (q, first) = (q[n % 2], n / 2 * 4);
                        let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes)));
                        let high = vreinterpretq_s16_u16(vmovl_high_u8(codes));
                        let pair = &mut pairs[first..first + 4];
                        pair[0] = vmlal_s16(pair[0], vget_low_s16(low), vget_low_s16(q));
                        pair[1] = vmlal_high_s16(pair[1], low, q);
                        pair[2] = vmlal_s16(pair[2], vget_low_s16(high), vget_low_s16(q));
                        pair[3] = vmlal_high_s16(pair[3], high, q);
                    }
                }
            }
            let mut sums = [vdupq_n_s32(start); 4];
            for i in 0..4 {
                sums[i] = vaddq_s32(sums[i], vpaddq_s32(pairs[2 * i], pairs[2 * i + 1]));
            }
            sums
        }
    }

    #[inline(always)]
    fn sums_to_f32(self, sums: [int32x4_t; 4]) -> [float32x4_t; 4] {
        self.float_of_int(sums)
    }
}
