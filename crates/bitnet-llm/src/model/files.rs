//! The files of a model, wherever they are: a directory as Hugging Face lays it out, or bytes in
//! the program.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitnet_formats::safetensors::SafeTensors;
use bitnet_formats::shards::ShardIndex;
use bitnet_formats::{FormatError, RawDType};
use bitnet_tensor::{BitNetDType, BitNetTensor, ForeignBytes, MappedFile};

use crate::config::ModelConfig;
use crate::error::{LlmError, Result};

/// The name of the only file of weights, where they are in one.
const SINGLE_FILE: &str = "model.safetensors";

/// The contents of a model's files. Weights are mapped, not read.
pub struct ModelFiles {
    /// Where the files come from: a directory, or what the program calls them.
    pub(crate) origin: String,
    pub(crate) config: Vec<u8>,
    pub(crate) generation_config: Option<Vec<u8>>,
    pub(crate) tokenizer: Vec<u8>,
    pub(crate) tokenizer_config: Option<Vec<u8>>,
    pub(crate) chat_template: Option<Vec<u8>>,
    pub(crate) weights: WeightFiles,
}

/// A model inside of the program.
#[derive(Clone, Copy)]
pub struct EmbeddedModel {
    /// What errors call it.
    pub name: &'static str,
    /// `config.json`.
    pub config: &'static [u8],
    /// `tokenizer.json`.
    pub tokenizer: &'static [u8],
    /// `tokenizer_config.json`.
    pub tokenizer_config: &'static [u8],
    /// `model.safetensors`, best aligned to 64 bytes: unaligned tensors are copied.
    pub weights: &'static [u8],
}

impl ModelFiles {
    /// The files in the directory `path`: `config.json`, `tokenizer.json`, `model.safetensors` (or
    /// shards with their index), and the optional `tokenizer_config.json`,
    /// `generation_config.json`, `chat_template.jinja`.
    ///
    /// # Errors
    /// When a file is missing, unreadable, or malformed safetensors.
    pub fn open(path: &Path) -> Result<Self> {
        let not_a_model =
            |reason: &str| LlmError::NotAModel { path: path.into(), reason: reason.into() };
        let metadata =
            fs::metadata(path).map_err(|cause| LlmError::Io { path: path.into(), cause })?;
        if !metadata.is_dir() {
            return Err(not_a_model(
                "a model is a directory with config.json, tokenizer.json and model.safetensors",
            ));
        }
        Ok(Self {
            origin: path.display().to_string(),
            config: read(&path.join("config.json"))?,
            generation_config: read_optional(&path.join("generation_config.json"))?,
            tokenizer: read(&path.join("tokenizer.json"))?,
            tokenizer_config: read_optional(&path.join("tokenizer_config.json"))?,
            chat_template: read_optional(&path.join("chat_template.jinja"))?,
            weights: WeightFiles::open(path)?,
        })
    }

    /// The files of a model inside of the program.
    ///
    /// # Errors
    /// When the weights are malformed safetensors.
    pub fn embedded(model: &EmbeddedModel) -> Result<Self> {
        let mut weights = WeightFiles::new(model.name);
        weights.add(format!("{}/{SINGLE_FILE}", model.name), Arc::new(model.weights), None)?;
        Ok(Self {
            origin: model.name.to_owned(),
            config: model.config.to_vec(),
            generation_config: None,
            tokenizer: model.tokenizer.to_vec(),
            tokenizer_config: Some(model.tokenizer_config.to_vec()),
            chat_template: None,
            weights,
        })
    }

    /// What `config.json` says, without loading anything.
    ///
    /// # Errors
    /// [`LlmError::Config`] when it is malformed or asks for what is not supported.
    pub fn config(&self) -> Result<ModelConfig> {
        let config = ModelConfig::from_json(&self.config);
        config.map_err(|error| LlmError::Config { origin: self.origin.clone(), error })
    }

    /// The tensors of the weights.
    pub fn weights(&self) -> &WeightFiles {
        &self.weights
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|cause| LlmError::Io { path: path.into(), cause })
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(LlmError::Io { path: path.into(), cause }),
    }
}

/// Tensors by name, in one or more mapped files.
pub struct WeightFiles {
    origin: String,
    files: Vec<WeightFile>,
    tensors: HashMap<String, Entry>,
    /// Names in the order of the files.
    names: Vec<String>,
}

struct WeightFile {
    name: String,
    bytes: ForeignBytes,
}

struct Entry {
    file: usize,
    dtype: RawDType,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

/// What a file says of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// The type of its elements in the file.
    pub dtype: RawDType,
    /// The sizes of its axes.
    pub shape: &'a [usize],
    /// Its length in the file.
    pub bytes: usize,
    /// The file.
    pub file: &'a str,
}

