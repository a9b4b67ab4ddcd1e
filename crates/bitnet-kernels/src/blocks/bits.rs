//! Two bits and one bit: TQ2_0, Q2_0, PQ2_0, IQ2_BN and Q1_0; and the rounding to such codes.
//!
//! A two-bit field holds the code plus one.

use super::{f16_at, inverse, put_f16, round_away};

/// In each half of the block, bits `2l` of byte `m` are code `32 · l + m`; then the scale.
#[inline(always)]
pub(super) fn unpack_tq2_0(block: &[u8], out: &mut [i8]) -> f32 {
    for half in 0..2 {
        interleaved(&block[32 * half..][..32], &mut out[128 * half..][..128]);
    }
    f16_at(block, 64)
}

#[inline(always)]
pub(super) fn pack_tq2_0(codes: &[i8], scale: f32, block: &mut [u8]) {
    for half in 0..2 {
        interleave(&codes[128 * half..][..128], &mut block[32 * half..][..32]);
    }
    put_f16(block, 64, scale);
}

/// Bits `2l` of byte `m` of 16 are code `16 · l + m`.
#[inline(always)]
pub(super) fn unpack_iq2_bn(block: &[u8], out: &mut [i8]) {
    interleaved(&block[..16], &mut out[..64]);
}

#[inline(always)]
pub(super) fn pack_iq2_bn(codes: &[i8], block: &mut [u8]) {
    interleave(&codes[..64], &mut block[..16]);
}

#[inline(always)]
fn interleaved(bytes: &[u8], out: &mut [i8]) {
    for (l, out) in out.chunks_exact_mut(bytes.len()).enumerate() {
        for (out, &byte) in out.iter_mut().zip(bytes) {
            *out = ((byte >> (2 * l)) & 3) as i8 - 1;
        }
    }
}

#[inline(always)]
fn interleave(codes: &[i8], bytes: &mut [u8]) {
    bytes.fill(0);
    for (l, codes) in codes.chunks_exact(bytes.len()).enumerate() {
        for (byte, &code) in bytes.iter_mut().zip(codes) {
            *byte |= ((code + 1) as u8) << (2 * l);
        }
    }
}

/// The scale, then four codes to a byte in their order.
#[inline(always)]
pub(super) fn unpack_q2_0(block: &[u8], out: &mut [i8]) -> f32 {
    for (out, &byte) in out.as_chunks_mut::<4>().0.iter_mut().zip(&block[2..]) {
        for l in 0..4 {
            out[l] = ((byte >> (2 * l)) & 3) as i8 - 1;
        }
    }
    f16_at(block, 0)
}

#[inline(always)]
pub(super) fn pack_q2_0(codes: &[i8], scale: f32, block: &mut [u8]) {
    for (codes, byte) in codes.as_chunks::<4>().0.iter().zip(&mut block[2..]) {
        let field = |l: usize| ((codes[l] + 1) as u8) << (2 * l);
        *byte = field(0) | field(1) | field(2) | field(3);
    }
    put_f16(block, 0, scale);
}

/// The scale, then eight signs to a byte in their order: a set bit is +1.
#[inline(always)]
pub(super) fn unpack_q1_0(block: &[u8], out: &mut [i8]) -> f32 {
    for (out, &byte) in out.as_chunks_mut::<8>().0.iter_mut().zip(&block[2..]) {
        for l in 0..8 {
            out[l] = 2 * ((byte >> l) & 1) as i8 - 1;
        }
    }
    f16_at(block, 0)
}

#[inline(always)]
pub(super) fn pack_q1_0(codes: &[i8], scale: f32, block: &mut [u8]) {
    for (codes, byte) in codes.as_chunks::<8>().0.iter().zip(&mut block[2..]) {
        *byte = 0;
        for l in 0..8 {
            *byte |= u8::from(codes[l] > 0) << l;
        }
    }
    put_f16(block, 0, scale);
}

/// The largest magnitude as the scale, each number over it rounded, halves away from zero.
#[inline(always)]
pub(super) fn round_to_codes(x: &[f32], codes: &mut [i8]) -> f32 {
    let most = x.iter().fold(0, |most, v| (v.to_bits() & 0x7fff_ffff).max(most));
    let scale = f32::from_bits(most);
    let id = inverse(scale);
    for (code, v) in codes.iter_mut().zip(x) {
        *code = round_away(v * id) as i8;
    }
    scale
}

/// The mean magnitude as the scale, summed in order; the signs, + for zero.
#[inline(always)]
pub(super) fn binarize(x: &[f32], codes: &mut [i8]) -> f32 {
    let mut sum = 0.0;
    for (code, &v) in codes.iter_mut().zip(x) {
        sum += v.abs();
        *code = if v >= 0.0 { 1 } else { -1 };
    }
    sum / x.len() as f32
}

/// The sign of what reaches half of the row's largest magnitude, which is the scale.
#[inline(always)]
pub(super) fn threshold(x: &[f32], most: f32, codes: &mut [i8]) -> f32 {
    let threshold = 0.5 * most;
    for (code, &v) in codes.iter_mut().zip(x) {
        let sign = i8::from(v > 0.0) - i8::from(v < 0.0);
        *code = if v.abs() < threshold { 0 } else { sign };
    }
    most
}
