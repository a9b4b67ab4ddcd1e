//! `model.safetensors.index.json`: which file of a checkpoint directory holds which tensor.
//!
//! The file names in it become paths that a program opens, so they are refused unless they are
//! plain names within the directory.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::error::{FormatError, printable};
use crate::json::{self, UniqueEntries};

/// The checked contents of an index: plain file names and the tensors each of them holds.
///
/// ```
/// use bitnet_formats::shards::ShardIndex;
///
/// let index = ShardIndex::parse(
///     br#"{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}"#,
/// )?;
/// assert_eq!(index.files().collect::<Vec<_>>(), ["model-1.safetensors", "model-2.safetensors"]);
/// assert_eq!(index.file_of("b"), Some("model-2.safetensors"));
/// # Ok::<(), bitnet_formats::FormatError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIndex {
    file_of_tensor: BTreeMap<String, String>,
    tensors_of_file: BTreeMap<String, Vec<String>>,
}

impl ShardIndex {
    /// The name of the index in a checkpoint directory.
    pub const FILE_NAME: &str = "model.safetensors.index.json";

    /// Parses and checks the JSON text of an index.
    ///
    /// # Errors
    /// Not JSON, no `weight_map`, an empty one, a tensor named twice, or a file name that is not
    /// a plain `*.safetensors` name.
    pub fn parse(json: &[u8]) -> Result<Self, FormatError> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: UniqueEntries<String>,
        }
        let index: Index = json::parse("safetensors index", json)?;
        if index.weight_map.0.is_empty() {
            return Err(FormatError::malformed("safetensors index: weight_map is empty"));
        }
        let mut tensors_of_file: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (tensor, file) in &index.weight_map.0 {
            require_plain_name(tensor, file)?;
            let tensors = tensors_of_file.entry(file.clone()).or_default();
            tensors.push(tensor.clone());
        }
        Ok(Self { file_of_tensor: index.weight_map.0.into_iter().collect(), tensors_of_file })
    }

    /// The files of the checkpoint, each once, sorted by name.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors_of_file.keys().map(String::as_str)
    }

    /// The file that holds the tensor.
    #[must_use]
    pub fn file_of(&self, tensor: &str) -> Option<&str> {
        self.file_of_tensor.get(tensor).map(String::as_str)
    }

    /// The tensors that the index expects in a file, in the index's order.
    #[must_use]
    pub fn tensors_in(&self, file: &str) -> &[String] {
        self.tensors_of_file.get(file).map_or(&[], Vec::as_slice)
    }

    /// Checks that a file which was opened holds every tensor the index expects in it.
    ///
    /// # Errors
    /// [`FormatError::Tensor`] with the first tensor that is not there.
    pub fn check(
        &self,
        file: &str,
        contents: &crate::safetensors::SafeTensors<'_>,
    ) -> Result<(), FormatError> {
        let missing = |tensor: &&String| contents.tensor(tensor).is_none();
        match self.tensors_in(file).iter().find(missing) {
            None => Ok(()),
            Some(tensor) => Err(FormatError::tensor(
                tensor,
                format!("the index {} puts it here, it is not", Self::FILE_NAME),
            )),
        }
    }
}

fn require_plain_name(tensor: &str, file: &str) -> Result<(), FormatError> {
    // Separators and drive letters of every platform: the same directory may be read on any.
    let plain = !file.contains(['/', '\\', ':'])
        && !file.chars().any(char::is_control)
        && !file.starts_with('.')
        && file.ends_with(".safetensors");
    if plain {
        return Ok(());
    }
    Err(FormatError::tensor(
        tensor,
        format!(
            "the index puts it into the file {}, which is not a plain *.safetensors name",
            printable(file)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index_with_file(file: &str) -> Result<ShardIndex, FormatError> {
        let json = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": {"a": file}});
        ShardIndex::parse(json.to_string().as_bytes())
    }

    #[test]
    fn groups_tensors_by_file() {
        let index = ShardIndex::parse(
            br#"{"metadata": {"total_size": 8}, "weight_map":
                {"c": "2.safetensors", "a": "1.safetensors", "b": "2.safetensors"}}"#,
        )
        .unwrap();
        assert_eq!(index.files().len(), 2);
        assert_eq!(index.tensors_in("2.safetensors"), ["c", "b"]);
        assert!(index.tensors_in("3.safetensors").is_empty());
        assert_eq!(index.file_of("a"), Some("1.safetensors"));
        assert_eq!(index.file_of("d"), None);
    }

    #[test]
    fn path_escapes_are_refused() {
        for file in [
            "../x.safetensors",
            "/etc/x.safetensors",
            "a/b.safetensors",
            "a\\b.safetensors",
            "C:x.safetensors",
            "..",
            ".safetensors",
            "",
            "x\0.safetensors",
            "model.bin",
        ] {
            let message = index_with_file(file).unwrap_err().to_string();
            assert!(message.starts_with("tensor a: "), "{file:?}: {message}");
        }
        assert!(index_with_file("model-00001-of-00002.safetensors").is_ok());
    }

    #[test]
    fn malformed_indices_are_refused() {
        for (json, part) in [
            (&b""[..], "EOF"),
            (b"[]", "index"),
            (b"{}", "weight_map"),
            (br#"{"weight_map": {}}"#, "empty"),
            (br#"{"weight_map": {"a": 1}}"#, "a: invalid type"),
            (br#"{"weight_map": {"a": "1.safetensors", "a": "2.safetensors"}}"#, "a occurs twice"),
        ] {
            let message = ShardIndex::parse(json).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn what_a_message_quotes_is_bounded() {
        let long = format!("\"{}\"", "\u{7f}".repeat(5000));
        let message = ShardIndex::parse(long.as_bytes()).unwrap_err().to_string();
        assert!(message.len() < 500 && message.contains("… at line 1 column "), "{message}");
    }

    #[test]
    fn a_file_without_its_tensor_is_named() {
        let mut file = Vec::new();
        crate::safetensors::write_safetensors(&mut file, &[], &BTreeMap::new()).unwrap();
        let contents = crate::safetensors::SafeTensors::parse(&file).unwrap();
        let index = index_with_file("1.safetensors").unwrap();
        let message = index.check("1.safetensors", &contents).unwrap_err();
        assert!(message.to_string().starts_with("tensor a: "));
        assert!(index.check("2.safetensors", &contents).is_ok());
    }
}
