//! The one error type of the crate. Each message says what was wrong and where, because the person
//! who reads it has a file of gigabytes and no debugger.

use std::path::{Path, PathBuf};

/// Why a model file could not be read or written.
///
/// The parsers see bytes, not files, so the caller adds the name with [`FormatError::in_file`];
/// the message then reads `FILE: tensor NAME: reason`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file as a whole is malformed: its length, its header, its coverage by tensors.
    #[error("{reason}")]
    Malformed {
        /// What was expected and what was found.
        reason: String,
    },
    /// One tensor's description is malformed or cannot be represented.
    #[error("tensor {}: {reason}", printable(name))]
    Tensor {
        /// The tensor's name as the file gives it.
        name: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// One value of the metadata is malformed, missing, or not what it has to be.
    #[error("metadata {}: {reason}", printable(key))]
    Metadata {
        /// The key as the file gives it.
        key: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// Any of the others, with the file in which it happened.
    #[error("{}: {error}", path.display())]
    InFile {
        /// The file that was being read or written.
        path: PathBuf,
        /// What went wrong in it. Part of this error's own message, hence not its `source`.
        error: Box<FormatError>,
    },
    /// Reading failed.
    #[error("cannot read: {0}")]
    Read(std::io::Error),
    /// Writing failed.
    #[error("cannot write: {0}")]
    Io(#[from] std::io::Error),
}

impl FormatError {
    /// Adds the name of the file, once: an error that already names a file is returned unchanged.
    ///
    /// ```
    /// use bitnet_formats::safetensors::SafeTensors;
    ///
    /// let error = SafeTensors::parse(b"short").unwrap_err().in_file("model.safetensors");
    /// assert!(error.to_string().starts_with("model.safetensors: "));
    /// ```
    #[must_use]
    pub fn in_file(self, path: impl AsRef<Path>) -> Self {
        match self {
            Self::InFile { .. } => self,
            error => Self::InFile { path: path.as_ref().to_path_buf(), error: Box::new(error) },
        }
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::Malformed { reason: reason.into() }
    }

    pub(crate) fn tensor(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Tensor { name: name.into(), reason: reason.into() }
    }

    pub(crate) fn metadata(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Metadata { key: key.into(), reason: reason.into() }
    }
}

/// A name from a file made fit for a terminal: control characters escaped, then its length bounded.
pub(crate) fn printable(name: &str) -> String {
    const LONGEST: usize = 120;
    let mut escaped = name.chars().flat_map(|c| {
        let control = c.is_control();
        let escape = control.then(|| c.escape_default());
        escape.into_iter().flatten().chain((!control).then_some(c))
    });
    let mut shown: String = escaped.by_ref().take(LONGEST).collect();
    if escaped.next().is_some() {
        shown.push('…');
    }
    if shown.is_empty() {
        shown.push_str("\"\"");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_file_tensor_and_reason_once() {
        let error = FormatError::tensor("a.weight", "size is 3, expected 4")
            .in_file("dir/model.safetensors")
            .in_file("other");
        assert_eq!(
            error.to_string(),
            "dir/model.safetensors: tensor a.weight: size is 3, expected 4"
        );
        assert!(std::error::Error::source(&error).is_none());
    }

    #[test]
    fn hostile_names_cannot_drive_the_terminal() {
        let shown = printable(&format!("\u{1b}[2J\n{}", "x".repeat(500)));
        assert!(shown.chars().all(|c| !c.is_control()));
        assert!(shown.starts_with("\\u{1b}[2J\\n"));
        assert!(shown.len() < 200);
        assert_eq!(printable(""), "\"\"");
    }
}
