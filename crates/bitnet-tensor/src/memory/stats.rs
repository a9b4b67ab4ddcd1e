//! What a pool holds and how often it could serve a request from what it held.

use std::fmt;

/// A snapshot of a pool. Byte counts are of whole blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Bytes in blocks that somebody holds.
    pub live_bytes: usize,
    /// The highest `live_bytes` so far.
    pub peak_bytes: usize,
    /// Bytes in blocks that are kept for reuse.
    pub cached_bytes: usize,
    /// Blocks that somebody holds.
    pub live_blocks: usize,
    /// Requests served by a kept block.
    pub hits: u64,
    /// Requests that went to the system.
    pub misses: u64,
}

impl fmt::Display for MemoryStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: usize| bytes as f64 / f64::from(1 << 20);
        write!(
            f,
            "{:.1} MiB live in {} blocks (peak {:.1} MiB), {:.1} MiB cached, {} hits, {} misses",
            mib(self.live_bytes),
            self.live_blocks,
            mib(self.peak_bytes),
            mib(self.cached_bytes),
            self.hits,
            self.misses,
        )
    }
}
