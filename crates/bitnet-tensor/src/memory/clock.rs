//! The time spent in the allocator, from a sample of its calls.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One call in so many is timed.
pub(super) const SAMPLING: u32 = 1024;

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
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

/// A start if this call is one of those that are timed.
#[inline]
pub(super) fn start() -> Option<Start> {
    let calls = CALLS.get().wrapping_add(1);
    CALLS.set(calls);
    if calls.is_multiple_of(SAMPLING) { Some(Start::now()) } else { None }
}

impl Start {
    #[cold]
    fn now() -> Self {
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
