//! A checkpoint being written: under another name beside its place, renamed when it is whole, and
//! removed when it is dropped before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use bitnet_formats::FormatError;
use bitnet_formats::gguf::{GgufTensorSpec, GgufWriter, MetadataBuilder};
use bitnet_formats::safetensors::{SafeTensorsWriter, TensorSpec};
use tempfile::{NamedTempFile, TempDir};

use crate::error::{LlmError, Result};

/// Bytes that are handed to the system at once.
const BUFFER: usize = 1 << 20;

/// The file of weights of a directory.
const WEIGHTS: &str = "model.safetensors";

pub(super) struct Sink {
    path: PathBuf,
    overwrite: bool,
    out: Out,
}

enum Out {
    Gguf(GgufWriter<BufWriter<NamedTempFile>>),
    Directory(SafeTensorsWriter<BufWriter<File>>, TempDir),
}

impl Sink {
    /// A GGUF file that will be at `path`.
    pub(super) fn gguf(
        path: &Path,
        overwrite: bool,
        metadata: &MetadataBuilder,
        specs: Vec<GgufTensorSpec>,
    ) -> Result<Self> {
        refuse_taken(path, overwrite)?;
        let (prefix, folder) = beside(path)?;
        let file = tempfile::Builder::new().prefix(&prefix).suffix(".partial").tempfile_in(folder);
        let file = BufWriter::with_capacity(BUFFER, file.map_err(io_at(path))?);
        let writer = GgufWriter::new(file, metadata, specs).map_err(|error| error.in_file(path))?;
        Ok(Self { path: path.into(), overwrite, out: Out::Gguf(writer) })
    }

    /// A directory that will be at `path`, with these texts beside its weights.
    pub(super) fn directory(
        path: &Path,
        overwrite: bool,
        texts: &[(String, Vec<u8>)],
        specs: Vec<TensorSpec>,
    ) -> Result<Self> {
        refuse_taken(path, overwrite)?;
        let (prefix, folder) = beside(path)?;
        let directory =
            tempfile::Builder::new().prefix(&prefix).suffix(".partial").tempdir_in(folder);
        let directory = directory.map_err(io_at(path))?;
        for (name, text) in texts {
            let file = directory.path().join(name);
            let written = File::create(&file).and_then(|mut file| {
                file.write_all(text)?;
                file.sync_all()
            });
            written.map_err(io_at(&path.join(name)))?;
        }
        let weights = path.join(WEIGHTS);
        let file = File::create(directory.path().join(WEIGHTS)).map_err(io_at(&weights))?;
        let file = BufWriter::with_capacity(BUFFER, file);
        let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
        let writer = SafeTensorsWriter::new(file, specs, &metadata);
        let writer = writer.map_err(|error| error.in_file(&weights))?;
        Ok(Self { path: path.into(), overwrite, out: Out::Directory(writer, directory) })
    }

    /// The tensor whose bytes are expected.
    pub(super) fn next_name(&self) -> Option<&str> {
        match &self.out {
            Out::Gguf(writer) => writer.next_spec().map(|spec| spec.name.as_str()),
            Out::Directory(writer, _) => writer.next_spec().map(|spec| spec.name.as_str()),
        }
    }

    /// Writes the next bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let written = match &mut self.out {
            // Bytes of no tensor: of one that has none.
            _ if bytes.is_empty() => Ok(()),
            Out::Gguf(writer) => writer.write_part(bytes),
            Out::Directory(writer, _) => writer.write_part(bytes),
        };
        written.map_err(|error| error.in_file(&self.path).into())
    }

    /// Gives what was written its name.
    pub(super) fn finish(self) -> Result<()> {
        let path = self.path.as_path();
        let io = io_at(path);
        let in_file = |error: FormatError| error.in_file(path);
        match self.out {
            Out::Gguf(writer) => {
                let file = writer.finish().map_err(in_file)?.into_inner();
                let file = file.map_err(|error| io(error.into_error()))?;
                // The name must not point at contents that a loss of power would take.
                file.as_file().sync_all().map_err(&io)?;
                let persisted = match self.overwrite {
                    true => file.persist(path),
                    false => file.persist_noclobber(path),
                };
                let file = persisted.map_err(|error| io(error.error))?;
                readable(&file, 0o644).map_err(&io)
            }
            Out::Directory(writer, directory) => {
                let file = writer.finish().map_err(in_file)?.into_inner();
                let file = file.map_err(|error| io(error.into_error()))?;
                file.sync_all().map_err(&io)?;
                drop(file);
                readable(&File::open(directory.path()).map_err(&io)?, 0o755).map_err(&io)?;
                replace_directory(directory, path).map_err(io)
            }
        }
    }
}

/// Renames the directory; one that is there goes when the new one has its name.
fn replace_directory(directory: TempDir, path: &Path) -> io::Result<()> {
    if !path.exists() {
        fs::rename(directory.path(), path)?;
        let _ = directory.keep();
        return Ok(());
    }
    let aside = directory.path().with_extension("replaced");
    fs::rename(path, &aside)?;
    if let Err(error) = fs::rename(directory.path(), path) {
        fs::rename(&aside, path)?;
        return Err(error);
    }
    let _ = directory.keep();
    fs::remove_dir_all(aside)
}

/// A temporary file is for its owner alone; this one is as any other of the user's.
fn readable(file: &File, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    let _ = (file, mode);
    Ok(())
}

fn refuse_taken(path: &Path, overwrite: bool) -> Result<()> {
    let is_empty = |path: &Path| fs::read_dir(path).is_ok_and(|mut list| list.next().is_none());
    if overwrite || !path.exists() || is_empty(path) {
        return Ok(());
    }
    let cause = io::Error::new(io::ErrorKind::AlreadyExists, "is there already");
    Err(LlmError::Io { path: path.into(), cause })
}

/// The beginning of the temporary name, and the folder.
fn beside(path: &Path) -> Result<(String, &Path)> {
    let Some(name) = path.file_name() else {
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "names no file");
        return Err(LlmError::Io { path: path.into(), cause });
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok((format!(".{}.", name.to_string_lossy()), folder.unwrap_or(Path::new("."))))
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> LlmError {
    let path = path.to_owned();
    move |cause| LlmError::Io { path: path.clone(), cause }
}
