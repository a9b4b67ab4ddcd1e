//! The block formats of weight files: rows of numbers as blocks of small codes with their
//! scales, to `f32` and back.
//!
//! Names and layouts are those of GGUF files; each format's file says where its bits lie. What
//! PyPI `gguf` can do is bit for bit the same here. Quantizing refuses what the format cannot
//! say: NaN and infinities, and numbers whose scale would be infinite as `f16`. Where a block is
//! so small that the inverse of its scale overflows (below about 3e-39 a code), all its codes
//! are those of zero.

mod bits;
mod format;
mod k_quantize;
mod k_quants;
mod small;
mod trits;

use std::sync::atomic::{AtomicUsize, Ordering};

pub use format::BlockFormat;

use crate::Cpu;
use crate::parallel::{self, SharedMut};
use crate::quantized::{OperandError, expect_len};
use crate::simd::{Kernel, Simd};

/// Least number of elements that a thread converts at a time.
const PIECE: usize = 1 << 16;

/// Writes `out`, rows of `cols` numbers, from their blocks; in parallel over rows.
///
/// # Errors
/// [`OperandError::BlockColumns`] if `cols` is no multiple of the format's block,
/// [`OperandError::Length`] if `bytes` is not as long as the rows of `out`.
///
/// ```
/// use bitnet_kernels::Cpu;
/// use bitnet_kernels::blocks::{BlockFormat, dequantize, quantize};
/// let values: Vec<f32> = (0..64).map(|i| i as f32 - 32.0).collect();
/// let mut bytes = vec![0; 2 * 34];
/// quantize(Cpu::best(), BlockFormat::Q8_0, 64, &values, &mut bytes)?;
/// let mut back = vec![0.0; 64];
/// dequantize(Cpu::best(), BlockFormat::Q8_0, 64, &bytes, &mut back)?;
/// assert!(values.iter().zip(&back).all(|(a, b)| (a - b).abs() <= 32.0 / 254.0 + 0.01));
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn dequantize(
    cpu: Cpu,
    format: BlockFormat,
    cols: usize,
    bytes: &[u8],
    out: &mut [f32],
) -> Result<(), OperandError> {
    let row_bytes = format.row_bytes(cols)?;
    let rows = rows_of(out.len(), cols)?;
    expect_len("bytes", rows * row_bytes, bytes.len())?;
    if rows == 0 {
        return Ok(());
    }
    let grain = (PIECE / cols).max(1);
    parallel::for_each_chunk_mut(out, grain * cols, |piece, out| {
        let bytes = &bytes[piece * grain * row_bytes..][..out.len() / cols * row_bytes];
        cpu.run(Dequantize { format, bytes, cols, row_bytes, out });
    });
    Ok(())
}

/// Writes the blocks of `values`, rows of `cols` numbers; in parallel over rows. The inverse of
/// [`dequantize`] up to the error of the format.
///
/// # Errors
/// As [`dequantize`]; [`OperandError::NotFinite`] for NaN and infinities,
/// [`OperandError::ScaleOverflow`] if a scale would be infinite as `f16`,
/// [`OperandError::CannotQuantize`] for a format that is only read. `out` then holds nothing in
/// particular.
pub fn quantize(
    cpu: Cpu,
    format: BlockFormat,
    cols: usize,
    values: &[f32],
    out: &mut [u8],
) -> Result<(), OperandError> {
    if !format.can_quantize() {
        return Err(OperandError::CannotQuantize { format: format.name() });
    }
    let row_bytes = format.row_bytes(cols)?;
    let rows = rows_of(values.len(), cols)?;
    expect_len("out", rows * row_bytes, out.len())?;
    let grain = (PIECE / cols.max(1)).max(1);
    let (infinite, overflowing) = (AtomicUsize::new(usize::MAX), AtomicUsize::new(usize::MAX));
    let out = SharedMut::of(out);
    parallel::for_each(rows, grain, |range| {
        for row in range {
            let values = &values[row * cols..][..cols];
            // SAFETY: each row is visited once, and rows do not overlap.
            let out = unsafe { out.range(row * row_bytes..(row + 1) * row_bytes) };
            let outcome = match format {
                BlockFormat::Q6K => cpu.run(k_quantize::QuantizeQ6K { values, out }),
                _ => cpu.run(Quantize { format, values, out }),
            };
            match outcome {
                Outcome::Done => {}
                Outcome::NotFinite => _ = infinite.fetch_min(row, Ordering::Relaxed),
                Outcome::Overflow => _ = overflowing.fetch_min(row, Ordering::Relaxed),
            }
        }
    });
    match (infinite.into_inner(), overflowing.into_inner()) {
        (usize::MAX, usize::MAX) => Ok(()),
        (row, overflow) if row < overflow => Err(OperandError::NotFinite { row }),
        (_, row) => Err(OperandError::ScaleOverflow { row, format: format.name() }),
    }
}

