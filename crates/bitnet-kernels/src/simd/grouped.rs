//! Integer dot products of groups of columns whose sums become floats: what weights with a scale
//! for each group need, per tier.
//!
//! A [`DotSimd::Plane`] is 16 rows × 4 columns of unsigned codes, one per byte. All sums are exact:
//! four bits are added in i16 only as far as i16 holds them (8 planes · 2 · 15 · 128 = 30,720), eight
//! bits are widened first.

use super::{DotSimd, Float, Scalar};

/// Dot products of groups. Implementations are `#[inline(always)]`.
pub(crate) trait GroupDot: Float + DotSimd {
    /// Sixteen sums, one per row.
    type Sums: Copy;

    /// The low four bits of each byte.
    fn low_nibbles(self, tile: Self::Tile) -> Self::Plane;
    /// The high four bits of each byte.
    fn high_nibbles(self, tile: Self::Tile) -> Self::Plane;
    /// The bytes themselves.
    fn bytes(self, tile: Self::Tile) -> Self::Plane;

    /// `start + Σ plane[k][r][i] · q[k][i]`, codes of at most four bits; at most 8 planes.
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[Self::Plane; N],
        q: &[[i8; 4]; N],
        start: i32,
    ) -> Self::Sums;
    /// `start + Σ plane[k][r][i] · q[k][i]`, codes of eight bits.
    fn dot_bytes<const N: usize>(
        self,
        planes: &[Self::Plane; N],
        q: &[[i8; 4]; N],
        start: i32,
    ) -> Self::Sums;

    /// The sums as floats, to nearest even.
    fn sums_to_f32(self, sums: Self::Sums) -> Self::F32;
}

impl GroupDot for Scalar {
    type Sums = [i32; 16];

    #[inline(always)]
    fn low_nibbles(self, tile: [i16; 32]) -> [[i16; 32]; 2] {
        [tile.map(|pair| pair & 15), tile.map(|pair| (pair >> 8) & 15)]
    }

    #[inline(always)]
    fn high_nibbles(self, tile: [i16; 32]) -> [[i16; 32]; 2] {
        [tile.map(|pair| (pair >> 4) & 15), tile.map(|pair| (pair >> 12) & 15)]
    }

    #[inline(always)]
    fn bytes(self, tile: [i16; 32]) -> [[i16; 32]; 2] {
        [tile.map(|pair| pair & 255), tile.map(|pair| (pair >> 8) & 255)]
    }

