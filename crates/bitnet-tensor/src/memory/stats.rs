//! What a pool holds, how well it fits what was asked for, and how often it could serve a request
//! from what it held.

use std::fmt;
use std::time::Duration;

use super::bytes::Bytes;
use super::clock::SAMPLING;
use super::front::{Front, Held};
use super::shared::{LARGE_BINS, Shared};
use super::size_class::{CLASS_COUNT, SMALL_LIMIT, class_size};
use super::{PoolConfig, PressureLevel};

/// A snapshot of a pool. Byte counts are of whole blocks unless said otherwise.
///
/// Threads count for themselves: the numbers are exact when no other thread is using the pool, and
/// of slightly different moments when one is. The peak is exact as long as one thread uses the pool
/// at a time; each further one that uses it at the same moment adds an uncertainty of at most
/// 64 KiB.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct MemoryStats {
    /// Bytes in blocks that somebody holds.
    pub current_bytes: usize,
    /// The highest `current_bytes` so far, or since the last reset.
    pub peak_bytes: usize,
    /// Of `current_bytes`, what was asked for.
    pub requested_bytes: usize,
    /// Bytes taken from the system: address space, which is resident where it was touched.
    pub reserved_bytes: usize,
    /// The highest `reserved_bytes` so far.
    pub peak_reserved_bytes: usize,
    /// Reserved bytes in no live block.
    pub cached_bytes: usize,
    /// Blocks that somebody holds.
    pub live_blocks: usize,
    /// Requests served from what was reserved.
    pub hits: u64,
    /// Requests that went to the system.
    pub misses: u64,
    /// The share of the live bytes that nobody asked for.
    pub internal_fragmentation: f64,
    /// The share of the free bytes for large blocks that is not in the longest free stretch: 0 when
    /// all of it could serve one request.
    pub external_fragmentation: f64,
    /// What the pool needs for itself: its lists, what it notes of each block, the ends of slabs that
    /// hold no block, and the records of blocks that are tracked. Estimated from the sizes of its
    /// data structures.
    pub overhead_bytes: usize,
    /// The most that may be reserved.
    pub limit_bytes: Option<usize>,
    /// How much of the limit is in use.
    pub pressure: PressureLevel,
    /// Threads that keep free blocks at hand.
    pub threads: usize,
    /// Calls of the allocator that were timed: one in 1024.
    pub sampled_calls: u64,
    /// How long the timed calls took.
    pub sampled_time: Duration,
    /// The sizes of blocks that were ever used, the smallest first.
    pub size_classes: Vec<SizeClassStats>,
}

/// The blocks of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SizeClassStats {
    /// The size of the blocks. Large blocks, of more than 32 KiB, are counted by doublings: the
    /// largest size that the doubling has.
    pub block_bytes: usize,
    /// Blocks that somebody holds.
    pub live_blocks: usize,
    /// Requests so far.
    pub requests: u64,
}

