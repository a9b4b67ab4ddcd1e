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
        BitNetDType::Ternary => x.to_dtype(BitNetDType::F32)?,
        _ => x.detach(),
    };
    x.to_dtype(BitNetDType::F64)
}
