//! Integer dot products of the portable tier.
//!
//! Written over i16 lanes, each with two neighbouring bytes of a tile, because a product and
//! sum of i16 lanes is what every baseline instruction set (SSE2, NEON) has, so that the
//! compiler vectorises it.

use super::DotSimd;
use crate::simd::Scalar;

impl DotSimd for Scalar {
    const STREAM_TOKENS: usize = 1;
    const PANEL_TOKENS: usize = 2;
    const TWO_ROW_BLOCKS: bool = false;
    // Codes up to 3: 32 steps that add at most 2 · 3 · 128 stay below 2¹⁵.
    const PLANES_PER_PLACED_PARTIAL: usize = 32;
    const INT8_TOKENS: usize = 1;

    /// Lanes `2r` and `2r + 1` belong to row `r`.
    type Partial = [i16; 32];
    type Int8Sum = i32;
    type Int8Weights = [i8; 64];
    type Int8Activations = [i8; 64];

    /// A step adds at most 2 · max_code · 128 to a lane of i16.
    #[inline(always)]
    fn planes_per_partial(max_code: usize) -> usize {
        (i16::MAX as usize) / (2 * 128 * max_code)
    }

    #[inline(always)]
    fn partial_zero(self) -> [i16; 32] {
        [0; 32]
    }

    #[inline(always)]
    fn plane_dot(self, mut partial: [i16; 32], plane: [[i16; 32]; 2], q: &[i8; 4]) -> [i16; 32] {
        let q = q.map(i16::from);
        let mut low = [q[0]; 32];
        let mut high = [q[1]; 32];
        for r in 0..16 {
            low[2 * r + 1] = q[2];
            high[2 * r + 1] = q[3];
        }
        for lane in 0..32 {
            partial[lane] += plane[0][lane] * low[lane] + plane[1][lane] * high[lane];
        }
        partial
    }

    #[inline(always)]
    fn add_partial(self, sums: &mut [i32; 16], partial: [i16; 32]) {
        for r in 0..16 {
            let row = i32::from(partial[2 * r]) + i32::from(partial[2 * r + 1]);
            sums[r] = sums[r].wrapping_add(row);
        }
    }

    #[inline(always)]
    fn int8_zero(self) -> i32 {
        0
    }

    #[inline(always)]
    fn int8_weights(self, w: &[i8; 64]) -> [i8; 64] {
        *w
    }

    #[inline(always)]
    fn int8_activations(self, q: &[i8; 64]) -> [i8; 64] {
        *q
    }

    #[inline(always)]
    fn int8_dot(self, sum: i32, w: [i8; 64], q: [i8; 64]) -> i32 {
        let mut total = sum;
        for i in 0..64 {
            total = total.wrapping_add(i32::from(w[i]) * i32::from(q[i]));
        }
        total
    }

    #[inline(always)]
    fn int8_add(self, a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }

    #[inline(always)]
    fn int8_total(self, sum: i32, _q_sum: i32) -> i32 {
        sum
    }
}
