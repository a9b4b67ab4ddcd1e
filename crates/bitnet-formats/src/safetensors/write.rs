//! Writing a safetensors file, header first, so that a tensor can be produced, written and dropped
//! before the next one exists: a model larger than memory can be converted.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;

use serde_json::{Map, Value, json};

use super::{LENGTH_BYTES, MAX_HEADER_BYTES, METADATA_KEY};
use crate::error::{FormatError, printable};
use crate::raw::{RawDType, RawTensor};

/// The description of a tensor that is going to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// The tensor's name; unique in the file.
    pub name: String,
    /// Element type.
    pub dtype: RawDType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

/// A file whose header is written and whose tensors follow one by one.
///
/// ```
/// use bitnet_formats::RawDType;
/// use bitnet_formats::safetensors::{SafeTensors, SafeTensorsWriter, TensorSpec};
///
/// let spec = |name: &str, dtype| TensorSpec { name: name.into(), dtype, shape: vec![2] };
/// let specs = vec![spec("codes", RawDType::U8), spec("scale", RawDType::F32)];
/// let mut writer = SafeTensorsWriter::new(Vec::new(), specs, &Default::default())?;
/// while let Some(next) = writer.next_spec() {
///     let data = vec![0; next.dtype.byte_len(&next.shape).unwrap()];
///     writer.write_next(&data)?;
/// }
/// let file = writer.finish()?;
/// assert_eq!(SafeTensors::parse(&file)?.tensors().len(), 2);
/// # Ok::<(), bitnet_formats::FormatError>(())
/// ```
#[derive(Debug)]
pub struct SafeTensorsWriter<W> {
    out: W,
    specs: Vec<TensorSpec>,
    /// Tensors that are complete.
    written: usize,
    /// Bytes of the next tensor that are already there.
    begun: usize,
}

