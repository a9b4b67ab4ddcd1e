//! Blocks of 256 written: Q6_K.
//!
//! Each part of 16 gets the scale that makes its error least, weighted by the square of the
//! number (large weights matter more), among nineteen near the one that maps its largest number
//! to an end of the codes; then the scales themselves become integers of 8 bits.

use super::{Outcome, f16_at, inverse, largest_magnitude, put_f16};
use crate::simd::{Kernel, Simd};

/// Scales that are tried.
const STEPS: usize = 19;

/// Below this, a part is zero.
const NOTHING: f32 = 1e-15;

/// A row of Q6_K. A kernel of its own: beside the other formats in one function, the compiler no
/// longer inlines the vector operations of nineteen steps, and each becomes a call.
pub(super) struct QuantizeQ6K<'a> {
    pub(super) values: &'a [f32],
    pub(super) out: &'a mut [u8],
}

impl Kernel for QuantizeQ6K<'_> {
    type Output = Outcome;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Outcome {
        if !largest_magnitude(self.values).is_finite() {
            return Outcome::NotFinite;
        }
        let mut finite = true;
        for (x, out) in self.values.as_chunks().0.iter().zip(self.out.as_chunks_mut().0) {
            finite &= quantize_q6_k(s, x, out);
        }
        if finite { Outcome::Done } else { Outcome::Overflow }
    }
}

#[inline(always)]
fn quantize_q6_k<S: Simd>(s: S, x: &[f32; 256], block: &mut [u8; 210]) -> bool {
    let parts = x.as_chunks::<16>().0;
    let scales = best_scales(s, parts);
    let mut widest = 0.0f32;
    for scale in scales {
        if scale.abs() > widest.abs() {
            widest = scale;
        }
    }
    if widest.abs() < NOTHING {
        block.fill(0);
        return true;
    }
    let to_integer = -128.0 / widest;
    let finite = put_f16(block, 208, 1.0 / to_integer);
    let d = f16_at(block, 208);
    let mut codes = [32u8; 256];
    for (p, part) in parts.iter().enumerate() {
        let scale = (to_integer * scales[p]).round_ties_even().clamp(-128.0, 127.0) as i8;
        block[192 + p] = scale as u8;
        let id = inverse(d * f32::from(scale));
        let code = s.round(s.mul(s.load(part), s.splat(id)));
        let code = s.max(s.min(code, s.splat(31.0)), s.splat(-32.0));
        let mut signed = [0; 16];
        s.store_i8(code, &mut signed);
        for i in 0..16 {
            codes[16 * p + i] = (signed[i] + 32) as u8;
        }
    }
    for half in 0..2 {
        let codes = &codes[128 * half..][..128];
        for i in 0..64 {
            block[64 * half + i] = codes[i] & 15 | (codes[64 + i] & 15) << 4;
        }
        for i in 0..32 {
            let upper = |at: usize| codes[at + i] >> 4;
            block[128 + 32 * half + i] =
                upper(0) | upper(32) << 2 | upper(64) << 4 | upper(96) << 6;
        }
    }
    finite
}

/// The scale of each part with the least weighted error of codes −32 to 31.
///
/// For codes `l` the best scale is Σ w·x·l / Σ w·l², and its error is less the larger
/// (Σ w·x·l)² / Σ w·l² is. A lane for each part: no sum goes across lanes.
#[inline(always)]
fn best_scales<S: Simd>(s: S, parts: &[[f32; 16]]) -> [f32; 16] {
    let zero = s.splat(0.0);
    let mut numbers = [zero; 16];
    for (i, numbers) in numbers.iter_mut().enumerate() {
        let mut of_parts = [0.0; 16];
        for (out, part) in of_parts.iter_mut().zip(parts) {
            *out = part[i];
        }
        *numbers = s.load(&of_parts);
    }
    let mut extreme = zero;
    for v in numbers {
        extreme = s.select(s.less(s.abs(extreme), s.abs(v)), v, extreme);
    }
    // In units of the largest, so that no square over- or underflows.
    let unit = s.div(s.splat(1.0), extreme);
    let (mut weights, mut weighted) = ([zero; 16], [zero; 16]);
    for i in 0..16 {
        numbers[i] = s.mul(numbers[i], unit);
        weights[i] = s.mul(numbers[i], numbers[i]);
        weighted[i] = s.mul(weights[i], numbers[i]);
    }
    let (mut best, mut scale) = (zero, zero);
    for n in 0..STEPS {
        let end = s.splat(-32.0 - 0.1 * (n as f32 - 9.0));
        let (mut products, mut squares) = ([zero; 16], [zero; 16]);
        for i in 0..16 {
            let code = s.round(s.mul(end, numbers[i]));
            let code = s.max(s.min(code, s.splat(31.0)), s.splat(-32.0));
            products[i] = s.mul(weighted[i], code);
            squares[i] = s.mul(s.mul(weights[i], code), code);
        }
        // The halves onto each other, as lanes are added elsewhere.
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                products[i] = s.add(products[i], products[i + half]);
                squares[i] = s.add(squares[i], squares[i + half]);
            }
        }
        let (product, square) = (products[0], squares[0]);
        let candidate = s.div(product, square);
        let better = s.less(s.mul(best, square), s.mul(product, product));
        let positive = s.less(zero, square);
        scale = s.select(positive, s.select(better, candidate, scale), scale);
        best = s.select(positive, s.select(better, s.mul(candidate, product), best), best);
    }
    let nothing = s.less(s.abs(extreme), s.splat(NOTHING));
    s.to_array(s.select(nothing, zero, s.mul(scale, extreme)))
}
