//! `.npz`: tensors by name in one file, as `numpy.savez` writes them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use bitnet_formats::FormatError;
use bitnet_formats::npz::{DEFAULT_LIMIT, NpzReader, NpzWriter};

use super::npy::{Saved, read_array};
use super::replace::replace_file;
use super::{NamedTensors, file_dtype, file_error, io_error};
use crate::BitNetTensor;
use crate::error::Result;

impl BitNetTensor {
    /// The arrays in the `.npz` file at `path`, by name in the order of the file: what
    /// `numpy.savez` and `numpy.savez_compressed` write. Each is read as by
    /// [`load_npy`](Self::load_npy).
    ///
    /// Deflated arrays may take 4 GiB together, so that a small file cannot fill the memory;
    /// [`load_npz_within`](Self::load_npz_within) takes another limit.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let path = std::env::temp_dir().join(format!("load-{}.npz", std::process::id()));
    /// let x = BitNetTensor::from_vec(vec![1u8, 2, 3], [3])?;
    /// BitNetTensor::save_npz(&path, &[("x", &x)])?;
    /// let tensors = BitNetTensor::load_npz(&path)?;
    /// assert_eq!(tensors.get("x").unwrap().to_vec::<u8>()?, [1, 2, 3]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError`](crate::TensorOpError::FileError) when the file cannot be read, is no archive,
    /// repeats a name, holds more than the limit, or one of its members is at fault; the message
    /// names the member.
    pub fn load_npz(path: impl AsRef<Path>) -> Result<NamedTensors> {
        load("load_npz", path.as_ref(), DEFAULT_LIMIT)
    }

    /// [`load_npz`](Self::load_npz) where deflated arrays may take `limit` bytes together.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let path = std::env::temp_dir().join(format!("limit-{}.npz", std::process::id()));
    /// let zeros = BitNetTensor::zeros([4096], BitNetDType::U8)?;
    /// BitNetTensor::save_npz_compressed(&path, &[("zeros", &zeros)])?;
    /// assert!(BitNetTensor::load_npz_within(&path, 1000).is_err());
    /// assert_eq!(BitNetTensor::load_npz_within(&path, 10_000)?.len(), 1);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_npz`](Self::load_npz).
    pub fn load_npz_within(path: impl AsRef<Path>, limit: u64) -> Result<NamedTensors> {
        load("load_npz_within", path.as_ref(), limit)
    }

    /// Writes the tensors as an `.npz` file, which appears at `path` when it is complete. The
    /// arrays are stored as they are; see [`save_npz_compressed`](Self::save_npz_compressed).
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let path = std::env::temp_dir().join(format!("save-{}.npz", std::process::id()));
    /// let x = BitNetTensor::scalar(1.5f64)?;
    /// BitNetTensor::save_npz(&path, &[("x", &x), ("twice", &x.add(&x)?)])?;
    /// assert_eq!(BitNetTensor::load_npz(&path)?.get("twice").unwrap().item::<f64>()?, 3.0);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError`](crate::TensorOpError::FileError) when a name is empty or occurs twice, or
    /// writing fails; [`UnsupportedOperation`](crate::TensorOpError::UnsupportedOperation) for
    /// packed tensors.
    pub fn save_npz(path: impl AsRef<Path>, tensors: &[(&str, &Self)]) -> Result<()> {
        save("save_npz", path.as_ref(), tensors, false)
    }

    /// [`save_npz`](Self::save_npz) with deflated arrays.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetDType, BitNetTensor};
    /// let path = std::env::temp_dir().join(format!("deflate-{}.npz", std::process::id()));
    /// let zeros = BitNetTensor::zeros([100, 100], BitNetDType::F64)?;
    /// BitNetTensor::save_npz_compressed(&path, &[("zeros", &zeros)])?;
    /// assert!(std::fs::metadata(&path).unwrap().len() < 1000);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`save_npz`](Self::save_npz).
    pub fn save_npz_compressed(path: impl AsRef<Path>, tensors: &[(&str, &Self)]) -> Result<()> {
        save("save_npz_compressed", path.as_ref(), tensors, true)
    }
}

fn load(operation: &'static str, path: &Path, limit: u64) -> Result<NamedTensors> {
    let at_fault = |reason| file_error(operation, path, reason);
    let file = File::open(path).map_err(|reason| io_error(operation, path, reason))?;
    let mut archive = NpzReader::new(BufReader::new(file), limit).map_err(at_fault)?;
    let names = archive.names().to_vec();
    let mut entries = Vec::with_capacity(names.len());
    for (index, name) in names.into_iter().enumerate() {
        let stream = archive.array(index).map_err(at_fault)?;
        let tensor = read_array(stream, |reason| {
            let reason = reason.to_string();
            at_fault(FormatError::Tensor { name: name.clone(), reason })
        })?;
        entries.push((name, tensor));
    }
    Ok(NamedTensors::new(entries, BTreeMap::new()))
}

fn save(
    operation: &'static str,
    path: &Path,
    tensors: &[(&str, &BitNetTensor)],
    compressed: bool,
) -> Result<()> {
    let at_fault = |reason| file_error(operation, path, reason);
    for (_, tensor) in tensors {
        file_dtype(operation, tensor)?; // refused before anything is written
    }
    replace_file(operation, path, |out| {
        let mut archive = NpzWriter::new(out, compressed);
        // One at a time: what has to be copied or downloaded is dropped before the next.
        for (name, tensor) in tensors {
            let Saved { dense, fortran_order } = Saved::new(operation, tensor)?;
            archive
                .write(name, dense.dtype, tensor.shape(), fortran_order, dense.bytes()?)
                .map_err(at_fault)?;
        }
        archive.finish().map_err(at_fault)
    })
}
