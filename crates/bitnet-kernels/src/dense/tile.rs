//! Register tiles of dot products, shared by `linear` and attention.
//!
//! One dot product is sixteen partial sums over its length, in order, and then the tree of
//! `reduce_add`. That does not depend on the tile that it is computed in, so a tile's shape is
//! a matter of speed only.

use crate::simd::{LANES, Simd};

/// A number format that a tile reads.
pub(crate) trait Format: Copy {
    /// The stored form.
    type Bits: Copy + Default + Send + Sync;

    fn load<S: Simd>(s: S, x: &[Self::Bits; LANES]) -> S::F32;
}

/// `f32` numbers.
#[derive(Clone, Copy)]
pub(crate) struct F32;

/// The bits of bf16 numbers.
#[derive(Clone, Copy)]
pub(crate) struct Bf16;

/// The bits of f16 numbers.
#[derive(Clone, Copy)]
pub(crate) struct F16;

impl Format for F32 {
    type Bits = f32;

    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[f32; LANES]) -> S::F32 {
        s.load(x)
    }
}

impl Format for Bf16 {
    type Bits = u16;

    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[u16; LANES]) -> S::F32 {
        s.load_bf16(x)
    }
}

impl Format for F16 {
    type Bits = u16;

    #[inline(always)]
    fn load<S: Simd>(s: S, x: &[u16; LANES]) -> S::F32 {
        s.load_f16(x)
    }
}

/// One vector in memory, on a cache line of its own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [f32; LANES]);

impl Line {
    pub(crate) const ZERO: Line = Line([0.0; LANES]);

    /// The numbers of consecutive lines.
    pub(crate) fn flatten(lines: &[Line]) -> &[f32] {
        // SAFETY: a `Line` is sixteen `f32` without padding.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LANES) }
    }

    /// The numbers of consecutive lines.
    pub(crate) fn flatten_mut(lines: &mut [Line]) -> &mut [f32] {
        // SAFETY: a `Line` is sixteen `f32` without padding.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LANES) }
    }
}

/// The sixteen numbers of up to sixteen, zeros beyond.
#[inline(always)]
pub(crate) fn padded<F: Format>(x: &[F::Bits]) -> [F::Bits; LANES] {
    let mut out = [F::Bits::default(); LANES];
    out[..x.len()].copy_from_slice(x);
    out
}

/// How far ahead memory is asked for.
const PREFETCH_BYTES: usize = 1024;

/// Adds `a[r] · b[c]`, sixteen partial sums for each pair. All slices are of one length.
#[inline(always)]
pub(crate) fn accumulate<S: Simd, F: Format, const R: usize, const C: usize>(
    s: S,
    a: [&[f32]; R],
    b: [&[F::Bits]; C],
    sums: &mut [[S::F32; C]; R],
) {
    let len = a[0].len();
    let blocks = len / LANES;
    let mut a_blocks: [&[[f32; LANES]]; R] = [&[]; R];
    let mut b_blocks: [&[[F::Bits; LANES]]; C] = [&[]; C];
    for r in 0..R {
        a_blocks[r] = &a[r].as_chunks().0[..blocks];
    }
    for c in 0..C {
        b_blocks[c] = &b[c].as_chunks().0[..blocks];
    }
    let mut t = *sums; // a copy that lives in registers
    for k in 0..blocks {
        let mut x = [&a_blocks[0][k]; R];
        let mut y = [&b_blocks[0][k]; C];
        for r in 1..R {
            x[r] = &a_blocks[r][k];
        }
        for c in 1..C {
            y[c] = &b_blocks[c][k];
        }
        if R == 1 {
            // One token: the weights come from memory, in more streams than the CPU follows.
            for y in y {
                s.prefetch(y.as_ptr().cast::<u8>().wrapping_add(PREFETCH_BYTES));
            }
        }
        step::<S, F, R, C>(s, x, y, &mut t);
    }
    if !len.is_multiple_of(LANES) {
        let a = a.map(|a| padded::<F32>(&a[blocks * LANES..len]));
        let b = b.map(|b| padded::<F>(&b[blocks * LANES..len]));
        step::<S, F, R, C>(s, a.each_ref(), b.each_ref(), &mut t);
    }
    *sums = t;
}

#[inline(always)]
fn step<S: Simd, F: Format, const R: usize, const C: usize>(
    s: S,
    a: [&[f32; LANES]; R],
    b: [&[F::Bits; LANES]; C],
    sums: &mut [[S::F32; C]; R],
) {
    let mut loaded = [s.splat(0.0); C];
    for c in 0..C {
        loaded[c] = F::load(s, b[c]);
    }
    for r in 0..R {
        let a = s.load(a[r]);
        for c in 0..C {
            sums[r][c] = s.add(sums[r][c], s.mul(a, loaded[c]));
        }
    }
}

/// [`accumulate`] of four by four, in tiles that fit the tier's registers.
#[inline(always)]
pub(crate) fn accumulate_4x4<S: Simd, F: Format>(
    s: S,
    a: [&[f32]; 4],
    b: [&[F::Bits]; 4],
    sums: &mut [[S::F32; 4]; 4],
) {
    if S::WIDE {
        return accumulate::<S, F, 4, 4>(s, a, b, sums);
    }
    for r in [0, 2] {
        for c in [0, 2] {
            let mut t = [[sums[r][c], sums[r][c + 1]], [sums[r + 1][c], sums[r + 1][c + 1]]];
            accumulate::<S, F, 2, 2>(s, [a[r], a[r + 1]], [b[c], b[c + 1]], &mut t);
            [[sums[r][c], sums[r][c + 1]], [sums[r + 1][c], sums[r + 1][c + 1]]] = t;
        }
    }
}

/// The sixteen dot products of four by four partial sums: lane `4r + c`.
#[inline(always)]
pub(crate) fn reduce_4x4<S: Simd>(s: S, sums: &[[S::F32; 4]; 4]) -> [f32; LANES] {
    let mut each = [sums[0][0]; LANES];
    for i in 0..LANES {
        each[i] = sums[i / 4][i % 4];
    }
    s.to_array(s.reduce_add_each(&each))
}

/// The dot products of one by four partial sums.
#[inline(always)]
pub(crate) fn reduce_1x4<S: Simd>(s: S, sums: &[[S::F32; 4]; 1]) -> [f32; 4] {
    let mut out = [0.0; 4];
    for c in 0..4 {
        out[c] = s.reduce_add(sums[0][c]);
    }
    out
}
