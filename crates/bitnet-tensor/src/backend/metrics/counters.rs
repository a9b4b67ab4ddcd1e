//! Counters that are written on every operation by every thread: each thread counts for itself, by
//! plain additions, and whoever asks adds the threads up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What one thread counted; only that thread writes.
struct Shard<const N: usize>([AtomicU64; N]);

impl<const N: usize> Shard<N> {
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; N])
    }
}

/// How many counters there are, and one that only the test below writes.
pub(super) const COUNT: usize = 17;

static THREADS: Mutex<Vec<Arc<Shard<COUNT>>>> = Mutex::new(Vec::new());
/// What threads counted that have ended.
static ENDED: Shard<COUNT> = Shard::new();

thread_local!(static OWN: Own = Own::new());

struct Own(Arc<Shard<COUNT>>);

impl Own {
    fn new() -> Self {
        let shard = Arc::new(Shard::new());
        threads().push(shard.clone());
        Self(shard)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        let mut threads = threads();
        threads.retain(|shard| !Arc::ptr_eq(shard, &self.0));
        for (total, own) in ENDED.0.iter().zip(&self.0.0) {
            total.fetch_add(own.load(Relaxed), Relaxed);
        }
    }
}

fn threads() -> MutexGuard<'static, Vec<Arc<Shard<COUNT>>>> {
    THREADS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[inline]
pub(super) fn add(counter: usize, n: u64) {
    let own = OWN.try_with(|own| {
        let counter = &own.0.0[counter];
        counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
    });
    if own.is_err() {
        // The thread is ending and has handed in what it counted.
        ENDED.0[counter].fetch_add(n, Relaxed);
    }
}

/// The counters of all threads together: exact when the others are done or at rest.
pub(super) fn totals() -> [u64; COUNT] {
    let threads = threads();
    std::array::from_fn(|counter| {
        let own = threads.iter().map(|shard| shard.0[counter].load(Relaxed));
        own.fold(ENDED.0[counter].load(Relaxed), u64::wrapping_add)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_added_up_while_they_run_and_after() {
        // One that nothing else in this process writes.
        const UNUSED: usize = COUNT - 1;
        let barrier = std::sync::Barrier::new(3);
        std::thread::scope(|scope| {
            for n in [2u64, 5] {
                let barrier = &barrier;
                scope.spawn(move || {
                    (0..1000).for_each(|_| add(UNUSED, n));
                    barrier.wait();
                    barrier.wait();
                });
            }
            barrier.wait();
            assert_eq!(totals()[UNUSED], 7000);
            barrier.wait();
        });
        assert_eq!(totals()[UNUSED], 7000);
    }
}
