//! Blocks of 32 with a scale, or a scale and a minimum: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
//!
//! Scales are `f16`, first the scale `d`, then the minimum `m`, then for five bits the 32 fifth
//! bits as one little-endian word, then the low four bits: byte `j` holds code `j` in its low
//! and code `16 + j` in its high half.

use super::{Parts, f16_at, inverse, largest_magnitude, put_f16, round_away};

/// Codes and, in the first places, scale and minimum.
#[inline(always)]
pub(super) fn read_q8_0(block: &[u8; 34], codes: &mut [u8; 32], parts: &mut Parts) {
    for i in 0..32 {
        codes[i] = block[2 + i] ^ 128;
    }
    parts.scales[0] = f16_at(block, 0);
}

#[inline(always)]
pub(super) fn read_q4_0(block: &[u8; 18], codes: &mut [u8; 32], parts: &mut Parts) {
    *codes = nibbles(&block[2..]);
    parts.scales[0] = f16_at(block, 0);
}

#[inline(always)]
pub(super) fn read_q4_1(block: &[u8; 20], codes: &mut [u8; 32], parts: &mut Parts) {
    *codes = nibbles(&block[4..]);
    (parts.scales[0], parts.mins[0]) = (f16_at(block, 0), f16_at(block, 2));
}

#[inline(always)]
pub(super) fn read_q5_0(block: &[u8; 22], codes: &mut [u8; 32], parts: &mut Parts) {
    *codes = five_bits(&block[2..]);
    parts.scales[0] = f16_at(block, 0);
}

#[inline(always)]
pub(super) fn read_q5_1(block: &[u8; 24], codes: &mut [u8; 32], parts: &mut Parts) {
    *codes = five_bits(&block[4..]);
    (parts.scales[0], parts.mins[0]) = (f16_at(block, 0), f16_at(block, 2));
}

#[inline(always)]
pub(super) fn quantize_q8_0(x: &[f32; 32], block: &mut [u8; 34]) -> bool {
    let d = largest_magnitude(x) / 127.0;
    let id = inverse(d);
    for i in 0..32 {
        block[2 + i] = round_away(x[i] * id) as u8;
    }
    put_f16(block, 0, d)
}

#[inline(always)]
pub(super) fn quantize_q4_0(x: &[f32; 32], block: &mut [u8; 18]) -> bool {
    let (d, codes) = around_zero(x, 8.0);
    put_nibbles(&codes, &mut block[2..]);
    put_f16(block, 0, d)
}

#[inline(always)]
pub(super) fn quantize_q4_1(x: &[f32; 32], block: &mut [u8; 20]) -> bool {
    let (d, m, codes) = from_minimum(x, 15.0);
    put_nibbles(&codes, &mut block[4..]);
    put_f16(block, 0, d) & put_f16(block, 2, m)
}

#[inline(always)]
pub(super) fn quantize_q5_0(x: &[f32; 32], block: &mut [u8; 22]) -> bool {
    let (d, codes) = around_zero(x, 16.0);
    put_five_bits(&codes, &mut block[2..]);
    put_f16(block, 0, d)
}

#[inline(always)]
pub(super) fn quantize_q5_1(x: &[f32; 32], block: &mut [u8; 24]) -> bool {
    let (d, m, codes) = from_minimum(x, 31.0);
    put_five_bits(&codes, &mut block[4..]);
    put_f16(block, 0, d) & put_f16(block, 2, m)
}

/// Scale and codes, `half` for zero: the number of largest magnitude (the first of several)
/// becomes code 0 exactly. The sum is rounded as `gguf` does it: in `f64`, then to `f32`.
#[inline(always)]
fn around_zero(x: &[f32; 32], half: f32) -> (f32, [u8; 32]) {
    let most = largest_magnitude(x);
    let first = x.iter().position(|v| v.abs() == most).unwrap_or(0);
    let d = x[first] / -half;
    let id = f64::from(inverse(d));
    let (offset, limit) = (f64::from(half) + 0.5, (2.0 * half - 1.0) as i32);
    let mut codes = [0; 32];
    for i in 0..32 {
        let code = (f64::from(x[i]) * id + offset) as f32;
        codes[i] = (code as i32).clamp(0, limit) as u8;
    }
    (d, codes)
}

/// Scale, minimum and codes 0 to `limit` of the range of the numbers.
#[inline(always)]
fn from_minimum(x: &[f32; 32], limit: f32) -> (f32, f32, [u8; 32]) {
    let (mut min, mut max) = (x[0], x[0]);
    for &v in &x[1..] {
        min = if v < min { v } else { min };
        max = if v > max { v } else { max };
    }
    let d = (max - min) / limit;
    let id = inverse(d);
    let mut codes = [0; 32];
    for i in 0..32 {
        let code = (x[i] - min) * id + 0.5;
        codes[i] = (code as i32).clamp(0, limit as i32) as u8;
    }
    (d, min, codes)
}

#[inline(always)]
fn nibbles(bytes: &[u8]) -> [u8; 32] {
    let mut codes = [0; 32];
    for j in 0..16 {
        codes[j] = bytes[j] & 15;
        codes[16 + j] = bytes[j] >> 4;
    }
    codes
}

#[inline(always)]
fn put_nibbles(codes: &[u8; 32], bytes: &mut [u8]) {
    for j in 0..16 {
        bytes[j] = codes[j] | codes[16 + j] << 4;
    }
}

#[inline(always)]
fn five_bits(bytes: &[u8]) -> [u8; 32] {
    let fifth = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut codes = nibbles(&bytes[4..]);
    for i in 0..32 {
        codes[i] |= (((fifth >> i) & 1) << 4) as u8;
    }
    codes
}

#[inline(always)]
fn put_five_bits(codes: &[u8; 32], bytes: &mut [u8]) {
    let mut fifth = 0;
    let mut low = [0; 32];
    for i in 0..32 {
        fifth |= u32::from(codes[i] >> 4) << i;
        low[i] = codes[i] & 15;
    }
    bytes[..4].copy_from_slice(&fifth.to_le_bytes());
    put_nibbles(&low, &mut bytes[4..]);
}
