//! The thread-local front: per thread and pool, a few free blocks of each class. A request that
//! finds one takes no lock and shares no cache line with another thread.

#![allow(clippy::vec_box, reason = "fronts change places, and are some 800 bytes each")]

use std::cell::RefCell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::shared::Shared;
use super::size_class::{CLASS_COUNT, class_size};
use super::span::Span;
use super::sync::{AtomicU64, thread_local};
use super::tally::Tally;

/// A block and the pool that it belongs to. Blocks in a front keep their handle on the pool, so
/// that taking one counts no references.
pub(super) struct Held {
    pub(super) span: Span,
    pub(super) shared: Arc<Shared>,
}

/// One thread's free blocks of one pool.
pub(super) struct Front {
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    /// The pool's [`word`](Shared::word) when this thread last looked, without flags.
    seen: u64,
    lists: [Vec<Held>; CLASS_COUNT],
    /// Change of the bytes in use since the pool was told, and its maximum.
    pending: i64,
    highest: i64,
}

thread_local! {
    /// This thread's fronts, the one used last at the beginning.
    static FRONTS: RefCell<Vec<Box<Front>>> = const { RefCell::new(Vec::new()) };
}

/// The most blocks of a class that a front keeps: 32 KiB, at least two and at most 64 blocks.
#[inline]
pub(super) const fn capacity(class: usize) -> usize {
    // A table: every block that comes back is compared with it.
    const CAPACITIES: [usize; CLASS_COUNT] = {
        let mut capacities = [2; CLASS_COUNT];
        let mut class = 0;
        while class < CLASS_COUNT {
            let count = (32 << 10) / class_size(class);
            if count > 64 {
                capacities[class] = 64;
            } else if count > 2 {
                capacities[class] = count;
            }
            class += 1;
        }
        capacities
    };
    CAPACITIES[class]
}

/// How the bytes in use moved, when it is time that the pool knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    Little,
    Enough,
}

impl Front {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            tally: shared.register(),
            seen: shared.word.epoch(),
            lists: std::array::from_fn(|_| Vec::new()),
            pending: 0,
            highest: 0,
            shared,
        }
    }

    #[cold]
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// A block of `class` from this front for a request of `bytes`, put into `slot`: as part of
    /// the answer it would be copied from answer to answer.
    #[inline]
    pub(super) fn take(
        &mut self,
        class: usize,
        bytes: usize,
        slot: &mut Option<Held>,
    ) -> Option<Moved> {
        *slot = Some(self.lists[class].pop()?);
        self.tally.allocated(class, bytes);
        self.pending += class_size(class) as i64;
        self.highest = self.highest.max(self.pending);
        Some(self.settle())
    }

    /// Fetches a batch of blocks from what threads share.
    pub(super) fn refill(&mut self, class: usize) {
        let (shared, list) = (&self.shared, &mut self.lists[class]);
        if list.capacity() == 0 {
            list.reserve_exact(capacity(class));
        }
        shared.central.take(class, capacity(class) / 2, |span| {
            list.push(Held { span, shared: shared.clone() });
        });
    }

    /// Takes back a block of `class` that held `bytes`, if there is room.
    #[inline]
    pub(super) fn put(
        &mut self,
        class: usize,
        bytes: usize,
        slot: &mut Option<Held>,
    ) -> Option<Moved> {
        let list = &mut self.lists[class];
        if list.len() >= list.capacity().min(capacity(class)) {
            return None;
        }
        list.push(slot.take()?);
        self.tally.freed(class, bytes);
        self.pending -= class_size(class) as i64;
        Some(self.settle())
    }

    /// Makes room for a block of `class`: the half of them that rested longest goes to the threads'
    /// common lists.
    pub(super) fn make_room(&mut self, class: usize) {
        let list = &mut self.lists[class];
        if list.capacity() == 0 {
            list.reserve_exact(capacity(class));
        } else if list.len() >= capacity(class) {
            let batch = list.drain(..capacity(class) / 2).map(|held| held.span);
            self.shared.central.put(class, batch);
        }
    }

    /// Gives every block back and tells the pool what is in use.
    pub(super) fn flush(&mut self) {
        for (class, list) in self.lists.iter_mut().enumerate() {
            if !list.is_empty() {
                self.shared.central.put(class, list.drain(..).map(|held| held.span));
            }
        }
        self.report();
    }

    /// Does what was asked of all threads since this one last looked.
    pub(super) fn catch_up(&mut self) {
        let epoch = self.shared.word.epoch();
        if self.seen != epoch {
            self.seen = epoch;
            self.flush();
        }
    }

    /// Tells the pool that use moved by `change` outside of this front, together with what this
    /// thread did not tell yet: in that order, so that the peak of one thread is exact.
    pub(super) fn report_moved(&mut self, change: i64) {
        self.pending += change;
        self.highest = self.highest.max(self.pending);
        self.report();
    }

    pub(super) fn report(&mut self) {
        self.shared.usage.report(self.pending, self.highest);
        (self.pending, self.highest) = (0, 0);
    }

    /// The memory that the lists take.
    pub(super) fn overhead_bytes() -> usize {
        let lists: usize = (0..CLASS_COUNT).map(capacity).sum();
        size_of::<Self>() + size_of::<Tally>() + lists * size_of::<Held>()
    }

    #[inline]
    fn settle(&mut self) -> Moved {
        if self.pending.unsigned_abs() < self.shared.usage.grain {
            return Moved::Little;
        }
        self.report();
        Moved::Enough
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.flush();
        self.shared.unregister(&self.tally);
    }
}

