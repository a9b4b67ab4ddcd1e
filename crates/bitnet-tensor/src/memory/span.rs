//! [`Span`]: the right to a stretch of memory, as a value that cannot be copied.
//!
//! All of the pool's memory is mapped from the system in [`Region`]s. A region comes with one span
//! of its whole length, and from then on spans are only cut and joined. Two spans never overlap,
//! and a region is unmapped only in exchange for the span of its whole length: whatever the lists,
//! trees and caches of the pool do wrong, they can lose memory, never hand it out twice. That
//! keeps `unsafe` in this file.
//!
//! The bytes of a span are initialised: the system maps zeroed pages, and memory that was used
//! keeps what was written to it.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use memmap2::MmapMut;

/// Regions, and everything large that is cut from them, are multiples of this.
pub(crate) const PAGE: usize = 4096;

/// What one transparent huge page covers on x86-64 and on most aarch64 systems.
const HUGE_PAGE: usize = 2 << 20;

/// Exclusive right to `length` initialised bytes of a mapped region. Dropping it loses the memory
/// for the rest of the process.
#[derive(Debug)]
#[must_use = "a span that is dropped is memory that is lost"]
pub(crate) struct Span {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: a span is the only way to its bytes, which have no thread affinity; shared access only
// reads them.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// The address of the first byte.
    pub(crate) fn address(&self) -> usize {
        self.base.addr().get()
    }

    /// The address behind the last byte.
    pub(crate) fn end(&self) -> usize {
        self.address() + self.length
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The first `length` bytes and the rest.
    ///
    /// # Panics
    /// If the span is shorter.
    pub(crate) fn split(self, length: usize) -> (Self, Self) {
        assert!(length <= self.length, "a split beyond the end");
        let behind = self.base.map_addr(|address| {
            // Inside of a mapping, or at its end: no overflow.
            address.checked_add(length).expect("inside of a mapping")
        });
        let rest = Self { base: behind, length: self.length - length };
        (Self { base: self.base, length }, rest)
    }

    /// The first `length` bytes, which this span then lacks.
    ///
    /// # Panics
    /// If the span is shorter.
    pub(crate) fn take_front(&mut self, length: usize) -> Self {
        let whole = Self { base: self.base, length: self.length };
        // Until both halves are in place, this span has nothing.
        self.length = 0;
        let (front, rest) = whole.split(length);
        *self = rest;
        front
    }

    /// Both spans as one.
    ///
    /// # Panics
    /// If `next` does not begin where this one ends. The caller sees to it that both are of one
    /// region: neighbours in address may belong to two mappings.
    pub(crate) fn join(self, next: Self) -> Self {
        assert_eq!(self.end(), next.address(), "the spans are not neighbours");
        Self { base: self.base, length: self.length + next.length }
    }

    /// The first `length` bytes.
    ///
    /// # Panics
    /// If the span is shorter.
    #[inline]
    pub(crate) fn bytes(&self, length: usize) -> &[u8] {
        assert!(length <= self.length, "beyond the end");
        // SAFETY: the span is the only right to `self.length` mapped, initialised bytes from
        // `base`, and `&self` keeps it unchanged while they are read.
        unsafe { std::slice::from_raw_parts(self.base.as_ptr(), length) }
    }

    /// The first `length` bytes for writing.
    ///
    /// # Panics
    /// If the span is shorter.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, length: usize) -> &mut [u8] {
        assert!(length <= self.length, "beyond the end");
        // SAFETY: as in `bytes`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.base.as_ptr(), length) }
    }
}

/// # AddressSanitizer
///
/// It knows nothing of the pool's blocks. Compiled with `--cfg asan`, the pool tells it which bytes
/// somebody may touch, so that a use after free and a kernel that reaches beyond its operands are
/// found as if each block were an allocation of its own; see `.ci/full`.
impl Span {
    /// Only the first `length` bytes may be touched.
    #[inline(always)]
    pub(crate) fn allow_touching(&self, length: usize) {
        #[cfg(asan)]
        asan::set(self.base, length, self.length);
        #[cfg(not(asan))]
        let _ = length;
    }
}

#[cfg(asan)]
mod asan {
    use std::ffi::c_void;
    use std::ptr::NonNull;

    // SAFETY: the interface of AddressSanitizer's run time, which such a build is linked with.
    unsafe extern "C" {
        fn __asan_poison_memory_region(start: *const c_void, length: usize);
        fn __asan_unpoison_memory_region(start: *const c_void, length: usize);
    }

