//! safetensors: tensors by name with a text header, as Hugging Face's libraries write them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bitnet_formats::FormatError;
use bitnet_formats::safetensors::{SafeTensors, SafeTensorsWriter, TensorSpec};

use super::replace::replace_file;
use super::{Dense, NamedTensors, file_error, io_error};
use crate::error::Result;
use crate::{BitNetDType, BitNetTensor, ForeignBytes, MappedFile};

/// # Files of safetensors
impl BitNetTensor {
    /// The tensors in the safetensors file at `path`, read into memory, in the order of their
    /// bytes.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let path = std::env::temp_dir().join(format!("load-{}.safetensors", std::process::id()));
    /// let x = BitNetTensor::from_nested([[1.0f32, 2.0]])?;
    /// BitNetTensor::save_safetensors(&path, &[("x", &x)], &[("made by", "an example")])?;
    /// let tensors = BitNetTensor::load_safetensors(&path)?;
    /// assert_eq!(tensors.get("x").unwrap().to_vec::<f32>()?, [1.0, 2.0]);
    /// assert_eq!(tensors.metadata()["made by"], "an example");
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError`](crate::TensorOpError::FileError) when the file cannot be read or is
    /// malformed; the message names the tensor at fault.
    pub fn load_safetensors(path: impl AsRef<Path>) -> Result<NamedTensors> {
        const NAME: &str = "load_safetensors";
        let path = path.as_ref();
        let mapped = map(NAME, path)?;
        let metadata = mapped.metadata().clone();
        let entries = mapped.into_iter().map(|(name, tensor)| {
            if tensor.dtype() == BitNetDType::Bool && tensor.host_data::<bool>().is_err() {
                let reason = "a bool is neither 0 nor 1".to_owned();
                return Err(file_error(NAME, path, FormatError::Tensor { name, reason }));
            }
            Ok((name, tensor.copy()?))
        });
        Ok(NamedTensors::new(entries.collect::<Result<_>>()?, metadata))
    }

    /// The tensors in the safetensors file at `path`, used where they lie: the file is mapped into
    /// memory and its pages are read when they are touched. A tensor that is not aligned to its
    /// elements is copied. The tensors are read-only, and the file must not be changed while they
    /// live; see [`MappedFile`].
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let path = std::env::temp_dir().join(format!("map-{}.safetensors", std::process::id()));
    /// let x = BitNetTensor::arange(0..100i32)?;
    /// BitNetTensor::save_safetensors(&path, &[("x", &x)], &[])?;
    /// let tensors = BitNetTensor::map_safetensors(&path)?;
    /// assert_eq!(tensors.get("x").unwrap().sum(&[], false)?.item::<i64>()?, 4950);
    /// # drop(tensors);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// As [`load_safetensors`](Self::load_safetensors).
    pub fn map_safetensors(path: impl AsRef<Path>) -> Result<NamedTensors> {
        map("map_safetensors", path.as_ref())
    }

    /// Writes the tensors and `metadata` as a safetensors file, which appears at `path` when it is
    /// complete. They lie in the file as the official implementation orders them: large elements
    /// first, then by name.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// let path = std::env::temp_dir().join(format!("save-{}.safetensors", std::process::id()));
    /// let (a, b) = (BitNetTensor::scalar(1u8)?, BitNetTensor::scalar(2.0f64)?);
    /// BitNetTensor::save_safetensors(&path, &[("a", &a), ("b", &b)], &[])?;
    /// let tensors = BitNetTensor::load_safetensors(&path)?;
    /// assert_eq!(tensors.names().collect::<Vec<_>>(), ["b", "a"]);
    /// # std::fs::remove_file(&path).unwrap();
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`FileError`](crate::TensorOpError::FileError) when a name occurs twice or is reserved, or
    /// writing fails; [`UnsupportedOperation`](crate::TensorOpError::UnsupportedOperation) for
    /// packed tensors.
    pub fn save_safetensors(
        path: impl AsRef<Path>,
        tensors: &[(&str, &Self)],
        metadata: &[(&str, &str)],
    ) -> Result<()> {
        const NAME: &str = "save_safetensors";
        let path = path.as_ref();
        let at_fault = |reason| file_error(NAME, path, reason);
        let specs = tensors.iter().map(|(name, tensor)| {
            let (dtype, shape) = (super::file_dtype(NAME, tensor)?, tensor.shape().to_vec());
            Ok(TensorSpec { name: (*name).to_owned(), dtype, shape })
        });
        let specs = specs.collect::<Result<Vec<_>>>()?;
        let by_name: BTreeMap<&str, &Self> = tensors.iter().copied().collect();
        let mut texts = BTreeMap::new();
        for &(key, text) in metadata {
            if texts.insert(key.to_owned(), text.to_owned()).is_some() {
                let reason = format!("the key {key} of the metadata occurs twice");
                return Err(at_fault(FormatError::Malformed { reason }));
            }
        }
        replace_file(NAME, path, |out| {
            let mut file = SafeTensorsWriter::new(out, specs, &texts).map_err(at_fault)?;
            // One at a time: what has to be copied or downloaded is dropped before the next.
            while let Some(next) = file.next_spec() {
                let dense = Dense::new(NAME, by_name[next.name.as_str()])?;
                file.write_next(dense.bytes()?).map_err(at_fault)?;
            }
            file.finish().map_err(at_fault)
        })
    }
}

/// Maps the file and describes its tensors, which use its bytes.
fn map(operation: &'static str, path: &Path) -> Result<NamedTensors> {
    let file = MappedFile::open(path).map_err(|reason| io_error(operation, path, reason))?;
    let file: ForeignBytes = Arc::new(file);
    let parsed = SafeTensors::parse((*file).as_ref())
        .map_err(|reason| file_error(operation, path, reason))?;
    let mut entries = Vec::with_capacity(parsed.tensors().len());
    for raw in parsed.tensors() {
        let dtype = BitNetDType::from(raw.dtype);
        let (range, shape) = (raw.range.clone(), raw.shape.as_slice());
        let tensor = BitNetTensor::from_foreign(file.clone(), range, dtype, shape)?;
        entries.push((raw.name.clone(), tensor));
    }
    Ok(NamedTensors::new(entries, parsed.metadata().clone()))
}
