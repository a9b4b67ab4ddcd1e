//! Ternary codes in the block formats of files: TQ1_0, TQ2_0, Q2_0, Q1_0, IQ1_BN, IQ2_BN and
//! PrismML's, to −1, 0, +1 with the scale of each block, and back without loss.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::codes::are_ternary;
use crate::Cpu;
use crate::blocks::{BlockFormat, block_codes, write_block_codes};
use crate::parallel::{self, SharedMut};
use crate::quantized::{OperandError, expect_len};
use crate::simd::{Kernel, Simd};

/// Least number of weights that a thread packs at a time.
const PIECE: usize = 1 << 16;

/// Reads one row of a matrix of `rows` × `cols` weights as −1, 0, +1 and the scale of each block:
/// weight = code · scale.
///
/// `scales` has `cols / format.block_len()` elements; formats with one scale for the row repeat
/// it.
///
/// # Errors
/// [`OperandError::NoTernaryCodes`] for other formats, [`OperandError::BlockColumns`],
/// [`OperandError::Length`], [`OperandError::RowOutOfRange`], or
/// [`OperandError::InvalidCode`] if the row holds the two-bit code 3 (+2), which Q2_0 can say.
///
/// ```
/// use bitnet_kernels::blocks::BlockFormat;
/// use bitnet_kernels::ternary::{pack_blocks, unpack_block_row};
/// let weights: Vec<i8> = (0..128).map(|i| (i % 3) as i8 - 1).collect();
/// let mut bytes = vec![0; BlockFormat::Q2_0.byte_len(1, 128)?];
/// pack_blocks(BlockFormat::Q2_0, 1, 128, |_, codes, scales| {
///     codes.copy_from_slice(&weights);
///     scales.copy_from_slice(&[0.5, 0.25]);
/// }, &mut bytes)?;
/// let (mut codes, mut scales) = ([0; 128], [0.0; 2]);
/// unpack_block_row(BlockFormat::Q2_0, &bytes, 1, 128, 0, &mut codes, &mut scales)?;
/// assert_eq!((&codes[..], scales), (&weights[..], [0.5, 0.25]));
/// # Ok::<(), bitnet_kernels::OperandError>(())
/// ```
pub fn unpack_block_row(
    format: BlockFormat,
    bytes: &[u8],
    rows: usize,
    cols: usize,
    row: usize,
    codes: &mut [i8],
    scales: &mut [f32],
) -> Result<(), OperandError> {
    check(format)?;
    let row_bytes = format.row_bytes(cols)?;
    expect_len("bytes", format.byte_len(rows, cols)?, bytes.len())?;
    expect_len("codes", cols, codes.len())?;
    expect_len("scales", cols / format.block_len(), scales.len())?;
    if row >= rows {
        return Err(OperandError::RowOutOfRange { row, rows });
    }
    let bytes = &bytes[row * row_bytes..][..row_bytes];
    // Integers: the tier changes the speed only.
    match Cpu::best().run(UnpackRow { format, bytes, codes, scales }) {
        ..2 => Ok(()),
        _ => Err(OperandError::InvalidCode { row }),
    }
}

/// Codes and scales of a row; its largest code.
struct UnpackRow<'a> {
    format: BlockFormat,
    bytes: &'a [u8],
    codes: &'a mut [i8],
    scales: &'a mut [f32],
}

impl Kernel for UnpackRow<'_> {
    type Output = i8;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> i8 {
        let UnpackRow { format, bytes, codes, scales } = self;
        let mut largest = -1;
        for (i, scale) in scales.iter_mut().enumerate() {
            let codes = &mut codes[i * format.block_len()..][..format.block_len()];
            *scale = block_codes(format, bytes, i, codes);
            for &code in codes.iter() {
                largest = code.max(largest);
            }
        }
        largest
    }
}

/// Packs a matrix of `rows` × `cols` weights, in parallel over rows; the inverse of
/// [`unpack_block_row`].
///
/// `fill_row(row, codes, scales)` writes the weights of a row, −1, 0 or +1, and the scale of each
/// block; it is called once for each row, in no particular order. Scales are rounded to the `f16`
/// that most formats have. A Q1_0 code 0 is refused.
///
/// # Errors
/// As [`unpack_block_row`]; [`OperandError::NotTernary`] if `fill_row` wrote another value,
/// [`OperandError::ScaleOverflow`] if a scale is not finite as the format stores it,
/// [`OperandError::ScalesDiffer`] for a format with one scale to a row: `out` then holds no
/// particular codes.
pub fn pack_blocks(
    format: BlockFormat,
    rows: usize,
    cols: usize,
    fill_row: impl Fn(usize, &mut [i8], &mut [f32]) + Sync,
    out: &mut [u8],
) -> Result<(), OperandError> {
    check(format)?;
    let row_bytes = format.row_bytes(cols)?;
    expect_len("out", format.byte_len(rows, cols)?, out.len())?;
    let len = format.block_len();
    // The lowest row of each kind of fault.
    let faults: [AtomicUsize; 3] = std::array::from_fn(|_| AtomicUsize::new(usize::MAX));
    let out = SharedMut::of(out);
    parallel::for_each(rows, (PIECE / cols.max(1)).max(1), |range| {
        let (mut codes, mut scales) = (vec![0i8; cols], vec![0.0f32; cols / len]);
        for row in range {
            fill_row(row, &mut codes, &mut scales);
            let is_binary = format == BlockFormat::Q1_0;
            let representable = |scale: &f32| match format {
                BlockFormat::Iq2Bn => scale.is_finite(),
                _ => half::f16::from_f32(*scale).is_finite(),
            };
            let good = [
                are_ternary(&codes) && !(is_binary && codes.contains(&0)),
                scales.iter().all(representable),
                format.row_prefix_bytes() == 0
                    || scales.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits()),
            ];
            if good.contains(&false) {
                for (fault, good) in faults.iter().zip(good) {
                    fault.fetch_min(if good { usize::MAX } else { row }, Ordering::Relaxed);
                }
                continue;
            }
            // SAFETY: each row is visited once, and rows do not overlap.
            let out = unsafe { out.range(row * row_bytes..(row + 1) * row_bytes) };
            for (i, (codes, &scale)) in codes.chunks_exact(len).zip(&scales).enumerate() {
                write_block_codes(format, out, i, codes, scale);
            }
        }
    });
    let [ternary, finite, equal] = faults.map(AtomicUsize::into_inner);
    let name = format.name();
    match () {
        _ if ternary < usize::MAX => Err(OperandError::NotTernary { row: ternary }),
        _ if finite < usize::MAX => Err(OperandError::ScaleOverflow { row: finite, format: name }),
        _ if equal < usize::MAX => Err(OperandError::ScalesDiffer { format: name }),
        _ => Ok(()),
    }
}

fn check(format: BlockFormat) -> Result<(), OperandError> {
    match format.has_ternary_codes() {
        true => Ok(()),
        false => Err(OperandError::NoTernaryCodes { format: format.name() }),
    }
}
