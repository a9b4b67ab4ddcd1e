//! Reading a GGUF file: every count, length and offset in it is hostile until compared with the
//! bytes at hand.

use std::collections::HashMap;
use std::ops::Range;

use super::cursor::Cursor;
use super::ggml_type::{GgmlType, SizeError, known_elsewhere};
use super::metadata::Metadata;
use super::value::{Value, ValueType};
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, VERSION};
use crate::error::{FormatError, printable};
use crate::raw::RawTensor;

/// The most dimensions that a tensor may have, as in ggml.
pub const MAX_DIMENSIONS: usize = 4;

/// The most tensors that are read: some ten times those of the largest known model. It bounds the
/// memory that the descriptions take.
pub const MAX_TENSORS: u64 = 1 << 17;

/// The most metadata entries that are read; files have some dozens.
pub const MAX_METADATA_ENTRIES: u64 = 1 << 16;

/// Bytes that the shortest description of a tensor takes: of a scalar without a name.
const LEAST_TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// Bytes that the shortest metadata entry takes: a key of one byte and a value of one byte.
const LEAST_ENTRY_BYTES: u64 = 8 + 1 + 4 + 1;

/// A tensor in a GGUF file, borrowed from the bytes of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufTensor<'a> {
    /// The tensor's name.
    pub name: &'a str,
    /// How its elements are stored.
    pub ggml_type: GgmlType,
    /// Dimensions, outermost first as everywhere in this project (the file has them the other way
    /// round): a weight is `[out, in]`, and its rows lie one after the other.
    pub shape: Vec<usize>,
    /// The stored elements: `ggml_type.tensor_bytes(&shape)` bytes. For a type without a known
    /// size, everything up to the next tensor.
    pub data: &'a [u8],
    /// Where `data` lies in the bytes that were parsed, from their beginning.
    pub range: Range<usize>,
}

impl<'a> GgufTensor<'a> {
    /// The length of a row: the innermost dimension, 1 for a scalar.
    #[must_use]
    pub fn row_len(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The number of rows: the product of the other dimensions.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.shape.split_last().map_or(1, |(_, outer)| outer.iter().product())
    }

    /// The number of elements.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// The same tensor as plain numbers; `None` where its type is quantized.
    #[must_use]
    pub fn to_raw(&self) -> Option<RawTensor<'a>> {
        Some(RawTensor {
            name: self.name.to_owned(),
            dtype: self.ggml_type.raw_dtype()?,
            shape: self.shape.clone(),
            data: self.data,
            range: self.range.clone(),
        })
    }
}

