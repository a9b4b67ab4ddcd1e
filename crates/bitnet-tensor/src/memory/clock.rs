//! The time spent in the allocator, from a sample of its calls.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One call in so many is timed.
pub(super) const SAMPLING: u32 = 1024;

thread_local! {
    /// So many calls of this thread until one is timed.
    static LEFT: Cell<u32> = const { Cell::new(SAMPLING) };
}

/// The sum of the timed calls of one pool.
#[derive(Default)]
pub(super) struct Clock {
    samples: AtomicU64,
    nanoseconds: AtomicU64,
}

/// Two readings before a timed call: their distance is what reading costs.
pub(super) struct Start {
    before: Instant,
    begin: Instant,
}

/// Counts a call and says whether it is one of those that are timed.
#[inline]
pub(super) fn is_due() -> bool {
    let left = LEFT.get() - 1;
    let due = left == 0;
    LEFT.set(if due { SAMPLING } else { left });
    due
}

impl Start {
    #[cold]
    pub(super) fn now() -> Self {
        let before = Instant::now();
        Self { before, begin: Instant::now() }
    }
}

impl Clock {
    /// Adds a timed call that ends now.
    #[cold]
    pub(super) fn stop(&self, start: &Start) {
        let reading = start.begin - start.before;
        let spent = start.begin.elapsed().saturating_sub(reading);
        self.samples.fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How many calls were timed, and how long they took.
    pub(super) fn sampled(&self) -> (u64, Duration) {
        (self.samples.load(Relaxed), Duration::from_nanos(self.nanoseconds.load(Relaxed)))
    }
}
