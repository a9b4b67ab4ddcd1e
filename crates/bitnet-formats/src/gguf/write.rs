//! Writing a GGUF file, header first, so that a tensor can be produced in pieces, written and
//! dropped before the next one exists: a model larger than memory can be converted.
//!
//! The bytes are those that `GGUFWriter` of the `gguf` package writes for the same content.

use std::collections::HashSet;
use std::io::Write;

use super::ggml_type::GgmlType;
use super::read::MAX_DIMENSIONS;
use super::value::{Value, ValueType};
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, VERSION};
use crate::error::FormatError;

/// The metadata of a file that is going to be written, in the order in which it was added.
///
/// ```
/// use bitnet_formats::gguf::{Gguf, GgufWriter, MetadataBuilder};
///
/// let mut metadata = MetadataBuilder::new();
/// metadata.push("general.architecture", "llama")?;
/// metadata.push("tokenizer.ggml.scores", &[0.0_f32, -1.5][..])?;
/// let first = GgufWriter::new(Vec::new(), &metadata, Vec::new())?.finish()?;
///
/// // What was read is carried over as it is.
/// let mut metadata = MetadataBuilder::new();
/// for (key, value) in Gguf::parse(&first)?.metadata().entries() {
///     metadata.push(key, *value)?;
/// }
/// let second = GgufWriter::new(Vec::new(), &metadata, Vec::new())?.finish()?;
/// assert_eq!(first, second);
/// # Ok::<(), bitnet_formats::FormatError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MetadataBuilder {
    encoded: Vec<u8>,
    keys: HashSet<String>,
    alignment: Option<u32>,
}

impl MetadataBuilder {
    /// No metadata yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key. `general.alignment` also sets the alignment of the file.
    ///
    /// # Errors
    /// The key is empty or there already, or the alignment is no power of two of type `u32`.
    pub fn push(&mut self, key: &str, value: impl ToMetadata) -> Result<(), FormatError> {
        if key.is_empty() {
            return Err(FormatError::metadata(key, "the key is empty"));
        }
        if self.keys.contains(key) {
            return Err(FormatError::metadata(key, "the key occurs twice"));
        }
        let mut encoded = Vec::new();
        put_string(&mut encoded, key.as_bytes());
        let (ty, value_at) = (value.value_type(), encoded.len() + 4);
        put_u32(&mut encoded, ty.id());
        value.encode(&mut encoded);
        if key == ALIGNMENT_KEY {
            let bytes = encoded[value_at..].try_into().ok();
            let alignment = bytes.filter(|_| ty == ValueType::U32).map(u32::from_le_bytes);
            let Some(alignment) = alignment.filter(|alignment| alignment.is_power_of_two()) else {
                return Err(FormatError::metadata(key, "expected a power of two (u32)"));
            };
            self.alignment = Some(alignment);
        }
        self.encoded.extend_from_slice(&encoded);
        self.keys.insert(key.to_owned());
        Ok(())
    }

    /// Whether the key was added.
    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.keys.contains(key)
    }
}

/// A Rust value that can be written as metadata.
pub trait ToMetadata {
    /// The type under which it is written.
    fn value_type(&self) -> ValueType;

    /// Appends the value without its type.
    fn encode(&self, out: &mut Vec<u8>);
}

fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

macro_rules! numbers {
    ($($ty:ident $value_type:ident;)*) => {$(
        impl ToMetadata for $ty {
            fn value_type(&self) -> ValueType {
                ValueType::$value_type
            }

            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }

        /// An array.
        impl ToMetadata for &[$ty] {
            fn value_type(&self) -> ValueType {
                ValueType::Array
            }

            fn encode(&self, out: &mut Vec<u8>) {
                put_u32(out, ValueType::$value_type.id());
                put_u64(out, self.len() as u64);
                for value in *self {
                    value.encode(out);
                }
            }
        }
    )*};
}

numbers! {
    u8 U8;
    i8 I8;
    u16 U16;
    i16 I16;
    u32 U32;
    i32 I32;
    f32 F32;
    u64 U64;
    i64 I64;
    f64 F64;
}

