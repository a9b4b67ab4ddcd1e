//! Elements read, and written where they lie.

use std::sync::Arc;
use std::sync::atomic::{Ordering::Acquire, fence};

use bytemuck::checked;

use crate::dtype::{Number, with_number_type};
use crate::error::{Result, bail, error};
use crate::storage::{HostBuffer, Storage};
use crate::{BitNetDType, BitNetTensor, Device, Element};

/// # Reading elements
impl BitNetTensor {
    /// The elements in row-major order. Waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::from_vec(vec![1i64, 2, 3], [3])?.flip(&[0])?;
    /// assert_eq!(x.to_vec::<i64>()?, [3, 2, 1]);
    /// assert!(x.to_vec::<f32>().is_err()); // to_dtype converts
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`DTypeMismatch`](crate::TensorOpError::DTypeMismatch) when `T` is not the tensor's type.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let host = self.detach().to_device(Device::CPU)?;
        if host.dtype != T::DTYPE {
            bail!(DTypeMismatch, "to_vec", &[self], "the elements are not {}", T::DTYPE);
        }
        let packed = if host.is_contiguous() { host } else { host.copy()? };
        Ok(packed.as_slice::<T>()?.to_vec())
    }

    /// The only element. Waits for the device.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1.0f32, 2.0])?;
    /// assert_eq!(x.sum(&[], false)?.item::<f32>()?, 3.0);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`ShapeMismatch`](crate::TensorOpError::ShapeMismatch) when there is not exactly one element.
    pub fn item<T: Element>(&self) -> Result<T> {
        match self.to_vec::<T>()?.as_slice() {
            [value] => Ok(*value),
            _ => bail!(ShapeMismatch, "item", &[self], "there is not exactly one element"),
        }
    }

    /// The elements of a contiguous tensor on the host, in place.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u8, 2, 3])?;
    /// assert_eq!(x.narrow(0, 1, 2)?.as_slice::<u8>()?, [2, 3]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`InvalidTensor`](crate::TensorOpError::InvalidTensor) when they are not contiguous or not on the host,
    /// [`DTypeMismatch`](crate::TensorOpError::DTypeMismatch) when `T` is not the tensor's type.
    pub fn as_slice<T: Element>(&self) -> Result<&[T]> {
        if !self.is_contiguous() {
            bail!(
                InvalidTensor,
                "as_slice",
                &[self],
                "the elements are not contiguous: copy() first"
            );
        }
        let count = self.element_count();
        if count == 0 && self.dtype == T::DTYPE {
            return Ok(&[]);
        }
        Ok(&self.host_data::<T>()?[self.layout.offset()..][..count])
    }

    /// The elements of a contiguous, unshared tensor on the host, for writing.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let mut x = BitNetTensor::try_from(vec![1u8, 2])?;
    /// x.try_mut::<u8>()?[0] = 9;
    /// let y = x.clone();
    /// assert!(x.try_mut::<u8>().is_err()); // y looks at the same storage
    /// assert_eq!(y.to_vec::<u8>()?, [9, 2]);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`as_slice`](Self::as_slice), and [`InvalidTensor`](crate::TensorOpError::InvalidTensor) when another tensor
    /// shares the storage: this never copies behind the caller's back.
    pub fn try_mut<T: Element + bytemuck::AnyBitPattern>(&mut self) -> Result<&mut [T]> {
        if !self.is_contiguous() {
            bail!(InvalidTensor, "try_mut", &[self], "the elements are not contiguous");
        }
        let (offset, count) = (self.layout.offset(), self.element_count());
        if count == 0 && self.dtype == T::DTYPE {
            return Ok(&mut []);
        }
        Ok(&mut self.host_data_mut::<T>()?[offset..][..count])
    }

    /// The bytes of a tensor of a block format on the host, in place, row after row; see
    /// [`BlockFormat`](crate::BlockFormat).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use bitnet_tensor::{BitNetDType, BitNetTensor, BlockFormat};
    /// let q8_0 = BitNetDType::Block(BlockFormat::Q8_0);
    /// let x = BitNetTensor::from_foreign(Arc::new(vec![0u8; 68]), 0..68, q8_0, [2, 32])?;
    /// assert_eq!(x.narrow(0, 1, 1)?.block_bytes()?.len(), 34);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`DTypeMismatch`](crate::TensorOpError::DTypeMismatch) for other types,
    /// [`InvalidTensor`](crate::TensorOpError::InvalidTensor) when the bytes are not on the host, or no
    /// longer as the file has them.
    pub fn block_bytes(&self) -> Result<&[u8]> {
        const NAME: &str = "block_bytes";
        let BitNetDType::Block(format) = self.dtype else {
            bail!(DTypeMismatch, NAME, &[self], "the elements are not in blocks");
        };
        let Storage::Host(buffer) = &self.storage else {
            bail!(InvalidTensor, NAME, &[self], "the blocks are prepared or not in host memory");
        };
        let [rows, columns] = self.block_rows();
        let failed = |cause| error!(InvalidTensor, NAME, &[self], "{cause}");
        let row_bytes = format.row_bytes(columns).map_err(failed)?;
        let first_row = self.layout.offset().checked_div(columns).unwrap_or(0);
        let bytes = buffer.bytes();
        match (first_row * row_bytes).checked_add(rows * row_bytes) {
            Some(end) if end <= bytes.len() => Ok(&bytes[first_row * row_bytes..end]),
            _ => Err(error!(InternalError, NAME, &[self], "the rows are outside of the storage")),
        }
    }

    /// All elements of the storage on the host, to be addressed through the layout.
    ///
    /// # Errors
    /// [`DTypeMismatch`](crate::TensorOpError::DTypeMismatch), or [`InvalidTensor`](crate::TensorOpError::InvalidTensor) when not on the host.
    pub fn host_data<T: Element>(&self) -> Result<&[T]> {
        if self.dtype != T::DTYPE {
            bail!(DTypeMismatch, "host_data", &[self], "the elements are not {}", T::DTYPE);
        }
        let Storage::Host(buffer) = &self.storage else {
            bail!(InvalidTensor, "host_data", &[self], "the elements are not in host memory");
        };
        checked::try_cast_slice(buffer.bytes()).map_err(|cause| {
            error!(InvalidTensor, "host_data", &[self], "the bytes are no {}: {cause}", T::DTYPE)
        })
    }

    /// All elements of unshared storage on the host, for writing through the layout.
    ///
    /// # Errors
    /// As [`host_data`](Self::host_data), and when the storage is shared or foreign.
    pub fn host_data_mut<T: Element + bytemuck::AnyBitPattern>(&mut self) -> Result<&mut [T]> {
        if self.dtype != T::DTYPE {
            bail!(DTypeMismatch, "host_data_mut", &[self], "the elements are not {}", T::DTYPE);
        }
        if !self.is_unique() {
            bail!(
                InvalidTensor,
                "host_data_mut",
                &[self],
                "the storage is shared, foreign or not on the host"
            );
        }
        match self.host_bytes_mut() {
            Some(bytes) => Ok(bytemuck::cast_slice_mut(bytes)),
            None => {
                Err(error!(InternalError, "host_data_mut", &[], "unique storage cannot be written"))
            }
        }
    }

    /// Whether this tensor alone holds its storage and may write to it.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let x = BitNetTensor::try_from(vec![1u8, 2])?;
    /// assert!(x.is_unique());
    /// let y = x.clone();
    /// assert!(!x.is_unique() && !y.is_unique());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn is_unique(&self) -> bool {
        // As `Arc::get_mut` asks: a weak handle can become a strong one.
        fn is_only<T: ?Sized>(storage: &Arc<T>) -> bool {
            Arc::strong_count(storage) == 1 && Arc::weak_count(storage) == 0
        }
        let alone = match &self.storage {
            Storage::Host(buffer) => is_only(buffer) && matches!(**buffer, HostBuffer::Pool(_)),
            Storage::Device(buffer) => is_only(buffer),
            Storage::Packed(_) | Storage::Grouped(_) => false,
        };
        if alone {
            // The counts are read without order: what others did with the storage before they let
            // go of it must be behind us before it is written.
            fence(Acquire);
        }
        alone
    }

    /// The bytes of unshared storage on the host; at least those of the elements.
    pub(crate) fn host_bytes_mut(&mut self) -> Option<&mut [u8]> {
        match &mut self.storage {
            Storage::Host(buffer) => Arc::get_mut(buffer)?.bytes_mut(),
            _ => None,
        }
    }

    /// The elements as `f64` in row-major order, whatever their numeric type.
    pub(crate) fn to_f64_vec(&self) -> Result<Vec<f64>> {
        fn convert<T: Number>(tensor: &BitNetTensor) -> Result<Vec<f64>> {
            Ok(tensor.to_vec::<T>()?.into_iter().map(Number::to_f64).collect())
        }
        with_number_type!(self.dtype, T => convert::<T>(self), {
            if self.dtype == BitNetDType::Bool {
                return Ok(self.to_vec::<bool>()?.into_iter().map(|b| f64::from(u8::from(b))).collect());
            }
            self.to_dtype(BitNetDType::F32)?.to_f64_vec()
        })
    }
}
