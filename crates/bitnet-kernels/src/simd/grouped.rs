//! Integer dot products of groups of columns whose sums become floats: what weights with a scale
//! for each group need, per tier.
//!
//! A [`DotSimd::Plane`] is 16 rows × 4 columns of unsigned codes, one per byte. The codes of an
//! activation have 16 bits; the two bytes of each are multiplied on their own where instructions
//! take bytes. All sums are exact: four bits are added in i16 only as far as i16 holds them (8
//! planes · 2 · 15 · 128 = 30,720), eight bits are widened first.

use super::{DotSimd, Float, Scalar};

/// Sixteen codes of an activation, four to a plane: their high bytes, then their low ones. The code
/// is high · 256 + low, both signed.
pub(crate) type CodeBytes = [[[i8; 4]; 4]; 2];

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

    /// `start + Σ plane[n][k][r][i] · q[n][k][i]`, codes of at most four bits; at most 8 planes.
    fn dot_nibbles<const N: usize>(
        self,
        planes: &[[Self::Plane; 4]; N],
        q: &[CodeBytes; N],
        start: i32,
    ) -> Self::Sums;
    /// `start + Σ plane[n][k][r][i] · q[n][k][i]`, codes of eight bits.
    fn dot_bytes<const N: usize>(
        self,
        planes: &[[Self::Plane; 4]; N],
        q: &[CodeBytes; N],
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

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{CodeBytes, GroupDot};
    use crate::simd::avx2::Avx2;
    use crate::simd::avx512::Avx512;

    /// The four codes in every lane of 32 bits.
    ///
    /// # Safety
    /// The CPU has AVX2.
    #[inline(always)]
    unsafe fn quad(q: [i8; 4]) -> __m256i {
        // SAFETY: the caller's.
        unsafe { _mm256_set1_epi32(i32::from_le_bytes(q.map(|v| v as u8))) }
    }

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
            planes: &[[[__m256i; 2]; 4]; N],
            q: &[CodeBytes; N],
            start: i32,
        ) -> [__m256i; 2] {
            const { assert!(N <= 2) };
            // SAFETY: `self` proves AVX2; register arithmetic only.
            unsafe {
                let zero = _mm256_setzero_si256();
                let (mut high, mut low) = ([zero; 2], [zero; 2]);
                for (planes, q) in planes.iter().zip(q) {
                    for k in 0..4 {
                        let (q_high, q_low) = (quad(q[0][k]), quad(q[1][k]));
                        for half in 0..2 {
                            let plane = planes[k][half];
                            let product = _mm256_maddubs_epi16(plane, q_high);
                            high[half] = _mm256_add_epi16(high[half], product);
                            let product = _mm256_maddubs_epi16(plane, q_low);
                            low[half] = _mm256_add_epi16(low[half], product);
                        }
                    }
                }
                let (ones, start) = (_mm256_set1_epi16(1), _mm256_set1_epi32(start));
                let mut sums = [start; 2];
                for half in 0..2 {
                    let high = _mm256_slli_epi32::<8>(_mm256_madd_epi16(high[half], ones));
                    let low = _mm256_add_epi32(_mm256_madd_epi16(low[half], ones), start);
                    sums[half] = _mm256_add_epi32(high, low);
                }
                sums
            }
        }

        #[inline(always)]
        fn dot_bytes<const N: usize>(
            self,
            planes: &[[[__m256i; 2]; 4]; N],
            q: &[CodeBytes; N],
            start: i32,
        ) -> [__m256i; 2] {
            // SAFETY: `self` proves AVX2; register arithmetic only. One step adds at most
            // 4 · 255 · 32,639 to a lane.
            unsafe {
                let mut sums = [_mm256_set1_epi32(start); 2];
                let even = _mm256_set1_epi16(255);
                for (planes, q) in planes.iter().zip(q) {
                    for k in 0..4 {
                        // Codes as 16 bits, those of even columns and those of odd ones.
                        let (high, low) = (quad(q[0][k]), quad(q[1][k]));
                        let q_odd = _mm256_add_epi16(
                            _mm256_andnot_si256(even, high),
                            _mm256_srai_epi16::<8>(low),
                        );
                        let q_even = _mm256_add_epi16(
                            _mm256_slli_epi16::<8>(high),
                            _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(low)),
                        );
                        for half in 0..2 {
                            let plane = planes[k][half];
                            let low = _mm256_madd_epi16(_mm256_and_si256(plane, even), q_even);
                            let high = _mm256_madd_epi16(_mm256_srli_epi16::<8>(plane), q_odd);
                            sums[half] = _mm256_add_epi32(sums[half], _mm256_add_epi32(low, high));
                        }
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
            planes: &[[__m512i; 4]; N],
            q: &[CodeBytes; N],
            start: i32,
        ) -> __m512i {
            self.dot_bytes(planes, q, start)
        }

        #[inline(always)]
        fn dot_bytes<const N: usize>(
            self,
            planes: &[[__m512i; 4]; N],
            q: &[CodeBytes; N],
            start: i32,
        ) -> __m512i {
            // SAFETY: `self` proves AVX-512 VNNI; the loads are of the four bytes of a quad.
            unsafe {
                let (mut high, mut low) = (_mm512_setzero_si512(), _mm512_set1_epi32(start));
                for (planes, q) in planes.iter().zip(q) {
                    for k in 0..4 {
                        let q_high = q[0][k].as_ptr().cast::<i32>().read_unaligned();
                        let q_low = q[1][k].as_ptr().cast::<i32>().read_unaligned();
                        let (q_high, q_low) = (_mm512_set1_epi32(q_high), _mm512_set1_epi32(q_low));
                        high = _mm512_dpbusd_epi32(high, planes[k], q_high);
                        low = _mm512_dpbusd_epi32(low, planes[k], q_low);
                    }
                }
                _mm512_add_epi32(_mm512_slli_epi32::<8>(high), low)
            }
        }

        #[inline(always)]
        fn sums_to_f32(self, sums: __m512i) -> __m512 {
            // SAFETY: `self` proves AVX-512; register arithmetic only.
            unsafe { _mm512_cvtepi32_ps(sums) }
        }
    }
}
