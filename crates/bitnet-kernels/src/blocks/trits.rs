//! Base three: TQ1_0, PTQ1_0 and IQ1_BN, five ternary digits to a byte.
//!
//! A byte is not the number `n` of its digits but ⌈n · 256 / 243⌉: multiplied by a power of three,
//! modulo 256, its leading digit is the upper bits of three times it, without a division.

use super::{f16_at, put_f16};

const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

/// The digit after `skipped` leading ones.
#[inline(always)]
fn digit(byte: u8, skipped: usize) -> i8 {
    let moved = u16::from(byte.wrapping_mul(POWERS[skipped]));
    ((moved * 3) >> 8) as i8 - 1
}

/// The byte of five digits, the leading one first; missing ones count 0.
#[inline(always)]
fn byte_of(digits: impl Iterator<Item = i8>) -> u8 {
    let mut number = 0u16;
    for (place, digit) in digits.enumerate() {
        number += (digit + 1) as u16 * u16::from(POWERS[4 - place]);
    }
    (number * 256).div_ceil(243) as u8
}

/// Widths of the runs of bytes that `len` bytes are read in: as many of 32, then 16, then 8, as
/// fit. In a run of `w` bytes, digit `n` of byte `m` is code `n · w + m`.
#[inline(always)]
fn run_width(left: usize) -> usize {
    match left {
        32.. => 32,
        16.. => 16,
        _ => 8,
    }
}

/// `FIVES` bytes of five digits, `FOURS` of four, and the scale.
#[inline(always)]
pub(super) fn unpack<const FIVES: usize, const FOURS: usize>(block: &[u8], out: &mut [i8]) -> f32 {
    let (mut at, mut byte) = (0, 0);
    while byte < FIVES {
        let width = run_width(FIVES - byte);
        for n in 0..5 {
            for m in 0..width {
                out[at + n * width + m] = digit(block[byte + m], n);
            }
        }
        (at, byte) = (at + 5 * width, byte + width);
    }
    for n in 0..4 {
        for m in 0..FOURS {
            out[at + n * FOURS + m] = digit(block[FIVES + m], n);
        }
    }
    f16_at(block, FIVES + FOURS)
}

/// The inverse of [`unpack`].
#[inline(always)]
pub(super) fn pack<const FIVES: usize, const FOURS: usize>(
    codes: &[i8],
    scale: f32,
    block: &mut [u8],
) {
    let (mut at, mut byte) = (0, 0);
    while byte < FIVES {
        let width = run_width(FIVES - byte);
        for m in 0..width {
            block[byte + m] = byte_of((0..5).map(|n| codes[at + n * width + m]));
        }
        (at, byte) = (at + 5 * width, byte + width);
    }
    for m in 0..FOURS {
        block[FIVES + m] = byte_of((0..4).map(|n| codes[at + n * FOURS + m]));
    }
    put_f16(block, FIVES + FOURS, scale);
}

/// Twelve bytes of five codes, the last code in the leading digit; each third is followed by one
/// code of the thirteenth byte, whose trailing digit is the first of them.
#[inline(always)]
pub(super) fn unpack_iq1_bn(block: &[u8], out: &mut [i8]) {
    for sixteen in 0..4 {
        for k in 0..3 {
            for j in 0..5 {
                out[16 * sixteen + 5 * k + j] = digit(block[3 * sixteen + k], 4 - j);
            }
        }
        out[16 * sixteen + 15] = digit(block[12], 4 - sixteen);
    }
}

/// The inverse of [`unpack_iq1_bn`].
#[inline(always)]
pub(super) fn pack_iq1_bn(codes: &[i8], block: &mut [u8]) {
    for sixteen in 0..4 {
        for k in 0..3 {
            let five = &codes[16 * sixteen + 5 * k..][..5];
            block[3 * sixteen + k] = byte_of(five.iter().rev().copied());
        }
    }
    // A leading digit of 0 is the code −1.
    let last = [-1, codes[63], codes[47], codes[31], codes[15]];
    block[12] = byte_of(last.into_iter());
}
