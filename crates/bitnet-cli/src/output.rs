//! Writing: results to standard output, everything else to standard error; neither may panic when
//! the reader has gone.

use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};
use serde::Serialize;
use tempfile::NamedTempFile;

/// Writes a piece of the result and shows it at once.
pub(crate) fn write(text: &str) -> Result<()> {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.context("standard output")
}

/// Writes a result as one JSON object or, where none was asked for, as text.
pub(crate) fn write_report<T: Serialize>(
    as_json: bool,
    report: &T,
    text: impl FnOnce() -> String,
) -> Result<()> {
    if as_json { write_json(report) } else { write(&text()) }
}

/// Writes the result as one JSON object.
pub(crate) fn write_json(value: &impl Serialize) -> Result<()> {
    let mut json = serde_json::to_string(value)?;
    json.push('\n');
    write(&json)
}

/// A file that appears at its path when it is whole, and not at all when it is dropped before.
pub(crate) struct ResultFile {
    path: PathBuf,
    writer: BufWriter<NamedTempFile>,
}

impl ResultFile {
    /// Begins a file for `path`, beside its place, so that it can be renamed into it.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")));
        let file = file.with_context(|| path.display().to_string())?;
        Ok(Self { path: path.into(), writer: BufWriter::new(file) })
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<()> {
        let in_file = || self.path.display().to_string();
        let file = self.writer.into_inner().map_err(io::IntoInnerError::into_error);
        let written = file.with_context(in_file)?.persist(&self.path).with_context(in_file)?;
        // A temporary file is for its owner alone; this one is as any other of the user's.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::Permissions::from_mode(0o644);
            written.set_permissions(mode).with_context(in_file)?;
        }
        drop(written);
        Ok(())
    }
}

impl Write for ResultFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Writes a line to standard error. Where that is closed, nobody can be told.
pub(crate) fn notice(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether figures and progress would be read by a person.
pub(crate) fn is_watched(quiet: bool) -> bool {
    !quiet && io::stderr().is_terminal()
}

/// Whether the reader of standard output has closed it.
pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let cause = error.root_cause().downcast_ref::<io::Error>();
    cause.is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
}

/// A message as one line that cannot drive a terminal: names in it may come from a file.
pub(crate) fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join(" ");
    joined.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A number of bytes for people: `12.3 MB`, in powers of 1000 as disks and networks count.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut value = count as f64 / 1e3;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1e3;
        unit += 1;
    }
    if count < 1000 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_a_unit() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_960, "1.0 MB"),
            (12_340_000, "12.3 MB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
        assert_eq!(bytes(u64::MAX), "18446744.1 TB");
    }

    #[test]
    fn messages_are_one_harmless_line() {
        assert_eq!(one_line("a\n  b\u{1b}[2J\n\n"), "a b\u{fffd}[2J");
    }
}
