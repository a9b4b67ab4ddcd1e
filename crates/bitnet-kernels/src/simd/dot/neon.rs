//! Integer dot products of NEON without `dotprod`.
//!
//! `smlal` (i8 × i8, added to i16 lanes) is exact for codes of few bits: one plane adds at most
//! 2 · 3 · 128 = 768 to a lane if they are ternary, the even bytes of two columns' pair and then the odd
//! ones, and a partial sum is of so many planes as stay below 2¹⁵. Products of int8 weights, up to
//! 128 · 128, fill an i16 each and are added in pairs to i32.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{DotSimd, quad_bits};
use crate::simd::neon::Neon;

/// What both kinds of NEON have of int8 matrices: all but the dot product.
macro_rules! int8_of_neon {
    () => {
        type Int8Sum = int32x4_t;
        type Int8Weights = [int8x16_t; 4];
        type Int8Activations = [int8x16_t; 4];

        #[inline(always)]
        fn int8_zero(self) -> int32x4_t {
            // SAFETY: `self` proves NEON; register arithmetic only.
            unsafe { vdupq_n_s32(0) }
        }

        #[inline(always)]
        fn int8_weights(self, w: &[i8; 64]) -> [int8x16_t; 4] {
            // SAFETY: `self` proves NEON; a load of 64 bytes.
            let int8x16x4_t(a, b, c, d) = unsafe { vld1q_s8_x4(w.as_ptr()) };
            [a, b, c, d]
        }

        #[inline(always)]
        fn int8_activations(self, q: &[i8; 64]) -> [int8x16_t; 4] {
            self.int8_weights(q) // The same bytes.
        }

        #[inline(always)]
        fn int8_add(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
            // SAFETY: `self` proves NEON; register arithmetic only.
            unsafe { vaddq_s32(a, b) }
        }

        #[inline(always)]
        fn int8_total(self, sum: int32x4_t, _q_sum: i32) -> i32 {
            // SAFETY: `self` proves NEON; register arithmetic only.
            unsafe { vaddvq_s32(sum) }
        }

        #[inline(always)]
        fn prefetch(self, address: *const u8) {
            prefetch(address);
        }
    };
}
pub(super) use int8_of_neon;

impl DotSimd for Neon<false, false> {
    const STREAM_TOKENS: usize = 1;
    // 4 registers for each token's sums, 4 for the plane, and q in two: 30.
    const PANEL_TOKENS: usize = 6;
    const TWO_ROW_BLOCKS: bool = false;
    const PLANES_PER_PLACED_PARTIAL: usize = 32;
    const INT8_TOKENS: usize = 1;

    /// Lanes `2r` and `2r + 1` of eight i16 belong to row `r` (of four).
    type Partial = [int16x8_t; 4];

    /// A plane adds at most 2 · max_code · 128 to a lane of i16.
    #[inline(always)]
    fn planes_per_partial(max_code: usize) -> usize {
        (i16::MAX as usize) / (2 * 128 * max_code)
    }

    #[inline(always)]
    fn partial_zero(self) -> [int16x8_t; 4] {
        // SAFETY: `self` proves NEON; register arithmetic only.
        unsafe { [vdupq_n_s16(0); 4] }
    }

    #[inline(always)]
    fn plane_dot(
        self,
        mut partial: [int16x8_t; 4],
        plane: [uint8x16_t; 4],
        q: &[i8; 4],
    ) -> [int16x8_t; 4] {
        // SAFETY: `self` proves NEON; register arithmetic only.
        unsafe {
            let q = quad(*q);
            let (even, odd) = (vuzp1q_s8(q, q), vuzp2q_s8(q, q));
            for half in 0..2 {
                let even_codes = vreinterpretq_s8_u8(plane[2 * half]);
                let odd_codes = vreinterpretq_s8_u8(plane[2 * half + 1]);
                let low = vmlal_s8(partial[2 * half], vget_low_s8(even_codes), vget_low_s8(even));
                partial[2 * half] = vmlal_s8(low, vget_low_s8(odd_codes), vget_low_s8(odd));
                let high = vmlal_high_s8(partial[2 * half + 1], even_codes, even);
                partial[2 * half + 1] = vmlal_high_s8(high, odd_codes, odd);
            }
        }
        partial
    }

    #[inline(always)]
    fn add_partial(self, sums: &mut [i32; 16], partial: [int16x8_t; 4]) {
        for (sums, partial) in sums.as_chunks_mut::<4>().0.iter_mut().zip(partial) {
            let start = sums.as_mut_ptr();
            // SAFETY: `self` proves NEON; a load and a store of four sums.
            unsafe { vst1q_s32(start, vpadalq_s16(vld1q_s32(start), partial)) }
        }
    }

    int8_of_neon!();

    #[inline(always)]
    fn int8_dot(self, mut sum: int32x4_t, w: [int8x16_t; 4], q: [int8x16_t; 4]) -> int32x4_t {
        for i in 0..4 {
            // SAFETY: `self` proves NEON; register arithmetic only.
            unsafe {
                sum = vpadalq_s16(sum, vmull_s8(vget_low_s8(w[i]), vget_low_s8(q[i])));
                sum = vpadalq_s16(sum, vmull_high_s8(w[i], q[i]));
            }
        }
        sum
    }
}

/// Asks for the cache line of any address. (The intrinsic is not stable.)
#[inline(always)]
pub(super) fn prefetch(address: *const u8) {
    // SAFETY: a prefetch of any address has no effect but on caches.
    unsafe {
        asm!("prfm pldl1keep, [{address}]", address = in(reg) address,
            options(readonly, nostack, preserves_flags));
    }
}

/// The four activations in every lane of 32 bits.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
pub(in crate::simd) unsafe fn quad(q: [i8; 4]) -> int8x16_t {
    // SAFETY: the caller's promise; register arithmetic only.
    unsafe { vreinterpretq_s8_s32(vdupq_n_s32(quad_bits(q))) }
}