/// A parsed GGUF file, borrowing the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct Gguf<'a> {
    version: u32,
    alignment: usize,
    metadata: Metadata<'a>,
    tensors: Vec<GgufTensor<'a>>,
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Gguf<'a> {
    /// Parses a whole file.
    ///
    /// Tensors must be aligned, within the file and apart from each other; unlike llama.cpp this
    /// reader does not ask that they follow each other without holes, in the order in which they
    /// are described. Strings need not be UTF-8 unless they are names or keys.
    ///
    /// # Errors
    /// [`FormatError::Tensor`] where one tensor is at fault, [`FormatError::Metadata`] where one
    /// value is, otherwise [`FormatError::Malformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(bytes);
        let (version, tensor_count, entry_count) = read_header(&mut cursor)?;
        let metadata = read_metadata(&mut cursor, entry_count)?;
        let alignment = alignment_of(&metadata)?;
        let mut descriptions = read_descriptions(&mut cursor, tensor_count, &metadata)?;
        let data_start = cursor.position().checked_next_multiple_of(alignment);
        let data_len = data_start.and_then(|start| bytes.len().checked_sub(start));
        if has_long_q2_0_blocks(&descriptions, data_len.unwrap_or(0), alignment) {
            let q2_0 = descriptions.iter_mut().filter(|d| d.ggml_type == GgmlType::Q2_0);
            q2_0.for_each(|description| description.ggml_type = GgmlType::PQ2_0);
        }
        let tensors = place(descriptions, bytes, data_start, alignment)?;

        let mut by_name = HashMap::with_capacity(tensors.len());
        for (index, tensor) in tensors.iter().enumerate() {
            if by_name.insert(tensor.name, index).is_some() {
                return Err(FormatError::tensor(tensor.name, "the name occurs twice"));
            }
        }
        Ok(Self { version, alignment, metadata, tensors, by_name })
    }

    /// The version of the format: 2 or 3.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// What the offsets of tensors are multiples of.
    #[must_use]
    pub fn alignment(&self) -> usize {
        self.alignment
    }

    /// The metadata: what kind of model this is, its numbers, its vocabulary.
    #[must_use]
    pub fn metadata(&self) -> &Metadata<'a> {
        &self.metadata
    }

    /// The model's kind, such as `llama` or `bitnet-b1.58`: the key `general.architecture`.
    #[must_use]
    pub fn architecture(&self) -> Option<&'a str> {
        self.metadata.get("general.architecture").ok().flatten()
    }

    /// The tensors in the order in which the file describes them.
    #[must_use]
    pub fn tensors(&self) -> &[GgufTensor<'a>] {
        &self.tensors
    }

    /// The tensor of that name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&GgufTensor<'a>> {
        self.by_name.get(name).map(|&index| &self.tensors[index])
    }

    /// The tensor of that name, which must be there.
    ///
    /// # Errors
    /// [`FormatError::Tensor`] with the name.
    pub fn require_tensor(&self, name: &str) -> Result<&GgufTensor<'a>, FormatError> {
        self.tensor(name).ok_or_else(|| FormatError::tensor(name, "is missing"))
    }

    /// Checks that nothing in the file makes its weights mean something that this project does not
    /// compute. Loaders call this; listing a file does not need it.
    ///
    /// # Errors
    /// Weights in lookup tables of bitnet.cpp ([`TL1`](GgmlType::TL1), [`TL2`](GgmlType::TL2)), or
    /// weights that were rotated (`prism.hadamard` metadata). The message names the way out.
    pub fn check_supported(&self) -> Result<(), FormatError> {
        let hadamard = |entry: &&(&str, Value<'_>)| entry.0.starts_with("prism.hadamard");
        if let Some((key, _)) = self.metadata.entries().iter().find(hadamard) {
            return Err(FormatError::metadata(
                *key,
                "the weights are stored rotated by a Hadamard transform, which the activations \
                 would have to follow; use a file of the same model without it, or convert the \
                 checkpoint it was made from",
            ));
        }
        for tensor in &self.tensors {
            if let Some(reason) = tensor.ggml_type.refusal() {
                let reason = format!("type {} {reason}", tensor.ggml_type);
                return Err(FormatError::tensor(tensor.name, reason));
            }
        }
        Ok(())
    }
}

/// The version and the numbers of tensors and of metadata entries.
fn read_header(cursor: &mut Cursor<'_>) -> Result<(u32, u64, u64), FormatError> {
    let at_fault = |reason| FormatError::malformed(format!("header: {reason}"));
    let magic = cursor.array::<4>().map_err(at_fault)?;
    if &magic != MAGIC {
        return Err(FormatError::malformed(format!(
            "not a GGUF file: it begins with {:?}",
            String::from_utf8_lossy(&magic)
        )));
    }
    let version = cursor.u32().map_err(at_fault)?;
    match version {
        2 | VERSION => {}
        1 => {
            return Err(FormatError::malformed(
                "GGUF version 1, which llama.cpp used in August 2023 and no longer reads; convert \
                 the model again",
            ));
        }
        _ if version & 0xffff == 0 && version != 0 => {
            return Err(FormatError::malformed(format!(
                "a big-endian GGUF file (version {}); convert the model again for little-endian \
                 computers, or swap it with gguf_convert_endian.py of llama.cpp",
                version.swap_bytes()
            )));
        }
        _ => {
            return Err(FormatError::malformed(format!(
                "GGUF version {version} is unknown; versions 2 and 3 are read"
            )));
        }
    }
    let tensor_count = cursor.u64().map_err(at_fault)?;
    let entry_count = cursor.u64().map_err(at_fault)?;
    for (count, what, most, least_bytes) in [
        (tensor_count, "tensors", MAX_TENSORS, LEAST_TENSOR_BYTES),
        (entry_count, "metadata entries", MAX_METADATA_ENTRIES, LEAST_ENTRY_BYTES),
    ] {
        if count > most {
            return Err(at_fault(format!("{count} {what}, at most {most} are read")));
        }
        let least = count * least_bytes; // cannot overflow: both are small
        if least > cursor.left() as u64 {
            let reason = format!(
                "{count} {what} need at least {least} bytes, {} are left in the file",
                cursor.left()
            );
            return Err(at_fault(reason));
        }
    }
    Ok((version, tensor_count, entry_count))
}

