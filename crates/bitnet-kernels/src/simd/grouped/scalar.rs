//! Dot products of groups on the portable tier.

use super::{CodeBytes, GroupDot};
use crate::simd::Scalar;

impl GroupDot for Scalar {
    type Sums = [i32; 16];

    #[inline(always)]
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[[[i16; 32]; 2]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [i32; 16] {
        const { assert!(N <= 2) };
        let mut sums = [start; 16];
        for (byte, weight) in [(0, 256), (1, 1)] {
            let mut pairs = [0i16; 32];
            for (planes, q) in planes.iter().zip(q) {
                for (plane, q) in planes.iter().zip(&q[byte]) {
                    let q = q.map(i16::from);
                    let (mut low, mut high) = ([q[0]; 32], [q[1]; 32]);
                    for r in 0..16 {
                        low[2 * r + 1] = q[2];
                        high[2 * r + 1] = q[3];
                    }
                    for lane in 0..32 {
                        pairs[lane] += plane[0][lane] * low[lane] + plane[1][lane] * high[lane];
                    }
                }
            }
            for r in 0..16 {
                sums[r] += weight * (i32::from(pairs[2 * r]) + i32::from(pairs[2 * r + 1]));
            }
        }
        sums
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[[[i16; 32]; 2]; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> [i32; 16] {
        let mut sums = [start; 16];
        for (planes, [high, low]) in planes.iter().zip(q) {
            for (plane, (high, low)) in planes.iter().zip(high.iter().zip(low)) {
                let mut q = [0; 4];
                for i in 0..4 {
                    q[i] = 256 * i32::from(high[i]) + i32::from(low[i]);
                }
                for r in 0..16 {
                    let byte = |low: usize, lane: usize| i32::from(plane[low][2 * r + lane]);
                    sums[r] += byte(0, 0) * q[0]
                        + byte(1, 0) * q[1]
                        + byte(0, 1) * q[2]
                        + byte(1, 1) * q[3];
                }
            }
        }
        sums
    }

    #[inline(always)]
    fn sums_to_f32(self, sums: [i32; 16]) -> [f32; 16] {
        sums.map(|sum| sum as f32)
    }
}