impl ToMetadata for bool {
    fn value_type(&self) -> ValueType {
        ValueType::Bool
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

/// An array.
impl ToMetadata for &[bool] {
    fn value_type(&self) -> ValueType {
        ValueType::Array
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, ValueType::Bool.id());
        put_u64(out, self.len() as u64);
        out.extend(self.iter().map(|&value| u8::from(value)));
    }
}

impl ToMetadata for &str {
    fn value_type(&self) -> ValueType {
        ValueType::String
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_string(out, self.as_bytes());
    }
}

fn put_strings<'a>(out: &mut Vec<u8>, strings: impl ExactSizeIterator<Item = &'a str>) {
    put_u32(out, ValueType::String.id());
    put_u64(out, strings.len() as u64);
    for string in strings {
        put_string(out, string.as_bytes());
    }
}

/// An array of strings.
impl ToMetadata for &[&str] {
    fn value_type(&self) -> ValueType {
        ValueType::Array
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_strings(out, self.iter().copied());
    }
}

/// An array of strings.
impl ToMetadata for &[String] {
    fn value_type(&self) -> ValueType {
        ValueType::Array
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_strings(out, self.iter().map(String::as_str));
    }
}

/// What was read from another file, as it is.
impl ToMetadata for Value<'_> {
    fn value_type(&self) -> ValueType {
        Value::value_type(self)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::U8(value) => value.encode(out),
            Self::I8(value) => value.encode(out),
            Self::U16(value) => value.encode(out),
            Self::I16(value) => value.encode(out),
            Self::U32(value) => value.encode(out),
            Self::I32(value) => value.encode(out),
            Self::F32(value) => value.encode(out),
            Self::Bool(value) => value.encode(out),
            Self::String(bytes) => put_string(out, bytes),
            Self::Array(array) => {
                put_u32(out, array.element_type().id());
                put_u64(out, array.len() as u64);
                out.extend_from_slice(array.as_bytes());
            }
            Self::U64(value) => value.encode(out),
            Self::I64(value) => value.encode(out),
            Self::F64(value) => value.encode(out),
        }
    }
}

/// The description of a tensor that is going to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GgufTensorSpec {
    /// The tensor's name; unique in the file.
    pub name: String,
    /// How its elements are stored.
    pub ggml_type: GgmlType,
    /// Dimensions, outermost first.
    pub shape: Vec<usize>,
}

/// A file whose header is written and whose tensors follow one by one.
///
/// ```
/// use bitnet_formats::gguf::{GgmlType, Gguf, GgufTensorSpec, GgufWriter, MetadataBuilder};
///
/// let spec = GgufTensorSpec {
///     name: "blk.0.ffn_up.weight".into(),
///     ggml_type: GgmlType::Q8_0,
///     shape: vec![2, 32],
/// };
/// let mut writer = GgufWriter::new(Vec::new(), &MetadataBuilder::new(), vec![spec])?;
/// for row in 0..2 {
///     writer.write_part(&[row; 34])?; // one row at a time
/// }
/// let file = writer.finish()?;
/// assert_eq!(Gguf::parse(&file)?.tensors()[0].data[33..35], [0, 1]);
/// # Ok::<(), bitnet_formats::FormatError>(())
/// ```
#[derive(Debug)]
pub struct GgufWriter<W> {
    out: W,
    specs: Vec<GgufTensorSpec>,
    sizes: Vec<usize>,
    alignment: usize,
    /// Tensors that are complete.
    written: usize,
    /// Bytes of the next tensor that are already there.
    begun: usize,
}

impl<W: Write> GgufWriter<W> {
    /// Writes the header; the tensors will follow in the order of `specs`.
    ///
    /// # Errors
    /// A repeated name, more than four dimensions, a shape without a size, a type without one, or
    /// a failing write.
    pub fn new(
        mut out: W,
        metadata: &MetadataBuilder,
        specs: Vec<GgufTensorSpec>,
    ) -> Result<Self, FormatError> {
        let alignment = metadata.alignment.unwrap_or(DEFAULT_ALIGNMENT);
        let alignment = usize::try_from(alignment)
            .map_err(|_| FormatError::metadata(ALIGNMENT_KEY, "is too large"))?;
        let sizes = specs.iter().map(checked_size).collect::<Result<Vec<_>, _>>()?;
        let mut header = Vec::new();
        header.extend_from_slice(MAGIC);
        put_u32(&mut header, VERSION);
        put_u64(&mut header, specs.len() as u64);
        put_u64(&mut header, metadata.keys.len() as u64);
        header.extend_from_slice(&metadata.encoded);
        put_descriptions(&mut header, &specs, &sizes, alignment)?;
        let data_start = header
            .len()
            .checked_next_multiple_of(alignment)
            .ok_or_else(|| FormatError::metadata(ALIGNMENT_KEY, "is too large"))?;
        out.write_all(&header)?;
        write_zeros(&mut out, data_start - header.len())?;
        let mut writer = Self { out, specs, sizes, alignment, written: 0, begun: 0 };
        writer.complete()?;
        Ok(writer)
    }