impl<W: Write> SafeTensorsWriter<W> {
    /// Writes the header. The tensors will be laid out as the official implementation does: large
    /// elements first, so that every tensor is aligned to its element, then by name.
    ///
    /// # Errors
    /// A repeated or reserved name, a size that overflows, a header above
    /// [`MAX_HEADER_BYTES`](super::MAX_HEADER_BYTES), or a failing write.
    pub fn new(
        mut out: W,
        mut specs: Vec<TensorSpec>,
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, FormatError> {
        specs.sort_by(|a, b| {
            (b.dtype.size().cmp(&a.dtype.size())).then_with(|| a.name.cmp(&b.name))
        });
        let header = header_json(&specs, metadata)?;
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        let mut writer = Self { out, specs, written: 0, begun: 0 };
        writer.complete()?;
        Ok(writer)
    }

    /// The tensor whose bytes [`write_next`](Self::write_next) expects; `None` when all are there.
    #[must_use]
    pub fn next_spec(&self) -> Option<&TensorSpec> {
        self.specs.get(self.written)
    }

    /// Writes the next bytes of the next tensor: little-endian, row-major. When the last of them is
    /// there, the tensor after it is the next one. A tensor without bytes is passed over.
    ///
    /// # Errors
    /// More bytes than the tensor has left, no tensor left, or a failing write.
    pub fn write_part(&mut self, data: &[u8]) -> Result<(), FormatError> {
        let Some(spec) = self.specs.get(self.written) else {
            return match data {
                [] => Ok(()),
                _ => Err(FormatError::malformed("all tensors of the header are already written")),
            };
        };
        let left = byte_len(spec)? - self.begun;
        if data.len() > left {
            let reason = format!("{} bytes given, {left} are left to be written", data.len());
            return Err(FormatError::tensor(&spec.name, reason));
        }
        self.out.write_all(data)?;
        self.begun += data.len();
        self.complete()
    }

    /// Writes the bytes of the next tensor: little-endian, row-major, all at once.
    ///
    /// # Errors
    /// The wrong number of bytes for the tensor, no tensor left, or a failing write.
    pub fn write_next(&mut self, data: &[u8]) -> Result<(), FormatError> {
        let Some(spec) = self.specs.get(self.written) else {
            return Err(FormatError::malformed("all tensors of the header are already written"));
        };
        let expected = byte_len(spec)? - self.begun;
        if data.len() != expected {
            let reason = format!(
                "{} bytes given, shape {:?} of {} needs {expected}",
                data.len(),
                spec.shape,
                spec.dtype
            );
            return Err(FormatError::tensor(&spec.name, reason));
        }
        self.write_part(data)
    }

    /// Goes on to the first tensor that still lacks bytes.
    fn complete(&mut self) -> Result<(), FormatError> {
        while let Some(spec) = self.specs.get(self.written) {
            if byte_len(spec)? > self.begun {
                break;
            }
            self.written += 1;
            self.begun = 0;
        }
        Ok(())
    }

    /// Flushes and returns what was written to.
    ///
    /// # Errors
    /// A tensor of the header was not written, or flushing failed.
    pub fn finish(mut self) -> Result<W, FormatError> {
        if let Some(missing) = self.next_spec() {
            let reason = if self.begun == 0 { "was never written" } else { "is incomplete" };
            return Err(FormatError::tensor(&missing.name, reason));
        }
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Writes a whole file from tensors in memory; each tensor's `range` is ignored.
///
/// # Errors
/// As [`SafeTensorsWriter`]: repeated names, sizes that disagree with shapes, a failing write.
pub fn write_safetensors<W: Write>(
    out: W,
    tensors: &[RawTensor<'_>],
    metadata: &BTreeMap<String, String>,
) -> Result<(), FormatError> {
    let specs = tensors.iter().map(|t| TensorSpec {
        name: t.name.clone(),
        dtype: t.dtype,
        shape: t.shape.clone(),
    });
    let mut writer = SafeTensorsWriter::new(out, specs.collect(), metadata)?;
    let by_name: BTreeMap<&str, &[u8]> =
        tensors.iter().map(|t| (t.name.as_str(), t.data)).collect();
    while let Some(spec) = writer.next_spec() {
        let data = by_name[spec.name.as_str()];
        writer.write_next(data)?;
    }
    writer.finish()?;
    Ok(())
}

fn byte_len(spec: &TensorSpec) -> Result<usize, FormatError> {
    spec.dtype.byte_len(&spec.shape).ok_or_else(|| {
        let reason = format!("shape {:?} of {} overflows", spec.shape, spec.dtype);
        FormatError::tensor(&spec.name, reason)
    })
}

fn header_json(
    specs: &[TensorSpec],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>, FormatError> {
    // Written entry by entry: the entries should lie in the order of the data, and whether
    // serde_json's own map keeps an order is decided by features of other crates.
    let mut header = Vec::from(*b"{");
    let mut entry = |key: &str, value: Value| {
        if header.len() > 1 {
            header.push(b',');
        }
        header.extend_from_slice(Value::from(key).to_string().as_bytes());
        header.push(b':');
        header.extend_from_slice(value.to_string().as_bytes());
    };
    if !metadata.is_empty() {
        let map: Map<String, Value> = metadata
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
            .collect();
        entry(METADATA_KEY, Value::Object(map));
    }
    let mut names = HashSet::new();
    let mut offset = 0_usize;
    for spec in specs {
        if spec.name == METADATA_KEY {
            return Err(FormatError::tensor(&spec.name, "the name is reserved"));
        }
        if !names.insert(spec.name.as_str()) {
            return Err(FormatError::tensor(&spec.name, "the name occurs twice"));
        }
        let end = offset.checked_add(byte_len(spec)?).ok_or_else(|| {
            FormatError::malformed(format!(
                "the sizes of all tensors up to {} overflow",
                printable(&spec.name)
            ))
        })?;
        let info = json!({
            "dtype": spec.dtype.name(),
            "shape": spec.shape,
            "data_offsets": [offset, end],
        });
        entry(&spec.name, info);
        offset = end;
    }
    header.push(b'}');
    header.resize(header.len().next_multiple_of(LENGTH_BYTES), b' ');
    if header.len() > MAX_HEADER_BYTES {
        return Err(FormatError::malformed(format!(
            "the header would have {} bytes, at most {MAX_HEADER_BYTES} are allowed",
            header.len()
        )));
    }
    Ok(header)
}
