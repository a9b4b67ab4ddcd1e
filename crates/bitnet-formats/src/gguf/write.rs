//! Writing a GGUF file, header first, so that a tensor can be produced in pieces, written and
//! dropped before the next one exists: a model larger than memory can be converted.
//!
//! The bytes are those that `GGUFWriter` of the `gguf` package writes for the same content.

use std::collections::HashSet;
use std::io::Write;

use super::ggml_type::GgmlType;
use super::read::MAX_DIMENSIONS;
use super::write_metadata::{MetadataBuilder, put_string, put_u32, put_u64};
use super::{ALIGNMENT_KEY, DEFAULT_ALIGNMENT, MAGIC, VERSION};
use crate::error::FormatError;

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
        let alignment = metadata.alignment().unwrap_or(DEFAULT_ALIGNMENT);
        let alignment = usize::try_from(alignment)
            .map_err(|_| FormatError::metadata(ALIGNMENT_KEY, "is too large"))?;
        let sizes = specs.iter().map(checked_size).collect::<Result<Vec<_>, _>>()?;
        let mut header = Vec::new();
        header.extend_from_slice(MAGIC);
        put_u32(&mut header, VERSION);
        put_u64(&mut header, specs.len() as u64);
        put_u64(&mut header, metadata.len() as u64);
        header.extend_from_slice(metadata.encoded());
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
}
