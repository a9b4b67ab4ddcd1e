//! What the handles, threads and blocks of one pool share, and the ways of a request that the
//! thread's front cannot serve.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use super::central::Central;
use super::clock::Clock;
use super::config::{PoolConfig, TrimPolicy};
use super::front::{self, Front, Held, Moved, Word};
use super::large::LargeHeap;
use super::pressure::Pressure;
use super::size_class::{
    SMALL_LIMIT, aligned_class_of, class_of, class_size, large_size, slab_size,
};
use super::span::{PAGE, Region, Span};
use super::sync::{AtomicI64, AtomicU64, AtomicUsize, Mutex, MutexGuard};
use super::tally::{Tally, Totals};
use super::tracking::{LiveReport, Tracker, count_pool};
use super::usage::{MAX_GRAIN, Usage};

/// The bins of large blocks in the histogram: one per doubling.
pub(super) const LARGE_BINS: usize = 48;

pub(super) type OnLeak = Box<dyn FnOnce(LiveReport) + Send>;

/// One pool.
pub(super) struct Shared {
    pub(super) word: Word,
    pub(super) config: PoolConfig,
    alignment: usize,
    pub(super) central: Central,
    heap: Mutex<Heap>,
    registry: Mutex<Registry>,
    pub(super) clock: Clock,
    pub(super) pressure: Pressure,
    pub(super) tracker: Tracker,
    /// Who is told of blocks that are in use when the last handle goes.
    pub(super) on_leak: Mutex<Option<OnLeak>>,
    /// So many allocations succeed before one fails on purpose.
    pub(super) fails_after: AtomicI64,
    reserved: AtomicUsize,
    peak_reserved: AtomicUsize,
    misses: AtomicU64,
    pub(super) usage: Usage,
}

#[derive(Default)]
pub(super) struct Heap {
    pub(super) spans: LargeHeap,
    pub(super) counts: LargeCounts,
}

/// What is counted of large blocks.
#[derive(Clone)]
pub(super) struct LargeCounts {
    pub(super) allocated: [u64; LARGE_BINS],
    pub(super) freed: [u64; LARGE_BINS],
    pub(super) live_bytes: usize,
    pub(super) requested: usize,
}

impl Default for LargeCounts {
    fn default() -> Self {
        Self { allocated: [0; LARGE_BINS], freed: [0; LARGE_BINS], live_bytes: 0, requested: 0 }
    }
}

/// The threads that use the pool, and what those counted that no longer do.
struct Registry {
    tallies: Vec<Arc<Tally>>,
    retired: Totals,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shortage {
    /// More than there are addresses.
    TooLarge,
    /// The pool's limit.
    Limit,
    /// The system's.
    System,
    /// It was asked to.
    OnPurpose,
}

/// The kind of a block: a class of small ones, or large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind(u8);

impl Kind {
    const LARGE: Self = Self(u8::MAX);

    pub(super) fn small(class: usize) -> Self {
        Self(class as u8)
    }