fn read_metadata<'a>(cursor: &mut Cursor<'a>, count: u64) -> Result<Metadata<'a>, FormatError> {
    let mut metadata = Metadata::default();
    for i in 0..count {
        let key = cursor.name().map_err(|reason| {
            FormatError::malformed(format!("metadata entry {} of {count}: {reason}", i + 1))
        })?;
        if key.is_empty() {
            let reason = format!("metadata entry {} of {count}: the key is empty", i + 1);
            return Err(FormatError::malformed(reason));
        }
        let value = ValueType::read(cursor)
            .and_then(|ty| Value::read(cursor, ty))
            .map_err(|reason| FormatError::metadata(key, reason))?;
        if !metadata.insert(key, value) {
            return Err(FormatError::metadata(key, "the key occurs twice"));
        }
    }
    Ok(metadata)
}

fn alignment_of(metadata: &Metadata<'_>) -> Result<usize, FormatError> {
    let alignment = match metadata.value(ALIGNMENT_KEY) {
        None => DEFAULT_ALIGNMENT,
        Some(Value::U32(alignment)) if alignment.is_power_of_two() => alignment,
        Some(value) => {
            let reason =
                format!("is {value} ({}), expected a power of two (u32)", value.value_type());
            return Err(FormatError::metadata(ALIGNMENT_KEY, reason));
        }
    };
    usize::try_from(alignment)
        .map_err(|_| FormatError::metadata(ALIGNMENT_KEY, "exceeds this computer's addresses"))
}

/// A tensor as the file describes it, its place not yet checked.
struct Description<'a> {
    name: &'a str,
    ggml_type: GgmlType,
    shape: Vec<usize>,
    /// From the beginning of the data.
    offset: u64,
}

fn read_descriptions<'a>(
    cursor: &mut Cursor<'a>,
    count: u64,
    metadata: &Metadata<'a>,
) -> Result<Vec<Description<'a>>, FormatError> {
    let architecture: Option<&str> = metadata.get("general.architecture").ok().flatten();
    let is_bitnet_cpp = architecture.is_some_and(|name| name.starts_with("bitnet"));
    let mut descriptions = Vec::new();
    for i in 0..count {
        let name = cursor.name().map_err(|reason| {
            FormatError::malformed(format!("tensor {} of {count}: {reason}", i + 1))
        })?;
        let description = read_description(cursor, name, is_bitnet_cpp)
            .map_err(|reason| FormatError::tensor(name, reason))?;
        descriptions.push(description);
    }
    Ok(descriptions)
}

fn read_description<'a>(
    cursor: &mut Cursor<'a>,
    name: &'a str,
    is_bitnet_cpp: bool,
) -> Result<Description<'a>, String> {
    let dimensions = cursor.u32()?;
    if dimensions as usize > MAX_DIMENSIONS {
        return Err(format!("{dimensions} dimensions, at most {MAX_DIMENSIONS} are read"));
    }
    let mut shape = Vec::with_capacity(dimensions as usize);
    for _ in 0..dimensions {
        let dim = cursor.u64()?;
        let dim = usize::try_from(dim).map_err(|_| format!("dimension {dim} is too large"))?;
        shape.push(dim);
    }
    shape.reverse(); // the file begins with the innermost
    let id = cursor.u32()?;
    let ggml_type = match GgmlType::from_id(id) {
        Some(GgmlType::MXFP4) if is_bitnet_cpp => GgmlType::TL2,
        Some(ggml_type) => ggml_type,
        None => {
            return Err(known_elsewhere(id).map_or_else(
                || format!("type id {id} is unknown"),
                |what| format!("type id {id} cannot be read ({what})"),
            ));
        }
    };
    Ok(Description { name, ggml_type, shape, offset: cursor.u64()? })
}

