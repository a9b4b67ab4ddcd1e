//! Models split over several GGUF files: `model-00001-of-00003.gguf` and so on. Each part is a
//! GGUF file of its own; the first carries the metadata of all.

use std::collections::HashSet;

use super::read::Gguf;
use crate::error::FormatError;

/// The most parts a model may have: what the five digits of the names can count.
const MAX_PARTS: u32 = 99_999;

/// The name of one part of a model.
///
/// ```
/// use bitnet_formats::gguf::ShardName;
///
/// let part = ShardName::parse("qwen-q8_0-00002-of-00003.gguf").unwrap();
/// assert_eq!((part.number, part.count), (2, 3));
/// assert_eq!(part.all().last().unwrap(), "qwen-q8_0-00003-of-00003.gguf");
/// assert_eq!(ShardName::parse("qwen-q8_0.gguf"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardName<'a> {
    /// What stands before the numbers.
    pub prefix: &'a str,
    /// Which part this is, from 1.
    pub number: u32,
    /// How many there are.
    pub count: u32,
}

impl<'a> ShardName<'a> {
    /// Reads a file name of the form `PREFIX-00001-of-00003.gguf`.
    #[must_use]
    pub fn parse(file_name: &'a str) -> Option<Self> {
        let (rest, count) = file_name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (prefix, number) = rest.rsplit_once('-')?;
        let (number, count) = (five_digits(number)?, five_digits(count)?);
        (1 <= number && number <= count).then_some(Self { prefix, number, count })
    }

    /// The names of all parts, in order.
    pub fn all(&self) -> impl ExactSizeIterator<Item = String> {
        // At most 99999, so that the range does not end beyond the type.
        (1..self.count + 1).map(|number| Self { number, ..self.clone() }.to_string())
    }
}

impl std::fmt::Display for ShardName<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{:05}-of-{:05}.gguf", self.prefix, self.number, self.count)
    }
}

fn five_digits(text: &str) -> Option<u32> {
    let is_number = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

/// What a part says about the model that it belongs to: the keys `split.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Which part this is, from 0.
    pub number: u32,
    /// How many parts there are.
    pub count: u32,
    /// The number of tensors in all of them, where the file says it.
    pub tensors: Option<usize>,
}

impl Gguf<'_> {
    /// Which part of a split model this file is; `None` where it is a whole one.
    ///
    /// # Errors
    /// The keys `split.*` have other types, or contradict each other.
    pub fn split(&self) -> Result<Option<Split>, FormatError> {
        let metadata = self.metadata();
        let Some(count) = metadata.get::<u32>("split.count")? else {
            return Ok(None);
        };
        if count <= 1 {
            return Ok(None);
        }
        if count > MAX_PARTS {
            let reason = format!("is {count}, at most {MAX_PARTS} parts are possible");
            return Err(FormatError::metadata("split.count", reason));
        }
        let number: u32 = metadata.require("split.no")?;
        if number >= count {
            let reason = format!("is {number}, but there are {count} parts, counted from 0");
            return Err(FormatError::metadata("split.no", reason));
        }
        Ok(Some(Split { number, count, tensors: metadata.get("split.tensors.count")? }))
    }
}

/// Checks that files, in order, are all the parts of one model.
///
/// # Errors
/// A file that is no part or the wrong one, a part too few or too many, a tensor in two parts, or
/// another number of tensors than the files say.
pub fn check_shards(parts: &[Gguf<'_>]) -> Result<(), FormatError> {
    let mut names = HashSet::new();
    let mut expected_tensors = None;
    for (i, part) in parts.iter().enumerate() {
        let (nth, count) = (i + 1, parts.len());
        let Some(split) = part.split()? else {
            let reason = format!("file {nth} of {count} is a whole model, not part of a split one");
            return Err(FormatError::malformed(reason));
        };
        if (split.number as usize, split.count as usize) != (i, count) {
            return Err(FormatError::malformed(format!(
                "file {nth} of {count} says that it is part {} of {}",
                u64::from(split.number) + 1,
                split.count
            )));
        }
        expected_tensors = expected_tensors.or(split.tensors);
        for tensor in part.tensors() {
            if !names.insert(tensor.name) {
                let reason = format!("is in part {nth} and in one before it");
                return Err(FormatError::tensor(tensor.name, reason));
            }
        }
    }
    match expected_tensors {
        Some(expected) if expected != names.len() => Err(FormatError::metadata(
            "split.tensors.count",
            format!("is {expected}, the parts hold {} tensors", names.len()),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gguf::{GgmlType, GgufTensorSpec, GgufWriter, MetadataBuilder};

    fn part(number: u16, count: u16, tensors: &[&str]) -> Vec<u8> {
        let mut metadata = MetadataBuilder::new();
        metadata.push("split.no", number).unwrap();
        metadata.push("split.count", count).unwrap();
        metadata.push("split.tensors.count", 2_i32).unwrap();
        let spec = |name: &&str| GgufTensorSpec {
            name: (*name).to_owned(),
            ggml_type: GgmlType::I8,
            shape: vec![1],
        };
        let specs = tensors.iter().map(spec).collect();
        let mut writer = GgufWriter::new(Vec::new(), &metadata, specs).unwrap();
        while writer.next_spec().is_some() {
            writer.write_next(&[0]).unwrap();
        }
        writer.finish().unwrap()
    }

    fn check(files: &[Vec<u8>]) -> Result<(), String> {
        let parts: Vec<_> = files.iter().map(|file| Gguf::parse(file).unwrap()).collect();
        check_shards(&parts).map_err(|error| error.to_string())
    }

    #[test]
    fn parts_of_one_model() {
        check(&[part(0, 2, &["a"]), part(1, 2, &["b"])]).unwrap();
    }

    #[test]
    fn parts_that_do_not_belong_together() {
        let refused = |files: &[Vec<u8>], words: &str| {
            let error = check(files).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        refused(&[part(1, 2, &["b"]), part(0, 2, &["a"])], "file 1 of 2 says that it is part 2");
        refused(&[part(0, 3, &["a"]), part(1, 3, &["b"])], "part 1 of 3");
        refused(&[part(0, 2, &["a"]), part(1, 2, &["a"])], "tensor a: is in part 2");
        refused(&[part(0, 2, &["a"]), part(1, 2, &[])], "is 2, the parts hold 1 tensors");
        refused(&[part(0, 1, &["a"]), part(1, 2, &["b"])], "whole model");
    }

    #[test]
    fn a_part_out_of_range() {
        let file = part(2, 2, &[]);
        let error = Gguf::parse(&file).unwrap().split().unwrap_err().to_string();
        assert!(error.contains("split.no: is 2"), "{error}");
    }

    #[test]
    fn names_that_are_none() {
        for name in [
            "a-00000-of-00002.gguf",
            "a-00003-of-00002.gguf",
            "a-1-of-2.gguf",
            "a-+0001-of-00002.gguf",
            "a-00001-of-00002.bin",
            "00001-of-00002.gguf",
        ] {
            assert_eq!(ShardName::parse(name), None, "{name}");
        }
        let name = "model-of-x-00099-of-00100.gguf";
        assert_eq!(ShardName::parse(name).unwrap().to_string(), name);
    }
}
