//! Reading an `.npy` file: header first, then as many bytes as the header asks for and no others.

use std::ops::Range;

use super::literal::{Value, parse_dictionary};
use super::{MAGIC, MAX_HEADER_BYTES};
use crate::error::{FormatError, printable};
use crate::raw::RawDType;

/// What the header of an `.npy` file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// The type of the elements.
    pub dtype: RawDType,
    /// Whether the bytes of each element are in big-endian order.
    pub big_endian: bool,
    /// Whether the first axis varies fastest.
    pub fortran_order: bool,
    /// The sizes of the axes; empty for a scalar.
    pub shape: Vec<usize>,
    /// Where the elements begin in the file.
    pub data_start: usize,
}

impl NpyHeader {
    /// Parses the header at the beginning of `prefix`, which is the whole file or at least its
    /// first [`MAX_PREFIX_BYTES`](super::MAX_PREFIX_BYTES) bytes.
    ///
    /// ```
    /// use bitnet_formats::RawDType;
    /// use bitnet_formats::npy::{NpyHeader, write_npy_header};
    ///
    /// let mut file = Vec::new();
    /// write_npy_header(&mut file, RawDType::F32, &[2, 3], false)?;
    /// let header = NpyHeader::parse(&file)?;
    /// assert_eq!((header.dtype, header.shape.as_slice()), (RawDType::F32, &[2, 3][..]));
    /// assert_eq!(header.data_start, 128);
    /// # Ok::<(), bitnet_formats::FormatError>(())
    /// ```
    ///
    /// # Errors
    /// [`FormatError::Malformed`] for what is not an `.npy` file, or one of elements that have no
    /// equivalent here: objects, records, text, dates, complex numbers.
    pub fn parse(prefix: &[u8]) -> Result<Self, FormatError> {
        let (header, data_start, utf8) = split_header(prefix)?;
        let text = match std::str::from_utf8(header) {
            Ok(text) if utf8 || text.is_ascii() => text,
            _ => return Err(malformed("the header is not text")),
        };
        let entries = parse_dictionary(text).map_err(malformed)?;
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        for (key, value) in entries {
            let repeated = match (key.as_str(), value) {
                ("descr", Value::Text(text)) => descr.replace(text).is_some(),
                ("descr", Value::List) => {
                    return Err(malformed("records (a list as 'descr') have no equivalent here"));
                }
                ("fortran_order", Value::Flag(flag)) => fortran_order.replace(flag).is_some(),
                ("shape", Value::Sizes(sizes)) => shape.replace(sizes).is_some(),
                ("descr" | "fortran_order" | "shape", _) => {
                    return Err(malformed(format!("the value of '{key}' has the wrong type")));
                }
                _ => return Err(malformed(format!("the key '{}' is unknown", printable(&key)))),
            };
            if repeated {
                return Err(malformed(format!("the key '{key}' occurs twice")));
            }
        }
        let missing = |key| malformed(format!("the key '{key}' is missing"));
        let (dtype, big_endian) = element_type(&descr.ok_or_else(|| missing("descr"))?)?;
        let fortran_order = fortran_order.ok_or_else(|| missing("fortran_order"))?;
        let sizes = shape.ok_or_else(|| missing("shape"))?;
        let shape: Option<Vec<usize>> =
            sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
        let shape = shape
            .filter(|shape| {
                // The sizes without zeros too: a view of the axes must not overflow either.
                let sizes: Vec<usize> = shape.iter().map(|&size| size.max(1)).collect();
                dtype.byte_len(&sizes).is_some_and(|bytes| isize::try_from(bytes).is_ok())
            })
            .ok_or_else(|| malformed(format!("the shape {sizes:?} of {dtype} overflows")))?;
        Ok(Self { dtype, big_endian, fortran_order, shape, data_start })
    }

    /// The bytes of the elements.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        // `parse` refuses what overflows; a header made by hand may still.
        self.dtype.byte_len(&self.shape).unwrap_or(usize::MAX)
    }

    /// Compares the `available` bytes of a whole file with what the header asks for.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] when the file is shorter or longer.
    pub fn check_file_len(&self, available: u64) -> Result<(), FormatError> {
        let data = available.saturating_sub(self.data_start as u64);
        let needed = self.byte_len() as u64;
        if data < needed {
            return Err(FormatError::malformed(format!(
                "truncated: {:?} of {} needs {needed} bytes, {data} follow the header",
                self.shape, self.dtype
            )));
        }
        if data > needed {
            return Err(FormatError::malformed(format!(
                "{} bytes follow the array of {:?} {}: a file holds one array",
                data - needed,
                self.shape,
                self.dtype
            )));
        }
        Ok(())
    }

    /// Turns the elements in `data` into little-endian order, as the header requires.
    pub fn to_little_endian(&self, data: &mut [u8]) {
        if self.big_endian {
            data.chunks_exact_mut(self.dtype.size()).for_each(<[u8]>::reverse);
        }
    }
}