    pub(super) fn set(base: NonNull<u8>, allowed: usize, length: usize) {
        let start = base.as_ptr().cast_const();
        assert!(allowed <= length, "beyond the end");
        // SAFETY: they mark addresses and touch nothing; `allowed` is inside of the span.
        unsafe {
            __asan_unpoison_memory_region(start.cast(), allowed);
            __asan_poison_memory_region(start.add(allowed).cast(), length - allowed);
        }
    }
}

/// Memory mapped from the system. It stays mapped unless its whole span is given back.
#[derive(Debug)]
pub(crate) struct Region {
    mapping: ManuallyDrop<MmapMut>,
    address: usize,
    length: usize,
}

impl Region {
    /// `length` zeroed bytes, a multiple of [`PAGE`], at a multiple of it; `None` when the system
    /// has none. With `huge_pages`, a long region asks for huge pages: one page fault per 2 MiB
    /// instead of 512.
    pub(crate) fn map(length: usize, huge_pages: bool) -> Option<(Self, Span)> {
        if length == 0 || !length.is_multiple_of(PAGE) {
            return None;
        }
        let huge = huge_pages && length >= HUGE_PAGE;
        // Huge pages begin at their multiples; what lies before is address space, never touched.
        let slack = if huge { HUGE_PAGE } else { 0 };
        let mut mapping = MmapMut::map_anon(length.checked_add(slack)?).ok()?;
        #[cfg(target_os = "linux")]
        if huge {
            // Advice: where the kernel has no huge pages, small ones do.
            let _ = mapping.advise(memmap2::Advice::HugePage);
        }
        let base = NonNull::new(mapping.as_mut_ptr())?;
        let whole = Span { base, length: mapping.len() };
        let start = base.addr().get().next_multiple_of(if huge { HUGE_PAGE } else { 1 });
        let (_before, span) = whole.split(start - base.addr().get());
        let (span, _behind) = span.split(length);
        let region = Self { mapping: ManuallyDrop::new(mapping), address: span.address(), length };
        Some((region, span))
    }

    pub(crate) fn address(&self) -> usize {
        self.address
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Gives the region back to the system in exchange for all of its bytes.
    ///
    /// # Panics
    /// If `whole` is not the whole region.
    pub(crate) fn unmap(self, whole: Span) {
        assert_eq!((whole.address(), whole.len()), (self.address, self.length), "not the whole");
        // Whoever is given these addresses next may touch them.
        whole.allow_touching(whole.len());
        // Nobody has a right to these bytes any more: the span is used up here.
        drop(ManuallyDrop::into_inner(self.mapping));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn regions_are_zeroed_pages() {
        for (length, huge) in [(PAGE, false), (3 * PAGE, true), (2 * HUGE_PAGE + PAGE, true)] {
            let (region, mut span) = Region::map(length, huge).expect("memory");
            assert_eq!(span.len(), length);
            assert!(span.address().is_multiple_of(PAGE));
            assert!(span.bytes(length).iter().all(|&byte| byte == 0));
            span.bytes_mut(length).fill(7);
            region.unmap(span);
        }
        assert!(Region::map(0, false).is_none());
        assert!(Region::map(PAGE + 1, false).is_none());
        assert!(Region::map(usize::MAX - PAGE + 1, true).is_none());
        assert!(Region::map(isize::MAX as usize - PAGE + 1, true).is_none());
    }

    #[test]
    fn spans_are_cut_and_joined() {
        let (region, span) = Region::map(2 * PAGE, false).expect("memory");
        let (mut a, mut b) = span.split(100);
        a.bytes_mut(100).fill(1);
        b.bytes_mut(2 * PAGE - 100).fill(2);
        let whole = a.join(b);
        assert_eq!((whole.bytes(101)[99], whole.bytes(101)[100]), (1, 2));
        region.unmap(whole);
    }

    #[test]
    #[should_panic(expected = "not neighbours")]
    fn only_neighbours_join() {
        let (_region, span) = Region::map(PAGE, false).expect("memory");
        let (a, b) = span.split(64);
        let _ = b.join(a);
    }

    #[test]
    #[should_panic(expected = "not the whole")]
    fn a_part_unmaps_nothing() {
        let (region, span) = Region::map(PAGE, false).expect("memory");
        let (part, _rest) = span.split(64);
        region.unmap(part);
    }
}
