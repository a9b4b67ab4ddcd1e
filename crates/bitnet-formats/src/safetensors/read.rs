//! Reading a safetensors file: every size in it is hostile until compared with the bytes at hand.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};

use super::{LENGTH_BYTES, MAX_HEADER_BYTES, METADATA_KEY};
use crate::error::{FormatError, printable};
use crate::json::{self, UniqueEntries};
use crate::raw::{RawDType, RawTensor};

/// A parsed safetensors file, borrowing the bytes it was parsed from.
#[derive(Clone, Debug)]
pub struct SafeTensors<'a> {
    tensors: Vec<RawTensor<'a>>,
    by_name: HashMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl<'a> SafeTensors<'a> {
    /// Parses a whole file.
    ///
    /// The tensors must cover the bytes behind the header exactly: no overlap, no hole, nothing
    /// left over. Anything else means a truncated, concatenated or hand-made file.
    ///
    /// ```
    /// use bitnet_formats::safetensors::{SafeTensors, write_safetensors};
    /// use bitnet_formats::{RawDType, RawTensor};
    ///
    /// let tensor = RawTensor {
    ///     name: "w".into(),
    ///     dtype: RawDType::U8,
    ///     shape: vec![2, 2],
    ///     data: &[1, 2, 3, 4],
    ///     range: 0..0, // ignored by the writer
    /// };
    /// let mut file = Vec::new();
    /// write_safetensors(&mut file, &[tensor], &Default::default())?;
    ///
    /// let parsed = SafeTensors::parse(&file)?;
    /// assert_eq!(parsed.tensor("w").unwrap().shape, [2, 2]);
    /// assert_eq!(parsed.tensor("w").unwrap().data, [1, 2, 3, 4]);
    /// # Ok::<(), bitnet_formats::FormatError>(())
    /// ```
    ///
    /// # Errors
    /// [`FormatError::Tensor`] where one tensor is at fault, otherwise [`FormatError::Malformed`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let (header, data) = split_header(bytes)?;
        let data_start = bytes.len() - data.len();
        let header: Header = json::parse("safetensors header", header)?;

        let mut tensors = Vec::with_capacity(header.tensors.len());
        for (name, info) in header.tensors {
            tensors.push(describe(name, info, data, data_start)?);
        }
        tensors.sort_by_key(|t| (t.range.start, t.range.end));
        require_exact_cover(&tensors, data_start, bytes.len())?;

        let by_name =
            tensors.iter().enumerate().map(|(index, t)| (t.name.clone(), index)).collect();
        Ok(Self { tensors, by_name, metadata: header.metadata })
    }

    /// The tensors in the order of their bytes in the file.
    #[must_use]
    pub fn tensors(&self) -> &[RawTensor<'a>] {
        &self.tensors
    }

    /// The tensor of that name.
    #[must_use]
    pub fn tensor(&self, name: &str) -> Option<&RawTensor<'a>> {
        self.by_name.get(name).map(|&index| &self.tensors[index])
    }

    /// The header's `__metadata__`; empty where the file has none.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
}

