//! Models of what threads share: loom runs them in every order in which the threads can meet.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --manifest-path crates/bitnet-tensor/loom/Cargo.toml`
//!
//! The files of the pool are compiled here once more, with loom's locks, atomics and thread-local
//! values, and with one size class. `LOOM_MAX_PREEMPTIONS` says how often a thread is interrupted at
//! most where it could go on; each one more finds rarer meetings and takes several times as long.
#![cfg(loom)]
#![allow(dead_code, unused_imports, unreachable_pub, reason = "parts of the pool's files")]

use std::sync::atomic::Ordering::Relaxed;

use loom::cell::{Cell, UnsafeCell};
use loom::sync::Arc;
use loom::thread;

#[path = "../src/memory/bytes.rs"]
mod bytes;
#[path = "../src/memory/central.rs"]
mod central;
#[path = "../src/memory/clock.rs"]
mod clock;
#[path = "../src/memory/config.rs"]
mod config;
#[path = "../src/memory/front.rs"]
mod front;
#[path = "../src/memory/large.rs"]
mod large;
#[path = "../src/memory/pressure.rs"]
mod pressure;
#[path = "../src/memory/shared.rs"]
mod shared;
#[path = "../src/memory/span.rs"]
mod span;
#[path = "../src/memory/tally.rs"]
mod tally;
#[path = "../src/memory/tracking.rs"]
mod tracking;
#[path = "../src/memory/usage.rs"]
mod usage;

mod sync {
    pub(super) use loom::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, AtomicUsize};
    pub(super) use loom::sync::{Mutex, MutexGuard};

    macro_rules! of_threads {
        ($(#[$about:meta])* static $name:ident: $kind:ty = const { $value:expr };) => {
            loom::thread_local! { static $name: $kind = $value; }
        };
    }
    pub(super) use of_threads as thread_local;
}

/// One class, so that a page is a slab of two blocks.
mod size_class {
    use super::span::PAGE;

    pub(crate) const ALIGNMENT: usize = 64;
    pub(crate) const SMALL_LIMIT: usize = 2048;
    pub(crate) const CLASS_COUNT: usize = 1;

    pub(crate) fn class_of(_bytes: usize) -> usize {
        0
    }

    pub(crate) fn aligned_class_of(_bytes: usize, _alignment: usize) -> usize {
        0
    }

    pub(crate) const fn class_size(_class: usize) -> usize {
        SMALL_LIMIT
    }

    pub(crate) const fn slab_size(_class: usize) -> usize {
        PAGE
    }

    pub(crate) fn large_size(bytes: usize) -> Option<usize> {
        bytes.checked_next_multiple_of(PAGE)
    }
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(model);
}

/// Who touches which block: loom reports two holders of one block here, and writes that the next
/// holder may not see.
struct Touches {
    first: usize,
    blocks: [UnsafeCell<()>; 8],
}

impl Touches {
    /// Of blocks at `first` and behind.
    fn from(first: usize) -> Self {
        Self { first, blocks: std::array::from_fn(|_| UnsafeCell::new(())) }
    }

    fn touch(&self, span: &span::Span) {
        let block = (span.address() - self.first) / size_class::SMALL_LIMIT;
        self.blocks[block].with_mut(|_| ());
    }
}

/// Takes a block if there is one, uses it as its only holder, and returns it.
fn use_a_block(central: &central::Central, touches: &Touches) -> bool {
    let mut block = None;
    central.take(0, 1, |span| block = Some(span));
    let Some(block) = block else { return false };
    touches.touch(&block);
    central.put(0, std::iter::once(block));
    true
}

#[test]
fn a_block_of_the_shared_lists_has_one_holder() {
    check(|| {
        let (region, span) = span::Region::map(span::PAGE, false).expect("memory");
        let shared = Arc::new((central::Central::new(), Touches::from(span.address())));
        shared.0.add(0, span);
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    // The slab may be out while the third thread has it.
                    use_a_block(&shared.0, &shared.1);
                })
            })
            .collect();
        // The pool may take the slab away, but only while nobody has a block of it.
        if let Some(slab) = shared.0.remove_whole(0).pop() {
            shared.1.blocks[..2].iter().for_each(|block| block.with_mut(|_| ()));
            shared.0.add(0, slab);
        }
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert!(use_a_block(&shared.0, &shared.1), "no block is lost");
        let whole = shared.0.remove_whole(0).pop().expect("every block is back");
        region.unmap(whole);
    });
}

