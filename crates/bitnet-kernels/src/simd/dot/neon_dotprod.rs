//! Integer dot products of NEON with `dotprod`, and with `i8mm`.
//!
//! `sdot` multiplies i8 by i8 and adds four products to an i32 lane; codes below 128 are its operand as
//! they are. `i8mm` has `usdot`, of any codes, and `usmmla`, which multiplies two rows of eight codes
//! with the activations of two tokens: twice the products of a dot product. None of them saturates.
//! Their intrinsics are not stable, so they are written as assembly.

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::{int8_of_neon, prefetch, quad};
use super::{DotSimd, dot_by_planes};
use crate::simd::neon::Neon;
use crate::simd::unpack::PlaneBytes;

impl<const I8MM: bool> DotSimd for Neon<true, I8MM> {
    const STREAM_TOKENS: usize = 1;
    // 4 registers for each token's sums, 4 for the plane, and q: 29.
    const PANEL_TOKENS: usize = 6;
    const TWO_ROW_BLOCKS: bool = false;
    // Codes up to 3 · 4² = 48: a plane adds at most 4 · 48 · 128 < 2¹⁵ to a lane.
    const PLANES_PER_PLACED_PARTIAL: usize = 1 << 14;
    const INT8_TOKENS: usize = 4;

    /// Four rows each.
    type Partial = [int32x4_t; 4];

    /// A lane is of 32 bits and wraps, as the whole sum may.
    #[inline(always)]
    fn planes_per_partial(_max_code: usize) -> usize {
        usize::MAX
    }

    #[inline(always)]
    fn partial_zero(self) -> [int32x4_t; 4] {
        // SAFETY: `self` proves NEON; register arithmetic only.
        unsafe { [vdupq_n_s32(0); 4] }
    }

    #[inline(always)]
    fn plane_dot(
        self,
        mut partial: [int32x4_t; 4],
        plane: [uint8x16_t; 4],
        q: &[i8; 4],
    ) -> [int32x4_t; 4] {
        // SAFETY: `self` proves `dotprod`; register arithmetic, and codes are below 128.
        unsafe {
            let q = quad(*q);
            for i in 0..4 {
                partial[i] = sdot(partial[i], vreinterpretq_s8_u8(plane[i]), q);
            }
        }
        partial
    }

    #[inline(always)]
    fn add_partial(self, sums: &mut [i32; 16], partial: [int32x4_t; 4]) {
        for (sums, partial) in sums.as_chunks_mut::<4>().0.iter_mut().zip(partial) {
            let start = sums.as_mut_ptr();
            // SAFETY: `self` proves NEON; a load and a store of four sums.
            unsafe { vst1q_s32(start, vaddq_s32(vld1q_s32(start), partial)) }
        }
    }

    /// Added in registers, where lanes of 32 bits wrap as the whole sum may.
    #[inline(always)]
    fn add_partials<const N: usize>(self, sums: &mut [i32; 16], partials: [[int32x4_t; 4]; N]) {
        let mut total = self.partial_zero();
        for partial in partials {
            for i in 0..4 {
                // SAFETY: `self` proves NEON; register arithmetic only.
                total[i] = unsafe { vaddq_s32(total[i], partial[i]) };
            }
        }
        self.add_partial(sums, total);
    }

    /// A shift by six needs no mask; without one, 3 · 4³ would not be a code of `sdot`.
    #[inline(always)]
    fn placed_plane<const J: usize>(self, mut tile: [uint8x16_t; 4]) -> [uint8x16_t; 4] {
        for part in &mut tile {
            // SAFETY: `self` proves NEON; register arithmetic only.
            *part = unsafe {
                match J {
                    0 => vandq_u8(*part, vdupq_n_u8(3)),
                    1 => vandq_u8(*part, vdupq_n_u8(3 << 2)),
                    2 => vandq_u8(*part, vdupq_n_u8(3 << 4)),
                    _ => vshrq_n_u8::<6>(*part),
                }
            };
        }
        tile
    }

    #[inline(always)]
    fn add_placed_partial<const J: usize>(self, sums: &mut [i32; 16], partial: [int32x4_t; 4]) {
        let mut shifted = partial;
        for part in &mut shifted {
            // SAFETY: `self` proves NEON; register arithmetic only.
            *part = unsafe {
                match J {
                    1 => vshrq_n_s32::<2>(*part),
                    2 => vshrq_n_s32::<4>(*part),
                    _ => *part,
                }
            };
        }
        self.add_partial(sums, shifted); // The shift is exact: every term is a multiple.
    }

    #[inline(always)]
    fn panel_dot<const R: usize, const Q: usize>(
        self,
        planes: &[[PlaneBytes; R]],
        quads: &[[[i8; 4]; Q]],
        max_code: usize,
        sums: &mut [[[i32; 16]; R]; Q],
    ) {
        if !I8MM {
            return dot_by_planes(self, planes, quads, max_code, sums);
        }
        let ((pairs, odd_planes), (quad_pairs, odd_quads)) =
            (planes.as_chunks::<2>(), quads.as_chunks::<2>());
        // SAFETY: `self` proves `i8mm`.
        unsafe { dot_by_matrices(pairs, quad_pairs, sums) };
        dot_by_planes(self, odd_planes, odd_quads, max_code, sums);
    }