/// A parsed `.npy` file, borrowing its elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyArray<'a> {
    /// What the header says.
    pub header: NpyHeader,
    /// The elements as they lie in the file.
    pub data: &'a [u8],
    /// Where `data` lies in the bytes that were parsed.
    pub range: Range<usize>,
}

impl<'a> NpyArray<'a> {
    /// Parses a whole file.
    ///
    /// # Errors
    /// As [`NpyHeader::parse`], and when the file is shorter or longer than its header says.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let header = NpyHeader::parse(bytes)?;
        header.check_file_len(bytes.len() as u64)?;
        let range = header.data_start..bytes.len();
        Ok(Self { data: &bytes[range.clone()], header, range })
    }
}

/// The header's text, where the data begins, and whether the text may be more than ASCII.
fn split_header(prefix: &[u8]) -> Result<(&[u8], usize, bool), FormatError> {
    let Some(rest) = prefix.strip_prefix(MAGIC) else {
        return Err(FormatError::malformed(
            "not an .npy file: it does not begin with \"\\x93NUMPY\"",
        ));
    };
    let short = || malformed("truncated before the length of the header");
    let (&[major, minor], rest) = rest.split_first_chunk().ok_or_else(short)?;
    let (length, rest) = match (major, minor) {
        (1, 0) => {
            let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
            (u32::from(u16::from_le_bytes(*length)), rest)
        }
        (2 | 3, 0) => {
            let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
            (u32::from_le_bytes(*length), rest)
        }
        _ => return Err(malformed(format!("version {major}.{minor}; known are 1.0, 2.0, 3.0"))),
    };
    let length = length as usize;
    if length > MAX_HEADER_BYTES {
        return Err(malformed(format!(
            "a header of {length} bytes, at most {MAX_HEADER_BYTES} are read"
        )));
    }
    let Some((header, data)) = rest.split_at_checked(length) else {
        return Err(malformed(format!(
            "truncated: the header should have {length} bytes, {} are left in the file",
            rest.len()
        )));
    };
    Ok((header, prefix.len() - data.len(), major == 3))
}

/// The element type of NumPy's `descr`, and whether it is big-endian.
fn element_type(descr: &str) -> Result<(RawDType, bool), FormatError> {
    let (order, code) = match descr.chars().next() {
        Some(order @ ('<' | '>' | '|' | '=')) => (order, &descr[1..]),
        _ => ('<', descr),
    };
    let dtype = match code {
        "b1" | "?" => RawDType::Bool,
        "u1" => RawDType::U8,
        "i1" => RawDType::I8,
        "u2" => RawDType::U16,
        "i2" => RawDType::I16,
        "u4" => RawDType::U32,
        "i4" => RawDType::I32,
        "u8" => RawDType::U64,
        "i8" => RawDType::I64,
        "f2" => RawDType::F16,
        "f4" => RawDType::F32,
        "f8" => RawDType::F64,
        "V2" if order == '<' => RawDType::BF16,
        _ => return Err(refused(descr, code)),
    };
    if order == '|' && dtype.size() > 1 {
        return Err(malformed(format!("'{descr}' does not say the order of its bytes")));
    }
    Ok((dtype, order == '>'))
}

fn refused(descr: &str, code: &str) -> FormatError {
    let why = match code.chars().next() {
        Some('O') => "Python objects are pickles, which can run code when they are loaded",
        Some('c') => "complex numbers have no equivalent here: save real and imaginary parts",
        Some('S' | 'a' | 'U') => "text has no equivalent here",
        Some('m' | 'M') => "dates and times have no equivalent here: save them as integers",
        Some('V') => "bytes without a meaning; bfloat16 is read as ml_dtypes writes it, '<V2'",
        Some('f') => "known floats have 2, 4 or 8 bytes",
        _ => "unknown",
    };
    malformed(format!("elements of type '{}': {why}", printable(descr)))
}

fn malformed(reason: impl std::fmt::Display) -> FormatError {
    FormatError::malformed(format!("npy header: {reason}"))
}
