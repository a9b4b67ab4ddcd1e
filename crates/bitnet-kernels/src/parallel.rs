//! The one thread pool of the process: splits a range into pieces of a fixed grain.
//!
//! Pieces are cut by shape only, so which thread computes a piece is chance but what the pieces are
//! is not: results never depend on the number of threads. Each thread has a stretch of the pieces
//! that it takes first, the same one in every region of as many pieces, and helps with the others'
//! when it is done: what it wrote last time is still in its cache, and not in that of another core.
//! The caller works too and never waits for a worker that has not started: a region
//! costs a few hundred nanoseconds while the workers are awake, and a worker that is
//! descheduled, or lost in a `fork`, costs nothing but its help. Nested regions, and regions
//! opened while another thread's region runs, execute inline on their caller.

use std::any::Any;
use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// More threads than this are never started.
const MAX_THREADS: usize = 256;

/// How long an idle worker looks for the next region before it sleeps. Covers the sequential
/// code between two layers of a network.
const SPIN: Duration = Duration::from_micros(40);

/// The number of threads that a region may use, its caller included.
///
/// Initially `BITNET_NUM_THREADS`, or else the cores available to the process.
pub fn num_threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => {
            let asked = threads_from_environment().ok().flatten();
            let n = asked
                .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
                .unwrap_or(1)
                .min(MAX_THREADS);
            // A concurrent `set_num_threads` wins over the default.
            match THREADS.compare_exchange(0, n, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => n,
                Err(set) => set,
            }
        }
        n => n,
    }
}

/// The number of threads that `BITNET_NUM_THREADS` asks for; `None` when it is not set, or empty.
///
/// # Errors
/// Says why the value is none. [`num_threads`] goes by the cores then; whoever can tell the user
/// should.
pub fn threads_from_environment() -> Result<Option<usize>, String> {
    const NAME: &str = "BITNET_NUM_THREADS";
    let value = std::env::var_os(NAME).unwrap_or_default();
    parse_threads(&value.to_string_lossy()).map_err(|reason| format!("{NAME}: {reason}"))
}

fn parse_threads(value: &str) -> Result<Option<usize>, String> {
    match value.trim() {
        "" => Ok(None),
        text => match text.parse() {
            Ok(n) if (1..=MAX_THREADS).contains(&n) => Ok(Some(n)),
            _ => Err(format!("{value:?} is not a number of threads, 1 to {MAX_THREADS}")),
        },
    }
}

/// Sets the number of threads for regions that start from now on, process-wide. At least one
/// and at most 256 are used. Results do not depend on it.
pub fn set_num_threads(n: usize) {
    THREADS.store(n.clamp(1, MAX_THREADS), Ordering::Relaxed);
}

/// Calls `f` for the pieces `0..grain`, `grain..2·grain`, … of `0..len`, on several threads;
/// the last piece may be shorter. Returns when all calls have returned.
///
/// Runs inline, in order, when there is one piece or one thread, when called from inside a
/// region, or while another thread's region occupies the pool.
///
/// # Panics
/// If `grain` is zero. If `f` panics, pieces not yet begun are dropped, those running finish,
/// and the (first) panic continues in the caller; the pool stays usable.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// let total = AtomicUsize::new(0);
/// bitnet_kernels::parallel::for_each(100, 16, |piece| {
///     total.fetch_add(piece.sum(), Ordering::Relaxed);
/// });
/// assert_eq!(total.into_inner(), 4950);
/// ```
pub fn for_each(len: usize, grain: usize, f: impl Fn(Range<usize>) + Sync) {
    assert!(grain > 0, "for_each: grain is zero");
    let pieces = len.div_ceil(grain);
    let piece = |index: usize| {
        let start = index * grain;
        f(start..len.min(start.saturating_add(grain)))
    };
    let threads = num_threads().min(pieces);
    if threads <= 1 || IN_REGION.get() || !POOL.run(pieces, threads - 1, &piece) {
        (0..pieces).for_each(piece);
    }
}