    /// The tensor whose bytes are expected; `None` when all are there.
    #[must_use]
    pub fn next_spec(&self) -> Option<&GgufTensorSpec> {
        self.specs.get(self.written)
    }

    /// Bytes of that tensor which are still to be written.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.sizes.get(self.written).map_or(0, |size| size - self.begun)
    }

    /// Writes the next bytes of the next tensor. When the last of them is there, the padding
    /// follows, and the tensor after it is the next one. A tensor without bytes is passed over.
    ///
    /// # Errors
    /// More bytes than the tensor has left, no tensor left, or a failing write.
    pub fn write_part(&mut self, data: &[u8]) -> Result<(), FormatError> {
        let Some(spec) = self.specs.get(self.written) else {
            return Err(FormatError::malformed("all tensors of the header are already written"));
        };
        if data.len() > self.remaining() {
            let reason = format!(
                "{} bytes given, {} of its {} are left to be written",
                data.len(),
                self.remaining(),
                self.sizes[self.written]
            );
            return Err(FormatError::tensor(&spec.name, reason));
        }
        self.out.write_all(data)?;
        self.begun += data.len();
        self.complete()
    }

    /// Writes the bytes of the next tensor all at once.
    ///
    /// # Errors
    /// The wrong number of bytes for the tensor, no tensor left, or a failing write.
    pub fn write_next(&mut self, data: &[u8]) -> Result<(), FormatError> {
        if let Some(spec) = self.next_spec()
            && data.len() != self.remaining()
        {
            let reason = format!(
                "{} bytes given, shape {:?} of {} needs {}",
                data.len(),
                spec.shape,
                spec.ggml_type,
                self.remaining()
            );
            return Err(FormatError::tensor(&spec.name, reason));
        }
        self.write_part(data)
    }

    /// Flushes and returns what was written to.
    ///
    /// # Errors
    /// A tensor of the header is not complete, or flushing failed.
    pub fn finish(mut self) -> Result<W, FormatError> {
        if let Some(missing) = self.next_spec() {
            let reason = if self.begun == 0 {
                "was never written".to_owned()
            } else {
                format!("{} of its bytes were never written", self.remaining())
            };
            return Err(FormatError::tensor(&missing.name, reason));
        }
        self.out.flush()?;
        Ok(self.out)
    }

    /// Goes on to the first tensor that still lacks bytes.
    fn complete(&mut self) -> Result<(), FormatError> {
        while self.written < self.specs.len() && self.remaining() == 0 {
            let padding = padding_after(self.sizes[self.written], self.alignment);
            write_zeros(&mut self.out, padding)?;
            self.written += 1;
            self.begun = 0;
        }
        Ok(())
    }
}

fn checked_size(spec: &GgufTensorSpec) -> Result<usize, FormatError> {
    if spec.shape.len() > MAX_DIMENSIONS {
        let reason = format!("{} dimensions, GGUF has at most {MAX_DIMENSIONS}", spec.shape.len());
        return Err(FormatError::tensor(&spec.name, reason));
    }
    spec.ggml_type.tensor_bytes(&spec.shape).map_err(|error| {
        let reason = format!("shape {:?} of {}: {error}", spec.shape, spec.ggml_type);
        FormatError::tensor(&spec.name, reason)
    })
}