    #[inline]
    fn class(self) -> Option<usize> {
        (self != Self::LARGE).then_some(usize::from(self.0))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bin of the histogram that large blocks of `size` are in.
fn large_bin(size: usize) -> usize {
    ((size - 1) / SMALL_LIMIT).max(1).ilog2() as usize
}

impl Shared {
    pub(super) fn new(config: PoolConfig) -> Self {
        let word = Word::default();
        word.set(Word::IMMEDIATE, config.trim == TrimPolicy::Immediate);
        let grain = (config.unit() as u64 / 4).clamp(1, MAX_GRAIN);
        Self {
            word,
            alignment: config.effective_alignment(),
            central: Central::new(),
            heap: Mutex::new(Heap::default()),
            registry: Mutex::new(Registry { tallies: Vec::new(), retired: Totals::ZERO }),
            clock: Clock::default(),
            pressure: Pressure::new(&config),
            tracker: Tracker::default(),
            on_leak: Mutex::new(None),
            fails_after: AtomicI64::new(0),
            reserved: AtomicUsize::new(0),
            peak_reserved: AtomicUsize::new(0),
            misses: AtomicU64::new(0),
            usage: Usage::new(grain),
            config,
        }
    }

    /// A block for `bytes` bytes, if this thread has one at hand and nothing else is to be done.
    #[inline]
    pub(super) fn take_ready(&self, bytes: usize) -> Option<Box<Held>> {
        if bytes > SMALL_LIMIT {
            return None;
        }
        let class = self.class_of(bytes);
        let change = class_size(class) as i64;
        front::with_ready(self, change, |front| front.take(class, bytes))
    }

    /// A block for `bytes` bytes.
    pub(super) fn allocate(self: &Arc<Self>, bytes: usize) -> Result<Box<Held>, Shortage> {
        match self.take_ready(bytes) {
            Some(held) => Ok(held),
            None if bytes > SMALL_LIMIT => self.allocate_large(bytes),
            None => self.allocate_small(bytes),
        }
    }

    /// Takes a block back.
    #[inline]
    pub(super) fn release(held: Box<Held>) {
        let (Some(class), false) = (held.kind.class(), held.tracked) else {
            return Self::release_with_care(held);
        };
        let shared = Arc::as_ptr(&held.shared);
        let mut slot = Some(held);
        front::with_ready(shared, -(class_size(class) as i64), |front| {
            front.put(class, &mut slot);
            Some(())
        });
        if let Some(held) = slot {
            Self::release_small(held, class);
        }
    }

    #[cold]
    fn release_with_care(mut held: Box<Held>) {
        held.forget();
        match held.kind.class() {
            Some(class) => Self::release_small(held, class),
            None => Self::release_large(*held),
        }
    }

    #[inline]
    fn class_of(&self, bytes: usize) -> usize {
        if self.alignment == super::size_class::ALIGNMENT {
            class_of(bytes)
        } else {
            aligned_class_of(bytes, self.alignment)
        }
    }

    /// Whether freed blocks are kept by the threads.
    fn keeps(&self) -> bool {
        !self.word.has(Word::CLOSED | Word::IMMEDIATE)
    }

    #[cold]
    fn allocate_small(self: &Arc<Self>, bytes: usize) -> Result<Box<Held>, Shortage> {
        let class = self.class_of(bytes);
        loop {
            let taken = self.keeps().then(|| {
                front::with(self, |front| {
                    let mut held = front.take(class, bytes);
                    if held.is_none() {
                        front.refill(class);
                        held = front.take(class, bytes);
                    }
                    held.map(|held| (held, front.settle()))
                })
            });
            match taken.flatten() {
                Some(Some((held, moved))) => {
                    if moved == Moved::Enough {
                        self.settle();
                    }
                    return Ok(held);
                }
                Some(None) => {}
                None => {
                    let mut block = None;
                    self.central.take(class, 1, |span| block = Some(span));
                    if let Some(span) = block {
                        lock(&self.registry).retired.allocated(class, bytes);
                        self.moved(class_size(class) as i64);
                        self.settle();
                        return Ok(Held::new(span, self.clone(), bytes, Kind::small(class)));
                    }
                }
            }
            let least = class_size(class).next_multiple_of(PAGE);
            let slab = slab_size(class).min(self.config.unit()).max(least);
            let span = self.obtain(slab, least)?;
            self.central.add(class, span);
        }
    }

    #[cold]
    fn release_small(held: Box<Held>, class: usize) {
        let shared = held.shared.clone();
        let mut slot = Some(held);
        if shared.keeps() {
            front::with(&shared, |front| {
                front.make_room(class);
                front.put(class, &mut slot);
                front.settle();
            });
        }
        if let Some(held) = slot {
            let Held { span, length, .. } = *held;
            shared.central.put(class, std::iter::once(span));
            lock(&shared.registry).retired.freed(class, length);
            shared.moved(-(class_size(class) as i64));
        }
        shared.give_up_excess();
        shared.settle();
    }

    #[cold]
    fn allocate_large(self: &Arc<Self>, bytes: usize) -> Result<Box<Held>, Shortage> {
        let size = large_size(bytes).ok_or(Shortage::TooLarge)?;
        let span = self.obtain(size, size)?;
        let mut heap = lock(&self.heap);
        heap.counts.allocated[large_bin(size)] += 1;
        heap.counts.live_bytes += size;
        heap.counts.requested += bytes;
        drop(heap);
        self.moved(size as i64);
        self.settle();
        Ok(Held::new(span, self.clone(), bytes, Kind::LARGE))
    }

    #[cold]
    fn release_large(held: Held) {
        let Held { span, shared, length, .. } = held;
        let size = span.len();
        let mut heap = lock(&shared.heap);
        heap.counts.freed[large_bin(size)] += 1;
        heap.counts.live_bytes -= size;
        heap.counts.requested -= length;
        heap.spans.give(span);
        drop(heap);
        shared.moved(-(size as i64));
        shared.give_up_excess();
        shared.settle();
    }

    /// Tells of a block that came or went without this thread's front.
    fn moved(&self, change: i64) {
        if !front::with_existing(self, |front| front.report_moved(change)) {
            self.usage.report(change, change.max(0));
        }
    }

    /// Looks at the pressure, after use moved.
    #[cold]
    fn settle(self: &Arc<Self>) {
        if let Some(change) = self.pressure.update(self.usage.live()) {
            if self.config.trim == TrimPolicy::Pressure && change.to > change.from {
                self.trim();
            }
            self.pressure.tell(change);
        }
    }

    /// A span of `length` bytes: from what is free, else from the system; when there is none, what
    /// is kept is given back and the system is asked once more, for `least` bytes.
    fn obtain(self: &Arc<Self>, length: usize, least: usize) -> Result<Span, Shortage> {
        if let Some(span) = self.take_free(length) {
            return Ok(span);
        }
        match self.map(length, self.region_size(length)) {
            Ok(span) => Ok(span),
            Err(_) => {
                self.trim();
                if let Some(span) = self.take_free(least) {
                    return Ok(span);
                }
                self.map(least, least)
            }
        }
    }

    fn take_free(&self, length: usize) -> Option<Span> {
        if let Some(span) = lock(&self.heap).spans.take(length) {
            return Some(span);
        }
        // Slabs that nobody uses may serve as well.
        let slabs = self.central.remove_whole(0);
        if slabs.is_empty() {
            return None;
        }
        let mut heap = lock(&self.heap);
        slabs.into_iter().for_each(|span| heap.spans.give(span));
        heap.spans.take(length)
    }

    /// How much to map for a request of `length`: for several of them if they are short (a quarter
    /// of what is reserved, 1 to 16 MiB), and a little more for a long one, so that the next, a
    /// little longer, fits too.
    fn region_size(&self, length: usize) -> usize {
        const MIB: usize = 1 << 20;
        if self.config.trim == TrimPolicy::Immediate {
            return length;
        }
        if length < MIB {
            let share = (self.reserved.load(Relaxed) / 4).clamp(MIB, 16 * MIB);
            let size = share.min(self.config.unit().saturating_mul(2));
            // Of requests of one size, the last one fits too.
            return size.next_multiple_of(length);
        }
        let step = 1 << (length / 8).ilog2();
        length.checked_next_multiple_of(step.clamp(PAGE, 2 * MIB)).unwrap_or(length)
    }

    /// A span of `length` bytes at the beginning of a new region.
    fn map(&self, length: usize, region: usize) -> Result<Span, Shortage> {
        let reserved = match self.reserve(region) {
            Ok(()) => region,
            Err(_) => self.reserve(length).map(|()| length)?,
        };
        let mapped = Region::map(reserved, self.config.huge_pages);
        let Some((region, span)) = mapped else {
            self.reserved.fetch_sub(reserved, Relaxed);
            return Err(Shortage::System);
        };
        self.misses.fetch_add(1, Relaxed);
        span.allow_touching(0);
        let (span, rest) = span.split(length);
        lock(&self.heap).spans.add(region, rest);
        Ok(span)
    }

    fn reserve(&self, bytes: usize) -> Result<(), Shortage> {
        let limit = self.config.limit_bytes.unwrap_or(usize::MAX);
        let mut held = self.reserved.load(Relaxed);
        loop {
            let sum = held.checked_add(bytes).filter(|&sum| sum <= limit).ok_or(Shortage::Limit)?;
            match self.reserved.compare_exchange_weak(held, sum, Relaxed, Relaxed) {
                Ok(_) => {
                    self.peak_reserved.fetch_max(sum, Relaxed);
                    return Ok(());
                }
                Err(other) => held = other,
            }
        }
    }

    pub(super) fn reserved(&self) -> usize {
        self.reserved.load(Relaxed)
    }

    pub(super) fn peak_reserved(&self) -> usize {
        self.peak_reserved.load(Relaxed)
    }

    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Relaxed)
    }