fn rows_of(elements: usize, cols: usize) -> Result<usize, OperandError> {
    if cols == 0 {
        return expect_len("elements", 0, elements).map(|()| 0);
    }
    if !elements.is_multiple_of(cols) {
        return Err(OperandError::Length {
            operand: "elements",
            expected: elements / cols * cols,
            actual: elements,
        });
    }
    Ok(elements / cols)
}

/// Some rows of blocks to numbers.
struct Dequantize<'a> {
    format: BlockFormat,
    bytes: &'a [u8],
    cols: usize,
    row_bytes: usize,
    out: &'a mut [f32],
}

impl Kernel for Dequantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let Dequantize { format, bytes, cols, row_bytes, out } = self;
        match format {
            BlockFormat::Q8_0 => each::<34, 32>(format, bytes, out, small::read_q8_0),
            BlockFormat::Q4_0 => each::<18, 32>(format, bytes, out, small::read_q4_0),
            BlockFormat::Q4_1 => each::<20, 32>(format, bytes, out, small::read_q4_1),
            BlockFormat::Q5_0 => each::<22, 32>(format, bytes, out, small::read_q5_0),
            BlockFormat::Q5_1 => each::<24, 32>(format, bytes, out, small::read_q5_1),
            BlockFormat::Q2K => each::<84, 256>(format, bytes, out, k_quants::read_q2_k),
            BlockFormat::Q3K => each::<110, 256>(format, bytes, out, k_quants::read_q3_k),
            BlockFormat::Q4K => each::<144, 256>(format, bytes, out, k_quants::read_q4_k),
            BlockFormat::Q5K => each::<176, 256>(format, bytes, out, k_quants::read_q5_k),
            BlockFormat::Q6K => each::<210, 256>(format, bytes, out, k_quants::read_q6_k),
            _ => {
                let rows = bytes.chunks_exact(row_bytes).zip(out.chunks_exact_mut(cols));
                for (bytes, out) in rows {
                    dequantize_codes(format, bytes, out);
                }
            }
        }
    }
}

/// The scales and minima of the parts of a block: number = scale · (code − zero) + minimum, where
/// zero is [`BlockFormat::zero_code`].
#[derive(Default)]
pub(crate) struct Parts {
    pub(crate) scales: [f32; 16],
    pub(crate) mins: [f32; 16],
}

/// The numbers of every block, whose codes and scales `read` knows.
#[inline(always)]
fn each<const BYTES: usize, const LEN: usize>(
    format: BlockFormat,
    bytes: &[u8],
    out: &mut [f32],
    read: impl Fn(&[u8; BYTES], &mut [u8; LEN], &mut Parts),
) {
    let (len, zero) = (format.part_len(), f32::from(format.zero_code()));
    let has_mins = format.has_minima();
    let (mut codes, mut parts) = ([0; LEN], Parts::default());
    for (bytes, out) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut::<LEN>().0) {
        read(bytes, &mut codes, &mut parts);
        let numbers = out.chunks_exact_mut(len).zip(codes.chunks_exact(len));
        for (part, (out, codes)) in numbers.enumerate() {
            let (scale, min) = (parts.scales[part], parts.mins[part]);
            if has_mins {
                for (out, &code) in out.iter_mut().zip(codes) {
                    *out = scale * f32::from(code) + min;
                }
            } else {
                for (out, &code) in out.iter_mut().zip(codes) {
                    *out = scale * (f32::from(code) - zero);
                }
            }
        }
    }
}