impl WeightFiles {
    fn new(origin: &str) -> Self {
        Self {
            origin: origin.to_owned(),
            files: Vec::new(),
            tensors: HashMap::new(),
            names: Vec::new(),
        }
    }

    fn open(directory: &Path) -> Result<Self> {
        let mut weights = Self::new(&directory.display().to_string());
        let index_path = directory.join(ShardIndex::FILE_NAME);
        let single = directory.join(SINGLE_FILE);
        match read_optional(&index_path)? {
            Some(json) if !single.exists() => {
                let index = ShardIndex::parse(&json).map_err(|error| error.in_file(&index_path))?;
                for file in index.files() {
                    weights.map(directory.join(file), Some((&index, file)))?;
                }
            }
            _ => weights.map(single, None)?,
        }
        Ok(weights)
    }

    fn map(&mut self, path: PathBuf, index: Option<(&ShardIndex, &str)>) -> Result<()> {
        let io = |cause| LlmError::Io { path: path.clone(), cause };
        // A pipe would be waited for, a directory be called a missing device.
        if !fs::metadata(&path).map_err(io)?.is_file() {
            return Err(LlmError::NotAModel { path, reason: "is not a regular file".into() });
        }
        let file = MappedFile::open(&path).map_err(io)?;
        self.add(path.display().to_string(), Arc::new(file), index)
    }

    fn add(
        &mut self,
        name: String,
        bytes: ForeignBytes,
        index: Option<(&ShardIndex, &str)>,
    ) -> Result<()> {
        let in_file = |error: FormatError| error.in_file(&name);
        let parsed = SafeTensors::parse((*bytes).as_ref()).map_err(in_file)?;
        if let Some((index, file)) = index {
            index.check(file, &parsed).map_err(in_file)?;
        }
        for tensor in parsed.tensors() {
            // A shard may hold more than the index puts there; only the index counts.
            if index.is_some_and(|(index, file)| index.file_of(&tensor.name) != Some(file)) {
                continue;
            }
            let entry = Entry {
                file: self.files.len(),
                dtype: tensor.dtype,
                shape: tensor.shape.clone(),
                range: tensor.range.clone(),
            };
            self.names.push(tensor.name.clone());
            self.tensors.insert(tensor.name.clone(), entry);
        }
        self.files.push(WeightFile { name, bytes });
        Ok(())
    }

    /// What the files say of every tensor, in the order of the files.
    pub fn tensors(&self) -> impl Iterator<Item = TensorInfo<'_>> {
        self.names.iter().filter_map(|name| self.info(name))
    }

    /// What the files say of the tensor of that name.
    pub fn info(&self, name: &str) -> Option<TensorInfo<'_>> {
        let (name, entry) = self.tensors.get_key_value(name)?;
        Some(TensorInfo {
            name,
            dtype: entry.dtype,
            shape: &entry.shape,
            bytes: entry.range.len(),
            file: &self.files[entry.file].name,
        })
    }

    /// The tensor of that name, with its elements where they lie in the file.
    ///
    /// # Errors
    /// [`LlmError::Weight`] when there is none.
    pub fn tensor(&self, name: &str) -> Result<BitNetTensor> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(self.fault(name, "is missing"));
        };
        let bytes = self.files[entry.file].bytes.clone();
        let tensor = BitNetTensor::from_foreign(
            bytes,
            entry.range.clone(),
            tensor_dtype(entry.dtype),
            entry.shape.as_slice(),
        );
        tensor.map_err(|error| self.fault(name, error.to_string()))
    }

    /// An error about the tensor of that name.
    pub(crate) fn fault(&self, name: &str, reason: impl Into<String>) -> LlmError {
        let file =
            self.tensors.get(name).map_or(&self.origin, |entry| &self.files[entry.file].name);
        LlmError::Weight { file: file.clone(), tensor: name.to_owned(), reason: reason.into() }
    }
}

fn tensor_dtype(dtype: RawDType) -> BitNetDType {
    match dtype {
        RawDType::Bool => BitNetDType::Bool,
        RawDType::U8 => BitNetDType::U8,
        RawDType::I8 => BitNetDType::I8,
        RawDType::U16 => BitNetDType::U16,
        RawDType::I16 => BitNetDType::I16,
        RawDType::F16 => BitNetDType::F16,
        RawDType::BF16 => BitNetDType::BF16,
        RawDType::U32 => BitNetDType::U32,
        RawDType::I32 => BitNetDType::I32,
        RawDType::F32 => BitNetDType::F32,
        RawDType::U64 => BitNetDType::U64,
        RawDType::I64 => BitNetDType::I64,
        RawDType::F64 => BitNetDType::F64,
    }
}
