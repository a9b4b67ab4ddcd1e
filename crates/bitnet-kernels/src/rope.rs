//! Rotary position embedding: pairs of a head's numbers rotated by angles that grow with the
//! token's position.

use crate::parallel::{self, SharedMut};

/// Which numbers of a head form a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RopeMode {
    /// `i` and `i + head_dim/2`: Hugging Face, and the `bitnet` architectures of GGUF (where
    /// it is called NEOX).
    RotateHalf,
    /// `2i` and `2i + 1`: the `llama` architecture of GGUF, whose Q and K rows are permuted
    /// for it.
    AdjacentPairs,
}

/// The frequency of each pair: `1 / θ^(2i/head_dim)`, with the roundings to `f32` that Hugging
/// Face makes.
///
/// # Panics
/// If `head_dim` is odd.
pub fn inverse_frequencies(head_dim: usize, theta: f64) -> Vec<f32> {
    assert!(head_dim.is_multiple_of(2), "rope: head_dim {head_dim} is odd");
    // 1.0 / (base ** (arange(0, dim, 2).float() / dim)), the power in f32.
    let frequency = |i: usize| {
        let exponent = (2 * i) as f32 / head_dim as f32;
        1.0 / libm::pow(theta, f64::from(exponent)) as f32
    };
    (0..head_dim / 2).map(frequency).collect()
}

/// The cosines and sines of `positions` × `frequencies` angles, row-major, as Hugging Face
/// computes them: the product of position and frequency and the results are each rounded to
/// `f32`.
///
/// # Panics
/// If the size overflows.
///
/// ```
/// use bitnet_kernels::rope::{inverse_frequencies, tables};
/// let (cos, sin) = tables(&inverse_frequencies(4, 10_000.0), 2);
/// assert_eq!((cos[0], sin[0]), (1.0, 0.0)); // position 0
/// assert_eq!((cos[2], sin[2]), (1f64.cos() as f32, 1f64.sin() as f32)); // position 1
/// ```
pub fn tables(frequencies: &[f32], positions: usize) -> (Vec<f32>, Vec<f32>) {
    let len = positions.checked_mul(frequencies.len()).expect("rope: the tables' size overflows");
    let (mut cos, mut sin) = (Vec::with_capacity(len), Vec::with_capacity(len));
    for position in 0..positions {
        for frequency in frequencies {
            let (s, c) = libm::sincos(f64::from(position as f32 * frequency));
            cos.push(c as f32);
            sin.push(s as f32);
        }
    }
    (cos, sin)
}

/// The heads to rotate inside a larger buffer, such as the Q part of rows that hold Q, K and V.
///
/// Number `d` of head `h` of token `t` is at `t · token_stride + h · head_dim + d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RopeShape {
    /// Number of tokens.
    pub tokens: usize,
    /// Heads of a token; they lie one after the other.
    pub heads: usize,
    /// Numbers of a head; even.
    pub head_dim: usize,
    /// Numbers from one token to the next, at least `heads · head_dim`.
    pub token_stride: usize,
}

/// Rotates every head: `out = x · cos + rotate(x) · sin`, each product and the sum rounded, as
/// Hugging Face. `out` is contiguous, tokens × heads × head_dim.
///
/// `cos` and `sin` are [`tables`] of the same `head_dim`; `positions` has one row of them per
/// token.
///
/// # Panics
/// If the lengths are not consistent, `head_dim` is odd, or a position lies beyond the tables.
///
/// ```
/// use bitnet_kernels::rope::{RopeMode, RopeShape, inverse_frequencies, rope_rows, tables};
/// let (cos, sin) = tables(&inverse_frequencies(2, 10_000.0), 8);
/// let shape = RopeShape { tokens: 1, heads: 1, head_dim: 2, token_stride: 2 };
/// let mut out = [0.0; 2];
/// rope_rows(RopeMode::RotateHalf, shape, &[1.0, 0.0], &cos, &sin, &[5], &mut out);
/// assert_eq!(out, [5f64.cos() as f32, 5f64.sin() as f32]);
/// ```
pub fn rope_rows(
    mode: RopeMode,
    shape: RopeShape,
    x: &[f32],
    cos: &[f32],
    sin: &[f32],
    positions: &[u32],
    out: &mut [f32],
) {
    let RopeShape { tokens, heads, head_dim, token_stride } = shape;
    check(shape, x.len(), cos, sin, positions);
    let row = heads * head_dim; // did not overflow in `check`
    assert_eq!(tokens.checked_mul(row), Some(out.len()), "rope: length of the output");
    if out.is_empty() {
        return;
    }
    let out = SharedMut::of(out);
    parallel::for_each(tokens, token_grain(row), |range| {
        for token in range {
            // SAFETY: `for_each` hands out disjoint tokens.
            let out = unsafe { out.range(token * row..(token + 1) * row) };
            out.copy_from_slice(&x[token * token_stride..][..row]);
            rotate(mode, head_dim, cos, sin, positions[token], out);
        }
    });
}

/// [`rope_rows`] in place.
///
/// # Panics
/// As [`rope_rows`].
pub fn rope_rows_assign(
    mode: RopeMode,
    shape: RopeShape,
    x: &mut [f32],
    cos: &[f32],
    sin: &[f32],
    positions: &[u32],
) {
    let RopeShape { tokens, heads, head_dim, token_stride } = shape;
    check(shape, x.len(), cos, sin, positions);
    let row = heads * head_dim;
    if tokens == 0 || row == 0 {
        return;
    }
    let x = SharedMut::of(x);
    parallel::for_each(tokens, token_grain(row), |range| {
        for token in range {
            let start = token * token_stride;
            // SAFETY: `for_each` hands out disjoint tokens, and a row is no longer than the
            // stride (`check`).
            let x = unsafe { x.range(start..start + row) };
            rotate(mode, head_dim, cos, sin, positions[token], x);
        }
    });
}

