//! The thread-local front: per thread and pool, a few free blocks of each class. A request that
//! finds one takes no lock and shares no cache line with another thread.

#![allow(clippy::vec_box, reason = "what is handed on is boxed, so that a word is moved")]

use std::cell::RefCell;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::shared::{Kind, Shared};
use super::size_class::{CLASS_COUNT, class_size};
use super::span::Span;
use super::sync::{AtomicU64, thread_local};
use super::tally::Tally;

/// A block and the pool that it belongs to. Blocks in a front keep their handle on the pool, so
/// that taking one counts no references, and their box, so that it moves one word.
pub(super) struct Held {
    pub(super) span: Span,
    pub(super) shared: Arc<Shared>,
    /// The bytes that were asked for.
    pub(super) length: usize,
    pub(super) kind: Kind,
    /// Whether the pool's records know it.
    pub(super) tracked: bool,
}

impl Held {
    pub(super) fn new(span: Span, shared: Arc<Shared>, length: usize, kind: Kind) -> Box<Self> {
        Box::new(Self { span, shared, length, kind, tracked: false })
    }

    /// Enters it into the pool's records.
    pub(super) fn note(&mut self, caller: &'static Location<'static>) {
        self.shared.tracker.note(self.span.address(), self.length, caller);
        self.tracked = true;
    }

    /// Strikes it out of the pool's records if it is there.
    pub(super) fn forget(&mut self) {
        if self.tracked {
            self.shared.tracker.forget(self.span.address());
            self.tracked = false;
        }
    }
}

/// One thread's free blocks of one pool.
pub(super) struct Front {
    shared: Arc<Shared>,
    tally: Arc<Tally>,
    /// The pool's [`word`](Shared::word) when this thread last looked, without flags.
    seen: u64,
    /// Change of the bytes in use since the pool was told, and its maximum.
    pending: i64,
    highest: i64,
    /// The change of which the pool is told.
    grain: i64,
    lists: [Vec<Box<Held>>; CLASS_COUNT],
}

/// A thread's fronts.
struct Fronts {
    /// The one used last.
    current: Option<Box<Front>>,
    others: Vec<Box<Front>>,
}

impl Fronts {
    fn find(&mut self, shared: &Shared) -> Option<&mut Box<Front>> {
        self.current.iter_mut().chain(&mut self.others).find(|front| front.is_of(shared))
    }

    /// The front of the pool, made if there is none: the current one from now on.
    fn select(&mut self, shared: &Arc<Shared>) -> &mut Front {
        let pool = Arc::as_ptr(shared);
        if !self.current.as_ref().is_some_and(|front| front.is_of(pool)) {
            let front = match self.others.iter().position(|front| front.is_of(pool)) {
                Some(place) => self.others.swap_remove(place),
                None => Box::new(Front::new(shared.clone())),
            };
            self.others.extend(self.current.replace(front));
        }
        match &mut self.current {
            Some(front) => front,
            None => unreachable!("it was put there"),
        }
    }

    /// Takes those out that `which` says.
    fn extract(&mut self, which: impl Fn(&Front) -> bool) -> Vec<Box<Front>> {
        let mut extracted: Vec<_> = self.others.extract_if(.., |front| which(front)).collect();
        extracted.extend(self.current.take_if(|front| which(front)));
        extracted
    }
}

