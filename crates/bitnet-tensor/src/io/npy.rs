//! `.npy`: one tensor in a file, as NumPy saves and loads it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use bitnet_formats::FormatError;
use bitnet_formats::npy::{NpyArray, NpyHeader, NpyStream, write_npy_header};

use super::replace::replace_file;
use super::{Dense, file_error, io_error};
use crate::error::{Result, error};
use crate::{BitNetDType, BitNetTensor, Device, MappedFile};

/// # Files of NumPy
impl BitNetTensor {
    /// The array in the `.npy` file at `path`, read into memory.
    ///
    /// Files of versions 1.0, 2.0 and 3.0 are read. An array in Fortran order becomes a view with
    /// the strides of that order; big-endian elements are turned. `bf16` is what the `ml_dtypes`
    /// package saves, with the type `<V2`.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let path = std::env::temp_dir().join(format!("load-{}.npy", std::process::id()));
    /// let x = BitNetTensor::from_nested([[1.0f32, 2.0], [3.0, 4.0]])?;
    /// x.save_npy(&path)?;
    /// let y = BitNetTensor::load_npy(&path)?;
    /// assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError`](crate::TensorOpError::FileError) when the file cannot be read, is malformed,
    /// truncated or longer than its array, or holds what no tensor does: Python objects, records,
    /// text, dates, complex numbers.
    pub fn load_npy(path: impl AsRef<Path>) -> Result<Self> {
        const NAME: &str = "load_npy";
        let path = path.as_ref();
        let file = File::open(path).map_err(|reason| io_error(NAME, path, reason))?;
        let length = file.metadata().map_err(|reason| io_error(NAME, path, reason))?.len();
        let stream =
            NpyStream::new(file, length).map_err(|reason| file_error(NAME, path, reason))?;
        read_array(stream, |reason| file_error(NAME, path, reason))
    }

    /// The array in the `.npy` file at `path`, used where it lies: the file is mapped into memory
    /// and its pages are read when they are touched. What cannot be used in place (big-endian
    /// elements) is read as by [`load_npy`](Self::load_npy). The tensor is read-only, and
    /// the file must not be changed while it lives; see [`MappedFile`].
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let path = std::env::temp_dir().join(format!("map-{}.npy", std::process::id()));
    /// BitNetTensor::arange(0..1000i64)?.save_npy(&path)?;
    /// let x = BitNetTensor::map_npy(&path)?;
    /// assert_eq!(x.narrow(0, 500, 2)?.to_vec::<i64>()?, [500, 501]);
    /// # drop(x);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_npy`](Self::load_npy); `bool` bytes other than 0 and 1 are found when they are
    /// read.
    pub fn map_npy(path: impl AsRef<Path>) -> Result<Self> {
        const NAME: &str = "map_npy";
        let path = path.as_ref();
        let file = MappedFile::open(path).map_err(|reason| io_error(NAME, path, reason))?;
        let NpyArray { header, data: _, range } =
            NpyArray::parse(file.as_ref()).map_err(|reason| file_error(NAME, path, reason))?;
        let dtype = BitNetDType::from(header.dtype);
        if header.big_endian && header.dtype.size() > 1 {
            let bytes = file.as_ref();
            let stream = NpyStream::new(bytes, bytes.len() as u64)
                .map_err(|reason| file_error(NAME, path, reason))?;
            return read_array(stream, |reason| file_error(NAME, path, reason));
        }
        let tensor = Self::from_foreign(Arc::new(file), range, dtype, stored_shape(&header))?;
        as_ordered(tensor, &header)
    }

    /// Writes the tensor as an `.npy` file, which appears at `path` when it is complete.
    ///
    /// NumPy loads it with `numpy.load`; `bf16` arrives there as two raw bytes, to be viewed as
    /// `ml_dtypes.bfloat16`. A transposed tensor is written in Fortran order, without a copy.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let path = std::env::temp_dir().join(format!("save-{}.npy", std::process::id()));
    /// BitNetTensor::scalar(true)?.save_npy(&path)?;
    /// assert!(BitNetTensor::load_npy(&path)?.item::<bool>()?);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError`](crate::TensorOpError::FileError) when writing fails,
    /// [`UnsupportedOperation`](crate::TensorOpError::UnsupportedOperation) for packed tensors.
    pub fn save_npy(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        const NAME: &str = "save_npy";
        let Saved { dense, fortran_order } = Saved::new(NAME, self)?;
        let data = dense.bytes()?;
        replace_file(NAME, path, |mut out| {
            write_npy_header(&mut out, dense.dtype, self.shape(), fortran_order)
                .and_then(|()| Ok(out.write_all(data)?))
                .map_err(|reason| file_error(NAME, path, reason))?;
            Ok(out)
        })
    }
}

/// A tensor as it goes into an `.npy` file.
pub(super) struct Saved {
    pub(super) dense: Dense,
    pub(super) fortran_order: bool,
}

impl Saved {
    pub(super) fn new(operation: &'static str, tensor: &BitNetTensor) -> Result<Self> {
        let tensor = tensor.detach();
        if !tensor.dtype().is_packed() && !tensor.is_contiguous() {
            let turned = turned(&tensor)?;
            if turned.is_contiguous() {
                return Ok(Self { dense: Dense::new(operation, &turned)?, fortran_order: true });
            }
        }
        Ok(Self { dense: Dense::new(operation, &tensor)?, fortran_order: false })
    }
}

/// Reads the elements of `stream` into a tensor of its own.
pub(super) fn read_array(
    stream: NpyStream<impl Read>,
    at_fault: impl Fn(FormatError) -> crate::TensorOpError,
) -> Result<BitNetTensor> {
    let header = stream.header().clone();
    let dtype = BitNetDType::from(header.dtype);
    let mut tensor = BitNetTensor::empty(stored_shape(&header), dtype, Device::CPU)?;
    let Some(target) = tensor.host_bytes_mut() else {
        return Err(error!(InternalError, "load", &[], "a new tensor cannot be written"));
    };
    let length = header.byte_len();
    stream.read_into(&mut target[..length]).map_err(&at_fault)?;
    if dtype == BitNetDType::Bool && target[..length].iter().any(|&byte| byte > 1) {
        return Err(at_fault(FormatError::Malformed {
            reason: "a bool is neither 0 nor 1".into(),
        }));
    }
    as_ordered(tensor, &header)
}

/// The shape that the elements have in row-major order.
fn stored_shape(header: &NpyHeader) -> Vec<usize> {
    let mut shape = header.shape.clone();
    if header.fortran_order {
        shape.reverse();
    }
    shape
}

/// The tensor of the header's shape over elements of the stored shape.
fn as_ordered(tensor: BitNetTensor, header: &NpyHeader) -> Result<BitNetTensor> {
    if header.fortran_order { turned(&tensor) } else { Ok(tensor) }
}

/// A view with the axes in reverse order.
fn turned(tensor: &BitNetTensor) -> Result<BitNetTensor> {
    let axes: Vec<isize> = (0..tensor.rank() as isize).rev().collect();
    tensor.permute(&axes)
}