/// Splits `data` into chunks of `chunk` elements, the last perhaps shorter, and calls `f` with
/// the index and the elements of each, like [`for_each`].
///
/// # Panics
/// If `chunk` is zero, or as [`for_each`] when `f` does.
///
/// ```
/// let mut data = [0; 10];
/// bitnet_kernels::parallel::for_each_chunk_mut(&mut data, 4, |index, chunk| chunk.fill(index));
/// assert_eq!(data, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]);
/// ```
pub fn for_each_chunk_mut<T: Send>(
    data: &mut [T],
    chunk: usize,
    f: impl Fn(usize, &mut [T]) + Sync,
) {
    let shared = SharedMut::of(data);
    for_each(shared.len, chunk, |range| {
        let index = range.start / chunk;
        // SAFETY: `for_each` hands out disjoint ranges inside `0..len`, each once.
        f(index, unsafe { shared.range(range) });
    });
}

/// A mutable slice whose disjoint ranges are handed to several threads.
pub(crate) struct SharedMut<'a, T> {
    data: *mut T,
    len: usize,
    borrow: std::marker::PhantomData<&'a mut [T]>,
}

impl<T> Clone for SharedMut<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedMut<'_, T> {}

// SAFETY: it only gives out `&mut [T]` of ranges that the caller promises to be disjoint,
// which is sending `T`s to the thread that takes the range.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    pub(crate) fn of(slice: &'a mut [T]) -> Self {
        let len = slice.len();
        SharedMut { data: slice.as_mut_ptr(), len, borrow: std::marker::PhantomData }
    }

    /// The first element, for writing where the caller may.
    pub(crate) fn as_ptr(&self) -> *mut T {
        self.data
    }

    /// The elements of `range`.
    ///
    /// # Safety
    /// No two ranges that are alive at the same time overlap. (Bounds are checked.)
    #[allow(clippy::mut_from_ref)] // the contract above is what makes the borrows disjoint
    pub(crate) unsafe fn range(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len, "range out of bounds");
        // SAFETY: inside the borrowed slice (just checked); disjoint by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(range.start), range.len()) }
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0); // 0: not asked yet

static POOL: Pool = Pool {
    state: Padded(AtomicU64::new(0)),
    job: AtomicPtr::new(ptr::null_mut()),
    workers: Mutex::new(0),
    sleepers: AtomicUsize::new(0),
    sleep: Mutex::new(()),
    wake: Condvar::new(),
};

thread_local! {
    /// Whether this thread is executing a piece (workers do nothing else).
    static IN_REGION: Cell<bool> = const { Cell::new(false) };
}

/// A cache line of its own (two, as adjacent lines are prefetched in pairs).
#[repr(align(128))]
struct Padded<T>(T);

struct Pool {
    /// `epoch << 32 | places << 16 | active`: the region's number, how many more workers may
    /// enter it, and how many are inside. One word, so that entering and closing are atomic.
    state: Padded<AtomicU64>,
    /// The open region's job; alive while `places` or `active` is not zero.
    job: AtomicPtr<Job<'static>>,
    /// Held for the length of a region; the number of workers started.
    workers: Mutex<usize>,
    sleepers: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
}

const ACTIVE_ONE: u64 = 1;
const ACTIVE: u64 = 0xffff;
const PLACE_ONE: u64 = 1 << 16;
const PLACES: u64 = 0xffff << 16;

/// Stretches that the pieces of a region are cut into, at most; further threads begin where others
/// do.
const MAX_STRETCHES: usize = 16;

/// A region's work, on its caller's stack.
struct Job<'a> {
    piece: &'a (dyn Fn(usize) + Sync),
    pieces: usize,
    stretches: usize,
    /// The first piece of each stretch that nobody has claimed.
    next: [Padded<AtomicUsize>; MAX_STRETCHES],
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<'a> Job<'a> {
    fn new(piece: &'a (dyn Fn(usize) + Sync), pieces: usize, threads: usize) -> Self {
        let stretches = threads.min(MAX_STRETCHES);
        let next = std::array::from_fn(|n| Padded(AtomicUsize::new(start(pieces, stretches, n))));
        Job { piece, pieces, stretches, next, panic: Mutex::new(None) }
    }

    /// Claims and computes pieces until none is left, those of the thread's own stretch first. Does
    /// not unwind.
    fn work(&self, thread: usize) {
        let result = catch_unwind(AssertUnwindSafe(|| {
            for n in 0..self.stretches {
                let stretch = (thread + n) % self.stretches;
                let end = start(self.pieces, self.stretches, stretch + 1);
                loop {
                    let index = self.next[stretch].0.fetch_add(1, Ordering::Relaxed);
                    if index >= end {
                        break;
                    }
                    (self.piece)(index);
                }
            }
        }));
        if let Err(payload) = result {
            for next in &self.next {
                next.0.store(self.pieces, Ordering::Relaxed);
            }
            let mut first = lock(&self.panic);
            if first.is_none() {
                *first = Some(payload);
            } else {
                // Never dropped: a destructor that panics would unwind out of an open region.
                std::mem::forget(payload);
            }
        }
    }
}

