//! Tensors in files: NumPy's `.npy` and `.npz`, and safetensors.
//!
//! What the bytes mean is decided in `bitnet-formats`; here they become tensors and the other way
//! round. Loading reads into memory of the tensors' own; the `map_` forms use the elements where
//! they lie in the file. Saving writes beside the target and renames, so that a file is either
//! the old one or the whole new one.

mod named;
mod npy;
mod npz;
mod replace;
mod safetensors;

use std::path::Path;

use bitnet_formats::{FormatError, RawDType};

pub use named::NamedTensors;
pub(crate) use replace::replace_file;

use crate::error::{Result, bail, error};
use crate::storage::Storage;
use crate::{BitNetDType, BitNetTensor, Device, TensorOpError};

/// The error of `operation` on the file at `path`.
pub(crate) fn file_error(
    operation: &'static str,
    path: &Path,
    reason: FormatError,
) -> TensorOpError {
    error!(FileError, operation, &[], "{}", reason.in_file(path))
}

fn io_error(operation: &'static str, path: &Path, reason: std::io::Error) -> TensorOpError {
    file_error(operation, path, FormatError::Read(reason))
}

/// The element type of the tensor as that of a file; `operation` is to save it.
fn file_dtype(operation: &'static str, tensor: &BitNetTensor) -> Result<RawDType> {
    Ok(match tensor.dtype() {
        BitNetDType::Bool => RawDType::Bool,
        BitNetDType::U8 => RawDType::U8,
        BitNetDType::I8 => RawDType::I8,
        BitNetDType::U16 => RawDType::U16,
        BitNetDType::I16 => RawDType::I16,
        BitNetDType::F16 => RawDType::F16,
        BitNetDType::BF16 => RawDType::BF16,
        BitNetDType::U32 => RawDType::U32,
        BitNetDType::I32 => RawDType::I32,
        BitNetDType::F32 => RawDType::F32,
        BitNetDType::U64 => RawDType::U64,
        BitNetDType::I64 => RawDType::I64,
        BitNetDType::F64 => RawDType::F64,
        BitNetDType::Ternary | BitNetDType::Int6 | BitNetDType::Block(_) => bail!(
            UnsupportedOperation,
            operation,
            &[tensor],
            "the format has no packed elements: to_dtype(F32) first, or save the parts of \
             packed_parts()"
        ),
    })
}

/// A tensor ready for a file: on the host, its elements without gaps.
struct Dense {
    tensor: BitNetTensor,
    dtype: RawDType,
}

impl Dense {
    /// Downloads and packs what is not ready; `operation` is to save it.
    fn new(operation: &'static str, tensor: &BitNetTensor) -> Result<Self> {
        let dtype = file_dtype(operation, tensor)?;
        let host = tensor.detach().to_device(Device::CPU)?;
        let tensor = if host.is_contiguous() { host } else { host.copy()? };
        Ok(Self { tensor, dtype })
    }

    fn bytes(&self) -> Result<&[u8]> {
        let (start, length) = (self.tensor.layout().offset(), self.tensor.element_count());
        let size = self.dtype.size();
        let Storage::Host(buffer) = self.tensor.storage() else {
            bail!(InternalError, "save", &[&self.tensor], "the elements are not in host memory");
        };
        if length == 0 {
            return Ok(&[]);
        }
        Ok(&buffer.bytes()[start * size..][..length * size])
    }
}
