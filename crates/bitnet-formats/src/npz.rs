//! The `.npz` format of NumPy: a zip archive of `.npy` files, stored or deflated.
//!
//! The archive is read by the `zip` crate. What it leaves open is decided here: names must be
//! unique, members must not share bytes, and nothing is inflated beyond what was declared,
//! checked against the compressed bytes at hand and against a limit of the caller's.

use std::collections::HashSet;
use std::io::{Read, Seek, Write};

use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::error::FormatError;
use crate::npy::{NpyStream, write_npy_header};
use crate::raw::RawDType;

/// What each name in the archive ends with; the array's name is without it.
const SUFFIX: &str = ".npy";

/// No byte of a deflate stream stands for more than this many: two bits for 258.
const MAX_INFLATION: u64 = 1032;

/// The limit of inflated bytes that a caller without an opinion takes: 4 GiB.
pub const DEFAULT_LIMIT: u64 = 1 << 32;

/// An `.npz` file being read. Its arrays are read one by one.
pub struct NpzReader<R> {
    archive: ZipArchive<R>,
    names: Vec<String>,
}

impl<R: Read + Seek> NpzReader<R> {
    /// Reads the list of members and checks it. Deflated members may declare at most `limit` bytes
    /// together; stored ones are bounded by the file itself.
    ///
    /// ```
    /// use bitnet_formats::RawDType;
    /// use bitnet_formats::npz::{DEFAULT_LIMIT, NpzReader, NpzWriter};
    /// use std::io::Cursor;
    ///
    /// let mut writer = NpzWriter::new(Cursor::new(Vec::new()), true);
    /// writer.write("x", RawDType::U8, &[3], false, &[1, 2, 3])?;
    /// let file = writer.finish()?;
    ///
    /// let mut reader = NpzReader::new(file, DEFAULT_LIMIT)?;
    /// assert_eq!(reader.names(), ["x"]);
    /// let array = reader.array(0)?;
    /// let mut data = vec![0; array.header().byte_len()];
    /// array.read_into(&mut data)?;
    /// assert_eq!(data, [1, 2, 3]);
    /// # Ok::<(), bitnet_formats::FormatError>(())
    /// ```
    ///
    /// # Errors
    /// [`FormatError::Malformed`] for what is no zip archive, or one that repeats names, shares
    /// bytes between members, is encrypted, or declares more than `limit`; [`FormatError::Tensor`]
    /// where one member is at fault.
    pub fn new(reader: R, limit: u64) -> Result<Self, FormatError> {
        let mut archive = ZipArchive::new(reader).map_err(broken)?;
        if archive.has_duplicate_names() {
            return Err(FormatError::malformed("npz: a name occurs twice in the archive"));
        }
        if archive.has_overlapping_entries().map_err(broken)? {
            return Err(FormatError::malformed("npz: members of the archive share bytes"));
        }
        let (mut names, mut seen, mut total) = (Vec::new(), HashSet::new(), 0_u64);
        for index in 0..archive.len() {
            let member = archive.by_index_data(index).map_err(broken)?;
            let name = member.name().map_err(broken)?.into_owned();
            let Some(name) = name.strip_suffix(SUFFIX) else {
                return Err(FormatError::tensor(name, "is not an .npy file"));
            };
            if !seen.insert(name.to_owned()) {
                return Err(FormatError::tensor(name, "the name occurs twice"));
            }
            if member.encrypted() {
                return Err(FormatError::tensor(name, "is encrypted"));
            }
            let (size, packed) = (member.size(), member.compressed_size());
            match member.compression() {
                CompressionMethod::Stored if size == packed => {}
                CompressionMethod::Stored => {
                    let reason = format!("declares {size} bytes, {packed} are stored");
                    return Err(FormatError::tensor(name, reason));
                }
                CompressionMethod::Deflated => {
                    if size > packed.saturating_mul(MAX_INFLATION) {
                        let reason = format!(
                            "declares {size} bytes, more than {packed} deflated bytes can hold"
                        );
                        return Err(FormatError::tensor(name, reason));
                    }
                    total = total.saturating_add(size);
                    if total > limit {
                        let reason = format!(
                            "the deflated arrays up to this one declare {total} bytes, the limit is {limit}"
                        );
                        return Err(FormatError::tensor(name, reason));
                    }
                }
                method => {
                    let reason =
                        format!("is compressed by {method:?}; known are stored and deflated");
                    return Err(FormatError::tensor(name, reason));
                }
            }
            names.push(name.to_owned());
        }
        Ok(Self { archive, names })
    }

