//! I2_S, the ternary layout of bitnet.cpp's GGUF files.
//!
//! The weights of a tensor, row after row, in blocks of 128 to 32 bytes: bits 6 and 7 of byte `p`
//! are code `p` of the block, bits 4 and 5 code `32 + p`, bits 2 and 3 code `64 + p`, the lowest
//! code `96 + p`; code = weight + 1. After the codes one `f32` scale for the tensor and 28 bytes of
//! padding. Builds for ARM since January 2026 write blocks of 64 to 16 bytes in the same manner
//! under the same type, and nothing in the bytes says which: see [`i2_s_block_evidence`].

use std::sync::atomic::{AtomicUsize, Ordering};

use super::codes::are_ternary;
use crate::parallel::{self, SharedMut};
use crate::quantized::{OperandError, expect_len};

/// Bytes after the codes: the scale and its padding.
const TRAILER: usize = 32;

/// Least number of weights that a thread packs at a time.
const PIECE: usize = 1 << 18;

/// How many weights a block of an I2_S tensor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum I2sBlock {
    /// The published files, and whatever an x86-64 build wrote.
    Of128,
    /// ARM builds since January 2026.
    Of64,
}

impl I2sBlock {
    /// The number of weights.
    pub const fn len(self) -> usize {
        match self {
            Self::Of128 => 128,
            Self::Of64 => 64,
        }
    }

    /// Never: a block has weights.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// Bytes of a tensor of `rows` × `cols` weights.
    ///
    /// # Errors
    /// [`OperandError::BlockColumns`] if the weights do not fill whole blocks,
    /// [`OperandError::TooLarge`].
    pub fn byte_len(self, rows: usize, cols: usize) -> Result<usize, OperandError> {
        let too_large = OperandError::TooLarge { rows, cols };
        let weights = rows.checked_mul(cols).ok_or(too_large)?;
        if !weights.is_multiple_of(self.len()) {
            let block = self.len();
            return Err(OperandError::BlockColumns { format: "I2_S", cols: weights, block });
        }
        (weights / 4).checked_add(TRAILER).ok_or(too_large)
    }
}

/// The scale of a tensor: weight = code · scale.
///
/// # Errors
/// [`OperandError::Length`] if `packed` is not as long as [`I2sBlock::byte_len`] says.
pub fn i2_s_scale(
    block: I2sBlock,
    packed: &[u8],
    rows: usize,
    cols: usize,
) -> Result<f32, OperandError> {
    expect_len("packed", block.byte_len(rows, cols)?, packed.len())?;
    let at = packed.len() - TRAILER;
    Ok(f32::from_le_bytes([packed[at], packed[at + 1], packed[at + 2], packed[at + 3]]))
}

/// Reads one row as −1, 0, +1.
///
/// # Errors
/// [`OperandError::BlockColumns`], [`OperandError::Length`], [`OperandError::RowOutOfRange`], or
/// [`OperandError::InvalidCode`] if the row holds a code 3.
///
/// ```
/// use bitnet_kernels::ternary::{I2sBlock, pack_i2_s, unpack_i2_s_row};
/// let weights: Vec<i8> = (0..256).map(|i| (i % 3) as i8 - 1).collect();
/// let mut packed = vec![0; I2sBlock::Of128.byte_len(2, 128)?];
/// let fill = |row: usize, out: &mut [i8]| out.copy_from_slice(&weights[128 * row..][..128]);
/// pack_i2_s(I2sBlock::Of128, 2, 128, 0.5, fill, &mut packed)?;
/// let mut row = [0; 128];
/// unpack_i2_s_row(I2sBlock::Of128, &packed, 2, 128, 1, &mut row)?;
/// assert_eq!(row, weights[128..]);
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn unpack_i2_s_row(
    block: I2sBlock,
    packed: &[u8],
    rows: usize,
    cols: usize,
    row: usize,
    out: &mut [i8],
) -> Result<(), OperandError> {
    expect_len("packed", block.byte_len(rows, cols)?, packed.len())?;
    expect_len("out", cols, out.len())?;
    if row >= rows {
        return Err(OperandError::RowOutOfRange { row, rows });
    }
    let mut largest = 0;
    for (run, at) in runs(block, row * cols, cols) {
        let bytes = &packed[at.first_byte..][..run.len()];
        for (value, &byte) in out[run].iter_mut().zip(bytes) {
            let code = (byte >> at.shift) & 3;
            largest = largest.max(code);
            *value = code as i8 - 1;
        }
    }
    if largest < 3 { Ok(()) } else { Err(OperandError::InvalidCode { row }) }
}

