//! Activations to int8 with a scale for each group of 32 columns.

use crate::Cpu;
use crate::parallel::{self, SharedMut};
use crate::quantized::OperandError;
use crate::reduce::row_grain;
use crate::simd::{Kernel, Simd};

/// Columns of an activation that share a scale.
pub const ACTIVATION_GROUP: usize = 32;

/// Rows of activations as int8 codes with a scale for each [`ACTIVATION_GROUP`] columns:
/// value = code · scale.
///
/// For each group `scale = absmax / 127` and `code = round_half_even(x · (127 / absmax))`. A group with a
/// NaN or an infinity has the scale NaN and the codes 0, so that it spoils what it enters; one whose
/// numbers are all below 4e-37 has the codes 0.
#[derive(Debug, Clone, Default)]
pub struct GroupedRows {
    pub(super) cols: usize,
    /// rows × `cols`.
    pub(super) codes: Vec<i8>,
    /// rows × groups.
    pub(super) scales: Vec<f32>,
    /// Of each 16 codes.
    pub(super) sums: Vec<i32>,
}

impl GroupedRows {
    /// Quantizes rows of `cols` numbers.
    ///
    /// # Errors
    /// [`OperandError::BlockColumns`] if `cols` is no multiple of [`ACTIVATION_GROUP`],
    /// [`OperandError::Length`] if `x` is no whole number of rows.
    pub fn quantize(cpu: Cpu, x: &[f32], cols: usize) -> Result<Self, OperandError> {
        if !cols.is_multiple_of(ACTIVATION_GROUP) {
            let (format, block) = ("activation", ACTIVATION_GROUP);
            return Err(OperandError::BlockColumns { format, cols, block });
        }
        let rows = x.len().checked_div(cols).unwrap_or(0);
        if rows * cols != x.len() {
            let (expected, actual) = (rows * cols, x.len());
            return Err(OperandError::Length { operand: "activation", expected, actual });
        }
        let mut out = GroupedRows {
            cols,
            codes: vec![0; x.len()],
            scales: vec![0.0; x.len() / ACTIVATION_GROUP],
            sums: vec![0; x.len() / 16],
        };
        let (codes, scales, sums) = (
            SharedMut::of(&mut out.codes),
            SharedMut::of(&mut out.scales),
            SharedMut::of(&mut out.sums),
        );
        parallel::for_each(rows, row_grain(cols.max(1)), |range| {
            let (start, end) = (range.start * cols, range.end * cols);
            // SAFETY: `for_each` hands out disjoint rows.
            let (codes, scales, sums) = unsafe {
                (
                    codes.range(start..end),
                    scales.range(start / ACTIVATION_GROUP..end / ACTIVATION_GROUP),
                    sums.range(start / 16..end / 16),
                )
            };
            cpu.run(Quantize { x: &x[start..end], codes, scales, sums });
        });
        Ok(out)
    }

    /// Number of rows (tokens).
    pub fn rows(&self) -> usize {
        self.codes.len().checked_div(self.cols).unwrap_or(0)
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All codes, row-major.
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The scales of all groups, row-major.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }
}

struct Quantize<'a> {
    x: &'a [f32],
    codes: &'a mut [i8],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl Kernel for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let groups = self.x.as_chunks::<32>().0.iter().zip(self.codes.as_chunks_mut::<32>().0);
        let places = self.scales.iter_mut().zip(self.sums.as_chunks_mut::<2>().0);
        for ((x, codes), (scale, sums)) in groups.zip(places) {
            let mut most = 0;
            for v in x {
                most = most.max(v.to_bits() & 0x7fff_ffff);
            }
            let absmax = f32::from_bits(most);
            let factor = 127.0 / absmax;
            if !absmax.is_finite() || !factor.is_finite() {
                codes.fill(0);
                *sums = [0; 2];
                *scale = if absmax.is_finite() { absmax / 127.0 } else { f32::NAN };
                continue;
            }
            *scale = absmax / 127.0;
            let factor = s.splat(factor);
            let parts = x.as_chunks::<16>().0.iter().zip(codes.as_chunks_mut::<16>().0);
            for ((x, codes), sum) in parts.zip(sums) {
                let rounded = s.round(s.mul(s.load(x), factor));
                s.store_i8(rounded, codes);
                *sum = s.reduce_add(rounded) as i32; // small integers: exact
            }
        }
    }
}