/// A pool, as the handles, threads and blocks of one share it.
fn pool(config: config::PoolConfig) -> std::sync::Arc<shared::Shared> {
    std::sync::Arc::new(shared::Shared::new(config.with_huge_pages(false)))
}

/// A thread that uses the pool. It gives its front up as it ends; loom, other than std, does not
/// wait for the destructors of thread-local values when it joins.
fn using<T: 'static>(
    pool: &std::sync::Arc<shared::Shared>,
    work: impl FnOnce() -> T + 'static,
) -> thread::JoinHandle<T> {
    let pool = std::sync::Arc::downgrade(pool);
    thread::spawn(move || {
        let result = work();
        if let Some(pool) = pool.upgrade() {
            front::remove(&pool);
        }
        result
    })
}

fn live(shared: &shared::Shared) -> (usize, i64) {
    let (totals, _) = shared.totals();
    (totals.live(0), totals.requested)
}

/// The free lists as a whole: one thread frees what another allocated, a second allocates and
/// frees, a third asks all of them for what they keep, and each ends with blocks in its front.
#[test]
fn a_block_of_the_pool_has_one_holder() {
    check(|| {
        let shared = pool(config::PoolConfig::new());
        // Two blocks of one slab: one stays, so that its slab and region do.
        let anchor = shared.allocate(1).expect("memory");
        let passed = shared.allocate(2).expect("memory");
        let first = anchor.span.address().min(passed.span.address());
        let touches = Arc::new(Touches::from(first));
        touches.touch(&passed.span);
        let elsewhere = using(&shared, {
            let touches = touches.clone();
            move || {
                touches.touch(&passed.span);
                shared::Shared::release(passed);
            }
        });
        let third = using(&shared, {
            let (shared, touches) = (shared.clone(), touches.clone());
            move || {
                let block = shared.allocate(3).expect("memory");
                touches.touch(&block.span);
                shared::Shared::release(block);
            }
        });
        shared.trim();
        elsewhere.join().expect("no panic");
        third.join().expect("no panic");
        assert_eq!(live(&shared), (1, 1));
        let again = shared.allocate(4).expect("memory");
        touches.touch(&again.span);
        shared::Shared::release(again);
        shared::Shared::release(anchor);
        assert_eq!(live(&shared), (0, 0));
        shared.trim();
        assert_eq!(shared.reserved(), 0, "everything is back");
        shared.close();
    });
}

/// The last handle on a pool goes while another thread frees a block.
#[test]
fn a_pool_closes_while_a_block_is_freed() {
    for bytes in [1, 5000] {
        check(move || {
            let shared = pool(config::PoolConfig::new());
            let gone = std::sync::Arc::downgrade(&shared);
            let block = shared.allocate(bytes).expect("memory");
            let kept = shared.allocate(bytes).expect("memory");
            let free = move || shared::Shared::release(block);
            let elsewhere = using(&shared, free);
            shared.close();
            drop(shared);
            // A block that outlives the pool is as good as before.
            assert_eq!(kept.span.bytes(1), [0]);
            shared::Shared::release(kept);
            elsewhere.join().expect("no panic");
            assert!(gone.upgrade().is_none(), "no thread, list or block keeps the memory");
        });
    }
}

/// Threads allocate and end; what they leave is freed elsewhere. Nothing is lost or counted twice.
#[test]
fn what_is_in_use_adds_up_when_threads_end() {
    check(|| {
        let shared = pool(config::PoolConfig::new());
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                using(&shared.clone(), move || shared.allocate(10).expect("memory"))
            })
            .collect();
        let blocks: Vec<_> =
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
        assert_eq!(live(&shared), (2, 20));
        assert_eq!(shared.usage.live(), 2 * size_class::SMALL_LIMIT, "fronts told when they went");
        assert!(shared.usage.peak() >= shared.usage.live());
        blocks.into_iter().for_each(shared::Shared::release);
        assert_eq!(live(&shared), (0, 0));
        shared.close();
    });
}