    #[inline(always)]
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[[i16; 32]; 2]; N],
        q: &[[i8; 4]; N],
        start: i32,
    ) -> [i32; 16] {
        const { assert!(N <= 8) };
        let mut pairs = [0i16; 32];
        for (plane, q) in planes.iter().zip(q) {
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
        let mut sums = [start; 16];
        for r in 0..16 {
            sums[r] += i32::from(pairs[2 * r]) + i32::from(pairs[2 * r + 1]);
        }
        sums
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[[i16; 32]; 2]; N],
        q: &[[i8; 4]; N],
        start: i32,
    ) -> [i32; 16] {
        let mut sums = [start; 16];
        for (plane, q) in planes.iter().zip(q) {
            let q = q.map(i32::from);
            for r in 0..16 {
                let byte = |low: usize, lane: usize| i32::from(plane[low][2 * r + lane]);
                sums[r] +=
                    byte(0, 0) * q[0] + byte(1, 0) * q[1] + byte(0, 1) * q[2] + byte(1, 1) * q[3];
            }
        }
        sums
    }

    #[inline(always)]
    fn sums_to_f32(self, sums: [i32; 16]) -> [f32; 16] {
        sums.map(|sum| sum as f32)
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::GroupDot;
    use crate::simd::avx2::Avx2;
    use crate::simd::avx512::Avx512;

    impl GroupDot for Avx2 {
        /// Rows 0 to 7 and 8 to 15.
        type Sums = [__m256i; 2];

        #[inline(always)]
        fn low_nibbles(self, tile: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: `self` proves AVX2; register arithmetic only.
            unsafe {
                let mask = _mm256_set1_epi8(15);
                [_mm256_and_si256(tile[0], mask), _mm256_and_si256(tile[1], mask)]
            }
        }

        #[inline(always)]
        fn high_nibbles(self, tile: [__m256i; 2]) -> [__m256i; 2] {
            // SAFETY: `self` proves AVX2; register arithmetic only.
            let shifted =
                unsafe { [_mm256_srli_epi16::<4>(tile[0]), _mm256_srli_epi16::<4>(tile[1])] };
            self.low_nibbles(shifted)
        }

        #[inline(always)]
        fn bytes(self, tile: [__m256i; 2]) -> [__m256i; 2] {
            tile
        }

        #[inline(always)]
        fn dot_nibbles<const N: usize>(
            self,
            planes: &[[__m256i; 2]; N],
            q: &[[i8; 4]; N],
            start: i32,
        ) -> [__m256i; 2] {
            const { assert!(N <= 8) };
            // SAFETY: `self` proves AVX2; register arithmetic only.
            unsafe {
                let mut pairs = [_mm256_setzero_si256(); 2];
                for (plane, q) in planes.iter().zip(q) {
                    let q = _mm256_set1_epi32(i32::from_le_bytes(q.map(|v| v as u8)));
                    pairs[0] = _mm256_add_epi16(pairs[0], _mm256_maddubs_epi16(plane[0], q));
                    pairs[1] = _mm256_add_epi16(pairs[1], _mm256_maddubs_epi16(plane[1], q));
                }
                let (ones, start) = (_mm256_set1_epi16(1), _mm256_set1_epi32(start));
                [
                    _mm256_add_epi32(_mm256_madd_epi16(pairs[0], ones), start),
                    _mm256_add_epi32(_mm256_madd_epi16(pairs[1], ones), start),
                ]
            }
        }

        #[inline(always)]
        fn dot_bytes<const N: usize>(
            self,
            planes: &[[__m256i; 2]; N],
            q: &[[i8; 4]; N],
            start: i32,
        ) -> [__m256i; 2] {
            // SAFETY: `self` proves AVX2; register arithmetic only. One step adds at most
            // 4 · 255 · 128 to a lane.
            unsafe {
                let mut sums = [_mm256_set1_epi32(start); 2];
                let even = _mm256_set1_epi16(255);
                for (plane, q) in planes.iter().zip(q) {
                    let q = _mm256_set1_epi32(i32::from_le_bytes(q.map(|v| v as u8)));
                    let q_odd = _mm256_srai_epi16::<8>(q);
                    let q_even = _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(q));
                    for half in 0..2 {
                        let low = _mm256_madd_epi16(_mm256_and_si256(plane[half], even), q_even);
                        let high = _mm256_madd_epi16(_mm256_srli_epi16::<8>(plane[half]), q_odd);
                        sums[half] = _mm256_add_epi32(sums[half], _mm256_add_epi32(low, high));
                    }
                }
                sums
            }
        }

        #[inline(always)]
        fn sums_to_f32(self, sums: [__m256i; 2]) -> [__m256; 2] {
            // SAFETY: `self` proves AVX2; register arithmetic only.
            unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] }
        }
    }

    impl<const VBMI: bool> GroupDot for Avx512<VBMI> {
        type Sums = __m512i;

        #[inline(always)]
        fn low_nibbles(self, tile: __m512i) -> __m512i {
            // SAFETY: `self` proves AVX-512; register arithmetic only.
            unsafe { _mm512_and_si512(tile, _mm512_set1_epi8(15)) }
        }

        #[inline(always)]
        fn high_nibbles(self, tile: __m512i) -> __m512i {
            // SAFETY: `self` proves AVX-512; register arithmetic only.
            self.low_nibbles(unsafe { _mm512_srli_epi16::<4>(tile) })
        }

        #[inline(always)]
        fn bytes(self, tile: __m512i) -> __m512i {
            tile
        }

        #[inline(always)]
        fn dot_nibbles<const N: usize>(
            self,
            planes: &[__m512i; N],
            q: &[[i8; 4]; N],
            start: i32,
        ) -> __m512i {
            self.dot_bytes(planes, q, start)
        }

        #[inline(always)]
        fn dot_bytes<const N: usize>(
            self,
            planes: &[__m512i; N],
            q: &[[i8; 4]; N],
            start: i32,
        ) -> __m512i {
            // SAFETY: `self` proves AVX-512 VNNI; the loads are of the four bytes of a `q`.
            unsafe {
                // Two chains: half of the latency.
                let mut sums = [_mm512_set1_epi32(start), _mm512_setzero_si512()];
                for k in 0..N {
                    let q = _mm512_set1_epi32(q[k].as_ptr().cast::<i32>().read_unaligned());
                    sums[k % 2] = _mm512_dpbusd_epi32(sums[k % 2], planes[k], q);
                }
                _mm512_add_epi32(sums[0], sums[1])
            }
        }

        #[inline(always)]
        fn sums_to_f32(self, sums: __m512i) -> __m512 {
            // SAFETY: `self` proves AVX-512; register arithmetic only.
            unsafe { _mm512_cvtepi32_ps(sums) }
        }
    }
}