/// The first piece of a stretch: all are equally long, but for one piece.
fn start(pieces: usize, stretches: usize, stretch: usize) -> usize {
    let (length, longer) = (pieces / stretches, pieces % stretches);
    stretch * length + stretch.min(longer)
}

impl Pool {
    /// Runs `piece` for every index below `pieces` with up to `helpers` workers. Returns
    /// `false`, having done nothing, if another region is running.
    fn run(&'static self, pieces: usize, helpers: usize, piece: &(dyn Fn(usize) + Sync)) -> bool {
        let mut workers = match self.workers.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        while *workers < helpers {
            let builder = std::thread::Builder::new().name(format!("bitnet-{}", *workers + 1));
            let thread = *workers + 1;
            if builder.spawn(move || self.worker(thread)).is_err() {
                break; // the system gives no more threads: the region works with fewer
            }
            *workers += 1;
        }

        let job = Job::new(piece, pieces, helpers + 1);
        // The lifetime is erased here. Workers dereference the pointer only between entering
        // (`enter` took a place) and leaving, and `job` lives until none can do either.
        self.job.store(ptr::from_ref(&job).cast_mut().cast(), Ordering::Relaxed);
        let epoch = (self.state.0.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        let open = (epoch << 32) | (helpers as u64 * PLACE_ONE);
        self.state.0.store(open, Ordering::SeqCst);
        // With SeqCst on both sides, a worker about to sleep sees the region or we see it.
        let asleep = self.sleepers.load(Ordering::SeqCst).min(helpers);
        if asleep > 0 {
            drop(lock(&self.sleep)); // a worker between its check and its wait gets there
            for _ in 0..asleep {
                self.wake.notify_one();
            }
        }

        IN_REGION.set(true);
        job.work(0);
        IN_REGION.set(false);

        // From here no worker can enter; those inside are waited for.
        self.state.0.fetch_and(!PLACES, Ordering::AcqRel);
        let mut spins = 0u32;
        while self.state.0.load(Ordering::Acquire) & ACTIVE != 0 {
            relax(&mut spins);
        }
        drop(workers);
        if let Some(payload) = job.panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(payload);
        }
        true
    }

    /// The life of a worker, the `thread`-th beside the caller: enter regions, spin a while, sleep.
    fn worker(&self, thread: usize) {
        IN_REGION.set(true);
        let mut last_epoch = 0;
        loop {
            let idle_since = Instant::now();
            let mut spins = 0u32;
            while !self.enter(&mut last_epoch) {
                relax(&mut spins);
                if spins.is_multiple_of(32) && idle_since.elapsed() > SPIN {
                    self.sleep(&last_epoch);
                }
            }
            // SAFETY: `enter` counted this worker as active, and the region's caller keeps
            // the job alive until `active` is zero.
            unsafe { &*self.job.load(Ordering::Relaxed) }.work(thread);
            self.state.0.fetch_sub(ACTIVE_ONE, Ordering::Release);
        }
    }

    /// Takes a place in a region that this worker has not worked in yet.
    fn enter(&self, last_epoch: &mut u64) -> bool {
        let state = self.state.0.load(Ordering::Relaxed);
        if !is_open(state, *last_epoch) {
            return false;
        }
        let entered = state - PLACE_ONE + ACTIVE_ONE;
        // Acquire pairs with the opening store: the job is visible.
        let order = (Ordering::Acquire, Ordering::Relaxed);
        let taken = self.state.0.compare_exchange(state, entered, order.0, order.1).is_ok();
        if taken {
            *last_epoch = state >> 32;
        }
        taken
    }

