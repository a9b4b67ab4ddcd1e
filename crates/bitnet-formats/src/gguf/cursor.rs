//! Reading forward through bytes from outside: every step is checked against what is left.

/// A place in the file. What goes wrong is a reason in words; the caller knows where it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes before this place.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// What lies between an earlier place and this one.
    pub(super) fn since(&self, earlier: usize) -> &'a [u8] {
        &self.bytes[earlier..self.at]
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], String> {
        if length > self.left() as u64 {
            return Err(format!(
                "{length} bytes expected at byte {}, {} are left in the file",
                self.at,
                self.left()
            ));
        }
        let start = self.at;
        self.at += length as usize; // fits: at most what is left
        Ok(self.since(start))
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.take(N as u64)?;
        Ok(bytes.try_into().expect("take returns as many bytes as asked"))
    }

    pub(super) fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    /// A string as GGUF writes it: a `u64` length and that many bytes.
    pub(super) fn string(&mut self) -> Result<&'a [u8], String> {
        let length = self.u64()?;
        self.take(length)
    }

    /// A string that must be text, because it is a name.
    pub(super) fn name(&mut self) -> Result<&'a str, String> {
        let bytes = self.string()?;
        std::str::from_utf8(bytes).map_err(|error| {
            format!("the name {:?} is not UTF-8: {error}", String::from_utf8_lossy(short(bytes)))
        })
    }
}

/// The beginning of bytes that a message shows.
fn short(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(64)]
}
