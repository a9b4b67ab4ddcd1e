//! A checkpoint being read: a directory of Hugging Face or a GGUF file, whole or in parts, as a list
//! of tensors with Hugging Face's names. Files are mapped; nothing is loaded.

use std::path::Path;

use bitnet_formats::RawDType;
use bitnet_formats::gguf::{GgmlType, Gguf};
use bitnet_tensor::ops::RopeMode;

use super::matrix::{Encoding, Matrix, RowOrder, Stored};
use crate::config::{ModelConfig, QuantizationMode, ScaleConvention};
use crate::error::{LlmError, Result};
use crate::model::tensor_names::hugging_face_name;
use crate::model::{ModelFiles, StoredType};

/// The kinds of checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// A directory with `config.json` and safetensors.
    HuggingFace,
    /// A GGUF file, or its parts.
    Gguf,
}

impl Container {
    /// Whether it is a directory of files.
    #[must_use]
    pub fn is_directory(self) -> bool {
        self == Self::HuggingFace
    }
}

/// A tensor of a checkpoint.
#[derive(Debug, Clone)]
pub struct TensorEntry {
    /// Hugging Face's name where it has one, else the file's.
    pub name: String,
    /// The name in the file.
    pub stored_name: String,
    /// Its elements, outermost first; of packed codes the weights, not the bytes.
    pub shape: Vec<usize>,
    /// How they lie in the file; `None` for a type that cannot be read.
    pub encoding: Option<Encoding>,
    /// The file's name for the type.
    pub type_name: String,
    /// Floats that become ternary when a model is loaded.
    pub masters: bool,
    /// Bytes in the file.
    pub bytes: usize,
    /// The file.
    pub file: String,
    pub(super) stored: Stored,
}

impl TensorEntry {
    /// Number of elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// As rows of the last dimension.
    #[must_use]
    pub fn rows_and_columns(&self) -> [usize; 2] {
        match self.shape.split_last() {
            None => [1, 1],
            Some((&cols, outer)) => [outer.iter().product(), cols],
        }
    }

    /// Whether it is the weight of a projection of a layer: what becomes ternary.
    #[must_use]
    pub fn is_projection(&self) -> bool {
        self.name.starts_with("model.layers.") && self.name.ends_with("_proj.weight")
    }
}

/// An open checkpoint.
pub struct Checkpoint {
    files: ModelFiles,
    tensors: Vec<TensorEntry>,
}