/// Codes and parts of block `i` of a row, whatever its format. Codes of the ternary formats are
/// one part.
#[inline(always)]
pub(crate) fn read_block(
    format: BlockFormat,
    row: &[u8],
    i: usize,
    codes: &mut [u8; 256],
    parts: &mut Parts,
) {
    #[inline(always)]
    fn part<const BYTES: usize, const LEN: usize>(
        row: &[u8],
        i: usize,
        codes: &mut [u8; 256],
        parts: &mut Parts,
        read: impl Fn(&[u8; BYTES], &mut [u8; LEN], &mut Parts),
    ) {
        let codes = codes.first_chunk_mut().expect("a block has at most 256 codes");
        read(&row.as_chunks().0[i], codes, parts);
    }
    match format {
        BlockFormat::Q8_0 => part(row, i, codes, parts, small::read_q8_0),
        BlockFormat::Q4_0 => part(row, i, codes, parts, small::read_q4_0),
        BlockFormat::Q4_1 => part(row, i, codes, parts, small::read_q4_1),
        BlockFormat::Q5_0 => part(row, i, codes, parts, small::read_q5_0),
        BlockFormat::Q5_1 => part(row, i, codes, parts, small::read_q5_1),
        BlockFormat::Q2K => part(row, i, codes, parts, k_quants::read_q2_k),
        BlockFormat::Q3K => part(row, i, codes, parts, k_quants::read_q3_k),
        BlockFormat::Q4K => part(row, i, codes, parts, k_quants::read_q4_k),
        BlockFormat::Q5K => part(row, i, codes, parts, k_quants::read_q5_k),
        BlockFormat::Q6K => part(row, i, codes, parts, k_quants::read_q6_k),
        _ => {
            let mut ternary = [0i8; 256];
            let len = format.block_len();
            parts.scales[0] = block_codes(format, row, i, &mut ternary[..len]);
            for (code, ternary) in codes[..len].iter_mut().zip(ternary) {
                *code = (ternary + 1) as u8;
            }
        }
    }
}

/// A row of a format of few codes: code times the scale of its block.
#[inline(always)]
fn dequantize_codes(format: BlockFormat, row: &[u8], out: &mut [f32]) {
    let mut codes = [0i8; 256];
    for (i, out) in out.chunks_exact_mut(format.block_len()).enumerate() {
        let codes = &mut codes[..out.len()];
        let scale = block_codes(format, row, i, codes);
        for (out, &code) in out.iter_mut().zip(codes.iter()) {
            *out = scale * f32::from(code);
        }
    }
}

/// The codes (−1, 0, 1; also 2 where two bits say it) and the scale of block `i` of a row of a
/// ternary or binary format.
#[inline(always)]
pub(crate) fn block_codes(format: BlockFormat, row: &[u8], i: usize, codes: &mut [i8]) -> f32 {
    let (prefix, blocks) = row.split_at(format.row_prefix_bytes());
    let block = &blocks[i * format.block_bytes()..][..format.block_bytes()];
    match format {
        BlockFormat::Tq1_0 => trits::unpack::<48, 4>(block, codes),
        BlockFormat::Ptq1_0 => trits::unpack::<24, 2>(block, codes),
        BlockFormat::Iq1Bn => {
            trits::unpack_iq1_bn(block, codes);
            f16_at(prefix, 0)
        }
        BlockFormat::Tq2_0 => bits::unpack_tq2_0(block, codes),
        BlockFormat::Q2_0 | BlockFormat::Pq2_0 => bits::unpack_q2_0(block, codes),
        BlockFormat::Q1_0 => bits::unpack_q1_0(block, codes),
        BlockFormat::Iq2Bn => {
            bits::unpack_iq2_bn(block, codes);
            f32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]])
        }
        _ => unreachable!("{} is no format of ternary codes", format.name()),
    }
}

/// Writes block `i` of a row of a ternary or binary format; the codes are as
/// [`block_codes`] gives them. A scale of a row is written with each of its blocks.
#[inline(always)]
pub(crate) fn write_block_codes(
    format: BlockFormat,
    row: &mut [u8],
    i: usize,
    codes: &[i8],
    scale: f32,
) {
    let (prefix, blocks) = row.split_at_mut(format.row_prefix_bytes());
    let block = &mut blocks[i * format.block_bytes()..][..format.block_bytes()];
    match format {
        BlockFormat::Tq1_0 => trits::pack::<48, 4>(codes, scale, block),
        BlockFormat::Ptq1_0 => trits::pack::<24, 2>(codes, scale, block),
        BlockFormat::Iq1Bn => {
            trits::pack_iq1_bn(codes, block);
            put_f16(prefix, 0, scale);
        }
        BlockFormat::Tq2_0 => bits::pack_tq2_0(codes, scale, block),
        BlockFormat::Q2_0 | BlockFormat::Pq2_0 => bits::pack_q2_0(codes, scale, block),
        BlockFormat::Q1_0 => bits::pack_q1_0(codes, scale, block),
        BlockFormat::Iq2Bn => {
            bits::pack_iq2_bn(codes, block);
            prefix.copy_from_slice(&scale.to_le_bytes());
        }
        _ => unreachable!("{} is no format of ternary codes", format.name()),
    }
}