    /// The names of the arrays in the order of the archive.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The array at `index`: its header, compared with the size that the archive declares, and its
    /// elements, read into a buffer of the caller's.
    ///
    /// # Errors
    /// [`FormatError::Tensor`] when the member is no `.npy` file of the declared length.
    pub fn array(&mut self, index: usize) -> Result<NpyStream<impl Read>, FormatError> {
        let Some(name) = self.names.get(index) else {
            let count = self.names.len();
            return Err(FormatError::malformed(format!(
                "npz: no array {index}, there are {count}"
            )));
        };
        let member = self.archive.by_index(index).map_err(|error| at_fault(name, broken(error)))?;
        let size = member.size();
        NpyStream::new(member, size).map_err(|error| at_fault(name, error))
    }
}

/// An `.npz` file being written, array by array.
pub struct NpzWriter<W: Write + Seek> {
    archive: ZipWriter<W>,
    options: SimpleFileOptions,
    names: HashSet<String>,
}

impl<W: Write + Seek> NpzWriter<W> {
    /// An empty archive, whose members are deflated if `compressed`.
    pub fn new(out: W, compressed: bool) -> Self {
        let method =
            if compressed { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        // No clock: the same arrays make the same bytes. Members may exceed 4 GiB, as NumPy's may.
        let options = SimpleFileOptions::default().compression_method(method).large_file(true);
        Self { archive: ZipWriter::new(out), options, names: HashSet::new() }
    }

    /// Writes one array of little-endian elements.
    ///
    /// # Errors
    /// [`FormatError::Tensor`] for a name that is empty or occurs twice, and elements of another
    /// length than the shape's; a failing write.
    pub fn write(
        &mut self,
        name: &str,
        dtype: RawDType,
        shape: &[usize],
        fortran_order: bool,
        data: &[u8],
    ) -> Result<(), FormatError> {
        if name.is_empty() {
            return Err(FormatError::tensor(name, "an array needs a name"));
        }
        if !self.names.insert(name.to_owned()) {
            return Err(FormatError::tensor(name, "the name occurs twice"));
        }
        if dtype.byte_len(shape) != Some(data.len()) {
            let reason = format!("{} bytes given for {shape:?} of {dtype}", data.len());
            return Err(FormatError::tensor(name, reason));
        }
        let started = self.archive.start_file(format!("{name}{SUFFIX}"), self.options);
        started.map_err(|error| at_fault(name, broken(error)))?;
        write_npy_header(&mut self.archive, dtype, shape, fortran_order)?;
        self.archive.write_all(data)?;
        Ok(())
    }

    /// Writes the list of members and returns what was written to.
    ///
    /// # Errors
    /// A failing write.
    pub fn finish(self) -> Result<W, FormatError> {
        let mut out = self.archive.finish().map_err(broken)?;
        out.flush()?;
        Ok(out)
    }
}

/// The error of the archive's own structure.
fn broken(error: ZipError) -> FormatError {
    match error {
        ZipError::Io(error) => FormatError::Read(error),
        error => FormatError::malformed(format!("npz: {error}")),
    }
}

fn at_fault(name: &str, error: FormatError) -> FormatError {
    FormatError::tensor(name, error.to_string())
}
