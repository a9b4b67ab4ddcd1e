//! Activations to codes of 16 bits with a scale for each group of 32 columns.
//!
//! Eight bits would halve the work, and change what a model says: the probabilities of SmolLM2-135M in
//! Q4_1 move by a mean KL of 3e-3 from those of float activations, and one likeliest token in 26 becomes
//! another. With sixteen bits the divergence is 7e-8, and no token changes
//! (`crates/bitnet-testkit/scripts/activation_bits.py`).

use crate::Cpu;
use crate::parallel::{self, SharedMut};
use crate::quantized::OperandError;
use crate::reduce::row_grain;
use crate::simd::{CodeBytes, Kernel, Simd};

/// Columns of an activation that share a scale.
pub const ACTIVATION_GROUP: usize = 32;

/// The code of the largest magnitude of a group. The bytes of each code in ±`MAX_CODE` are two
/// signed numbers, high · 256 + low: what instructions that multiply bytes can take.
const MAX_CODE: f32 = 127.0 * 256.0 + 127.0;

/// Rows of activations as codes of 16 bits with a scale for each [`ACTIVATION_GROUP`] columns:
/// value = code · scale.
///
/// For each group `scale = absmax / 32639` and `code = round_half_even(x · (32639 / absmax))`. A group
/// with a NaN or an infinity has the scale NaN and the codes 0, so that it spoils what it enters; one
/// whose numbers are all below 9e-35 has the codes 0.
#[derive(Debug, Clone, Default)]
pub struct GroupedRows {
    pub(super) cols: usize,
    /// rows × `cols`, in sixteens.
    pub(super) codes: Vec<CodeBytes>,
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
            codes: vec![CodeBytes::default(); x.len() / 16],
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
                    codes.range(start / 16..end / 16),
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
        (16 * self.codes.len()).checked_div(self.cols).unwrap_or(0)
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// All codes, row-major.
    pub fn codes(&self) -> impl Iterator<Item = i16> {
        let code = |(&high, &low): (&i8, &i8)| (i16::from(high) << 8) + i16::from(low);
        self.codes.iter().flat_map(move |[high, low]| {
            high.as_flattened().iter().zip(low.as_flattened()).map(code)
        })
    }

    /// The scales of all groups, row-major.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }
}

struct Quantize<'a> {
    x: &'a [f32],
    codes: &'a mut [CodeBytes],
    scales: &'a mut [f32],
    sums: &'a mut [i32],
}

impl Kernel for Quantize<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let groups = self.x.as_chunks::<32>().0.iter().zip(self.codes.as_chunks_mut::<2>().0);
        let places = self.scales.iter_mut().zip(self.sums.as_chunks_mut::<2>().0);
        for ((x, codes), (scale, sums)) in groups.zip(places) {
            let mut most = 0;
            for v in x {
                most = most.max(v.to_bits() & 0x7fff_ffff);
            }
            let absmax = f32::from_bits(most);
            let factor = MAX_CODE / absmax;
            if !absmax.is_finite() || !factor.is_finite() {
                *codes = [CodeBytes::default(); 2];
                *sums = [0; 2];
                *scale = if absmax.is_finite() { absmax / MAX_CODE } else { f32::NAN };
                continue;
            }
            *scale = absmax / MAX_CODE;
            let factor = s.splat(factor);
            let parts = x.as_chunks::<16>().0.iter().zip(codes);
            for ((x, [high, low]), sum) in parts.zip(sums) {
                // Every step after this one is exact.
                let code = s.round(s.mul(s.load(x), factor));
                // To the nearest 256, up where a code lies between two, so that low is at most 127.
                let halves = s.add(s.mul(code, s.splat(1.0 / 256.0)), s.splat(0.5 / 256.0));
                let upper = s.round(halves);
                let lower = s.sub(code, s.mul(upper, s.splat(256.0)));
                s.store_i8(upper, sixteen(high));
                s.store_i8(lower, sixteen(low));
                *sum = s.reduce_add(code) as i32;
            }
        }
    }
}

#[inline(always)]
fn sixteen(quads: &mut [[i8; 4]; 4]) -> &mut [i8; 16] {
    let bytes = quads.as_flattened_mut();
    bytes.try_into().expect("four times four bytes")
}