/// Calls `f` with this thread's front of the pool, if it is the one used last and nothing is asked
/// of the thread: the way of nearly every request.
#[inline]
pub(super) fn with_ready<R>(
    shared: *const Shared,
    f: impl FnOnce(&mut Front) -> Option<R>,
) -> Option<R> {
    let result = FRONTS.try_with(|fronts| {
        let mut fronts = fronts.try_borrow_mut().ok()?;
        let front = fronts.first_mut()?;
        let ready = Arc::as_ptr(&front.shared) == shared && front.shared.word.load() == front.seen;
        if ready { f(front) } else { None }
    });
    result.ok().flatten()
}

/// Calls `f` with this thread's front of the pool, made if there is none; `None` while the thread
/// ends or in the middle of another call.
pub(super) fn with<R>(shared: &Arc<Shared>, f: impl FnOnce(&mut Front) -> R) -> Option<R> {
    // What this thread kept of pools that are gone is of no use any more. It goes when nothing is
    // borrowed: with a pool go its callbacks, and what those hold may use a pool.
    let mut gone = Vec::new();
    FRONTS
        .try_with(|fronts| {
            let mut fronts = fronts.try_borrow_mut().ok()?;
            gone.extend(fronts.extract_if(.., |front| {
                front.shared.word.is_closed() && !Arc::ptr_eq(&front.shared, shared)
            }));
            match fronts.iter().position(|front| Arc::ptr_eq(&front.shared, shared)) {
                Some(0) => {}
                Some(place) => fronts.swap(0, place),
                None => fronts.insert(0, Box::new(Front::new(shared.clone()))),
            }
            let front = fronts.first_mut()?;
            front.catch_up();
            Some(f(front))
        })
        .ok()
        .flatten()
}

/// Calls `f` with this thread's front of the pool if there is one, and says whether there is.
pub(super) fn with_existing(shared: &Shared, f: impl FnOnce(&mut Front)) -> bool {
    let found = FRONTS.try_with(|fronts| {
        let mut fronts = fronts.try_borrow_mut().ok()?;
        let front = fronts.iter_mut().find(|front| ptr::eq(&*front.shared, shared))?;
        f(front);
        Some(())
    });
    found.is_ok_and(|found| found.is_some())
}

/// Gives up this thread's front of the pool.
pub(super) fn remove(shared: &Arc<Shared>) {
    let removed = FRONTS.try_with(|fronts| {
        let mut fronts = fronts.try_borrow_mut().ok()?;
        let place = fronts.iter().position(|front| Arc::ptr_eq(&front.shared, shared))?;
        Some(fronts.swap_remove(place))
    });
    drop(removed);
}

/// What asks something of all threads, in one word that every request compares.
#[derive(Default)]
pub(super) struct Word(AtomicU64);

impl Word {
    /// No handle on the pool is left.
    pub(super) const CLOSED: u64 = 1;
    /// Blocks are tracked.
    pub(super) const TRACKING: u64 = 2;
    /// An allocation is to fail.
    pub(super) const FAILING: u64 = 4;
    /// Nothing is kept.
    pub(super) const IMMEDIATE: u64 = 8;
    const FLAGS: u64 = 0xff;

    #[inline]
    pub(super) fn load(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.load() & !Self::FLAGS
    }

    #[inline]
    pub(super) fn has(&self, flag: u64) -> bool {
        self.load() & flag != 0
    }

    pub(super) fn is_closed(&self) -> bool {
        self.has(Self::CLOSED)
    }

    /// Sets a flag and says whether that changed it.
    pub(super) fn set(&self, flag: u64, on: bool) -> bool {
        let before =
            if on { self.0.fetch_or(flag, Relaxed) } else { self.0.fetch_and(!flag, Relaxed) };
        (before & flag != 0) != on
    }

    /// Asks every thread to give back what it keeps, when it comes by next.
    pub(super) fn ask_for_blocks(&self) {
        self.0.fetch_add(Self::FLAGS + 1, Relaxed);
    }
}
