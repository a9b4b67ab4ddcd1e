//! Integer dot products: the part of a tier that ternary and int8 matrices need.
//!
//! All sums are exact: a narrow intermediate is widened before it could saturate, and `i32`
//! additions wrap, so that the callers' bounds on the number of columns make every result
//! the mathematical one. The methods are safe to call because a value of the implementing
//! type proves that its instructions exist.

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

#[cfg(target_arch = "aarch64")]
pub(super) use neon::quad;
#[cfg(target_arch = "aarch64")]
pub(super) use neon_dotprod::{sdot, usdot};

use super::unpack::{PlaneBytes, Unpack};

/// Four activations as the bytes of a lane.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
pub(super) fn quad_bits(q: [i8; 4]) -> i32 {
    i32::from_le_bytes(q.map(|v| v as u8))
}

/// Integer dot products of one tier. Implementations are `#[inline(always)]`.
pub(crate) trait DotSimd: Unpack {
    /// Most tokens that are multiplied with a ternary tile as it is unpacked, 1 or 4.
    const STREAM_TOKENS: usize;
    /// Most tokens of a ternary register block; the registers hold its accumulators.
    const PANEL_TOKENS: usize;
    /// Whether the registers hold the sums of a panel for two row blocks, which a register block then
    /// spans, and twice the chains of sums where planes are multiplied as they are unpacked.
    const TWO_ROW_BLOCKS: bool;
    /// As [`Self::planes_per_partial`], of [`Self::placed_plane`]s of two-bit codes.
    const PLANES_PER_PLACED_PARTIAL: usize;
    /// Tokens of an int8 register block (1 or 4), which spans four rows.
    const INT8_TOKENS: usize;

    /// Sixteen partial sums, one per row of a tile.
    type Partial: Copy;
    /// Partial sums of one int8 dot product.
    type Int8Sum: Copy;
    /// 64 int8 weights, prepared for [`Self::int8_dot`].
    type Int8Weights: Copy;
    /// 64 int8 activations, prepared for [`Self::int8_dot`].
    type Int8Activations: Copy;

    /// Planes of codes up to `max_code` that a [`Self::Partial`] can accumulate before it must be added
    /// to `i32` sums.
    fn planes_per_partial(max_code: usize) -> usize;

    /// Zero partial sums.
    fn partial_zero(self) -> Self::Partial;

    /// `partial[r] + Σᵢ plane[r][i] · q[i]`, of codes below 64 or a [`Self::placed_plane`].
    fn plane_dot(self, partial: Self::Partial, plane: Self::Plane, q: &[i8; 4]) -> Self::Partial;

    /// `sums[r] += partial[r]`.
    fn add_partial(self, sums: &mut [i32; 16], partial: Self::Partial);

    /// `sums[r] += Σₙ partials[n][r]`.
    #[inline(always)]
    fn add_partials<const N: usize>(self, sums: &mut [i32; 16], partials: [Self::Partial; N]) {
        for partial in partials {
            self.add_partial(sums, partial);
        }
    }

    /// `sums[t][r][row] += Σₖ planes[k][r][row] · quads[k][t]`, of codes up to `max_code` < 64: a
    /// register block, whose partial sums stay in registers over all planes. Each plane is loaded once
    /// and used for every token, each quad of activations broadcast once and used for every row block.
    #[inline(always)]
    fn panel_dot<const R: usize, const Q: usize>(
        self,
        planes: &[[PlaneBytes; R]],
        quads: &[[[i8; 4]; Q]],
        max_code: usize,
        sums: &mut [[[i32; 16]; R]; Q],
    ) {
        dot_by_planes(self, planes, quads, max_code, sums);
    }

    /// As [`Unpack::plane`], but a tier may leave the codes where they are in their bytes, that
    /// is multiplied by 4ᴶ, where saving the shift matters.
    #[inline(always)]
    fn placed_plane<const J: usize>(self, tile: Self::Tile) -> Self::Plane {
        self.plane::<J>(tile)
    }

    /// As [`Self::add_partial`], of a partial sum of [`Self::placed_plane`]s `J` only.
    #[inline(always)]
    fn add_placed_partial<const J: usize>(self, sums: &mut [i32; 16], partial: Self::Partial) {
        self.add_partial(sums, partial);
    }

    /// Zero partial sums.
    fn int8_zero(self) -> Self::Int8Sum;

    /// Loads 64 weights.
    fn int8_weights(self, w: &[i8; 64]) -> Self::Int8Weights;

    /// Loads 64 activations.
    fn int8_activations(self, q: &[i8; 64]) -> Self::Int8Activations;

    /// Adds 64 products of weights and activations, up to what [`Self::int8_total`] corrects.
    fn int8_dot(
        self,
        sum: Self::Int8Sum,
        w: Self::Int8Weights,
        q: Self::Int8Activations,
    ) -> Self::Int8Sum;

    /// `a + b`.
    fn int8_add(self, a: Self::Int8Sum, b: Self::Int8Sum) -> Self::Int8Sum;

    /// The dot product, given `q_sum`, the sum of all its activations.
    fn int8_total(self, sum: Self::Int8Sum, q_sum: i32) -> i32;

    /// Asks for the cache line of `address`, which need not be valid memory.
    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        let _ = address; // A hint: the portable tier has none.
    }
}

/// [`DotSimd::panel_dot`] by one [`DotSimd::plane_dot`] for each plane, row block and token.
#[inline(always)]
fn dot_by_planes<S: DotSimd, const R: usize, const Q: usize>(
    simd: S,
    planes: &[[PlaneBytes; R]],
    quads: &[[[i8; 4]; Q]],
    max_code: usize,
    sums: &mut [[[i32; 16]; R]; Q],
) {
    let chunk = S::planes_per_partial(max_code);
    for (planes, quads) in planes.chunks(chunk).zip(quads.chunks(chunk)) {
        let mut partials = [[simd.partial_zero(); R]; Q];
        for (lines, quads) in planes.iter().zip(quads) {
            let mut plane = [simd.bytes(simd.tile(&lines[0].0)); R];
            for r in 1..R {
                plane[r] = simd.bytes(simd.tile(&lines[r].0));
            }
            for t in 0..Q {
                for r in 0..R {
                    partials[t][r] = simd.plane_dot(partials[t][r], plane[r], &quads[t]);
                }
            }
        }
        for t in 0..Q {
            for r in 0..R {
                simd.add_partial(&mut sums[t][r], partials[t][r]);
            }
        }
    }
}