impl Checkpoint {
    /// Opens the model at `path`: a directory, or a GGUF file (of one in parts any).
    ///
    /// # Errors
    /// When there is none, or a file is missing or malformed.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self::new(ModelFiles::open(path)?))
    }

    /// The tensors of a model's files.
    pub fn new(files: ModelFiles) -> Self {
        let is_gguf = files.weights().is_gguf();
        let entries = files.weights().tensors().map(|info| {
            let name = is_gguf.then(|| hugging_face_name(info.name)).flatten();
            TensorEntry {
                name: name.unwrap_or_else(|| info.name.to_owned()),
                stored_name: info.name.to_owned(),
                shape: info.shape.to_vec(),
                encoding: match info.dtype {
                    StoredType::Plain(dtype) => Some(Encoding::Number(dtype)),
                    StoredType::Blocks(ty) => Encoding::from_ggml(ty),
                },
                type_name: info.dtype.name().to_owned(),
                masters: false,
                bytes: info.bytes,
                file: info.file.to_owned(),
                stored: Stored::default(),
            }
        });
        let tensors = entries.collect();
        let mut checkpoint = Self { files, tensors };
        // Without a configuration that is understood, the bytes are shown as they are.
        if let Ok(config) = checkpoint.config() {
            match is_gguf {
                true => checkpoint.find_layouts(&config),
                false => checkpoint.find_ternary(&config),
            }
        }
        checkpoint
    }

    /// Packed projections of Hugging Face become ternary, and their scales leave the list.
    fn find_ternary(&mut self, config: &ModelConfig) {
        let mut scales = Vec::new();
        for index in 0..self.tensors.len() {
            let entry = &self.tensors[index];
            let projection = entry.name.strip_suffix(".weight").filter(|_| entry.is_projection());
            let Some((convention, mode)) = projection.and_then(|name| config.ternary(name)) else {
                continue;
            };
            if mode == QuantizationMode::Online {
                self.tensors[index].masters = true;
                continue;
            }
            if entry.encoding != Some(Encoding::Number(RawDType::U8)) || entry.shape.len() != 2 {
                continue;
            }
            let scale_name = format!("{}_scale", entry.name);
            // Without a scale it stays what it is, bytes: it can be looked at.
            let Some(value) = self.number(&scale_name) else { continue };
            let value = match convention {
                ScaleConvention::Multiply => value,
                ScaleConvention::Divide => 1.0 / value,
            };
            let Some(rows) = entry.shape[0].checked_mul(4).filter(|_| value.is_finite()) else {
                continue;
            };
            let entry = &mut self.tensors[index];
            entry.encoding = Some(Encoding::HuggingFace);
            entry.shape[0] = rows;
            entry.stored.scale = value;
            scales.push(scale_name);
        }
        self.tensors.retain(|entry| !scales.contains(&entry.name));
    }

    /// The number that is all of a tensor.
    fn number(&self, name: &str) -> Option<f32> {
        let matrix = self.matrix(self.tensor(name)?).ok()?;
        let mut value = [0.0];
        let one = matrix.rows() == 1 && matrix.cols() == 1;
        (one && matrix.read_row(0, &mut value).is_ok()).then_some(value[0])
    }

    /// What a GGUF file does not say of a tensor's layout; scales that stand beside ternary tensors
    /// become theirs and leave the list.
    fn find_layouts(&mut self, config: &ModelConfig) {
        let mut scales = Vec::new();
        for index in 0..self.tensors.len() {
            let entry = &self.tensors[index];
            let scale_name = format!("{}_scale", entry.name);
            if entry.encoding.is_some_and(Encoding::is_ternary)
                && let Some(factor) = self.number(&scale_name).filter(|factor| factor.is_finite())
            {
                self.tensors[index].stored.factor = factor;
                scales.push(scale_name);
            }
        }
        self.tensors.retain(|entry| !scales.contains(&entry.name));
        for entry in &mut self.tensors {
            if config.rope_mode == RopeMode::AdjacentPairs && is_rotated(&entry.name) {
                entry.stored.order = RowOrder::Pairs { head_dim: config.head_dim };
            }
        }
    }

    /// What kind of checkpoint it is.
    #[must_use]
    pub fn container(&self) -> Container {
        if self.files.weights().is_gguf() { Container::Gguf } else { Container::HuggingFace }
    }

    /// Where it is.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.files.weights().origin()
    }

    /// The files.
    #[must_use]
    pub fn model_files(&self) -> &ModelFiles {
        &self.files
    }

    /// The tensors in the order of the files. The scales of packed Hugging Face weights belong to
    /// their weights and are not among them.
    #[must_use]
    pub fn tensors(&self) -> &[TensorEntry] {
        &self.tensors
    }

    /// The tensor of that name, Hugging Face's.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.iter().find(|entry| entry.name == name)
    }

    /// The hyperparameters.
    ///
    /// # Errors
    /// [`LlmError::Config`] when they are malformed or ask for what is not supported.
    pub fn config(&self) -> Result<ModelConfig> {
        self.files.config()
    }

    /// The GGUF file with the metadata.
    ///
    /// # Errors
    /// When the checkpoint is none.
    pub fn gguf(&self) -> Result<Gguf<'_>> {
        self.files.weights().gguf()
    }

    /// The elements of a tensor.
    ///
    /// # Errors
    /// A type that cannot be read, or a shape that does not fit it.
    pub fn matrix(&self, entry: &TensorEntry) -> Result<Matrix<'_>> {
        let Some(encoding) = entry.encoding else {
            let reason = GgmlType::from_name(&entry.type_name).map(crate::model::refusal);
            let reason = reason.unwrap_or_else(|| format!("is {}", entry.type_name));
            return Err(self.fault(entry, reason));
        };
        let weights = self.files.weights();
        let data = weights.bytes(&entry.stored_name)?;
        let mut stored = entry.stored;
        if encoding == Encoding::I2S {
            let block = weights.i2_s_block();
            stored.i2_s = block.ok_or_else(|| self.fault(entry, crate::model::I2_S_UNSURE))?;
        }
        let matrix = Matrix::new(entry.rows_and_columns(), encoding, data, stored);
        matrix.map_err(|error| self.fault(entry, error.to_string()))
    }

    /// An error about a tensor.
    pub(super) fn fault(&self, entry: &TensorEntry, reason: impl Into<String>) -> LlmError {
        self.files.weights().fault(&entry.stored_name, reason)
    }

    /// An error about the checkpoint.
    pub(super) fn refuse(&self, reason: impl Into<String>) -> LlmError {
        LlmError::Model { origin: self.origin().to_owned(), reason: reason.into() }
    }
}

/// Whether the rows of the tensor are turned by rotary embedding.
pub(super) fn is_rotated(name: &str) -> bool {
    name.ends_with(".self_attn.q_proj.weight") || name.ends_with(".self_attn.k_proj.weight")
}
