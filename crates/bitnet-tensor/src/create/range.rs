//! Numbers at equal distances.

use std::ops::Range;

use crate::dtype::Number;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// # Ranges
impl BitNetTensor {
    /// The numbers of `range`, one apart, its end excluded.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// assert_eq!(BitNetTensor::arange(2u32..5)?.to_vec::<u32>()?, [2, 3, 4]);
    /// assert_eq!(BitNetTensor::arange(-0.5f32..1.0)?.to_vec::<f32>()?, [-0.5, 0.5]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`arange_step`](Self::arange_step).
    pub fn arange<T: Number>(range: Range<T>) -> Result<Self> {
        Self::arange_step(range, T::from_i128(1))
    }

    /// The numbers `start, start + step, …` before the end of `range`, as NumPy's `arange`: there are
    /// `⌈(end − start) / step⌉` of them, none when that is negative. Floats are `start + n · step`, so
    /// errors do not add up.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// assert_eq!(BitNetTensor::arange_step(5i64..0, -2)?.to_vec::<i64>()?, [5, 3, 1]);
    /// assert_eq!(BitNetTensor::arange_step(0.0..1.0, 0.25)?.to_vec::<f64>()?, [0.0, 0.25, 0.5, 0.75]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `InvalidTensor` for a step of zero, bounds that are not finite, or a range too long.
    pub fn arange_step<T: Number>(range: Range<T>, step: T) -> Result<Self> {
        let wrong = |what: &str| {
            crate::error::error!(InvalidTensor, "arange", &[], "{range:?} by {step:?}: {what}")
        };
        let count = if T::IS_FLOAT {
            let (start, end, step) = (range.start.to_f64(), range.end.to_f64(), step.to_f64());
            let count = ((end - start) / step).ceil();
            if step == 0.0 || !count.is_finite() || !start.is_finite() {
                return Err(wrong("the step is zero or a bound not finite"));
            }
            count.max(0.0)
        } else {
            let (start, end, step) = (range.start.to_i128(), range.end.to_i128(), step.to_i128());
            if step == 0 {
                return Err(wrong("the step is zero"));
            }
            let towards = (end - start) * step.signum();
            (towards + step.abs() - 1).div_euclid(step.abs()).max(0) as f64
        };
        // Longer ones would exceed any memory.
        if count > (1u64 << 48) as f64 {
            return Err(wrong("too long"));
        }
        let count = count as usize;
        let mut tensor = Self::empty([count], T::DTYPE, crate::Device::CPU)?;
        let values = tensor.try_mut::<T>()?;
        for (n, value) in values.iter_mut().enumerate() {
            *value = match T::IS_FLOAT {
                true => T::from_f64(range.start.to_f64() + n as f64 * step.to_f64()),
                false => T::from_i128(range.start.to_i128() + n as i128 * step.to_i128()),
            };
        }
        Ok(tensor)
    }

    /// `count` numbers at equal distances from `start` to `end`, both included, as NumPy's
    /// `linspace`: computed in `f64` and rounded to `dtype`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::linspace(0.0, 1.0, 5, BitNetDType::F32)?;
    /// assert_eq!(x.to_vec::<f32>()?, [0.0, 0.25, 0.5, 0.75, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `DTypeMismatch` for a type that is no number, `MemoryError`.
    pub fn linspace(start: f64, end: f64, count: usize, dtype: BitNetDType) -> Result<Self> {
        if !dtype.is_float() && !dtype.is_integer() {
            bail!(DTypeMismatch, "linspace", &[], "{dtype} is not a type of numbers");
        }
        let step = (end - start) / (count.max(2) - 1) as f64;
        let number = |n: usize| if n > 0 && n + 1 == count { end } else { start + n as f64 * step };
        Self::from_vec((0..count).map(number).collect(), [count])?.to_dtype(dtype)
    }

    /// `baseˣ` for `count` exponents at equal distances from `start` to `end`, as NumPy's `logspace`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::logspace(0.0, 2.0, 3, 10.0, BitNetDType::F32)?;
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 10.0, 100.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`linspace`](Self::linspace).
    pub fn logspace(
        start: f64,
        end: f64,
        count: usize,
        base: f64,
        dtype: BitNetDType,
    ) -> Result<Self> {
        let exponents = Self::linspace(start, end, count, BitNetDType::F64)?;
        Self::scalar(base)?.pow(&exponents)?.to_dtype(dtype)
    }
}