fn put_descriptions(
    header: &mut Vec<u8>,
    specs: &[GgufTensorSpec],
    sizes: &[usize],
    alignment: usize,
) -> Result<(), FormatError> {
    let mut names = HashSet::new();
    let mut offset = 0_usize;
    for (spec, &size) in specs.iter().zip(sizes) {
        if !names.insert(spec.name.as_str()) {
            return Err(FormatError::tensor(&spec.name, "the name occurs twice"));
        }
        put_string(header, spec.name.as_bytes());
        put_u32(header, spec.shape.len() as u32); // fits: at most four
        for &dim in spec.shape.iter().rev() {
            put_u64(header, dim as u64);
        }
        put_u32(header, spec.ggml_type.id());
        put_u64(header, offset as u64);
        offset = offset
            .checked_add(size)
            .and_then(|end| end.checked_next_multiple_of(alignment))
            .ok_or_else(|| {
            FormatError::tensor(&spec.name, "the sizes of all tensors up to it overflow")
        })?;
    }
    Ok(())
}

/// Bytes from the end of a tensor to the next multiple of the alignment.
fn padding_after(size: usize, alignment: usize) -> usize {
    (alignment - size % alignment) % alignment
}

fn write_zeros(out: &mut impl Write, mut count: usize) -> Result<(), FormatError> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let part = count.min(ZEROS.len());
        out.write_all(&ZEROS[..part])?;
        count -= part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, shape: &[usize]) -> GgufTensorSpec {
        GgufTensorSpec { name: name.into(), ggml_type: GgmlType::Q8_0, shape: shape.into() }
    }

    fn writer(specs: Vec<GgufTensorSpec>) -> Result<GgufWriter<Vec<u8>>, String> {
        GgufWriter::new(Vec::new(), &MetadataBuilder::new(), specs).map_err(|e| e.to_string())
    }

    #[test]
    fn what_was_promised_must_be_written() {
        let mut out = writer(vec![spec("a", &[2, 32]), spec("b", &[32])]).unwrap();
        assert!(out.write_next(&[0; 67]).unwrap_err().to_string().contains("tensor a: 67 bytes"));
        out.write_part(&[0; 34]).unwrap();
        assert_eq!(out.remaining(), 34);
        let too_many = out.write_part(&[0; 35]).unwrap_err().to_string();
        assert!(too_many.contains("35 bytes given, 34 of its 68 are left"), "{too_many}");
        out.write_part(&[0; 34]).unwrap();
        assert_eq!(out.next_spec().unwrap().name, "b");
        let missing = out.finish().unwrap_err().to_string();
        assert!(missing.contains("tensor b: was never written"), "{missing}");
    }

    #[test]
    fn tensors_without_bytes_are_passed_over() {
        let out = writer(vec![spec("a", &[0, 32]), spec("b", &[2, 0])]).unwrap();
        assert_eq!(out.next_spec(), None);
        let file = out.finish().unwrap();
        assert_eq!(crate::gguf::Gguf::parse(&file).unwrap().tensors().len(), 2);
    }

    #[test]
    fn what_cannot_be_written_is_refused_before_the_first_byte() {
        let refused = |specs, words: &str| {
            let error = writer(specs).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        refused(vec![spec("a", &[31])], "tensor a: shape [31] of Q8_0");
        refused(vec![spec("a", &[1, 1, 1, 1, 32])], "tensor a: 5 dimensions");
        refused(vec![spec("a", &[32]), spec("a", &[32])], "tensor a: the name occurs twice");
        let huge = usize::MAX / 8 / 32 * 32;
        let many = (0..9).map(|i| spec(&i.to_string(), &[huge])).collect();
        refused(many, "the sizes of all tensors up to it overflow");
    }

    #[test]
    fn metadata_that_cannot_be_written() {
        let mut metadata = MetadataBuilder::new();
        metadata.push("a", 1_u8).unwrap();
        assert!(metadata.push("a", 2_u8).is_err());
        assert!(metadata.push("", 2_u8).is_err());
        assert!(metadata.push("general.alignment", 48_u32).is_err());
        assert!(metadata.push("general.alignment", 64_i32).is_err());
        assert!(!metadata.contains("general.alignment"));
        metadata.push("general.alignment", 64_u32).unwrap();
        let file = GgufWriter::new(Vec::new(), &metadata, vec![spec("a", &[0])]);
        assert_eq!(file.unwrap().finish().unwrap().len() % 64, 0);
    }
}