    /// Gives memory back when more is kept than the pool may.
    fn give_up_excess(&self) {
        let keep = if self.keeps() { self.config.cache_bytes } else { 0 };
        let excess = || self.reserved().saturating_sub(self.usage.live()).saturating_sub(keep);
        if excess() == 0 {
            return;
        }
        let release = |slabs: Vec<Span>| {
            let mut heap = lock(&self.heap);
            slabs.into_iter().for_each(|span| heap.spans.give(span));
            let keep = heap.spans.stats().free_bytes.saturating_sub(excess());
            heap.spans.release_above(keep)
        };
        self.unmap(release(Vec::new()));
        if excess() > 0 && self.central.has_whole() {
            self.unmap(release(self.central.remove_whole(0)));
        }
    }

    /// Gives back everything that nobody uses, but for what other threads keep: they give it back
    /// when they use the pool next. Returns how many bytes went back to the system.
    pub(super) fn trim(self: &Arc<Self>) -> usize {
        self.word.ask_for_blocks();
        front::with_existing(self, Front::catch_up);
        let slabs = self.central.remove_whole(0);
        let mut heap = lock(&self.heap);
        slabs.into_iter().for_each(|span| heap.spans.give(span));
        let released = heap.spans.release_above(0);
        drop(heap);
        self.unmap(released)
    }

