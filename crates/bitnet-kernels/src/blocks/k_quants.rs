//! Blocks of 256 whose parts of 16 or 32 have scales of their own: Q2_K to Q6_K, read.
//!
//! A part's scale is an integer of a few bits times the block's `f16` scale.

use super::{Parts, f16_at};

/// 16 bytes of scales (low half) and minima (high half), 64 bytes of codes, `d`, `dmin`.
#[inline(always)]
pub(super) fn read_q2_k(block: &[u8; 84], codes: &mut [u8; 256], parts: &mut Parts) {
    let (d, dmin) = (f16_at(block, 80), f16_at(block, 82));
    for part in 0..16 {
        parts.scales[part] = d * f32::from(block[part] & 15);
        parts.mins[part] = -(dmin * f32::from(block[part] >> 4));
    }
    two_bits(&block[16..80], codes);
}

/// 32 bytes of third bits (4 is subtracted where they are 0), 64 bytes of the lower two bits, 16
/// scales of 6 bits less 32 in 12 bytes, `d`.
#[inline(always)]
pub(super) fn read_q3_k(block: &[u8; 110], codes: &mut [u8; 256], parts: &mut Parts) {
    let d = f16_at(block, 108);
    let scales = &block[96..108];
    for part in 0..16 {
        let low = (scales[part % 8] >> (part / 8 * 4)) & 15;
        let high = (scales[8 + part % 4] >> (part / 4 * 2)) & 3;
        parts.scales[part] = d * (f32::from(low | high << 4) - 32.0);
    }
    two_bits(&block[32..96], codes);
    for (run, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        for i in 0..32 {
            codes[i] |= ((block[i] >> run) & 1) << 2;
        }
    }
}

/// `d`, `dmin`, scales and minima of 6 bits in 12 bytes, 128 bytes of codes: 32 bytes hold the
/// codes of a part in their low and of the next part in their high halves.
#[inline(always)]
pub(super) fn read_q4_k(block: &[u8; 144], codes: &mut [u8; 256], parts: &mut Parts) {
    let (d, dmin) = (f16_at(block, 0), f16_at(block, 2));
    for part in 0..8 {
        let (scale, min) = scale_and_minimum(&block[4..16], part);
        (parts.scales[part], parts.mins[part]) = (d * scale, -(dmin * min));
        for i in 0..32 {
            codes[32 * part + i] = (block[16 + part / 2 * 32 + i] >> (part % 2 * 4)) & 15;
        }
    }
}

/// As Q4_K, with 32 bytes of fifth bits before the codes: bit `part` of byte `i`.
#[inline(always)]
pub(super) fn read_q5_k(block: &[u8; 176], codes: &mut [u8; 256], parts: &mut Parts) {
    let (d, dmin) = (f16_at(block, 0), f16_at(block, 2));
    for part in 0..8 {
        let (scale, min) = scale_and_minimum(&block[4..16], part);
        (parts.scales[part], parts.mins[part]) = (d * scale, -(dmin * min));
        for i in 0..32 {
            let low = (block[48 + part / 2 * 32 + i] >> (part % 2 * 4)) & 15;
            let fifth = (block[16 + i] >> part) & 1;
            codes[32 * part + i] = low | fifth << 4;
        }
    }
}

/// 128 bytes of low halves, 64 bytes of the upper two bits, 16 scales of 8 bits, `d`. In each
/// half of the block, 64 bytes hold the low bits of its first 64 codes in their low halves and
/// of the other 64 in their high halves.
#[inline(always)]
pub(super) fn read_q6_k(block: &[u8; 210], codes: &mut [u8; 256], parts: &mut Parts) {
    let d = f16_at(block, 208);
    for part in 0..16 {
        parts.scales[part] = d * f32::from(block[192 + part] as i8);
    }
    let (low, high) = block[..192].split_at(128);
    for (run, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (half, quarter) = (run / 4, run % 4);
        let low = &low[64 * half + 32 * (quarter % 2)..][..32];
        let high = &high[32 * half..][..32];
        for i in 0..32 {
            codes[i] = (low[i] >> (quarter / 2 * 4)) & 15 | ((high[i] >> (2 * quarter)) & 3) << 4;
        }
    }
}

/// In each half of 64 bytes, bits `2l` of byte `m` are code `32 · l + m`.
#[inline(always)]
fn two_bits(bytes: &[u8], codes: &mut [u8; 256]) {
    for (run, codes) in codes.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let bytes = &bytes[run / 4 * 32..][..32];
        for i in 0..32 {
            codes[i] = (bytes[i] >> (run % 4 * 2)) & 3;
        }
    }
}

/// Scale and minimum of one of eight parts: the first four have their 6 bits in a byte of their
/// own, the others 4 bits in the last bytes and 2 in the upper bits of the first ones.
#[inline(always)]
fn scale_and_minimum(packed: &[u8], part: usize) -> (f32, f32) {
    let (scale, min) = if part < 4 {
        (packed[part] & 63, packed[4 + part] & 63)
    } else {
        let low = packed[4 + part];
        (low & 15 | (packed[part - 4] >> 2) & 48, low >> 4 | (packed[part] >> 2) & 48)
    };
    (f32::from(scale), f32::from(min))
}
