//! Large blocks: best fit among free spans, which are split and joined with their neighbours.
//!
//! The few spans freed last are kept as they are: a program that asks for the same sizes again and
//! again (each step of a network) gets them without touching the trees.

use std::collections::{BTreeMap, BTreeSet};

use super::span::{Region, Span};

/// How many of the spans freed last are kept as they are.
const RECENT: usize = 16;

/// The regions of a pool and the spans of them that nobody holds.
#[derive(Default)]
pub(super) struct LargeHeap {
    /// By address.
    regions: BTreeMap<usize, Region>,
    /// Free spans by address; no two of one region are neighbours.
    free: BTreeMap<usize, Span>,
    /// The same by (length, address): the first one of at least a length is the best fit.
    by_length: BTreeSet<(usize, usize)>,
    /// Free spans that are not joined yet, the last one freed at the end.
    recent: Vec<Span>,
    /// Regions of which everything is free.
    idle: BTreeSet<usize>,
    free_bytes: usize,
}

/// What a heap has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct HeapStats {
    pub(super) free_bytes: usize,
    /// The longest block that could be had without the system.
    pub(super) longest_free: usize,
    /// What the heap itself needs.
    pub(super) overhead_bytes: usize,
}

impl LargeHeap {
    /// A span of `length` bytes, a multiple of a page, from what is free.
    pub(super) fn take(&mut self, length: usize) -> Option<Span> {
        let span = self.take_recent(length).or_else(|| self.take_best(length)).or_else(|| {
            if self.recent.is_empty() {
                return None;
            }
            self.join_recent();
            self.take_best(length)
        })?;
        self.free_bytes -= length;
        Some(span)
    }

    fn take_recent(&mut self, length: usize) -> Option<Span> {
        let place = self.recent.iter().rposition(|span| span.len() == length)?;
        Some(self.recent.remove(place))
    }

    fn take_best(&mut self, length: usize) -> Option<Span> {
        let &(_, address) = self.by_length.range((length, 0)..).next()?;
        let (span, rest) = self.unlink(address)?.split(length);
        if rest.len() > 0 {
            self.link(rest);
        }
        Some(span)
    }

    /// Takes a span back.
    pub(super) fn give(&mut self, span: Span) {
        self.free_bytes += span.len();
        if self.recent.len() == RECENT {
            let oldest = self.recent.remove(0);
            self.join(oldest);
        }
        self.recent.push(span);
    }

    /// Adds a new region, with the part of it that nobody holds.
    pub(super) fn add(&mut self, region: Region, free: Span) {
        self.free_bytes += free.len();
        self.regions.insert(region.address(), region);
        if free.len() > 0 {
            self.join(free);
        }
    }

    /// Takes out regions that nobody uses, largest address first, until at most `keep` bytes are
    /// free. The caller unmaps them when it no longer holds the lock.
    pub(super) fn release_above(&mut self, keep: usize) -> Vec<(Region, Span)> {
        let mut released = Vec::new();
        if self.free_bytes > keep {
            self.join_recent();
        }
        while self.free_bytes > keep
            && let Some(&address) = self.idle.last()
            && let Some(span) = self.unlink(address)
            && let Some(region) = self.regions.remove(&address)
        {
            self.free_bytes -= span.len();
            released.push((region, span));
        }
        released
    }

    pub(super) fn stats(&self) -> HeapStats {
        // A node of a tree holds eleven entries and is at least half full; three quarters is usual.
        fn tree<T>(entries: usize) -> usize {
            entries * size_of::<T>() * 4 / 3
        }
        let recent = self.recent.iter().map(Span::len).max().unwrap_or(0);
        HeapStats {
            free_bytes: self.free_bytes,
            longest_free: self.by_length.last().map_or(0, |&(length, _)| length).max(recent),
            overhead_bytes: tree::<(usize, Region)>(self.regions.len())
                + tree::<(usize, Span)>(self.free.len())
                + tree::<(usize, usize)>(self.by_length.len())
                + self.recent.capacity() * size_of::<Span>(),
        }
    }

    fn join_recent(&mut self) {
        for span in std::mem::take(&mut self.recent) {
            self.join(span);
        }
    }

    /// Files a free span, joined with its free neighbours in the same region.
    fn join(&mut self, span: Span) {
        let Some((&region, length)) =
            self.regions.range(..=span.address()).next_back().map(|(a, r)| (a, r.len()))
        else {
            unreachable!("a span is of one of the heap's regions");
        };
        let mut span = span;
        let before = self.free.range(region..span.address()).next_back();
        if let Some(address) = before.filter(|(_, s)| s.end() == span.address()).map(|(&a, _)| a)
            && let Some(before) = self.unlink(address)
        {
            span = before.join(span);
        }
        if span.end() < region + length
            && let Some(behind) = self.unlink(span.end())
        {
            span = span.join(behind);
        }
        if span.len() == length {
            self.idle.insert(region);
        }
        self.link(span);
    }

    fn link(&mut self, span: Span) {
        self.by_length.insert((span.len(), span.address()));
        self.free.insert(span.address(), span);
    }

    fn unlink(&mut self, address: usize) -> Option<Span> {
        let span = self.free.remove(&address)?;
        self.by_length.remove(&(span.len(), address));
        self.idle.remove(&address);
        Some(span)
    }
}

impl Drop for LargeHeap {
    fn drop(&mut self) {
        // What somebody still holds stays mapped.
        for (region, span) in self.release_above(0) {
            region.unmap(span);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::super::span::PAGE;
    use super::*;

    fn heap(pages: &[usize]) -> LargeHeap {
        let mut heap = LargeHeap::default();
        for &count in pages {
            let (region, span) = Region::map(count * PAGE, false).expect("memory");
            heap.add(region, span);
        }
        heap
    }

    #[test]
    fn the_best_fit_is_split_and_joined_again() {
        let mut heap = heap(&[16, 4]);
        let a = heap.take(3 * PAGE).expect("fits the shorter region");
        let b = heap.take(8 * PAGE).expect("fits the longer one");
        let c = heap.take(8 * PAGE).expect("the rest of the longer one");
        assert!(heap.take(2 * PAGE).is_none());
        assert_eq!(heap.stats().free_bytes, PAGE);
        let (first, second) = (b.address().min(c.address()), b.address().max(c.address()));
        assert_eq!(second - first, 8 * PAGE);
        for span in [b, a, c] {
            heap.give(span);
        }
        let whole = heap.take(16 * PAGE).expect("joined");
        heap.give(whole);
        assert_eq!(heap.release_above(0).len(), 2);
        assert_eq!(heap.stats().free_bytes, 0);
        assert_eq!(heap.stats().longest_free, 0);
    }

    #[test]
    fn the_span_freed_last_comes_first() {
        let mut heap = heap(&[8]);
        let a = heap.take(2 * PAGE).expect("memory");
        let b = heap.take(2 * PAGE).expect("memory");
        let address = b.address();
        heap.give(a);
        heap.give(b);
        let again = heap.take(2 * PAGE).expect("memory");
        assert_eq!(again.address(), address);
        heap.give(again);
    }

    #[test]
    fn only_idle_regions_are_released() {
        let mut heap = heap(&[2, 2, 2]);
        let held = heap.take(PAGE).expect("memory");
        let released = heap.release_above(3 * PAGE);
        assert_eq!(released.len(), 1);
        assert_eq!(heap.release_above(0).len(), 1);
        assert_eq!(heap.stats().free_bytes, PAGE);
        heap.give(held);
        assert_eq!(heap.release_above(0).len(), 1);
        for (region, span) in released {
            region.unmap(span);
        }
    }
}
