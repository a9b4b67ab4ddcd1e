//! Blocks of 256 written: Q6_K.
//!
//! Each part of 16 gets the scale that makes its error least, weighted by the square of the
//! number (large weights matter more), among nineteen near the one that maps its largest number
//! to an end of the codes; then the scales themselves become integers of 8 bits.

use super::{f16_at, inverse, put_f16};

/// Below this, a part is zero.
const NOTHING: f32 = 1e-15;

#[inline(always)]
pub(super) fn quantize_q6_k(x: &[f32; 256], block: &mut [u8; 210]) -> bool {
    let parts = x.as_chunks::<16>().0;
    let mut scales = [0.0; 16];
    let mut widest = 0.0f32;
    for (scale, part) in scales.iter_mut().zip(parts) {
        *scale = best_scale(part);
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
        for i in 0..16 {
            let code = (part[i] * id).round_ties_even().clamp(-32.0, 31.0);
            codes[16 * p + i] = (code as i32 + 32) as u8;
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
fn best_scale(x: &[f32; 16]) -> f32 {
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
    let unit = 1.0 / extreme;
    let (mut best, mut scale) = (0.0, 0.0);
    for step in -9i8..=9 {
        let end = -32.0 - 0.1 * f32::from(step);
        let (mut products, mut squares) = (0.0, 0.0);
        for &v in x {
            let v = v * unit;
            let code = (end * v).round_ties_even().clamp(-32.0, 31.0);
            let weight = v * v;
            products += weight * v * code;
            squares += weight * code * code;
        }
        if squares > 0.0 && products * products > best * squares {
            scale = products / squares;
            best = scale * products;
        }
    }
    scale * extreme
}
