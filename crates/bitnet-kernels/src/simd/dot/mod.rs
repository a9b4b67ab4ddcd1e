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
mod scalar;

/// Integer dot products of one tier. Implementations are `#[inline(always)]`.
pub(crate) trait DotSimd: Copy {
    /// Most tokens that are multiplied with a ternary tile as it is unpacked, 1 or 4.
    const STREAM_TOKENS: usize;
    /// Most tokens of a ternary register block; the registers hold its accumulators.
    const PANEL_TOKENS: usize;
    /// Whether there are 32 registers: a ternary register block then spans two row blocks.
    const HAS_32_REGISTERS: bool;
    /// The same for partial sums of a [`Self::placed_plane`].
    const PLANES_PER_PLACED_PARTIAL: usize;
    /// Tokens of an int8 register block (1 or 4), which spans four rows.
    const INT8_TOKENS: usize;

    /// A tile of 16 × 16 two-bit codes, as loaded.
    type Tile: Copy;
    /// 16 rows × 4 columns of codes, one per byte.
    type Plane: Copy;
    /// 16 rows × 4 five-bit codes, one per byte.
    type FiveBitCodes: Copy;
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

    /// Loads a tile.
    fn tile(self, bytes: &[u8; 64]) -> Self::Tile;

    /// The codes of columns `4·J .. 4·J + 4` of a tile, `J < 4`.
    fn plane<const J: usize>(self, tile: Self::Tile) -> Self::Plane;

    /// Five-bit codes: bits 0 to 3 are a half of each byte of `line`, the high one if `HALF` is 1; bit
    /// 4 is bit `slot < 8` of each byte of `last`.
    fn five_bit_codes<const HALF: usize>(
        self,
        line: Self::Tile,
        last: Self::Tile,
        slot: usize,
    ) -> Self::FiveBitCodes;

    /// Digit `DIGIT < 3` of each code `a + 3 · b + 9 · c`: a, b or c. (Of codes from 27 on, c is 3.)
    fn digit<const DIGIT: usize>(self, codes: Self::FiveBitCodes) -> Self::Plane;

    /// Plane `J < 4` of a six-bit tile: the low four bits of a code are a half of each byte of `line`,
    /// the high one for odd `J`; the high two are bits `2J` and `2J + 1` of each byte of `high`.
    fn six_bit_plane<const J: usize>(self, line: Self::Tile, high: Self::Tile) -> Self::Plane;

    /// Writes the codes of a plane.
    fn store_plane(self, plane: Self::Plane, out: &mut [u8; 64]);

    /// Zero partial sums.
    fn partial_zero(self) -> Self::Partial;

    /// `partial[r] + Σᵢ plane[r][i] · q[i]`.
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

    /// As [`Self::plane`], but a tier may leave the codes where they are in their bytes, that
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

/// Digit `digit` of every code, again and again: what [`DotSimd::digit`] looks up.
#[cfg(target_arch = "x86_64")]
const fn digits<const N: usize>(digit: usize) -> [u8; N] {
    let mut table = [0; N];
    let mut code = 0;
    while code < N {
        let value = (code % 32) as u8;
        table[code] = match digit {
            0 => value % 3,
            1 => value / 3 % 3,
            _ => value / 9,
        };
        code += 1;
    }
    table
}