/// The largest magnitude; a NaN counts as more than infinity.
#[inline(always)]
fn largest_magnitude(values: &[f32]) -> f32 {
    // The bits of absolute values order as the values do.
    let mut most = 0;
    for v in values {
        most = most.max(v.to_bits() & 0x7fff_ffff);
    }
    f32::from_bits(most)
}

/// How quantizing a row went.
enum Outcome {
    Done,
    NotFinite,
    Overflow,
}

struct Quantize<'a> {
    format: BlockFormat,
    values: &'a [f32],
    out: &'a mut [u8],
}

impl Kernel for Quantize<'_> {
    type Output = Outcome;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> Outcome {
        let Quantize { format, values, out } = self;
        let most = largest_magnitude(values);
        if !most.is_finite() {
            return Outcome::NotFinite;
        }
        let done = match format {
            BlockFormat::Q8_0 => each_back(values, out, small::quantize_q8_0),
            BlockFormat::Q4_0 => each_back(values, out, small::quantize_q4_0),
            BlockFormat::Q4_1 => each_back(values, out, small::quantize_q4_1),
            BlockFormat::Q5_0 => each_back(values, out, small::quantize_q5_0),
            BlockFormat::Q5_1 => each_back(values, out, small::quantize_q5_1),
            _ => quantize_codes(format, most, values, out),
        };
        if done { Outcome::Done } else { Outcome::Overflow }
    }
}

/// `block` of every block; whether all scales are finite.
#[inline(always)]
fn each_back<const BYTES: usize, const LEN: usize>(
    values: &[f32],
    out: &mut [u8],
    block: impl Fn(&[f32; LEN], &mut [u8; BYTES]) -> bool,
) -> bool {
    let mut finite = true;
    for (values, out) in values.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        finite &= block(values, out);
    }
    finite
}

/// A row to a ternary or binary format, `most` its largest magnitude; whether its scales are
/// finite.
#[inline(always)]
fn quantize_codes(format: BlockFormat, most: f32, values: &[f32], out: &mut [u8]) -> bool {
    let mut codes = [0i8; 256];
    let mut finite = true;
    for (i, values) in values.chunks_exact(format.block_len()).enumerate() {
        let codes = &mut codes[..values.len()];
        let scale = match format {
            BlockFormat::Q1_0 => bits::binarize(values, codes),
            BlockFormat::Iq1Bn | BlockFormat::Iq2Bn => bits::threshold(values, most, codes),
            _ => bits::round_to_codes(values, codes),
        };
        finite &= scale <= 65504.0 || format == BlockFormat::Iq2Bn || to_f16(scale).is_finite();
        write_block_codes(format, out, i, codes, scale);
    }
    finite
}

#[inline(always)]
fn to_f16(x: f32) -> half::f16 {
    half::f16::from_f32(x)
}

#[inline(always)]
fn f16_at(bytes: &[u8], at: usize) -> f32 {
    half::f16::from_le_bytes([bytes[at], bytes[at + 1]]).to_f32()
}

/// Writes a scale; whether it is finite.
#[inline(always)]
fn put_f16(bytes: &mut [u8], at: usize, x: f32) -> bool {
    let x = to_f16(x);
    bytes[at..at + 2].copy_from_slice(&x.to_le_bytes());
    x.is_finite()
}

/// 1/d; 0 where d is zero or so small that its inverse overflows.
#[inline(always)]
fn inverse(d: f32) -> f32 {
    let inverse = 1.0 / d;
    if inverse.is_finite() { inverse } else { 0.0 }
}

/// To nearest, halves away from zero, of magnitudes below 2²²: `f32::round` in instructions that
/// every tier has for vectors. The constant is the number before 0.5, so that what is less than
/// a half is not rounded up by the addition.
#[inline(always)]
fn round_away(x: f32) -> i32 {
    (x + 0.499_999_97_f32.copysign(x)) as i32
}