    fn sleep(&self, last_epoch: &u64) {
        let guard = lock(&self.sleep);
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        if !is_open(self.state.0.load(Ordering::SeqCst), *last_epoch) {
            // A spurious wake-up only costs one more round of looking.
            drop(self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner));
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}

fn is_open(state: u64, last_epoch: u64) -> bool {
    state & PLACES != 0 && state >> 32 != last_epoch
}

/// Waits a moment; lets another thread have the core now and then, for machines with more
/// runnable threads than cores.
fn relax(spins: &mut u32) {
    *spins = spins.wrapping_add(1);
    if spins.is_multiple_of(256) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_understood_or_refused() {
        assert_eq!(parse_threads(" 3 "), Ok(Some(3)));
        assert_eq!(parse_threads(""), Ok(None));
        for nonsense in ["0", "-1", "many", "257", "1.5"] {
            assert!(parse_threads(nonsense).is_err_and(|reason| reason.contains(nonsense)));
        }
    }
    use std::sync::atomic::AtomicU8;

    fn counts(len: usize, grain: usize) -> Vec<u8> {
        let counts: Vec<AtomicU8> = (0..len).map(|_| AtomicU8::new(0)).collect();
        for_each(len, grain, |range| {
            assert!(range.start % grain == 0 && range.len() <= grain && !range.is_empty());
            range.for_each(|i| {
                counts[i].fetch_add(1, Ordering::Relaxed);
            });
        });
        counts.into_iter().map(AtomicU8::into_inner).collect()
    }

    #[test]
    fn every_index_is_visited_once() {
        for threads in [1, 2, 3, 8] {
            set_num_threads(threads);
            for (len, grain) in [(0, 1), (1, 1), (7, 3), (1000, 1), (1000, 7), (5, usize::MAX)] {
                assert_eq!(counts(len, grain), vec![1; len], "{len} by {grain}");
            }
        }
    }

    #[test]
    fn nested_regions_run_inline() {
        let outer = AtomicUsize::new(0);
        for_each(8, 1, |_| {
            let thread = std::thread::current().id();
            for_each(10, 2, |range| {
                assert_eq!(std::thread::current().id(), thread);
                outer.fetch_add(range.len(), Ordering::Relaxed);
            });
        });
        assert_eq!(outer.into_inner(), 80);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_pool_survives() {
        for _ in 0..50 {
            let result = catch_unwind(|| for_each(64, 1, |r| assert!(r.start != 13, "thirteen")));
            let payload = result.expect_err("the panic is lost");
            assert!(payload.downcast_ref::<&str>().is_some_and(|s| s.contains("thirteen")));
            assert_eq!(counts(100, 3), vec![1; 100]);
        }
    }

    #[test]
    fn a_panic_whose_payload_panics_when_dropped_ends_the_region_all_the_same() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("the payload is dropped");
            }
        }
        set_num_threads(4);
        for _ in 0..20 {
            let inside = AtomicUsize::new(0);
            let result = catch_unwind(AssertUnwindSafe(|| {
                for_each(4, 1, |_| {
                    // Several threads panic at once, unless one takes all the pieces.
                    inside.fetch_add(1, Ordering::Relaxed);
                    let start = Instant::now();
                    while inside.load(Ordering::Relaxed) < 2
                        && start.elapsed() < Duration::from_millis(20)
                    {
                        std::thread::yield_now();
                    }
                    std::panic::panic_any(Bomb);
                });
            }));
            std::mem::forget(result.expect_err("the panic is lost"));
            assert_eq!(counts(100, 3), vec![1; 100]);
        }
    }

    #[test]
    fn concurrent_callers_all_finish() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..500 {
                        let len = round % 40;
                        assert_eq!(counts(len, 3), vec![1; len]);
                    }
                });
            }
        });
    }

    #[test]
    fn regions_wake_sleeping_workers() {
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(1)); // longer than SPIN
            assert_eq!(counts(64, 1), vec![1; 64]);
        }
    }

    #[test]
    fn chunks_are_disjoint_and_numbered() {
        let mut data = vec![0usize; 1003];
        for_each_chunk_mut(&mut data, 10, |index, chunk| {
            chunk.iter_mut().for_each(|x| *x += index)
        });
        assert!(data.iter().enumerate().all(|(i, &x)| x == i / 10));
        for_each_chunk_mut(&mut [0u8; 0], 4, |_, _| unreachable!());
    }
}