impl MemoryStats {
    pub(super) fn of(shared: &Shared) -> Self {
        let (totals, threads) = shared.totals();
        let heap = shared.heap();
        let (counts, spans) = (heap.counts.clone(), heap.spans.stats());
        drop(heap);
        let central = shared.central.stats();

        let small = (0..CLASS_COUNT).map(|class| SizeClassStats {
            block_bytes: class_size(class),
            live_blocks: totals.live(class),
            requests: totals.allocated[class],
        });
        let live_small: usize = small.clone().map(|c| c.live_blocks * c.block_bytes).sum();
        let large = (0..LARGE_BINS).map(|bin| SizeClassStats {
            block_bytes: SMALL_LIMIT << (bin + 1),
            live_blocks: (counts.allocated[bin] - counts.freed[bin]) as usize,
            requests: counts.allocated[bin],
        });
        let size_classes: Vec<_> = small.chain(large).filter(|class| class.requests > 0).collect();

        let current_bytes = live_small + counts.live_bytes;
        let requested = usize::try_from(totals.requested).unwrap_or(0) + counts.requested;
        let reserved_bytes = shared.reserved();
        let live_blocks = size_classes.iter().map(|class| class.live_blocks).sum();
        let requests: u64 = size_classes.iter().map(|class| class.requests).sum();
        let share = |part: usize, whole: usize| match whole {
            0 => 0.0,
            whole => 1.0 - part as f64 / whole as f64,
        };
        let (sampled_calls, sampled_time) = shared.clock.sampled();
        let PoolConfig { limit_bytes, .. } = shared.config;
        Self {
            current_bytes,
            peak_bytes: shared.usage.peak().max(current_bytes),
            requested_bytes: requested.min(current_bytes),
            reserved_bytes,
            peak_reserved_bytes: shared.peak_reserved(),
            cached_bytes: reserved_bytes.saturating_sub(current_bytes),
            live_blocks,
            hits: requests.saturating_sub(shared.misses()),
            misses: shared.misses(),
            internal_fragmentation: share(requested.min(current_bytes), current_bytes),
            external_fragmentation: share(spans.longest_free, spans.free_bytes),
            overhead_bytes: size_of::<Shared>()
                + spans.overhead_bytes
                + central.overhead_bytes
                + shared.tracker.overhead_bytes()
                + threads * Front::overhead_bytes()
                + live_blocks * size_of::<Held>(),
            limit_bytes,
            pressure: shared.pressure.level(),
            threads,
            sampled_calls,
            sampled_time,
            size_classes,
        }
    }

    /// The share of the requests that was served from what the pool held; 1 when there were none.
    pub fn hit_rate(&self) -> f64 {
        let requests = self.hits + self.misses;
        if requests == 0 { 1.0 } else { self.hits as f64 / requests as f64 }
    }

    /// The mean time of a call of the allocator, to take or return a block, in the sample.
    pub fn mean_call_time(&self) -> Option<Duration> {
        let calls = u32::try_from(self.sampled_calls).ok().filter(|&calls| calls > 0)?;
        Some(self.sampled_time / calls)
    }

    /// The time spent in the allocator so far, as the sample suggests.
    pub fn estimated_time(&self) -> Duration {
        self.sampled_time.saturating_mul(SAMPLING)
    }
}

impl fmt::Display for MemoryStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "in use    {} in {} blocks, {} at most; {:.1} % more than asked for",
            Bytes(self.current_bytes),
            self.live_blocks,
            Bytes(self.peak_bytes),
            100.0 * self.current_bytes.saturating_sub(self.requested_bytes) as f64
                / self.requested_bytes.max(1) as f64,
        )?;
        write!(f, "reserved  {}", Bytes(self.reserved_bytes))?;
        if let Some(limit) = self.limit_bytes {
            write!(f, " of {} (pressure {})", Bytes(limit), self.pressure)?;
        }
        writeln!(
            f,
            ", {} at most; {} kept, {} for the pool itself",
            Bytes(self.peak_reserved_bytes),
            Bytes(self.cached_bytes),
            Bytes(self.overhead_bytes),
        )?;
        writeln!(
            f,
            "requests  {}, {:.2} % from the pool; free space {:.1} % fragmented",
            self.hits + self.misses,
            100.0 * self.hit_rate(),
            100.0 * self.external_fragmentation,
        )?;
        if let Some(mean) = self.mean_call_time() {
            let total = self.estimated_time();
            writeln!(f, "time      {mean:.0?} per call, about {total:.1?} in all")?;
        }
        write!(f, "{:>10} {:>10} {:>12}", "block", "in use", "requests")?;
        for class in &self.size_classes {
            let SizeClassStats { block_bytes, live_blocks, requests } = class;
            write!(f, "\n{:>10} {live_blocks:>10} {requests:>12}", Bytes(*block_bytes))?;
        }
        Ok(())
    }
}