/// Packs a tensor of `rows` × `cols` weights; the inverse of [`unpack_i2_s_row`].
///
/// `fill_row(row, values)` writes the weights of a row, −1, 0 or +1, as in
/// [`tiled::pack`](crate::tiled::pack()).
///
/// # Errors
/// [`OperandError::BlockColumns`], [`OperandError::Length`], or [`OperandError::NotTernary`] if
/// `fill_row` wrote another value: `out` then holds no particular codes.
pub fn pack_i2_s(
    block: I2sBlock,
    rows: usize,
    cols: usize,
    scale: f32,
    fill_row: impl Fn(usize, &mut [i8]) + Sync,
    out: &mut [u8],
) -> Result<(), OperandError> {
    expect_len("out", block.byte_len(rows, cols)?, out.len())?;
    let (codes, trailer) = out.split_at_mut(out.len() - TRAILER);
    codes.fill(0);
    trailer.fill(0);
    trailer[..4].copy_from_slice(&scale.to_le_bytes());
    if codes.is_empty() {
        return Ok(());
    }
    // As many rows as fill whole blocks are packed by one thread: others share bytes.
    let together = block.len() / common_divisor(cols, block.len());
    let rows_per_piece = (PIECE / cols).max(1).next_multiple_of(together);
    let bad_row = AtomicUsize::new(usize::MAX);
    let codes = SharedMut::of(codes);
    parallel::for_each(rows, rows_per_piece, |range| {
        let mut values = vec![0i8; cols];
        let first_byte = range.start * cols / 4;
        // SAFETY: pieces begin and end with whole blocks, so that their bytes are disjoint.
        let bytes = unsafe { codes.range(first_byte..range.end * cols / 4) };
        for row in range {
            fill_row(row, &mut values);
            if !are_ternary(&values) {
                bad_row.fetch_min(row, Ordering::Relaxed);
                return;
            }
            for (run, at) in runs(block, row * cols, cols) {
                let bytes = &mut bytes[at.first_byte - first_byte..][..run.len()];
                for (byte, &value) in bytes.iter_mut().zip(&values[run]) {
                    *byte |= ((value + 1) as u8) << at.shift;
                }
            }
        }
    });
    match bad_row.into_inner() {
        usize::MAX => Ok(()),
        row => Err(OperandError::NotTernary { row }),
    }
}

/// Where a run of consecutive weights lies: in consecutive bytes, at the same bits.
struct Place {
    first_byte: usize,
    shift: u32,
}

/// The runs of the `cols` weights from number `first` of the tensor on, as ranges of the row.
fn runs(
    block: I2sBlock,
    first: usize,
    cols: usize,
) -> impl Iterator<Item = (std::ops::Range<usize>, Place)> {
    let (len, quarter) = (block.len(), block.len() / 4);
    let mut col = 0;
    std::iter::from_fn(move || {
        if col == cols {
            return None;
        }
        let weight = first + col;
        let (within, start) = (weight % len, col);
        col = cols.min(col + quarter - within % quarter);
        let first_byte = weight / len * quarter + within % quarter;
        let shift = 6 - 2 * (within / quarter) as u32;
        Some((start..col, Place { first_byte, shift }))
    })
}

fn common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

/// How well each block length explains a tensor: (of 128, of 64), the correlation of how many
/// weights of a column are not zero with `columns`, a property of the input features that is
/// known in its order (the magnitudes of the norm's weights before it, or the nonzero weights of
/// the rows that produce them).
///
/// The two lengths permute columns within 128 and hold the same codes, so that neither a
/// histogram nor a checksum can tell them apart: only something that varies with the column can.
/// A difference of a few hundredths over thousands of columns decides; without one, ask.
///
/// # Errors
/// [`OperandError::BlockColumns`] if `cols` is no multiple of 128 (only one length may fit then:
/// see [`I2sBlock::byte_len`]), [`OperandError::Length`].
pub fn i2_s_block_evidence(
    packed: &[u8],
    rows: usize,
    cols: usize,
    columns: &[f32],
) -> Result<(f64, f64), OperandError> {
    if !cols.is_multiple_of(128) {
        return Err(OperandError::BlockColumns { format: "I2_S", cols, block: 128 });
    }
    expect_len("columns", cols, columns.len())?;
    let counts = |block| -> Result<Vec<f64>, OperandError> {
        let (mut counts, mut codes) = (vec![0u32; cols], vec![0i8; cols]);
        for row in 0..rows {
            match unpack_i2_s_row(block, packed, rows, cols, row, &mut codes) {
                Ok(()) | Err(OperandError::InvalidCode { .. }) => {}
                Err(other) => return Err(other),
            }
            for (count, &code) in counts.iter_mut().zip(&codes) {
                *count += u32::from(code != 0);
            }
        }
        Ok(counts.into_iter().map(f64::from).collect())
    };
    let columns: Vec<f64> = columns.iter().map(|&v| f64::from(v)).collect();
    Ok((
        correlation(&counts(I2sBlock::Of128)?, &columns),
        correlation(&counts(I2sBlock::Of64)?, &columns),
    ))
}

/// Pearson's, 0 where one of the two does not vary.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len().max(1) as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let mut sums = [0.0; 3];
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        sums[0] += a * b;
        sums[1] += a * a;
        sums[2] += b * b;
    }
    let scale = (sums[1] * sums[2]).sqrt();
    if scale > 0.0 { sums[0] / scale } else { 0.0 }
}
