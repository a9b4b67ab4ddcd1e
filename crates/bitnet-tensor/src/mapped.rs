//! Files mapped into memory: weights are used where they lie on disk.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

/// A file whose bytes are read when they are touched.
///
/// The file must not be changed or shortened while it is mapped: the operating system then ends
/// the program, or its numbers change under it. That is how every engine that maps its weights
/// works; replace model files by renaming, not by writing into them.
#[derive(Debug)]
pub struct MappedFile(Option<Mmap>);

impl MappedFile {
    /// Maps the file at `path`.
    ///
    /// # Errors
    /// When it cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            return Ok(Self(None)); // an empty file cannot be mapped
        }
        // SAFETY: the mapping is read-only and private to this value; that nobody changes the
        // file meanwhile is the documented condition above.
        Ok(Self(Some(unsafe { Mmap::map(&file)? })))
    }
}

impl AsRef<[u8]> for MappedFile {
    fn as_ref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
