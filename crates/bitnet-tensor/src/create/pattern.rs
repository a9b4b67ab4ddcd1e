//! Matrices with a pattern.

use crate::backend::dispatch::composed;
use crate::error::{Result, bail};
use crate::{BitNetDType, BitNetTensor};

/// # Patterns
impl BitNetTensor {
    /// The identity `[n, n]`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::eye(2, BitNetDType::F32)?;
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`ones`](Self::ones).
    pub fn eye(n: usize, dtype: BitNetDType) -> Result<Self> {
        Self::eye_rectangular(n, n, 0, dtype)
    }

    /// Ones on the `k`-th diagonal of `[rows, columns]`, zeros elsewhere, as NumPy's `eye`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::eye_rectangular(2, 3, 1, BitNetDType::U8)?;
    /// assert_eq!(x.to_vec::<u8>()?, [0, 1, 0, 0, 0, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`ones`](Self::ones).
    pub fn eye_rectangular(
        rows: usize,
        columns: usize,
        k: isize,
        dtype: BitNetDType,
    ) -> Result<Self> {
        let all = Self::ones([rows, columns], dtype)?;
        all.tril(k)?.triu(k)
    }

    /// Ones at and below the `k`-th diagonal of `[rows, columns]`, zeros above, as NumPy's `tri`.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let x = BitNetTensor::tri(2, 2, 0, BitNetDType::U8)?;
    /// assert_eq!(x.to_vec::<u8>()?, [1, 0, 1, 1]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`ones`](Self::ones).
    pub fn tri(rows: usize, columns: usize, k: isize, dtype: BitNetDType) -> Result<Self> {
        Self::ones([rows, columns], dtype)?.tril(k)
    }

    /// Of a vector the matrix with it on the `k`-th diagonal; of a matrix its `k`-th diagonal, a view,
    /// as NumPy's `diag`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u32, 2])?;
    /// assert_eq!(x.diag(0)?.to_vec::<u32>()?, [1, 0, 0, 2]);
    /// assert_eq!(x.diag(-1)?.diag(-1)?.to_vec::<u32>()?, [1, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// `ShapeMismatch` unless there are one or two axes.
    pub fn diag(&self, k: isize) -> Result<Self> {
        composed("diag", &[self], || match self.rank() {
            1 => {
                let count = self.element_count();
                let size = count + k.unsigned_abs();
                let places: Vec<i64> = (0..count)
                    .map(|n| {
                        let (row, column) = (n + (-k).max(0) as usize, n + k.max(0) as usize);
                        (row * size + column) as i64
                    })
                    .collect();
                let places = Self::try_from(places)?.to_device(self.device())?;
                let zero = Self::zeros([], self.dtype())?.to_device(self.device())?;
                let flat = zero.expand([size * size])?.copy()?.scatter(0, &places, self)?;
                flat.reshape([size, size])
            }
            2 => self.diagonal(k, 0, 1),
            _ => bail!(ShapeMismatch, "diag", &[self], "takes a vector or a matrix"),
        })
    }
}