    int8_of_neon!();

    #[inline(always)]
    fn int8_dot(self, mut sum: int32x4_t, w: [int8x16_t; 4], q: [int8x16_t; 4]) -> int32x4_t {
        for i in 0..4 {
            // SAFETY: `self` proves `dotprod`; register arithmetic only.
            sum = unsafe { sdot(sum, w[i], q[i]) };
        }
        sum
    }
}

/// A register block by products of matrices, two planes at a time: `sums[t][r][row] += Σ codes · q`.
///
/// # Safety
/// The CPU must have `i8mm`.
#[inline(always)]
unsafe fn dot_by_matrices<const R: usize, const Q: usize>(
    pairs: &[[[PlaneBytes; R]; 2]],
    quad_pairs: &[[[[i8; 4]; Q]; 2]],
    sums: &mut [[[i32; 16]; R]; Q],
) {
    let couples = Q.div_ceil(2);
    // SAFETY: the caller's promise; loads are of 64 bytes of a plane and of quads of one step, stores
    // of four sums.
    unsafe {
        // `products[c][r][n]` are rows 2n and 2n + 1 × tokens 2c and 2c + 1. (An array for half as many
        // couples has no name in the type system; the rest is never touched.)
        let mut products = [[[vdupq_n_s32(0); 8]; R]; Q];
        for (planes, quads) in pairs.iter().zip(quad_pairs) {
            let mut tokens = [vdupq_n_s8(0); Q];
            for couple in 0..couples {
                let mut halves = [vdup_n_s32(0); 2];
                for half in 0..2 {
                    let quads = quads[half].as_ptr().cast::<i32>().add(2 * couple);
                    // The last token may be alone, and is then its own neighbour.
                    let paired = 2 * couple + 1 < Q;
                    halves[half] = if paired { vld1_s32(quads) } else { vld1_dup_s32(quads) };
                }
                let [first, second] = halves;
                let both = vcombine_s32(vzip1_s32(first, second), vzip2_s32(first, second));
                tokens[couple] = vreinterpretq_s8_s32(both);
            }
            for r in 0..R {
                for four in 0..4 {
                    // Four rows × four columns of each plane become two rows × eight columns, twice.
                    let first = vld1q_u8(planes[0][r].0.as_ptr().add(16 * four));
                    let second = vld1q_u8(planes[1][r].0.as_ptr().add(16 * four));
                    let (first, second) =
                        (vreinterpretq_u32_u8(first), vreinterpretq_u32_u8(second));
                    let rows = [
                        vreinterpretq_u8_u32(vzip1q_u32(first, second)),
                        vreinterpretq_u8_u32(vzip2q_u32(first, second)),
                    ];
                    for couple in 0..couples {
                        for two in 0..2 {
                            let sum = &mut products[couple][r][2 * four + two];
                            *sum = usmmla(*sum, rows[two], tokens[couple]);
                        }
                    }
                }
            }
        }
        for t in 0..Q {
            for r in 0..R {
                for (four, sums) in sums[t][r].as_chunks_mut::<4>().0.iter_mut().enumerate() {
                    let products = products[t / 2][r];
                    let (low, high) = (products[2 * four], products[2 * four + 1]);
                    let token =
                        if t % 2 == 0 { vuzp1q_s32(low, high) } else { vuzp2q_s32(low, high) };
                    let start = sums.as_mut_ptr();
                    vst1q_s32(start, vaddq_s32(vld1q_s32(start), token));
                }
            }
        }
    }
}

/// Functions that are one instruction: `name(type of a) = "name" of "feature";`
macro_rules! instructions {
    ($(
        $(#[$doc:meta])*
        $visibility:vis $name:ident($a:ty) = $mnemonic:literal of $feature:literal;
    )*) => {$(
        $(#[$doc])*
        ///
        /// # Safety
        #[doc = concat!("The CPU must have `", $feature, "`.")]
        #[inline(always)]
        $visibility unsafe fn $name(sum: int32x4_t, a: $a, b: int8x16_t) -> int32x4_t {
            let mut sum = sum;
            // SAFETY: the caller's promise; register arithmetic only.
            unsafe {
                asm!(concat!($mnemonic, " {sum:v}.4s, {a:v}.16b, {b:v}.16b"),
                    sum = inlateout(vreg) sum, a = in(vreg) a, b = in(vreg) b,
                    options(pure, nomem, nostack, preserves_flags));
            }
            sum
        }
    )*};
}
instructions! {
    /// `sum[i] + Σⱼ a[4i + j] · b[4i + j]`, `j < 4`.
    pub(in crate::simd) sdot(int8x16_t) = "sdot" of "dotprod";
    /// As [`sdot`], of unsigned `a`.
    pub(in crate::simd) usdot(uint8x16_t) = "usdot" of "i8mm";
    /// `sum[2i + j] + Σₖ a[8i + k] · b[8j + k]`, `k < 8`.
    usmmla(uint8x16_t) = "usmmla" of "i8mm";
}
