//! An `.npy` file that comes from a reader: the header is read and compared with the length of the
//! whole, then the caller makes room for the elements.

use std::io::{self, Read};

use super::{MAX_PREFIX_BYTES, NpyHeader};
use crate::error::FormatError;

/// An `.npy` file whose header is read and whose elements follow.
///
/// ```
/// use bitnet_formats::RawDType;
/// use bitnet_formats::npy::{NpyStream, write_npy_header};
///
/// let mut file = Vec::new();
/// write_npy_header(&mut file, RawDType::U8, &[3], false)?;
/// file.extend([1, 2, 3]);
/// let stream = NpyStream::new(file.as_slice(), file.len() as u64)?;
/// let mut elements = vec![0; stream.header().byte_len()];
/// stream.read_into(&mut elements)?;
/// assert_eq!(elements, [1, 2, 3]);
/// # Ok::<(), bitnet_formats::FormatError>(())
/// ```
#[derive(Debug)]
pub struct NpyStream<R> {
    header: NpyHeader,
    /// What was read beyond the header.
    ahead: Vec<u8>,
    reader: R,
}

impl<R: Read> NpyStream<R> {
    /// Reads the header. `length` is that of the whole file.
    ///
    /// # Errors
    /// As [`NpyHeader::parse`] and [`NpyHeader::check_file_len`], and a failing read.
    pub fn new(mut reader: R, length: u64) -> Result<Self, FormatError> {
        let mut ahead = Vec::new();
        (&mut reader)
            .take(length.min(MAX_PREFIX_BYTES as u64))
            .read_to_end(&mut ahead)
            .map_err(FormatError::Read)?;
        let header = NpyHeader::parse(&ahead)?;
        header.check_file_len(length)?;
        ahead.drain(..header.data_start);
        Ok(Self { header, ahead, reader })
    }

    /// What the header says. Its length was compared with that of the file.
    pub fn header(&self) -> &NpyHeader {
        &self.header
    }

    /// Reads all elements, in little-endian order, in the order that the header names.
    ///
    /// # Errors
    /// [`FormatError::Malformed`] when `target` has another length than the elements, or more or
    /// fewer bytes come than were announced; a failing read.
    pub fn read_into(mut self, target: &mut [u8]) -> Result<(), FormatError> {
        if target.len() != self.header.byte_len() {
            return Err(FormatError::malformed(format!(
                "the target has {} bytes, the array {}",
                target.len(),
                self.header.byte_len()
            )));
        }
        let ahead = self.ahead.len().min(target.len());
        let (first, rest) = target.split_at_mut(ahead);
        first.copy_from_slice(&self.ahead[..ahead]);
        self.reader.read_exact(rest).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                FormatError::malformed("truncated: the elements end before their announced length")
            }
            _ => FormatError::Read(error),
        })?;
        // Also makes a reader that keeps a check sum compare it.
        let mut one_more = [0];
        if self.reader.read(&mut one_more).map_err(FormatError::Read)? > 0 {
            return Err(FormatError::malformed("more bytes follow than were announced"));
        }
        self.header.to_little_endian(target);
        Ok(())
    }
}
