//! Codes out of the bytes of tiles: the part of a tier that knows how wide its registers are and
//! what its shifts and lookups cost.
//!
//! A plane is 16 rows × 4 columns of unsigned codes, one per byte, the four of a row together: what a
//! dot-product instruction takes.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod sse41;

/// A plane in memory, where one load of the widest registers takes it.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct PlaneBytes(pub(crate) [u8; 64]);

impl Default for PlaneBytes {
    fn default() -> Self {
        PlaneBytes([0; 64])
    }
}

/// Codes out of bytes, on one tier. Implementations are `#[inline(always)]`.
pub(crate) trait Unpack: Copy {
    /// 64 bytes, as loaded.
    type Tile: Copy;
    /// 16 rows × 4 columns of codes, one per byte.
    type Plane: Copy;
    /// 16 rows × 4 five-bit codes, one per byte.
    type FiveBitCodes: Copy;

    /// Loads a tile.
    fn tile(self, bytes: &[u8; 64]) -> Self::Tile;

    /// The codes of columns `4·J .. 4·J + 4` of a tile of two-bit codes, `J < 4`.
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

    /// The low four bits of each byte.
    fn low_nibbles(self, tile: Self::Tile) -> Self::Plane;

    /// The high four bits of each byte.
    fn high_nibbles(self, tile: Self::Tile) -> Self::Plane;

    /// The bytes themselves.
    fn bytes(self, tile: Self::Tile) -> Self::Plane;

    /// Writes the codes of a plane.
    fn store_plane(self, plane: Self::Plane, out: &mut [u8; 64]);
}

/// Digit `digit` of every code, again and again: what [`Unpack::digit`] looks up.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
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
