//! What a thread counts: plain additions to memory that no other thread writes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::size_class::CLASS_COUNT;
use super::sync::{AtomicI64, AtomicU64};

/// The counters of one thread for one pool, written by it alone and read by whoever asks.
///
/// A block may be freed by another thread than it was allocated by: only sums over all threads
/// have a meaning.
#[repr(align(128))] // two cache lines: neighbours are fetched in pairs
pub(super) struct Tally {
    allocated: [AtomicU64; CLASS_COUNT],
    freed: [AtomicU64; CLASS_COUNT],
    /// Bytes asked for in blocks allocated, less those in blocks freed.
    requested: AtomicI64,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            allocated: std::array::from_fn(|_| AtomicU64::new(0)),
            freed: std::array::from_fn(|_| AtomicU64::new(0)),
            requested: AtomicI64::new(0),
        }
    }

    /// Called by the owner only.
    #[inline]
    pub(super) fn allocated(&self, class: usize, bytes: usize) {
        let (count, requested) = (&self.allocated[class], &self.requested);
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
        requested.store(requested.load(Relaxed).wrapping_add(bytes as i64), Relaxed);
    }

    /// Called by the owner only.
    #[inline]
    pub(super) fn freed(&self, class: usize, bytes: usize) {
        let (count, requested) = (&self.freed[class], &self.requested);
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
        requested.store(requested.load(Relaxed).wrapping_sub(bytes as i64), Relaxed);
    }
}

/// A sum of tallies.
#[derive(Clone)]
pub(super) struct Totals {
    pub(super) allocated: [u64; CLASS_COUNT],
    pub(super) freed: [u64; CLASS_COUNT],
    pub(super) requested: i64,
}

impl Totals {
    pub(super) const ZERO: Self =
        Self { allocated: [0; CLASS_COUNT], freed: [0; CLASS_COUNT], requested: 0 };

    /// Adds what every one of `tallies` counted.
    pub(super) fn add(&mut self, tallies: &[Arc<Tally>]) {
        // What was freed first, by all: a block that is counted as freed, whichever thread freed
        // it, is then counted as allocated too.
        for tally in tallies {
            for (sum, count) in self.freed.iter_mut().zip(&tally.freed) {
                *sum = sum.wrapping_add(count.load(Relaxed));
            }
        }
        for tally in tallies {
            for (sum, count) in self.allocated.iter_mut().zip(&tally.allocated) {
                *sum = sum.wrapping_add(count.load(Relaxed));
            }
            self.requested = self.requested.wrapping_add(tally.requested.load(Relaxed));
        }
    }

    /// Counts a block that no thread's front allocated.
    pub(super) fn allocated(&mut self, class: usize, bytes: usize) {
        self.allocated[class] = self.allocated[class].wrapping_add(1);
        self.requested = self.requested.wrapping_add(bytes as i64);
    }

    /// Counts a block that no thread's front took back.
    pub(super) fn freed(&mut self, class: usize, bytes: usize) {
        self.freed[class] = self.freed[class].wrapping_add(1);
        self.requested = self.requested.wrapping_sub(bytes as i64);
    }

    /// Blocks of `class` in use.
    pub(super) fn live(&self, class: usize) -> usize {
        let live = self.allocated[class].wrapping_sub(self.freed[class]) as i64;
        // Under concurrent use, a block may be seen to go before it is seen to come.
        usize::try_from(live).unwrap_or(0)
    }
}
