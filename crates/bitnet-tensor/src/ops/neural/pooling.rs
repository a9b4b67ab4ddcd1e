//! The largest and the mean of windows over the spatial axes.

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::ops::PadMode;
use crate::{BitNetDType, BitNetTensor};

/// # Pooling
impl BitNetTensor {
    /// The largest element of each window of `kernel` over the last axes, one every `stride`, with
    /// `padding` on both sides that never wins. NaN when a window has one.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 5.0, 2.0, 4.0], [1, 1, 4])?;
    /// assert_eq!(x.max_pool(&[2], &[2], &[0])?.to_vec::<f32>()?, [5.0, 4.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` for lists of another length than the axes of `kernel`, zeros, and windows
    /// beyond the tensor; `DTypeMismatch` unless it is a float.
    pub fn max_pool(&self, kernel: &[usize], stride: &[usize], padding: &[usize]) -> Result<Self> {
        self.pool("max_pool", kernel, stride, padding, f64::NEG_INFINITY, |windows, axes| {
            windows.max(axes, false)
        })
    }

    /// The mean of each window of `kernel` over the last axes, one every `stride`; the zeros of
    /// `padding` on both sides count.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1.0f32, 5.0, 2.0, 4.0], [1, 1, 4])?;
    /// assert_eq!(x.avg_pool(&[2], &[2], &[0])?.to_vec::<f32>()?, [3.0, 3.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`max_pool`](Self::max_pool).
    pub fn avg_pool(&self, kernel: &[usize], stride: &[usize], padding: &[usize]) -> Result<Self> {
        self.pool("avg_pool", kernel, stride, padding, 0.0, |windows, axes| match windows.dtype() {
            BitNetDType::F32 | BitNetDType::F64 => windows.mean(axes, false),
            dtype => windows.to_dtype(BitNetDType::F32)?.mean(axes, false)?.to_dtype(dtype),
        })
    }

    fn pool(
        &self,
        name: &'static str,
        kernel: &[usize],
        stride: &[usize],
        padding: &[usize],
        beyond: f64,
        combine: impl FnOnce(&Self, &[isize]) -> Result<Self>,
    ) -> Result<Self> {
        let space = kernel.len();
        if space > self.rank() || stride.len() != space || padding.len() != space {
            bail!(
                ShapeMismatch,
                name,
                &[self],
                "a kernel of {space} axes, {} strides and {} paddings",
                stride.len(),
                padding.len()
            );
        }
        if !self.dtype().is_float() {
            bail!(DTypeMismatch, name, &[self], "takes floats: cast with to_dtype first");
        }
        composed(name, &[self], || {
            let first = self.rank() - space;
            let mut pads = vec![(0, 0); first];
            pads.extend(padding.iter().map(|&size| (size, size)));
            let mut windows = self.pad(&pads, PadMode::Constant(beyond))?;
            for n in 0..space {
                windows = windows.windows((first + n) as isize, kernel[n], stride[n], 1)?;
            }
            let axes: Vec<isize> = (1..=space as isize).map(|axis| -axis).collect();
            combine(&windows, &axes)
        })
    }
}
