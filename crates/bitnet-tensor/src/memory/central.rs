//! What threads share of small blocks: per size class, slabs and the blocks of them that no thread
//! has. Threads take and return blocks in batches, so a lock is taken once per batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use super::size_class::{CLASS_COUNT, class_size};
use super::span::Span;
use super::sync::Mutex;

/// A span cut into blocks of one size.
struct Slab {
    /// The first address and the number of blocks that fit.
    address: usize,
    count: u16,
    /// What is not cut yet.
    uncut: Span,
    /// How many blocks were cut.
    cut: u16,
    /// Blocks that were cut and came back.
    free: Vec<Span>,
}

impl Slab {
    fn new(span: Span, size: usize) -> Self {
        let count = u16::try_from(span.len() / size).unwrap_or(u16::MAX);
        Self { address: span.address(), count, uncut: span, cut: 0, free: Vec::new() }
    }

    fn take(&mut self, size: usize) -> Option<Span> {
        if let Some(block) = self.free.pop() {
            return Some(block);
        }
        if self.cut == self.count {
            return None;
        }
        let rest = self.uncut.take_front(size);
        self.cut += 1;
        Some(rest)
    }

    fn has_blocks(&self) -> bool {
        self.cut < self.count || !self.free.is_empty()
    }

    fn is_whole(&self) -> bool {
        self.free.len() == usize::from(self.cut)
    }

    /// The span that the slab was made of. Every block is back.
    fn into_span(self) -> Span {
        let mut blocks = self.free;
        blocks.sort_unstable_by_key(Span::address);
        let mut blocks = blocks.into_iter();
        match blocks.next() {
            None => self.uncut,
            Some(first) => blocks.fold(first, Span::join).join(self.uncut),
        }
    }
}

/// The slabs of one class.
#[derive(Default)]
struct Slabs {
    /// By address.
    all: BTreeMap<usize, Slab>,
    /// Those with blocks to give. Taking from the lowest address lets the others become whole.
    available: BTreeSet<usize>,
    /// Those of which every block is back.
    whole: BTreeSet<usize>,
    /// Bytes behind the last block of each slab.
    tail_bytes: usize,
    parked: usize,
}

impl Slabs {
    fn add(&mut self, span: Span, size: usize) {
        let slab = Slab::new(span, size);
        self.tail_bytes += slab.uncut.len() - usize::from(slab.count) * size;
        self.parked += usize::from(slab.count);
        self.available.insert(slab.address);
        self.whole.insert(slab.address);
        self.all.insert(slab.address, slab);
    }

    fn take(&mut self, count: usize, size: usize, give: &mut impl FnMut(Span)) -> usize {
        let mut taken = 0;
        while taken < count
            && let Some(&address) = self.available.first()
            && let Some(slab) = self.all.get_mut(&address)
        {
            self.whole.remove(&address);
            while taken < count
                && let Some(block) = slab.take(size)
            {
                give(block);
                taken += 1;
            }
            if !slab.has_blocks() {
                self.available.remove(&address);
            }
        }
        self.parked -= taken;
        taken
    }

    fn put(&mut self, block: Span) {
        let Some((&address, slab)) = self.all.range_mut(..=block.address()).next_back() else {
            unreachable!("a block is of one of its class's slabs");
        };
        slab.free.push(block);
        self.parked += 1;
        self.available.insert(address);
        if slab.is_whole() {
            self.whole.insert(address);
        }
    }

    fn remove_whole(&mut self, keep: usize, size: usize, give: &mut impl FnMut(Span)) {
        while self.whole.len() > keep
            && let Some(address) = self.whole.pop_last()
            && let Some(slab) = self.all.remove(&address)
        {
            self.available.remove(&address);
            self.tail_bytes -= slab_tail(&slab, size);
            self.parked -= usize::from(slab.count);
            give(slab.into_span());
        }
    }
}

fn slab_tail(slab: &Slab, size: usize) -> usize {
    slab.uncut.len() - usize::from(slab.count - slab.cut) * size
}

/// The slabs of every class, each behind its lock.
pub(super) struct Central {
    classes: [Mutex<Slabs>; CLASS_COUNT],
}

