//! Integer dot products of groups of columns whose sums become floats: what weights with a scale
//! for each group need, per tier.
//!
//! The codes of an activation have 16 bits; the two bytes of each are multiplied on their own where
//! instructions take bytes. All sums are exact: four bits are added in i16 only as far as i16 holds them (8
//! planes · 2 · 15 · 128 = 30,720), eight bits are widened first.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dotprod;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod sse41;

use super::{DotSimd, Float};

/// Sixteen codes of an activation, four to a plane: their high bytes, then their low ones. The code
/// is high · 256 + low, both signed.
pub(crate) type CodeBytes = [[[i8; 4]; 4]; 2];

/// Dot products of groups. Implementations are `#[inline(always)]`.
pub(crate) trait GroupDot: Float + DotSimd {
    /// Sixteen sums, one per row.
    type Sums: Copy;

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
