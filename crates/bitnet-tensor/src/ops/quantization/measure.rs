//! How far numbers are from what they were before quantization.

use std::fmt;

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// Measures of the difference between numbers `x` and what was made of them, `y`.
///
/// Of equal numbers the two ratios are infinite (`serde_json` writes `null`).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct QuantizationError {
    /// The mean squared error, `mean((x − y)²)`.
    pub mse: f64,
    /// Signal to quantization noise, `10 · log10(Σx² / Σ(x − y)²)`.
    pub sqnr_db: f64,
    /// Peak signal to noise, `10 · log10(max|x|² / mse)`.
    pub psnr_db: f64,
    /// `Σxy / √(Σx² · Σy²)`; NaN when one of them is all zeros.
    pub cosine_similarity: f64,
    /// `max|x − y|`.
    pub max_abs_error: f64,
}

impl fmt::Display for QuantizationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mse {:.3e}, sqnr {:.2} dB, psnr {:.2} dB, cosine {:.6}, max |error| {:.3e}",
            self.mse, self.sqnr_db, self.psnr_db, self.cosine_similarity, self.max_abs_error,
        )
    }
}

/// [`QuantizationError`] of numbers that come in pieces: of a matrix larger than memory.
///
/// ```
/// use bitnet_tensor::ErrorSums;
/// let mut sums = ErrorSums::default();
/// sums.add(&[3.0], &[3.0]);
/// sums.add(&[4.0], &[3.5]);
/// let error = sums.error().unwrap();
/// assert_eq!((error.mse, error.sqnr_db, error.max_abs_error), (0.125, 20.0, 0.5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ErrorSums {
    count: u64,
    signal: f64,
    noise: f64,
    other: f64,
    product: f64,
    largest: f64,
    largest_error: f64,
}

impl ErrorSums {
    /// Adds numbers and what was made of them.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn add(&mut self, x: &[f32], y: &[f32]) {
        assert_eq!(x.len(), y.len(), "ErrorSums::add: lengths differ");
        // Sums of a piece alone, so that the error of a sum does not grow with all before it.
        let mut piece = Self { count: x.len() as u64, ..Self::default() };
        for (&x, &y) in x.iter().zip(y) {
            let (x, y) = (f64::from(x), f64::from(y));
            piece.signal += x * x;
            piece.noise += (x - y) * (x - y);
            piece.other += y * y;
            piece.product += x * y;
            piece.largest = piece.largest.max(x.abs());
            piece.largest_error = piece.largest_error.max((x - y).abs());
        }
        self.merge(&piece);
    }

    /// Adds what another one has seen.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.signal += other.signal;
        self.noise += other.noise;
        self.other += other.other;
        self.product += other.product;
        self.largest = self.largest.max(other.largest);
        self.largest_error = self.largest_error.max(other.largest_error);
    }

    /// The error so far; `None` of nothing.
    #[must_use]
    pub fn error(&self) -> Option<QuantizationError> {
        let mse = self.noise / self.count as f64;
        let decibel = |ratio: f64| 10.0 * ratio.log10();
        (self.count > 0).then(|| QuantizationError {
            mse,
            sqnr_db: decibel(self.signal / self.noise),
            psnr_db: decibel(self.largest.powi(2) / mse),
            cosine_similarity: self.product / (self.signal.sqrt() * self.other.sqrt()),
            max_abs_error: self.largest_error,
        })
    }
}

/// # The error of quantization
impl BitNetTensor {
    /// How far `restored` is from these numbers, computed in `f64`. Either may be a ternary weight.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![3.0f32, 4.0])?;
    /// let restored = BitNetTensor::try_from(vec![3.0f32, 3.5])?;
    /// let error = x.quantization_error(&restored)?;
    /// assert_eq!((error.mse, error.max_abs_error), (0.125, 0.5));
    /// assert_eq!(error.sqnr_db, 20.0); // 25 to 0.25
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch`, `DeviceMismatch`; `ComputationError` of nothing.
    pub fn quantization_error(&self, restored: &Self) -> Result<QuantizationError> {
        const NAME: &str = "quantization_error";
        let operands = &[self, restored];
        if self.shape() != restored.shape() {
            bail!(ShapeMismatch, NAME, operands, "the shapes differ");
        }
        if self.element_count() == 0 {
            bail!(ComputationError, NAME, operands, "no elements: there is no error");
        }
        composed(NAME, operands, || {
            let (x, y) = (wide(self)?, wide(restored)?);
            let sum = |x: BitNetTensor| x.sum(&[], false)?.item::<f64>();
            let largest = |x: &BitNetTensor| x.abs()?.max(&[], false)?.item::<f64>();
            let difference = x.sub(&y)?;
            let noise = sum(difference.square()?)?;
            let (signal, other) = (sum(x.square()?)?, sum(y.square()?)?);
            let mse = noise / self.element_count() as f64;
            let decibel = |ratio: f64| 10.0 * ratio.log10();
            Ok(QuantizationError {
                mse,
                sqnr_db: decibel(signal / noise),
                psnr_db: decibel(largest(&x)?.powi(2) / mse),
                cosine_similarity: sum(x.mul(&y)?)? / (signal.sqrt() * other.sqrt()),
                max_abs_error: largest(&difference)?,
            })
        })
    }
}

/// The numbers as `F64`.
fn wide(x: &BitNetTensor) -> Result<BitNetTensor> {
    let x = match x.dtype() {
        BitNetDType::Ternary | BitNetDType::Int6 => x.to_dtype(BitNetDType::F32)?,
        _ => x.detach(),
    };
    x.to_dtype(BitNetDType::F64)
}
