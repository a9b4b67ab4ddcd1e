//! From numbers to codes and scales, said of other operations: it runs on every device.

use super::scheme::{Blocks, Granularity, QuantizationScheme, TernaryScale};
use super::{Quantized, SMALLEST_MAGNITUDE};
use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// # Quantization to codes and scales
impl BitNetTensor {
    /// These numbers as whole numbers of few bits and scales, by [`QuantizationScheme`] with a
    /// scale for each block of the [`Granularity`].
    ///
    /// Computed in `f32` (`f64` of `F64`); quotients round half to even. A block of zeros has exact
    /// zeros. A block with a NaN or an infinity has the scale NaN, and so is NaN as a whole when it
    /// is dequantized. Gradients are not recorded; see [`fake_quantize`](Self::fake_quantize).
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, Granularity, QuantizationScheme};
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 1.5, -0.5, 1.0], [4])?;
    /// let q = x.quantize(QuantizationScheme::Asymmetric { bits: 2 }, Granularity::Group(2))?;
    /// assert_eq!(q.scales().to_vec::<f32>()?, [0.5, 0.5]);
    /// assert_eq!(q.codes().to_vec::<u8>()?, [0, 3, 0, 3]);
    /// assert_eq!(q.dequantize()?.to_vec::<f32>()?, [0.0, 1.5, -0.5, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless floats; `ShapeMismatch` for rows of a scalar, a channel's axis that
    /// does not exist and rows that are not whole groups; `ComputationError` for bits outside of
    /// 2 to 8.
    pub fn quantize(
        &self,
        scheme: QuantizationScheme,
        granularity: Granularity,
    ) -> Result<Quantized> {
        self.quantize_as("quantize", scheme, granularity)
    }

    pub(super) fn quantize_as(
        &self,
        name: &'static str,
        scheme: QuantizationScheme,
        granularity: Granularity,
    ) -> Result<Quantized> {
        if !self.dtype().is_float() {
            bail!(DTypeMismatch, name, &[self], "takes floats: cast with to_dtype first");
        }
        scheme.check(name, &[self])?;
        let blocks = Blocks::new(name, self, granularity)?;
        composed(name, &[self], || {
            let wide = match self.dtype() {
                BitNetDType::F64 => BitNetDType::F64,
                _ => BitNetDType::F32,
            };
            let x = self.detach().to_dtype(wide)?.reshape(&blocks.elements)?;
            let (codes, scales, zeros) = match scheme {
                QuantizationScheme::Binary => binary(&x, &blocks)?,
                QuantizationScheme::Ternary(scale) => ternary(&x, &blocks, scale)?,
                QuantizationScheme::Symmetric { .. } => symmetric(&x, &blocks, scheme)?,
                QuantizationScheme::Asymmetric { .. } => asymmetric(&x, &blocks, scheme)?,
            };
            let codes = codes.to_dtype(scheme.dtype())?.reshape(self.shape())?;
            let scales = scales.reshape(&blocks.scales)?;
            let zeros = match zeros {
                Some(zeros) => Some(zeros.to_dtype(BitNetDType::I32)?.reshape(&blocks.scales)?),
                None => None,
            };
            Quantized::from_parts(codes, scales, zeros, scheme, granularity)
        })
    }
}

/// Codes, scales and zero points, the latter in the shape that broadcasts.
type Parts = (BitNetTensor, BitNetTensor, Option<BitNetTensor>);

fn binary(x: &BitNetTensor, blocks: &Blocks) -> Result<Parts> {
    let scales = finite_or_nan(&blocks.reduce(&x.abs()?, mean)?)?;
    let minus = BitNetTensor::scalar(-1i8)?.to_device(x.device())?;
    Ok((x.lt(0)?.where_(&minus, 1)?, scales, None))
}

fn ternary(x: &BitNetTensor, blocks: &Blocks, rule: TernaryScale) -> Result<Parts> {
    let magnitudes = x.abs()?;
    let scales = match rule {
        TernaryScale::AbsMean => blocks.reduce(&magnitudes, mean)?,
        TernaryScale::Median => {
            let median = blocks.reduce(&magnitudes, |x, axes| x.median(axes, true))?;
            // An infinity need not reach the middle.
            let largest = blocks.reduce(&magnitudes, |x, axes| x.max(axes, true))?;
            largest.isfinite()?.where_(&median, f64::NAN)?
        }
        TernaryScale::Optimal => blocks.reduce(&magnitudes, optimal_scale)?,
    };
    let scales = finite_or_nan(&scales)?;
    let (scales, quotients) = match rule {
        TernaryScale::Optimal => {
            let quotients = x.div(&not_zero(&scales)?)?;
            (scales, quotients)
        }
        // As `transformers` rounds.
        TernaryScale::AbsMean | TernaryScale::Median => {
            let scales = scales.maximum(SMALLEST_MAGNITUDE)?;
            let quotients = x.mul(&scales.reciprocal()?)?;
            (scales, quotients)
        }
    };
    Ok((quotients.round()?.clamp(-1, 1)?, scales, None))
}