/// Whether what calls itself Q2_0 in this file has the blocks of [`GgmlType::PQ2_0`].
///
/// Before llama.cpp gave id 42 to blocks of 64, PrismML published its ternary models with blocks of
/// 128 under the same id; those files are still what one downloads. They show it: each tensor is
/// followed by the next just where the shorter size ends, so that the longer one has no room.
fn has_long_q2_0_blocks(
    descriptions: &[Description<'_>],
    data_len: usize,
    alignment: usize,
) -> bool {
    let is_q2_0 = |description: &&Description<'_>| description.ggml_type == GgmlType::Q2_0;
    if !descriptions.iter().any(|description| is_q2_0(&description)) {
        return false;
    }
    let mut offsets: Vec<u64> = descriptions.iter().map(|d| d.offset).collect();
    offsets.sort_unstable();
    let mut without_room = 0;
    for description in descriptions.iter().filter(is_q2_0) {
        let sizes = [GgmlType::PQ2_0, GgmlType::Q2_0].map(|ty| ty.tensor_bytes(&description.shape));
        let [Ok(short), Ok(long)] = sizes else {
            return false;
        };
        let next = offsets.partition_point(|&offset| offset <= description.offset);
        match offsets.get(next) {
            Some(&next) => {
                let room = next - description.offset;
                if short.checked_next_multiple_of(alignment).map(|end| end as u64) != Some(room) {
                    return false;
                }
                without_room += usize::from(long as u64 > room);
            }
            // The last one proves nothing: the file may be truncated.
            None if description.offset.saturating_add(short as u64) > data_len as u64 => {
                return false;
            }
            None => {}
        }
    }
    without_room > 0
}

/// Finds each tensor's bytes and checks that they are the tensor's alone.
fn place<'a>(
    descriptions: Vec<Description<'a>>,
    bytes: &'a [u8],
    data_start: Option<usize>,
    alignment: usize,
) -> Result<Vec<GgufTensor<'a>>, FormatError> {
    let mut tensors = Vec::with_capacity(descriptions.len());
    for description in descriptions {
        let Description { name, ggml_type, shape, offset } = description;
        let range = find(ggml_type, &shape, offset, data_start, alignment, bytes.len())
            .map_err(|reason| FormatError::tensor(name, reason))?;
        tensors.push(GgufTensor { name, ggml_type, shape, data: &[], range });
    }

    let mut by_place: Vec<usize> = (0..tensors.len()).collect();
    by_place.sort_unstable_by_key(|&i| (tensors[i].range.start, tensors[i].range.end));
    for (at, &i) in by_place.iter().enumerate() {
        if tensors[i].ggml_type.block_bytes() == 0 {
            let next = by_place.get(at + 1);
            tensors[i].range.end = next.map_or(bytes.len(), |&next| tensors[next].range.start);
        }
    }
    for pair in by_place.windows(2) {
        let (before, tensor) = (&tensors[pair[0]], &tensors[pair[1]]);
        if tensor.range.start < before.range.end {
            let reason = format!(
                "its bytes {}..{} overlap those of tensor {}, {}..{}",
                tensor.range.start,
                tensor.range.end,
                printable(before.name),
                before.range.start,
                before.range.end
            );
            return Err(FormatError::tensor(tensor.name, reason));
        }
    }
    for tensor in &mut tensors {
        tensor.data = &bytes[tensor.range.clone()];
    }
    Ok(tensors)
}

/// The bytes of one tensor in the file; for a type without a known size, an empty range where it
/// begins.
fn find(
    ggml_type: GgmlType,
    shape: &[usize],
    offset: u64,
    data_start: Option<usize>,
    alignment: usize,
    file_len: usize,
) -> Result<Range<usize>, String> {
    let size = match ggml_type.tensor_bytes(shape) {
        Ok(size) => size,
        Err(SizeError::Unknown(_)) => 0,
        Err(error) => return Err(format!("shape {shape:?} of {ggml_type}: {error}")),
    };
    if !offset.is_multiple_of(alignment as u64) {
        return Err(format!("offset {offset} is no multiple of the alignment {alignment}"));
    }
    let range = data_start.and_then(|data_start| {
        let start = data_start.checked_add(usize::try_from(offset).ok()?)?;
        Some(start..start.checked_add(size)?)
    });
    range.filter(|range| range.end <= file_len).ok_or_else(|| {
        format!(
            "{size} bytes at offset {offset} of the data exceed the file of {file_len} bytes \
             (truncated?)"
        )
    })
}