fn split_header(bytes: &[u8]) -> Result<(&[u8], &[u8]), FormatError> {
    let Some((length, rest)) = bytes.split_first_chunk::<LENGTH_BYTES>() else {
        return Err(FormatError::malformed(format!(
            "not a safetensors file: {} bytes, the length of the header alone takes {LENGTH_BYTES}",
            bytes.len()
        )));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER_BYTES as u64 {
        return Err(FormatError::malformed(format!(
            "not a safetensors file: header length {length}, at most {MAX_HEADER_BYTES} is allowed"
        )));
    }
    // Fits: at most MAX_HEADER_BYTES.
    let length = length as usize;
    let Some((header, data)) = rest.split_at_checked(length) else {
        return Err(FormatError::malformed(format!(
            "truncated: the header should have {length} bytes, {} are left in the file",
            rest.len()
        )));
    };
    if header.first() != Some(&b'{') {
        return Err(FormatError::malformed(
            "not a safetensors file: the header does not begin with '{'",
        ));
    }
    Ok((header, data))
}

/// Checks one entry of the header against the bytes behind it.
fn describe<'a>(
    name: String,
    info: TensorInfo,
    data: &'a [u8],
    data_start: usize,
) -> Result<RawTensor<'a>, FormatError> {
    let Some(dtype) = RawDType::from_name(&info.dtype) else {
        let supported: Vec<_> = RawDType::ALL.iter().map(|d| d.name()).collect();
        let reason = format!(
            "dtype {} is not supported (supported: {})",
            printable(&info.dtype),
            supported.join(", ")
        );
        return Err(FormatError::tensor(name, reason));
    };
    let dims: Option<Vec<usize>> = info.shape.iter().map(|&d| usize::try_from(d).ok()).collect();
    let sized = dims.and_then(|shape| dtype.byte_len(&shape).map(|size| (shape, size)));
    let Some((shape, expected)) = sized else {
        let reason = format!("shape {:?} of {dtype} overflows", ShortShape(&info.shape));
        return Err(FormatError::tensor(name, reason));
    };
    let (begin, end) = info.data_offsets;
    if begin > end {
        let reason = format!("data_offsets begin at {begin}, after their end {end}");
        return Err(FormatError::tensor(name, reason));
    }
    if end > data.len() as u64 {
        let reason = format!(
            "data_offsets [{begin}, {end}] exceed the {} data bytes in the file (truncated?)",
            data.len()
        );
        return Err(FormatError::tensor(name, reason));
    }
    // Both fit: at most data.len().
    let (begin, end) = (begin as usize, end as usize);
    if end - begin != expected {
        let reason = format!(
            "data_offsets [{begin}, {end}] hold {} bytes, shape {:?} of {dtype} needs {expected}",
            end - begin,
            ShortShape(&info.shape)
        );
        return Err(FormatError::tensor(name, reason));
    }
    Ok(RawTensor {
        name,
        dtype,
        shape,
        data: &data[begin..end],
        range: data_start + begin..data_start + end,
    })
}

/// `tensors` is sorted by range; offsets in messages count as the header's do, from the data.
fn require_exact_cover(
    tensors: &[RawTensor<'_>],
    data_start: usize,
    file_len: usize,
) -> Result<(), FormatError> {
    let mut covered = data_start;
    let mut previous = None;
    for tensor in tensors {
        let (begin, end) = (tensor.range.start - data_start, covered - data_start);
        if tensor.range.start != covered {
            let before = previous.map_or_else(
                || "the data's beginning".to_owned(),
                |name: &str| format!("tensor {}", printable(name)),
            );
            let reason = if begin < end {
                format!("begins at {begin}, overlapping {before}, which ends at {end}")
            } else {
                format!("begins at {begin}, leaving a hole after {before}, which ends at {end}")
            };
            return Err(FormatError::tensor(&tensor.name, reason));
        }
        covered = tensor.range.end;
        previous = Some(tensor.name.as_str());
    }
    if covered != file_len {
        return Err(FormatError::malformed(format!(
            "{} bytes after the last tensor belong to none",
            file_len - covered
        )));
    }
    Ok(())
}

/// A shape for a message: a hostile one may have millions of dimensions.
struct ShortShape<'a>(&'a [u64]);

impl fmt::Debug for ShortShape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: usize = 8;
        if self.0.len() <= LONGEST {
            return write!(f, "{:?}", self.0);
        }
        write!(f, "{:?}… ({} dimensions)", &self.0[..LONGEST], self.0.len())
    }
}

struct Header {
    tensors: Vec<(String, TensorInfo)>,
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TensorInfo {
    dtype: String,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut names = std::collections::HashSet::new();
        let mut tensors = Vec::new();
        let mut metadata = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA_KEY {
                if metadata.is_some() {
                    return Err(A::Error::custom("__metadata__ occurs twice"));
                }
                let entries: Option<UniqueEntries<String>> =
                    map.next_value().map_err(|e| A::Error::custom(format!("__metadata__: {e}")))?;
                let entries = entries.map_or_else(Vec::new, |e| e.0);
                metadata = Some(entries.into_iter().collect());
                continue;
            }
            let info = map
                .next_value::<TensorInfo>()
                .map_err(|e| A::Error::custom(format!("tensor {}: {e}", printable(&name))))?;
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!(
                    "tensor {}: the name occurs twice",
                    printable(&name)
                )));
            }
            tensors.push((name, info));
        }
        Ok(Header { tensors, metadata: metadata.unwrap_or_default() })
    }
}
