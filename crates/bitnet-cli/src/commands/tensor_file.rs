//! `bitnet inspect` of a file of tensors that is no model: safetensors, .npz, .npy.

use std::path::Path;

use anyhow::Result;
use bitnet::BitNetTensor;
use serde::Serialize;

use super::tensor_tree::Tree;
use crate::output;

/// The tensors of a file.
#[derive(Serialize)]
pub(super) struct TensorFile {
    file: String,
    tensors: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    bytes: usize,
}

/// The tensors of the file at `path`; `None` where its name is of no such file.
pub(super) fn open(path: &Path) -> Result<Option<TensorFile>> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let entry = |name: &str, tensor: &BitNetTensor| Entry {
        name: name.to_owned(),
        dtype: tensor.dtype().to_string(),
        shape: tensor.shape().to_vec(),
        bytes: tensor.byte_size(),
    };
    let named = match extension {
        Some("safetensors") => BitNetTensor::map_safetensors(path)?,
        Some("npz") => BitNetTensor::load_npz(path)?,
        Some("npy") => {
            let tensor = BitNetTensor::load_npy(path)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let tensors = vec![entry(&name, &tensor)];
            return Ok(Some(TensorFile { file: path.display().to_string(), tensors }));
        }
        _ => return Ok(None),
    };
    let tensors = named.iter().map(|(name, tensor)| entry(name, tensor)).collect();
    Ok(Some(TensorFile { file: path.display().to_string(), tensors }))
}

impl TensorFile {
    pub(super) fn text(&self) -> String {
        let bytes = self.tensors.iter().map(|tensor| tensor.bytes as u64).sum();
        let mut tree = Tree::default();
        for tensor in &self.tensors {
            let shape = format!("{:?}", tensor.shape);
            let size = output::bytes(tensor.bytes as u64);
            tree.add(
                &tensor.name,
                tensor.bytes as u64,
                format!("{:<7} {shape:<16} {size:>9}", tensor.dtype),
            );
        }
        format!(
            "{}\n  tensors       {} in {}\n\n{}",
            output::one_line(&self.file),
            self.tensors.len(),
            output::bytes(bytes),
            tree.text()
        )
    }
}
