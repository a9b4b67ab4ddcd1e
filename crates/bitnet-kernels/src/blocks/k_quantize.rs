//! Blocks of 256 written: Q6_K.
//!
//! Each part of 16 gets the scale that makes its error least, weighted by the square of the
//! number (large weights matter more), among nineteen near the one that maps its largest number
//! to an end of the codes; then the scales themselves become integers of 8 bits.

use super::{f16_at, inverse, put_f16};
use crate::simd::Simd;

/// Scales that are tried.
const STEPS: usize = 19;

/// Below this, a part is zero.
const NOTHING: f32 = 1e-15;

#[inline(always)]
pub(super) fn quantize_q6_k<S: Simd>(s: S, x: &[f32; 256], block: &mut [u8; 210]) -> bool {
    let parts = x.as_chunks::<16>().0;
    let mut scales = [0.0; 16];
    let mut widest = 0.0f32;
    for (scale, part) in scales.iter_mut().zip(parts) {
        *scale = best_scale(s, part);
        if scale.abs() > widest.abs() {
            widest = *scale;
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

/// The scale with the least weighted error of codes −32 to 31.
///
/// For codes `l` the best scale is Σ w·x·l / Σ w·l², and its error is less the larger
/// (Σ w·x·l)² / Σ w·l² is.
#[inline(always)]
fn best_scale<S: Simd>(s: S, x: &[f32; 16]) -> f32 {
    let mut extreme = 0.0f32;
    for &v in x {
        if v.abs() > extreme.abs() {
            extreme = v;
        }
    }
    if extreme.abs() < NOTHING {
        return 0.0;
    }
    // In units of the largest, so that no square over- or underflows.
    let v = s.mul(s.load(x), s.splat(1.0 / extreme));
    let weight = s.mul(v, v);
    let weighted = s.mul(weight, v);
    // A lane of the sums for each of sixteen steps, then for the rest.
    let mut sums = [[s.splat(0.0); 16]; 4];
    for n in 0..STEPS {
        let end = -32.0 - 0.1 * (n as f32 - 9.0);
        let code = s.round(s.mul(s.splat(end), v));
        let code = s.max(s.min(code, s.splat(31.0)), s.splat(-32.0));
        sums[n / 16][n % 16] = s.mul(weighted, code);
        sums[2 + n / 16][n % 16] = s.mul(s.mul(weight, code), code);
    }
    let mut totals = [[0.0; 16]; 4];
    for k in 0..4 {
        s.store(s.reduce_add_each(&sums[k]), &mut totals[k]);
    }
    let (mut best, mut scale) = (0.0, 0.0);
    for n in 0..STEPS {
        let (products, squares) = (totals[n / 16][n % 16], totals[2 + n / 16][n % 16]);
        if squares > 0.0 && products * products > best * squares {
            scale = products / squares;
            best = scale * products;
        }
    }
    scale * extreme
}