fn check(shape: RopeShape, len: usize, cos: &[f32], sin: &[f32], positions: &[u32]) {
    let RopeShape { tokens, heads, head_dim, token_stride } = shape;
    assert!(head_dim % 2 == 0, "rope: head_dim {head_dim} is odd");
    let row = heads.checked_mul(head_dim).expect("rope: heads × head_dim overflows");
    assert!(row <= token_stride, "rope: tokens of {row} numbers overlap at {token_stride}");
    let needed = match tokens {
        0 => Some(0),
        _ => token_stride.checked_mul(tokens - 1).and_then(|last| last.checked_add(row)),
    };
    assert!(needed.is_some_and(|needed| needed <= len), "rope: {len} numbers are too few");
    assert_eq!(cos.len(), sin.len(), "rope: cos and sin differ in length");
    assert_eq!(positions.len(), tokens, "rope: one position per token");
    let rows = cos.len().checked_div(head_dim / 2).unwrap_or(usize::MAX);
    for &position in positions {
        assert!((position as usize) < rows, "rope: position {position} of a table of {rows}");
    }
}

fn token_grain(row: usize) -> usize {
    (1 << 15) / row.clamp(1, 1 << 15)
}

/// Rotates the heads of one token. Plain loops: the work is small beside its projections, and
/// the compiler vectorises the first form.
fn rotate(mode: RopeMode, head_dim: usize, cos: &[f32], sin: &[f32], position: u32, x: &mut [f32]) {
    let half = head_dim / 2;
    let table = position as usize * half..(position as usize + 1) * half;
    let (cos, sin) = (&cos[table.clone()], &sin[table]);
    let pair = |a: &mut f32, b: &mut f32, c: f32, s: f32| {
        (*a, *b) = (*a * c + -*b * s, *b * c + *a * s);
    };
    for head in x.chunks_exact_mut(head_dim) {
        match mode {
            RopeMode::RotateHalf => {
                let (low, high) = head.split_at_mut(half);
                for (((a, b), &c), &s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                    pair(a, b, c, s);
                }
            }
            RopeMode::AdjacentPairs => {
                for (([a, b], &c), &s) in head.as_chunks_mut::<2>().0.iter_mut().zip(cos).zip(sin) {
                    pair(a, b, c, s);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference;

    #[test]
    fn tables_follow_the_f32_roundings() {
        let (cos, sin) = tables(&inverse_frequencies(128, 500_000.0), 4096);
        for (position, i) in [(0, 0), (1, 0), (4095, 0), (4095, 1), (1234, 63), (77, 30)] {
            // Through a logarithm, another way to the same power.
            let exact = (-(2.0 * i as f64 / 128.0) * 500_000f64.ln()).exp();
            let angle = position as f64 * exact;
            let index = position * 64 + i;
            // An f32 angle is off by up to 2^-23 of itself.
            let tolerance = 1e-7 + angle * 2.4e-7;
            assert!((f64::from(cos[index]) - angle.cos()).abs() < tolerance, "{position} {i}");
            assert!((f64::from(sin[index]) - angle.sin()).abs() < tolerance, "{position} {i}");
        }
    }

    #[test]
    fn both_modes_rotate_their_pairs() {
        let (tokens, heads) = (5, 3);
        for head_dim in [2, 64, 100, 128] {
            let (cos, sin) = tables(&inverse_frequencies(head_dim, 10_000.0), 50);
            let token_stride = heads * head_dim + 7;
            let shape = RopeShape { tokens, heads, head_dim, token_stride };
            let x = reference::uniform(tokens * token_stride, 1);
            let positions = [0, 1, 49, 7, 7];
            for mode in [RopeMode::RotateHalf, RopeMode::AdjacentPairs] {
                let mut out = vec![0.0; tokens * heads * head_dim];
                rope_rows(mode, shape, &x, &cos, &sin, &positions, &mut out);
                let mut assigned = x.clone();
                rope_rows_assign(mode, shape, &mut assigned, &cos, &sin, &positions);
                for (t, h, i) in (0..tokens * heads * head_dim / 2).map(|n| {
                    (n / (heads * head_dim / 2), n / (head_dim / 2) % heads, n % (head_dim / 2))
                }) {
                    let (a, b) = match mode {
                        RopeMode::RotateHalf => (i, i + head_dim / 2),
                        RopeMode::AdjacentPairs => (2 * i, 2 * i + 1),
                    };
                    let at = |d| f64::from(x[t * token_stride + h * head_dim + d]);
                    let index = positions[t] as usize * head_dim / 2 + i;
                    let (c, s) = (f64::from(cos[index]), f64::from(sin[index]));
                    for (d, exact) in [(a, at(a) * c - at(b) * s), (b, at(b) * c + at(a) * s)] {
                        let got = out[(t * heads + h) * head_dim + d];
                        assert!((f64::from(got) - exact).abs() < 2e-7);
                        assert_eq!(got, assigned[t * token_stride + h * head_dim + d]);
                    }
                }
                // What lies between the tokens stays as it was.
                assert_eq!(
                    assigned[heads * head_dim..token_stride],
                    x[heads * head_dim..token_stride]
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "position 8 of a table of 8")]
    fn a_position_beyond_the_table_is_refused() {
        let (cos, sin) = tables(&inverse_frequencies(2, 10_000.0), 8);
        let shape = RopeShape { tokens: 1, heads: 1, head_dim: 2, token_stride: 2 };
        rope_rows_assign(RopeMode::RotateHalf, shape, &mut [0.0; 2], &cos, &sin, &[8]);
    }
}