thread_local! {
    static FRONTS: RefCell<Fronts> =
        const { RefCell::new(Fronts { current: None, others: Vec::new() }) };
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
            pending: 0,
            highest: 0,
            grain: shared.usage.grain as i64,
            lists: std::array::from_fn(|_| Vec::new()),
            shared,
        }
    }

    #[inline]
    fn is_of(&self, shared: *const Shared) -> bool {
        ptr::eq(Arc::as_ptr(&self.shared), shared)
    }

    /// Whether the pool need not be told when use moves by `change` now.
    #[inline]
    pub(super) fn is_little(&self, change: i64) -> bool {
        (self.pending + change).abs() < self.grain
    }

    /// A block of `class` from this front for a request of `bytes`.
    #[inline]
    pub(super) fn take(&mut self, class: usize, bytes: usize) -> Option<Box<Held>> {
        let mut held = self.lists[class].pop()?;
        held.length = bytes;
        self.tally.allocated(class, bytes);
        self.pending += class_size(class) as i64;
        self.highest = self.highest.max(self.pending);
        Some(held)
    }

    /// Fetches a batch of blocks from what threads share.
    pub(super) fn refill(&mut self, class: usize) {
        let (shared, list) = (&self.shared, &mut self.lists[class]);
        if list.capacity() == 0 {
            list.reserve_exact(capacity(class));
        }
        shared.central.take(class, capacity(class) / 2, |span| {
            list.push(Held::new(span, shared.clone(), 0, Kind::small(class)));
        });
    }

    /// Takes back the block of `class` in `slot`, if there is room.
    #[inline]
    pub(super) fn put(&mut self, class: usize, slot: &mut Option<Box<Held>>) {
        let list = &mut self.lists[class];
        if list.len() == list.capacity() {
            return;
        }
        let Some(held) = slot.take() else { return };
        self.tally.freed(class, held.length);
        list.push(held);
        self.pending -= class_size(class) as i64;
    }

    /// Makes room for a block of `class`: the half of them that rested longest goes to the threads'
    /// common lists.
    pub(super) fn make_room(&mut self, class: usize) {
        let list = &mut self.lists[class];
        if list.capacity() == 0 {
            list.reserve_exact(capacity(class));
        } else if list.len() == list.capacity() {
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

    /// Tells the pool if it is time, and says so.
    pub(super) fn settle(&mut self) -> Moved {
        if self.is_little(0) {
            return Moved::Little;
        }
        self.report();
        Moved::Enough
    }

    /// The memory that the lists take, and the boxes of the blocks in them.
    pub(super) fn overhead_bytes() -> usize {
        let blocks: usize = (0..CLASS_COUNT).map(capacity).sum();
        let block = size_of::<Box<Held>>() + size_of::<Held>();
        size_of::<Self>() + size_of::<Tally>() + blocks * block
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.flush();
        self.shared.unregister(&self.tally);
    }
}

/// Calls `f` with this thread's front of the pool, if it is the one used last, nothing is asked of
/// the thread, and the pool need not be told when use moves by `change`: the way of nearly every
/// request.
#[inline]
pub(super) fn with_ready<R>(
    shared: *const Shared,
    change: i64,
    f: impl FnOnce(&mut Front) -> Option<R>,
) -> Option<R> {
    let result = FRONTS.try_with(|fronts| {
        let mut fronts = fronts.try_borrow_mut().ok()?;
        let front = fronts.current.as_mut()?;
        let ready = front.is_of(shared) && front.shared.word.load() == front.seen;
        if ready && front.is_little(change) { f(front) } else { None }
    });
    result.ok().flatten()
}

/// Calls `f` with this thread's front of the pool, made if there is none; `None` while the thread
/// ends or in the middle of another call.
pub(super) fn with<R>(shared: &Arc<Shared>, f: impl FnOnce(&mut Front) -> R) -> Option<R> {
    let result = FRONTS.try_with(|fronts| {
        let mut fronts = fronts.try_borrow_mut().ok()?;
        // What this thread kept of pools that are gone is of no use any more. It goes when nothing
        // is borrowed: with a pool go its callbacks, and what those hold may use a pool.
        let pool = Arc::as_ptr(shared);
        let gone = fronts.extract(|front| front.shared.word.is_closed() && !front.is_of(pool));
        let front = fronts.select(shared);
        front.catch_up();
        Some((f(front), gone))
    });
    result.ok().flatten().map(|(result, _gone)| result)
}

/// Calls `f` with this thread's front of the pool if there is one, and says whether there is.
pub(super) fn with_existing(shared: &Shared, f: impl FnOnce(&mut Front)) -> bool {
    let found = FRONTS.try_with(|fronts| {
        let mut fronts = fronts.try_borrow_mut().ok()?;
        f(fronts.find(shared)?);
        Some(())
    });
    found.is_ok_and(|found| found.is_some())
}

/// Gives up this thread's front of the pool.
pub(super) fn remove(shared: &Shared) {
    let removed = FRONTS.try_with(|fronts| {
        let mut fronts = fronts.try_borrow_mut().ok()?;
        Some(fronts.extract(|front| front.is_of(shared)))
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
