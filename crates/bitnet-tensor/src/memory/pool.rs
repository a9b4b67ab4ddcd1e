//! The memory pool: freed blocks are kept by size class and handed out again.
//!
//! A fresh large block costs a page fault per 4 KiB, several times the arithmetic of filling
//! it; a kept one costs a list operation. Blocks come from the system zeroed and are never
//! "uninitialised" afterwards: a reused block holds the bytes of its former life. That is what
//! makes it sound to hand a block out as a slice before it has been written.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::MemoryStats;
use super::size_class::{ALIGNMENT, CLASS_COUNT, class_of, class_size};

/// A pool of 64-byte aligned blocks. Cloning shares the pool.
///
/// ```
/// use bitnet_tensor::memory::HybridMemoryPool;
/// let pool = HybridMemoryPool::new();
/// let first = pool.allocate(1000).expect("memory");
/// let address = first.as_ptr();
/// drop(first);
/// let second = pool.allocate(900).expect("memory");
/// assert_eq!(second.as_ptr(), address); // the same block, still warm
/// assert_eq!((pool.stats().hits, pool.stats().misses), (1, 1));
/// ```
#[derive(Clone)]
pub struct HybridMemoryPool {
    shared: Arc<Shared>,
}

struct Shared {
    free: [Mutex<Vec<Free>>; CLASS_COUNT],
    /// Cached bytes above this go back to the system at once.
    cache_limit: usize,
    live_bytes: AtomicUsize,
    peak_bytes: AtomicUsize,
    cached_bytes: AtomicUsize,
    live_blocks: AtomicUsize,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A block nobody holds, of the class whose list it is in: what `system_allocate` returned.
struct Free(NonNull<u8>);

// SAFETY: a free block is owned by its list alone; it is plain memory without thread affinity.
unsafe impl Send for Free {}

impl HybridMemoryPool {
    /// The bytes that a pool keeps for reuse unless told otherwise: 1 GiB.
    pub const DEFAULT_CACHE_LIMIT: usize = 1 << 30;

    /// A pool of its own.
    pub fn new() -> Self {
        Self::with_cache_limit(Self::DEFAULT_CACHE_LIMIT)
    }

    /// A pool of its own that keeps at most about `bytes` for reuse.
    pub fn with_cache_limit(bytes: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                free: std::array::from_fn(|_| Mutex::new(Vec::new())),
                cache_limit: bytes,
                live_bytes: AtomicUsize::new(0),
                peak_bytes: AtomicUsize::new(0),
                cached_bytes: AtomicUsize::new(0),
                live_blocks: AtomicUsize::new(0),
                hits: AtomicU64::new(0),
                misses: AtomicU64::new(0),
            }),
        }
    }

    /// The pool that host tensors use.
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<HybridMemoryPool> = OnceLock::new();
        GLOBAL.get_or_init(Self::new)
    }

    /// A block of `bytes` bytes, or `None` when neither the cache nor the system has it (the
    /// cache is released and the system asked once more before that). Its contents are
    /// unspecified but initialised.
    pub fn allocate(&self, bytes: usize) -> Option<PoolBlock> {
        let class = class_of(bytes)?;
        let size = class_size(class);
        let shared = &self.shared;
        let base = match shared.pop(class) {
            Some(Free(base)) => {
                shared.cached_bytes.fetch_sub(size, Relaxed);
                shared.hits.fetch_add(1, Relaxed);
                base
            }
            None => {
                shared.misses.fetch_add(1, Relaxed);
                system_allocate(size).or_else(|| {
                    self.trim();
                    system_allocate(size)
                })?
            }
        };
        let live = shared.live_bytes.fetch_add(size, Relaxed) + size;
        shared.peak_bytes.fetch_max(live, Relaxed);
        shared.live_blocks.fetch_add(1, Relaxed);
        Some(PoolBlock { base, length: bytes, class: class as u32, pool: shared.clone() })
    }

    /// Gives every kept block back to the system and returns how many bytes that were.
    pub fn trim(&self) -> usize {
        self.shared.trim()
    }

    /// What the pool holds now. The counters are read one after another, so under concurrent
    /// use they may be of slightly different moments.
    pub fn stats(&self) -> MemoryStats {
        let shared = &self.shared;
        MemoryStats {
            live_bytes: shared.live_bytes.load(Relaxed),
            peak_bytes: shared.peak_bytes.load(Relaxed),
            cached_bytes: shared.cached_bytes.load(Relaxed),
            live_blocks: shared.live_blocks.load(Relaxed),
            hits: shared.hits.load(Relaxed),
            misses: shared.misses.load(Relaxed),
        }
    }
}

impl Default for HybridMemoryPool {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HybridMemoryPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HybridMemoryPool").field(&self.stats()).finish()
    }
}