/// What the shared lists have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CentralStats {
    /// Bytes of slabs behind their last blocks, and what the lists themselves need.
    pub(super) overhead_bytes: usize,
    /// Bytes of blocks that no thread has.
    pub(super) free_bytes: usize,
}

impl Central {
    pub(super) fn new() -> Self {
        Self { classes: std::array::from_fn(|_| Mutex::new(Slabs::default())) }
    }

    /// Hands up to `count` blocks of `class` to `give` and says how many.
    pub(super) fn take(&self, class: usize, count: usize, mut give: impl FnMut(Span)) -> usize {
        self.with(class, |slabs| slabs.take(count, class_size(class), &mut give))
    }

    /// Takes blocks of `class` back.
    pub(super) fn put(&self, class: usize, blocks: impl Iterator<Item = Span>) {
        self.with(class, |slabs| blocks.for_each(|block| slabs.put(block)));
    }

    /// Adds a slab of `class`.
    pub(super) fn add(&self, class: usize, span: Span) {
        self.with(class, |slabs| slabs.add(span, class_size(class)));
    }

    /// Takes out slabs of which nobody has a block, but for `keep` of each class.
    pub(super) fn remove_whole(&self, keep: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        for class in 0..CLASS_COUNT {
            self.with(class, |slabs| {
                slabs.remove_whole(keep, class_size(class), &mut |span| spans.push(span));
            });
        }
        spans
    }

    /// Whether there are slabs of which nobody has a block.
    pub(super) fn has_whole(&self) -> bool {
        (0..CLASS_COUNT).any(|class| self.with(class, |slabs| !slabs.whole.is_empty()))
    }

    pub(super) fn stats(&self) -> CentralStats {
        let mut stats = CentralStats::default();
        for class in 0..CLASS_COUNT {
            self.with(class, |slabs| {
                let lists: usize =
                    slabs.all.values().map(|slab| slab.free.capacity() * size_of::<Span>()).sum();
                let nodes = slabs.all.len() * (size_of::<Slab>() + 3 * size_of::<usize>()) * 4 / 3;
                stats.overhead_bytes += slabs.tail_bytes + lists + nodes;
                stats.free_bytes += slabs.parked * class_size(class);
            });
        }
        stats
    }

    fn with<R>(&self, class: usize, f: impl FnOnce(&mut Slabs) -> R) -> R {
        f(&mut self.classes[class].lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::size_class::{class_of, slab_size};
    use super::super::span::Region;
    use super::*;

    fn taken(central: &Central, class: usize, count: usize) -> Vec<Span> {
        let mut blocks = Vec::new();
        assert_eq!(central.take(class, count, |block| blocks.push(block)), blocks.len());
        blocks
    }

    #[test]
    fn a_slab_becomes_whole_again() {
        for class in 0..CLASS_COUNT {
            let (central, size) = (Central::new(), class_size(class));
            let (region, span) = Region::map(slab_size(class), false).expect("memory");
            let count = span.len() / size;
            central.add(class, span);
            let mut blocks = taken(&central, class, usize::MAX);
            assert_eq!(blocks.len(), count);
            assert!(central.remove_whole(0).is_empty());
            assert_eq!(central.stats().free_bytes, 0);
            blocks.reverse();
            central.put(class, blocks.into_iter());
            assert_eq!(central.stats().free_bytes, count * size);
            let span = central.remove_whole(0).pop().expect("whole");
            assert_eq!(central.stats(), CentralStats::default());
            region.unmap(span);
        }
    }

    #[test]
    fn blocks_come_from_the_lowest_slab() {
        let (central, class) = (Central::new(), class_of(1024));
        for _ in 0..2 {
            let (_, span) = Region::map(slab_size(class), false).expect("memory");
            central.add(class, span);
        }
        let blocks = taken(&central, class, 100);
        assert_eq!(blocks.len(), 100);
        let lowest = blocks.iter().map(Span::address).min().expect("blocks");
        assert_eq!(blocks[0].address(), lowest);
        central.put(class, blocks.into_iter());
        assert!(taken(&central, class, 1)[0].address() - lowest < slab_size(class));
    }
}
