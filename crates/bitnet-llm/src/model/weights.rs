//! The tensors of a model's files by name, where they lie: safetensors or GGUF, in one file or in
//! shards.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bitnet_formats::gguf::{self, GgmlType, Gguf, ShardName};
use bitnet_formats::safetensors::SafeTensors;
use bitnet_formats::shards::ShardIndex;
use bitnet_formats::{FormatError, RawDType};
use bitnet_kernels::ternary::I2sBlock;
use bitnet_tensor::{BitNetDType, BitNetTensor, ForeignBytes, MappedFile};

use super::blocks;
use super::files::read_optional;
use super::tensor_names::gguf_name;
use crate::error::{LlmError, Result};

/// The name of the only file of weights, where they are in one.
pub(super) const SINGLE_FILE: &str = "model.safetensors";

/// Where our GGUF files say how many weights a block of their I2_S tensors has.
pub(crate) const GGUF_I2_S_BLOCK: &str = "quantize.i2_s.block_length";

/// Tensors by name, in one or more mapped files.
pub struct WeightFiles {
    origin: String,
    naming: Naming,
    files: Vec<WeightFile>,
    tensors: HashMap<String, Entry>,
    /// Names in the order of the files.
    names: Vec<String>,
    /// How I2_S tensors are laid out, once it was asked for: `None` where nothing tells.
    i2_s_block: OnceLock<Option<I2sBlock>>,
}

/// Whose names the tensors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    HuggingFace,
    Gguf,
}

struct WeightFile {
    name: String,
    bytes: ForeignBytes,
}

struct Entry {
    file: usize,
    dtype: StoredType,
    shape: Vec<usize>,
    range: std::ops::Range<usize>,
}

/// How a file stores the elements of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredType {
    /// One number after the other.
    Plain(RawDType),
    /// Blocks of codes with their scales, as GGUF has them.
    Blocks(GgmlType),
}

impl StoredType {
    /// The name that its format uses, such as `BF16` or `Q4_K`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain(dtype) => dtype.name(),
            Self::Blocks(ty) => ty.name(),
        }
    }
}

impl fmt::Display for StoredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a file says of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo<'a> {
    /// Its name.
    pub name: &'a str,
    /// How its elements are stored.
    pub dtype: StoredType,
    /// The sizes of its axes.
    pub shape: &'a [usize],
    /// Its length in the file.
    pub bytes: usize,
    /// The file.
    pub file: &'a str,
}

impl TensorInfo<'_> {
    /// The number of its elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

impl WeightFiles {
    fn new(origin: &str, naming: Naming) -> Self {
        Self {
            origin: origin.to_owned(),
            naming,
            files: Vec::new(),
            tensors: HashMap::new(),
            names: Vec::new(),
            i2_s_block: OnceLock::new(),
        }
    }

    /// `model.safetensors`, or the shards that an index names.
    pub(super) fn open_directory(directory: &Path) -> Result<Self> {
        let mut weights = Self::new(&directory.display().to_string(), Naming::HuggingFace);
        let index_path = directory.join(ShardIndex::FILE_NAME);
        let single = directory.join(SINGLE_FILE);
        match read_optional(&index_path)? {
            Some(json) if !single.exists() => {
                let index = ShardIndex::parse(&json).map_err(|error| error.in_file(&index_path))?;
                for file in index.files() {
                    let (name, bytes) = map(directory.join(file))?;
                    weights.add_safetensors(name, bytes, Some((&index, file)))?;
                }
            }
            _ => {
                let (name, bytes) = map(single)?;
                weights.add_safetensors(name, bytes, None)?;
            }
        }
        Ok(weights)
    }

    /// A GGUF file; for one part of a model, all the parts beside it.
    pub(super) fn open_gguf(path: &Path) -> Result<Self> {
        let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let parts: Vec<PathBuf> = match file_name.as_deref().and_then(ShardName::parse) {
            Some(shard) => shard.all().map(|name| path.with_file_name(name)).collect(),
            None => vec![path.to_owned()],
        };
        let mapped: Vec<_> = parts.into_iter().map(map).collect::<Result<_>>()?;
        let mut weights = Self::new(&path.display().to_string(), Naming::Gguf);
        let parse = |(name, bytes): &(String, ForeignBytes)| -> Result<()> {
            Gguf::parse((**bytes).as_ref()).map(drop).map_err(|error| error.in_file(name).into())
        };
        mapped.iter().try_for_each(parse)?;
        let parsed: std::result::Result<Vec<_>, FormatError> =
            mapped.iter().map(|(_, bytes)| Gguf::parse((**bytes).as_ref())).collect();
        let parsed = parsed.map_err(|error| error.in_file(path))?;
        let split = parsed[0].split().map_err(|error| error.in_file(path))?;
        if parsed.len() > 1 || split.is_some_and(|split| split.count > 1) {
            gguf::check_shards(&parsed).map_err(|error| error.in_file(path))?;
        }
        for (file, part) in parsed.iter().enumerate() {
            for tensor in part.tensors() {
                let dtype = match tensor.ggml_type.raw_dtype() {
                    Some(dtype) => StoredType::Plain(dtype),
                    None => StoredType::Blocks(tensor.ggml_type),
                };
                let entry =
                    Entry { file, dtype, shape: tensor.shape.clone(), range: tensor.range.clone() };
                weights.names.push(tensor.name.to_owned());
                weights.tensors.insert(tensor.name.to_owned(), entry);
            }
        }
        drop(parsed);
        weights.files =
            mapped.into_iter().map(|(name, bytes)| WeightFile { name, bytes }).collect();
        Ok(weights)
    }