    fn unmap(&self, regions: Vec<(Region, Span)>) -> usize {
        let mut bytes = 0;
        for (region, span) in regions {
            bytes += region.len();
            self.reserved.fetch_sub(region.len(), Relaxed);
            region.unmap(span);
        }
        bytes
    }

    /// The counters of a new thread.
    pub(super) fn register(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::new());
        lock(&self.registry).tallies.push(tally.clone());
        tally
    }

    /// Keeps what a thread counted when it is gone.
    pub(super) fn unregister(&self, tally: &Arc<Tally>) {
        let mut registry = lock(&self.registry);
        registry.tallies.retain(|other| !Arc::ptr_eq(other, tally));
        registry.retired.add(std::slice::from_ref(tally));
    }

    /// What all threads counted, and how many they are.
    pub(super) fn totals(&self) -> (Totals, usize) {
        let registry = lock(&self.registry);
        let mut totals = registry.retired.clone();
        totals.add(&registry.tallies);
        (totals, registry.tallies.len())
    }

    /// What is counted of large blocks, and the state of the heap.
    pub(super) fn heap(&self) -> MutexGuard<'_, Heap> {
        lock(&self.heap)
    }

    /// No handle is left: what is free goes back now, what is in use when it is freed.
    pub(super) fn close(self: &Arc<Self>) {
        let tracked = self.word.has(Word::TRACKING);
        self.set_tracking(false);
        self.word.set(Word::CLOSED, true);
        front::remove(self);
        self.trim();
        // Last: what is told may panic.
        let tell = lock(&self.on_leak).take();
        let leaks = if tracked { self.tracker.report() } else { LiveReport::default() };
        match (leaks.blocks.is_empty(), tell) {
            (true, _) => {}
            (false, Some(tell)) => tell(leaks),
            (false, None) => tracing::warn!("a memory pool was dropped while in use: {leaks}"),
        }
    }

    pub(super) fn set_tracking(&self, on: bool) {
        if self.word.set(Word::TRACKING, on) {
            count_pool(on);
        }
    }

    /// Whether the allocation under way is the one that is to fail.
    #[cold]
    pub(super) fn fails_now(&self) -> bool {
        let fails = self.word.has(Word::FAILING) && self.fails_after.fetch_sub(1, Relaxed) == 0;
        if fails {
            self.word.set(Word::FAILING, false);
        }
        fails
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // No thread and no block is left: everything is whole.
        let heap = self.heap.get_mut().unwrap_or_else(PoisonError::into_inner);
        self.central.remove_whole(0).into_iter().for_each(|span| heap.spans.give(span));
    }
}
