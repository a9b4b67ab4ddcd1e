//! JSON of files: objects whose keys must be unique, and errors of bounded length. Ordinary maps keep the last of two equal keys, so two
//! programs may read the same file differently; a file of weights must have one meaning.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, MapAccess, Visitor};

use crate::error::{FormatError, printable};

/// Reads `what`, a JSON text.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, FormatError> {
    /// What the error quotes may be as long as the text.
    const LONGEST: usize = 300;
    serde_json::from_slice(json).map_err(|error| {
        let mut reason = error.to_string();
        if let Some((end, _)) = reason.char_indices().nth(LONGEST) {
            reason.truncate(end);
            reason += &format!("… at line {} column {}", error.line(), error.column());
        }
        FormatError::malformed(format!("{what}: {reason}"))
    })
}

/// The entries of a JSON object in file order; a repeated key is an error that names it.
pub(crate) struct UniqueEntries<V>(pub(crate) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for UniqueEntries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = UniqueEntries<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut seen = HashSet::new();
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map
                .next_value()
                .map_err(|e| A::Error::custom(format!("{}: {e}", printable(&key))))?;
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(format!("the name {} occurs twice", printable(&key))));
            }
            entries.push((key, value));
        }
        Ok(UniqueEntries(entries))
    }
}