    /// Safetensors inside of the program.
    pub(super) fn embedded(name: &str, bytes: &'static [u8]) -> Result<Self> {
        let mut weights = Self::new(name, Naming::HuggingFace);
        weights.add_safetensors(format!("{name}/{SINGLE_FILE}"), Arc::new(bytes), None)?;
        Ok(weights)
    }

    fn add_safetensors(
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
                dtype: StoredType::Plain(tensor.dtype),
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

    /// The bytes of the tensor of that name, as the file has them.
    ///
    /// # Errors
    /// [`LlmError::Weight`] when there is none.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        match self.tensors.get(name) {
            Some(entry) => Ok(&(*self.files[entry.file].bytes).as_ref()[entry.range.clone()]),
            None => Err(self.fault(name, "is missing")),
        }
    }

    /// The tensor of that name, with its elements where they lie in the file.
    ///
    /// # Errors
    /// [`LlmError::Weight`] when there is none, or its type cannot be read.
    pub fn tensor(&self, name: &str) -> Result<BitNetTensor> {
        let Some(entry) = self.tensors.get(name) else {
            return Err(self.fault(name, "is missing"));
        };
        let bytes = self.files[entry.file].bytes.clone();
        let (range, shape) = (entry.range.clone(), entry.shape.as_slice());
        let tensor = match (entry.dtype, shape) {
            (StoredType::Blocks(GgmlType::I2_S), &[rows, columns]) => {
                let Some(block) = self.i2_s_block() else {
                    return Err(self.fault(name, blocks::I2_S_UNSURE));
                };
                BitNetTensor::from_i2_s(bytes, range, block, [rows, columns])
            }
            (StoredType::Blocks(ty), _) => {
                let dtype = blocks::dtype(ty).map_err(|reason| self.fault(name, reason))?;
                BitNetTensor::from_foreign(bytes, range, dtype, shape)
            }
            (StoredType::Plain(dtype), _) => {
                BitNetTensor::from_foreign(bytes, range, dtype.into(), shape)
            }
        };
        tensor.map_err(|error| self.fault(name, error.to_string()))
    }

    /// Settles how the I2_S tensors of these files are laid out.
    pub(super) fn set_i2_s_block(&self, block: I2sBlock) {
        // Asked for before: too late, and the same for all tensors.
        let _ = self.i2_s_block.set(Some(block));
    }

    /// How the I2_S tensors of these files are laid out. Files that this program wrote say it; of
    /// others the first layers are asked which of the two lengths fits to the norms before them.
    /// `None` where the answer is not clear.
    pub(crate) fn i2_s_block(&self) -> Option<I2sBlock> {
        const LAYERS: usize = 4;
        let evidence = |layer: usize| {
            let projection = self.info(&format!("blk.{layer}.ffn_gate.weight"))?;
            let &[rows, columns] = projection.shape else { return None };
            if projection.dtype != StoredType::Blocks(GgmlType::I2_S) {
                return None;
            }
            let norm = self.tensor(&format!("blk.{layer}.ffn_norm.weight")).ok()?;
            let norm = norm.to_dtype(BitNetDType::F32).ok()?.to_vec::<f32>().ok()?;
            let bytes = self.bytes(projection.name).ok()?;
            let evidence = blocks::evidence_for_64(bytes, [rows, columns], &norm)?;
            Some((evidence, columns))
        };
        *self.i2_s_block.get_or_init(|| {
            let declared = self.gguf().ok().and_then(|gguf| {
                let len = gguf.metadata().get::<u32>(GGUF_I2_S_BLOCK).ok().flatten()?;
                [I2sBlock::Of128, I2sBlock::Of64].into_iter().find(|b| b.len() == len as usize)
            });
            declared.or_else(|| {
                blocks::i2_s_block(&(0..LAYERS).filter_map(evidence).collect::<Vec<_>>())
            })
        })
    }

    /// What these files call the tensor that Hugging Face calls `name`.
    #[must_use]
    pub fn stored_name(&self, name: &str) -> String {
        match self.naming {
            Naming::HuggingFace => name.to_owned(),
            Naming::Gguf => gguf_name(name).unwrap_or_else(|| name.to_owned()),
        }
    }

    /// The first file as GGUF, which holds the metadata.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn gguf(&self) -> Result<Gguf<'_>> {
        let file = &self.files[0];
        Gguf::parse((*file.bytes).as_ref()).map_err(|error| error.in_file(&file.name).into())
    }

    /// Whether the files are GGUF.
    pub(crate) fn is_gguf(&self) -> bool {
        self.naming == Naming::Gguf
    }

    /// Where the files are.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// An error about the tensor of that name.
    pub(crate) fn fault(&self, name: &str, reason: impl Into<String>) -> LlmError {
        let file =
            self.tensors.get(name).map_or(&self.origin, |entry| &self.files[entry.file].name);
        LlmError::Weight { file: file.clone(), tensor: name.to_owned(), reason: reason.into() }
    }
}

fn map(path: PathBuf) -> Result<(String, ForeignBytes)> {
    let io = |cause| LlmError::Io { path: path.clone(), cause };
    // A pipe would be waited for, a directory be called a missing device.
    if !fs::metadata(&path).map_err(io)?.is_file() {
        return Err(LlmError::NotAModel { path, reason: "is not a regular file".into() });
    }
    let file = MappedFile::open(&path).map_err(io)?;
    Ok((path.display().to_string(), Arc::new(file)))
}
