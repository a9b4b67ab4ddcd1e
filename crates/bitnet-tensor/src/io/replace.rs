//! Writing a file so that it is either the old one or the whole new one.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bitnet_formats::FormatError;

use super::file_error;
use crate::error::Result;

/// Lets `write` fill a new file beside `path`, then gives it that name. When anything fails, the
/// new file is removed and what was at `path` stays.
pub(crate) fn replace_file(
    operation: &'static str,
    path: &Path,
    write: impl FnOnce(BufWriter<File>) -> Result<BufWriter<File>>,
) -> Result<()> {
    let at_fault = |reason| file_error(operation, path, FormatError::Io(reason));
    let (file, unfinished) = Unfinished::create(path).map_err(at_fault)?;
    let file = write(BufWriter::new(file))?;
    let file = file.into_inner().map_err(|error| at_fault(error.into_error()))?;
    // The name must not point at contents that a loss of power would take.
    file.sync_all().map_err(at_fault)?;
    drop(file);
    unfinished.rename(path).map_err(at_fault)
}

/// A file that is removed unless it was renamed.
struct Unfinished(Option<PathBuf>);

impl Unfinished {
    fn create(path: &Path) -> io::Result<(File, Self)> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let Some(name) = path.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
        };
        let mut beside = OsString::from(".");
        beside.push(name);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        beside.push(format!(".{}-{count}.partial", std::process::id()));
        let beside = path.with_file_name(beside);
        let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        Ok((file, Self(Some(beside))))
    }

    fn rename(mut self, path: &Path) -> io::Result<()> {
        if let Some(beside) = &self.0 {
            fs::rename(beside, path)?;
        }
        self.0 = None;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(beside) = &self.0 {
            // The error that led here is the one to report.
            let _ = fs::remove_file(beside);
        }
    }
}
