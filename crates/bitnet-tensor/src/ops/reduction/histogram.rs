//! How many elements there are of each kind.

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// # Counting
impl BitNetTensor {
    /// How often each of 0, 1, 2, … occurs among these integers, `I64`: up to the largest of them,
    /// and at least `minlength` counts. Waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![3u8, 1, 1, 0], [4])?;
    /// assert_eq!(x.bincount(0)?.to_vec::<i64>()?, [1, 2, 0, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` unless the elements are integers, `ComputationError` for a negative one,
    /// `MemoryError` or `InvalidTensor` when there is no room for so many counts.
    pub fn bincount(&self, minlength: usize) -> Result<Self> {
        if !self.dtype().is_integer() {
            bail!(DTypeMismatch, "bincount", &[self], "takes integers: cast with to_dtype first");
        }
        composed("bincount", &[self], || {
            let count = self.element_count();
            // What an `i64` does not hold becomes negative.
            let places = self.detach().reshape([count])?.to_dtype(BitNetDType::I64)?;
            let mut length = minlength;
            if count > 0 {
                let [least, most] = [places.min(&[], false)?, places.max(&[], false)?];
                if least.item::<i64>()? < 0 {
                    bail!(ComputationError, "bincount", &[self], "an element is negative");
                }
                let most = usize::try_from(most.item::<i64>()?).unwrap_or(usize::MAX);
                length = length.max(most.saturating_add(1));
            }
            let zeros = Self::zeros([length], BitNetDType::I64)?.to_device(self.device())?;
            let ones = Self::scalar(1i64)?.to_device(self.device())?.expand([count])?;
            zeros.scatter_add(0, &places, &ones)
        })
    }

    /// How many elements lie in each of `bins` intervals of equal width, `I64`, and the ends of the
    /// intervals: from the smallest to the largest element, or over `range`, beyond which nothing
    /// is counted. An interval has its left end, the last one both. The ends are `F64`, or `F32`
    /// for `F32`. Waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![0.0f32, 0.5, 1.0, 4.0], [4])?;
    /// let (counts, ends) = x.histogram(2, None)?;
    /// assert_eq!(counts.to_vec::<i64>()?, [3, 1]);
    /// assert_eq!(ends.to_vec::<f32>()?, [0.0, 2.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` for `Bool` and packed types, `ComputationError` without a bin or when the
    /// range is not finite or descends.
    pub fn histogram(&self, bins: usize, range: Option<(f64, f64)>) -> Result<(Self, Self)> {
        const NAME: &str = "histogram";
        let dtype = match self.dtype() {
            BitNetDType::F32 => BitNetDType::F32,
            dtype if dtype.is_integer() || dtype.is_float() => BitNetDType::F64,
            _ => bail!(DTypeMismatch, NAME, &[self], "takes numbers: cast with to_dtype first"),
        };
        if bins == 0 {
            bail!(ComputationError, NAME, &[self], "there is no bin");
        }
        composed(NAME, &[self], || {
            let count = self.element_count();
            let sorted = self.detach().reshape([count])?.to_dtype(dtype)?.sort(0, false)?.0;
            let end = |at| sorted.narrow(0, at, 1)?.to_dtype(BitNetDType::F64)?.item::<f64>();
            let (mut low, mut high) = match range {
                Some(range) => range,
                None if count == 0 => (0.0, 1.0),
                None => (end(0)?, end(count - 1)?),
            };
            if !(low.is_finite() && high.is_finite() && low <= high) {
                bail!(ComputationError, NAME, &[self], "no range from {low} to {high}");
            }
            if low == high {
                (low, high) = (low - 0.5, high + 0.5);
            }
            let step = (high - low) / bins as f64;
            let mut ends: Vec<f64> = (0..bins).map(|n| n as f64 * step + low).collect();
            ends.push(high);
            let ends =
                Self::from_vec(ends, [bins + 1])?.to_dtype(dtype)?.to_device(self.device())?;
            let before = sorted.searchsorted(&ends.narrow(0, 0, bins)?, false)?;
            let last = sorted.searchsorted(&ends.narrow(0, bins, 1)?, true)?;
            Ok((Self::cat(&[&before, &last], 0)?.diff(1, 0)?, ends))
        })
    }
}