impl Shared {
    fn pop(&self, class: usize) -> Option<Free> {
        self.free[class].lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn release(&self, base: NonNull<u8>, class: usize) {
        let size = class_size(class);
        self.live_bytes.fetch_sub(size, Relaxed);
        self.live_blocks.fetch_sub(1, Relaxed);
        if self.cached_bytes.load(Relaxed).saturating_add(size) > self.cache_limit {
            system_release(base, size);
            return;
        }
        self.cached_bytes.fetch_add(size, Relaxed);
        self.free[class].lock().unwrap_or_else(PoisonError::into_inner).push(Free(base));
    }

    fn trim(&self) -> usize {
        let mut released = 0;
        for class in 0..CLASS_COUNT {
            while let Some(Free(base)) = self.pop(class) {
                let size = class_size(class);
                self.cached_bytes.fetch_sub(size, Relaxed);
                system_release(base, size);
                released += size;
            }
        }
        released
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.trim();
    }
}

/// What the system guarantees for any request. Asking for more would make the allocator zero the
/// memory itself: with this, large blocks are fresh pages that are not there until they are touched.
const SYSTEM_ALIGNMENT: usize = 16;

fn system_layout(size: usize) -> Option<Layout> {
    let padded = size.checked_add(ALIGNMENT - SYSTEM_ALIGNMENT)?;
    Layout::from_size_align(padded, SYSTEM_ALIGNMENT).ok()
}

/// Zeroed memory for a block of `size` bytes behind its [`aligned`] address.
fn system_allocate(size: usize) -> Option<NonNull<u8>> {
    let layout = system_layout(size)?;
    // SAFETY: class sizes are never zero.
    NonNull::new(unsafe { alloc_zeroed(layout) })
}

/// Where the block begins in what `system_allocate` returned.
fn aligned(base: NonNull<u8>) -> NonNull<u8> {
    let offset = base.addr().get().next_multiple_of(ALIGNMENT) - base.addr().get();
    // SAFETY: the base is a multiple of SYSTEM_ALIGNMENT, so the offset is at most the padding of
    // `system_layout`, and the result stays inside of the allocation.
    unsafe { base.add(offset) }
}

fn system_release(base: NonNull<u8>, size: usize) {
    let layout = system_layout(size).expect("the layout it was allocated with");
    // SAFETY: the base came from `system_allocate` with this size, and its only owner (a block
    // being dropped, or a free list it was popped from) gives it up here.
    unsafe { dealloc(base.as_ptr(), layout) }
}

/// A block of memory on loan from a pool, as a slice of bytes; dropping it returns it.
pub struct PoolBlock {
    /// What `system_allocate` returned.
    base: NonNull<u8>,
    length: usize,
    class: u32,
    pool: Arc<Shared>,
}

// SAFETY: the block is exclusively owned plain memory; shared access only reads it.
unsafe impl Send for PoolBlock {}
// SAFETY: as above.
unsafe impl Sync for PoolBlock {}

impl Deref for PoolBlock {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `length` is within the block, whose bytes have been initialised since the
        // system zeroed them, and it is ours until drop.
        unsafe { std::slice::from_raw_parts(aligned(self.base).as_ptr(), self.length) }
    }
}

impl DerefMut for PoolBlock {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(aligned(self.base).as_ptr(), self.length) }
    }
}

impl Drop for PoolBlock {
    fn drop(&mut self) {
        self.pool.release(self.base, self.class as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_and_zeroed_when_fresh() {
        let pool = HybridMemoryPool::new();
        for bytes in [0, 1, 63, 64, 65, 1000, 1 << 20, (1 << 20) + 1] {
            let block = pool.allocate(bytes).expect("memory");
            assert_eq!(block.len(), bytes);
            assert_eq!(block.as_ptr() as usize % ALIGNMENT, 0);
            assert!(block.iter().all(|&byte| byte == 0));
        }
    }

    #[test]
    fn statistics_return_to_zero_live_bytes() {
        let pool = HybridMemoryPool::new();
        let blocks: Vec<_> = (0..100).filter_map(|i| pool.allocate(i * 100)).collect();
        assert_eq!(pool.stats().live_blocks, 100);
        drop(blocks);
        let stats = pool.stats();
        assert_eq!((stats.live_blocks, stats.live_bytes), (0, 0));
        assert_eq!(pool.trim(), stats.cached_bytes);
        assert_eq!(pool.stats().cached_bytes, 0);
    }

    #[test]
    fn the_cache_limit_holds() {
        let pool = HybridMemoryPool::with_cache_limit(1 << 16);
        let blocks: Vec<_> = (0..64).filter_map(|_| pool.allocate(1 << 14)).collect();
        drop(blocks);
        assert!(pool.stats().cached_bytes <= 1 << 16);
    }

    #[test]
    fn an_impossible_request_is_none() {
        assert!(HybridMemoryPool::new().allocate(usize::MAX).is_none());
        assert!(HybridMemoryPool::new().allocate(1 << 47).is_none());
    }

    #[test]
    fn threads_share_a_pool() {
        let pool = HybridMemoryPool::new();
        std::thread::scope(|scope| {
            for seed in 0..4u8 {
                let pool = &pool;
                scope.spawn(move || {
                    for i in 0..1000 {
                        let mut block = pool.allocate(1 + i % 300).expect("memory");
                        block.fill(seed);
                        assert!(block.iter().all(|&byte| byte == seed));
                    }
                });
            }
        });
        assert_eq!(pool.stats().live_bytes, 0);
    }
}