/// Summed in `f64`, so that a sum of `f32` does not overflow.
fn mean(x: &BitNetTensor, axes: &[isize]) -> Result<BitNetTensor> {
    x.to_dtype(BitNetDType::F64)?.mean(axes, true)?.to_dtype(x.dtype())
}

/// The mean of the k largest of `magnitudes`, for the k with the largest `(their sum)² / k`.
fn optimal_scale(magnitudes: &BitNetTensor, axes: &[isize]) -> Result<BitNetTensor> {
    let mut shape = magnitudes.shape().to_vec();
    let kept = (0..magnitudes.rank() as isize).filter(|axis| !axes.contains(axis));
    let order: Vec<isize> = kept.chain(axes.iter().copied()).collect();
    let count: usize = axes.iter().map(|&axis| shape[axis as usize]).product();
    axes.iter().for_each(|&axis| shape[axis as usize] = 1);
    let lines: usize = shape.iter().product();

    let lines = magnitudes.permute(&order)?.reshape([lines, count])?;
    let sums = lines.sort(-1, true)?.0.to_dtype(BitNetDType::F64)?.cumsum(-1)?;
    let counts = BitNetTensor::arange(1..count as i64 + 1)?.to_device(magnitudes.device())?;
    let gains = sums.square()?.div(&counts.to_dtype(BitNetDType::F64)?)?;
    let best = gains.argmax(-1, true)?;
    let means = sums.gather(-1, &best)?.div(&best.to_dtype(BitNetDType::F64)?.add(1)?)?;
    means.to_dtype(magnitudes.dtype())?.reshape(shape)
}

fn symmetric(x: &BitNetTensor, blocks: &Blocks, scheme: QuantizationScheme) -> Result<Parts> {
    let (low, high) = scheme.codes();
    let largest = blocks.reduce(&x.abs()?, |x, axes| x.max(axes, true))?;
    let scales = finite_or_nan(&largest.div(high)?)?;
    let codes = x.div(&not_zero(&scales)?)?.round()?.clamp(low, high)?;
    Ok((codes, scales, None))
}

fn asymmetric(x: &BitNetTensor, blocks: &Blocks, scheme: QuantizationScheme) -> Result<Parts> {
    let (_, high) = scheme.codes();
    let least = blocks.reduce(x, |x, axes| x.min(axes, true))?.minimum(0)?;
    let most = blocks.reduce(x, |x, axes| x.max(axes, true))?.maximum(0)?;
    // In f64: the difference of two f32 may be none.
    let range = most.to_dtype(BitNetDType::F64)?.sub(&least.to_dtype(BitNetDType::F64)?)?;
    let scales = finite_or_nan(&range.div(high)?.to_dtype(x.dtype())?)?;
    let divisors = not_zero(&scales)?;
    let zeros = least.div(&divisors)?.round()?.neg()?.clamp(0, high)?;
    let codes = x.div(&divisors)?.round()?.add(&zeros)?.clamp(0, high)?;
    Ok((codes, scales, Some(zeros)))
}

/// Scales of blocks with a NaN or an infinity as NaN.
fn finite_or_nan(scales: &BitNetTensor) -> Result<BitNetTensor> {
    scales.isfinite()?.where_(scales, f64::NAN)
}

/// What to divide by: zeros over a scale of zero are zeros.
fn not_zero(scales: &BitNetTensor) -> Result<BitNetTensor> {
    scales.ne(0)?.where_(scales, 1)
}

impl Blocks {
    /// `reduction` over the elements of each block; 0 for a block of none.
    fn reduce(
        &self,
        x: &BitNetTensor,
        reduction: impl FnOnce(&BitNetTensor, &[isize]) -> Result<BitNetTensor>,
    ) -> Result<BitNetTensor> {
        if x.element_count() > 0 {
            return reduction(x, &self.shared);
        }
        BitNetTensor::zeros(self.broadcast(), x.dtype())?.to_device(x.device())
    }
}