/// A limit that only one of two requests fits: one thread gets the memory, the other an error,
/// whichever comes first, and the limit holds throughout.
#[test]
fn threads_share_a_limit() {
    check(|| {
        let limit = 2 * span::PAGE;
        let shared = pool(config::PoolConfig::new().with_limit_bytes(limit));
        let other = using(&shared, {
            let shared = shared.clone();
            move || shared.allocate(limit)
        });
        let mine = shared.allocate(limit);
        let theirs = other.join().expect("no panic");
        assert!(shared.peak_reserved() <= limit);
        assert_eq!(usize::from(mine.is_ok()) + usize::from(theirs.is_ok()), 1);
        [mine, theirs].into_iter().flatten().for_each(shared::Shared::release);
        shared.close();
    });
}

/// What `Storage` does: views share a reference count, and storage is written by whoever finds to
/// be alone (`BitNetTensor::is_unique`, then `Arc::get_mut`).
fn write_if_alone(storage: &mut Arc<UnsafeCell<()>>) -> bool {
    if Arc::strong_count(storage) == 1
        && let Some(alone) = Arc::get_mut(storage)
    {
        alone.with_mut(|_| ());
        return true;
    }
    false
}

#[test]
fn storage_is_written_only_by_its_only_holder() {
    check(|| {
        let mut tensor = Arc::new(UnsafeCell::new(()));
        let views: Vec<_> = (0..2)
            .map(|_| {
                let mut view = tensor.clone();
                thread::spawn(move || {
                    view.with(|_| ()); // somebody else's write would be a race
                    write_if_alone(&mut view);
                })
            })
            .collect();
        write_if_alone(&mut tensor);
        drop(tensor);
        views.into_iter().for_each(|view| view.join().expect("no panic"));
    });
}

/// A view is cloned, read and dropped while another holder asks whether it is alone: it never is
/// while a view or a clone of one can still be read.
#[test]
fn clones_keep_storage_from_being_written() {
    check(|| {
        let mut tensor = Arc::new(UnsafeCell::new(()));
        let view = tensor.clone();
        let reader = thread::spawn(move || {
            let clone = view.clone();
            drop(view);
            clone.with(|_| ());
            let last = clone.clone();
            drop(clone);
            last.with(|_| ());
        });
        let early = write_if_alone(&mut tensor);
        reader.join().expect("no panic");
        let late = write_if_alone(&mut tensor);
        assert!(late, "the only holder writes, also after {early}");
    });
}

/// Copy on write: whoever is not alone writes to storage of its own, and nobody sees it.
#[test]
fn who_is_not_alone_writes_to_a_copy() {
    check(|| {
        let tensor = Arc::new(Cell::new(1));
        let threads: Vec<_> = (2..4)
            .map(|value| {
                let mut mine = tensor.clone();
                thread::spawn(move || {
                    match Arc::get_mut(&mut mine) {
                        Some(alone) => alone.set(value),
                        None => mine = Arc::new(Cell::new(mine.get() + value - 1)),
                    }
                    assert_eq!(mine.get(), value);
                })
            })
            .collect();
        assert_eq!(tensor.get(), 1);
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
    });
}

#[test]
fn use_adds_up_and_its_peak_is_bounded() {
    check(|| {
        let usage = Arc::new(usage::Usage::new(1));
        let threads: Vec<_> = [3, 5]
            .into_iter()
            .map(|bytes| {
                let usage = usage.clone();
                thread::spawn(move || {
                    usage.report(bytes, bytes);
                    usage.report(-bytes, 0);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(usage.live(), 0);
        assert!([5, 8].contains(&usage.peak()), "{}", usage.peak());
        usage.reset_peak();
        assert_eq!(usage.peak(), 0);
    });
}
