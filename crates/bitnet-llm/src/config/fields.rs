//! Typed access to the JSON of a configuration file, with errors that name file, key and value.

use serde_json::{Map, Value};

use super::MAX_DIMENSION;

/// Why a configuration file was refused; the message names the file, the key and the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not a JSON object.
    #[error("{file}: {reason}")]
    NotAnObject {
        /// Which of the files.
        file: &'static str,
        /// What the JSON parser says.
        reason: String,
    },
    /// A key that has no default is absent.
    #[error("{file}: {key} is missing")]
    Missing {
        /// Which of the files.
        file: &'static str,
        /// The absent key.
        key: String,
    },
    /// A value of the wrong type or out of its range.
    #[error("{file}: {key} = {value}: {reason}")]
    Invalid {
        /// Which of the files.
        file: &'static str,
        /// The key, with its parents: `quantization_config.quant_method`.
        key: String,
        /// The value, as JSON, shortened.
        value: String,
        /// What would be accepted.
        reason: String,
    },
    /// A value that is meaningful, but asks for something this program does not do.
    #[error("{file}: {key} = {value} is not supported (supported: {supported})")]
    Unsupported {
        /// Which of the files.
        file: &'static str,
        /// The key, with its parents.
        key: String,
        /// The value, as JSON, shortened.
        value: String,
        /// The values that are supported.
        supported: String,
    },
}

pub(super) fn parse_object(
    file: &'static str,
    json: &[u8],
) -> Result<Map<String, Value>, ConfigError> {
    serde_json::from_slice(json)
        .map_err(|e| ConfigError::NotAnObject { file, reason: e.to_string() })
}

/// Typed access to a JSON object whose errors know where they are. `null` counts as absent: that
/// is how transformers writes what is not set.
pub(super) struct Fields<'a> {
    file: &'static str,
    parent: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(file: &'static str, map: &'a Map<String, Value>) -> Self {
        Self { file, parent: String::new(), map }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn object(&self, key: &str) -> Result<Option<Fields<'a>>, ConfigError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let map = value.as_object().ok_or_else(|| self.invalid(key, "expected an object"))?;
        Ok(Some(Fields { file: self.file, parent: format!("{}{key}.", self.parent), map }))
    }

    fn typed<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match convert(value) {
                Some(typed) => Ok(Some(typed)),
                None => Err(self.invalid(key, format!("expected {expected}"))),
            },
        }
    }

    pub(super) fn string(&self, key: &str) -> Result<Option<&'a str>, ConfigError> {
        self.typed(key, "a string", Value::as_str)
    }

    pub(super) fn bool(&self, key: &str) -> Result<Option<bool>, ConfigError> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub(super) fn positive(&self, key: &str) -> Result<Option<f64>, ConfigError> {
        self.typed(key, "a number above 0", |value| {
            value.as_f64().filter(|n| n.is_finite() && *n > 0.0)
        })
    }

    pub(super) fn size(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        self.typed(key, "an integer from 0", |value| {
            value.as_u64().and_then(|n| usize::try_from(n).ok())
        })
    }

    pub(super) fn dimension(&self, key: &str) -> Result<Option<usize>, ConfigError> {
        let expected = format!("an integer from 1 to {MAX_DIMENSION}");
        self.typed(key, &expected, |value| {
            let n = usize::try_from(value.as_u64()?).ok()?;
            (1..=MAX_DIMENSION).contains(&n).then_some(n)
        })
    }

    pub(super) fn require_dimension(&self, key: &str) -> Result<usize, ConfigError> {
        self.dimension(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn token_id(&self, key: &str) -> Result<Option<u32>, ConfigError> {
        self.typed(key, "a token id", as_token_id)
    }

    pub(super) fn token_ids(&self, key: &str) -> Result<Vec<u32>, ConfigError> {
        let ids =
            self.typed(key, "a token id or a list of them", |value| match value.as_array() {
                Some(list) => list.iter().map(as_token_id).collect(),
                None => as_token_id(value).map(|id| vec![id]),
            })?;
        Ok(ids.unwrap_or_default())
    }

    pub(super) fn strings(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let strings = self.typed(key, "a list of strings", |value| {
            let list = value.as_array()?;
            list.iter().map(|v| v.as_str().map(str::to_owned)).collect()
        })?;
        Ok(strings.unwrap_or_default())
    }

    pub(super) fn missing(&self, key: &str) -> ConfigError {
        ConfigError::Missing { file: self.file, key: format!("{}{key}", self.parent) }
    }

    pub(super) fn invalid(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            file: self.file,
            key: format!("{}{key}", self.parent),
            value: self.shown(key),
            reason: reason.into(),
        }
    }

    pub(super) fn unsupported(&self, key: &str, supported: &str) -> ConfigError {
        ConfigError::Unsupported {
            file: self.file,
            key: format!("{}{key}", self.parent),
            value: self.shown(key),
            supported: supported.to_owned(),
        }
    }

    /// The value as JSON text, which escapes control characters, cut to one line's worth.
    fn shown(&self, key: &str) -> String {
        const LONGEST: usize = 80;
        let Some(value) = self.map.get(key) else {
            return "(default)".to_owned();
        };
        let text = value.to_string();
        match text.char_indices().nth(LONGEST) {
            Some((cut, _)) => format!("{}…", &text[..cut]),
            None => text,
        }
    }
}

fn as_token_id(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|id| u32::try_from(id).ok())
}
