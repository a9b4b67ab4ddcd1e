//! [`HybridMemoryPool`]: freed blocks are kept and handed out again.
//!
//! A fresh large block costs a page fault per 4 KiB, several times the arithmetic of filling
//! it; a kept one costs a list operation. Blocks come from the system zeroed and are never
//! "uninitialised" afterwards: a reused block holds the bytes of its former life. That is what
//! makes it sound to hand a block out as a slice before it has been written.

use std::fmt;
use std::panic::Location;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, OnceLock};

use super::block::PoolBlock;
use super::clock::{self, Start};
use super::config::PoolConfig;
use super::front::{self, Front, Word};
use super::pressure::{PressureChange, PressureLevel, PressureSubscription};
use super::shared::{Shared, Shortage, lock};
use super::stats::MemoryStats;
use super::tracking::LiveReport;
use crate::Device;
use crate::error::{Result, error};

/// A pool of aligned blocks. Cloning shares the pool.
///
/// Small blocks (up to 32 KiB) are cut from slabs, by size class; a thread that frees one keeps it
/// at hand for its next request, which then takes no lock. Large blocks are cut from regions, best
/// fit, and joined with their free neighbours when they are freed.
///
/// What is reserved beyond the blocks in use: a slab of 64 KiB (256 KiB for blocks of more than
/// 4 KiB) for each size class that is used; for requests of less than 1 MiB, slabs among them,
/// regions of a quarter of what is reserved already, but 1 to 16 MiB; for a longer request up to an
/// eighth more than it asks for; and freed memory, of which [`PoolConfig::cache_bytes`] is kept. A
/// region goes back to the system when no part of it is in use.
///
/// When the last handle is dropped, free memory goes back to the system: at once, but for the few
/// blocks that other threads keep at hand, which follow when those threads end or use another pool.
/// Blocks that are still in use stay valid and go back when they are freed.
///
/// ```
/// use bitnet_tensor::memory::HybridMemoryPool;
/// let pool = HybridMemoryPool::new();
/// let first = pool.allocate(1000)?;
/// let address = first.as_ptr();
/// drop(first);
/// let second = pool.allocate(900)?;
/// assert_eq!(second.as_ptr(), address); // the same block, still warm
/// assert_eq!((pool.stats().hits, pool.stats().misses), (1, 1));
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Clone)]
pub struct HybridMemoryPool {
    handle: Arc<Handle>,
}

/// The pool of the process.
static GLOBAL: OnceLock<HybridMemoryPool> = OnceLock::new();

/// What the clones of a pool share: the pool closes when it goes.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl HybridMemoryPool {
    /// The bytes that a pool keeps for reuse unless told otherwise: 1 GiB.
    pub const DEFAULT_CACHE_LIMIT: usize = PoolConfig::new().cache_bytes;

    /// A pool of its own.
    pub fn new() -> Self {
        Self::with_config(PoolConfig::new())
    }

    /// A pool of its own that keeps at most about `bytes` for reuse.
    pub fn with_cache_limit(bytes: usize) -> Self {
        Self::with_config(PoolConfig::new().with_cache_bytes(bytes))
    }

    /// A pool of its own.
    pub fn with_config(config: PoolConfig) -> Self {
        let pool = Self { handle: Arc::new(Handle { shared: Arc::new(Shared::new(config)) }) };
        pool.set_tracking(config.tracking);
        pool
    }

    /// The pool of the process, which host tensors use outside of [`with_pool`](super::with_pool).
    /// Its first use makes it, as the environment says (see [`PoolConfig::from_env`]; what says
    /// nothing is passed over with a warning), unless [`configure_global`](Self::configure_global)
    /// did.
    pub fn global() -> &'static Self {
        GLOBAL.get_or_init(|| {
            let config = PoolConfig::from_env().unwrap_or_else(|error| {
                tracing::warn!("{error}");
                PoolConfig::new()
            });
            Self::with_config(config)
        })
    }

    /// Makes the [pool of the process](Self::global), before its first use: at the beginning of a
    /// program.
    ///
    /// ```
    /// use bitnet_tensor::BitNetTensor;
    /// use bitnet_tensor::memory::{HybridMemoryPool, PoolConfig};
    /// HybridMemoryPool::configure_global(PoolConfig::from_env()?.with_limit_bytes(1 << 20))?;
    /// assert!(BitNetTensor::full([1 << 10], 0.5f32).is_ok());
    /// assert!(BitNetTensor::full([1 << 20], 0.5f32).is_err());
    /// // It is in use.
    /// assert!(HybridMemoryPool::configure_global(PoolConfig::new()).is_err());
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    ///
    /// # Errors
    /// [`MemoryError`](crate::TensorOpError::MemoryError) when the pool was made before.
    pub fn configure_global(config: PoolConfig) -> Result<&'static Self> {
        let mut made = false;
        let pool = GLOBAL.get_or_init(|| {
            made = true;
            Self::with_config(config)
        });
        if !made {
            let reason = "the pool of the process was made before";
            return Err(error!(MemoryError, "configure_global", &[], "{reason}"));
        }
        Ok(pool)
    }

    /// The pool of host memory that belongs to `device`: the [global](Self::global) one for the CPU,
    /// one of its own, configured alike, for each other device whose backend takes its memory from
    /// here.
    pub fn for_device(device: Device) -> Self {
        static OTHERS: Mutex<Vec<(Device, HybridMemoryPool)>> = Mutex::new(Vec::new());
        if device == Device::CPU {
            return Self::global().clone();
        }
        let mut others = lock(&OTHERS);
        match others.iter().find(|(other, _)| *other == device) {
            Some((_, pool)) => pool.clone(),
            None => {
                let pool = Self::with_config(*Self::global().config());
                others.push((device, pool.clone()));
                pool
            }
        }
    }

    /// What the pool was made with.
    pub fn config(&self) -> &PoolConfig {
        &self.shared().config
    }

    /// A block of `bytes` bytes. Its contents are unspecified but initialised.
    ///
    /// # Errors
    /// [`MemoryError`](crate::TensorOpError::MemoryError) when the limit or the system does not
    /// allow it, even after everything that is kept was given back.
    #[inline]
    #[track_caller]
    pub fn allocate(&self, bytes: usize) -> Result<PoolBlock> {
        let timed = clock::is_due();
        if !timed && let Some(held) = self.shared().take_ready(bytes) {
            return Ok(PoolBlock::new(held));
        }
        self.allocate_with_care(bytes, timed, Location::caller())
    }

    /// [`allocate`](Self::allocate) when something is to be done that mostly is not.
    #[cold]
    fn allocate_with_care(
        &self,
        bytes: usize,
        timed: bool,
        caller: &'static Location<'static>,
    ) -> Result<PoolBlock> {
        let shared = self.shared();
        if shared.fails_now() {
            return Err(self.memory_error(bytes, Shortage::OnPurpose));
        }
        let start = timed.then(Start::now);
        let result = shared.allocate(bytes);
        if let Some(start) = start {
            shared.clock.stop(&start);
        }
        match result {
            Ok(mut held) => {
                if shared.word.has(Word::TRACKING) {
                    held.note(caller);
                }
                Ok(PoolBlock::new(held))
            }
            Err(shortage) => Err(self.memory_error(bytes, shortage)),
        }
    }

    #[cold]
    fn memory_error(&self, bytes: usize, shortage: Shortage) -> crate::TensorOpError {
        let (held, live) = (self.shared().reserved(), self.shared().usage.live());
        match (shortage, self.config().limit_bytes) {
            (Shortage::Limit, Some(limit)) => error!(
                MemoryError,
                "allocate",
                &[],
                "{bytes} bytes do not fit into the limit of {limit}: {held} bytes held, {live} of them in use"
            ),
            (Shortage::OnPurpose, _) => {
                error!(MemoryError, "allocate", &[], "{bytes} bytes were to be refused")
            }
            _ => error!(
                MemoryError,
                "allocate",
                &[],
                "the system has no {bytes} bytes: {held} bytes held, {live} of them in use"
            ),
        }
    }

    /// Gives everything that nobody uses back to the system and returns how many bytes went. Of
    /// what other threads keep at hand, at most about 1 MiB each, the blocks follow when those
    /// threads use the pool next.
    pub fn trim(&self) -> usize {
        self.shared().trim()
    }

    /// What the pool holds now.
    pub fn stats(&self) -> MemoryStats {
        front::with_existing(self.shared(), Front::report);
        MemoryStats::of(self.shared())
    }

    /// Lets [`peak_bytes`](MemoryStats::peak_bytes) begin again from what is in use now.
    pub fn reset_peak(&self) {
        front::with_existing(self.shared(), Front::report);
        self.shared().usage.reset_peak();
    }

    /// Calls `f` and says by how many bytes the pool's use was, at most, above what it was before,
    /// whichever thread used them. Measurements may be nested and overlap; other threads that are
    /// using the pool add an uncertainty of 64 KiB each.
    ///
    /// ```
    /// use bitnet_tensor::memory::HybridMemoryPool;
    /// let pool = HybridMemoryPool::new();
    /// let (block, bytes) = pool.measure(|| {
    ///     drop(pool.allocate(3 << 20));
    ///     pool.allocate(1 << 20)
    /// });
    /// assert_eq!(bytes, 3 << 20);
    /// # block.expect("memory");
    /// ```
    pub fn measure<R>(&self, f: impl FnOnce() -> R) -> (R, usize) {
        front::with_existing(self.shared(), Front::report);
        let window = self.shared().usage.measure();
        let result = f();
        front::with_existing(self.shared(), Front::report);
        let bytes = window.peak();
        (result, bytes)
    }

    /// How much of the limit is in use, as of the last 64 KiB (or a 64th of the limit, if that is
    /// less) that each thread took or gave back.
    pub fn pressure(&self) -> PressureLevel {
        self.shared().pressure.level()
    }

    /// Calls `callback` whenever the [pressure](Self::pressure) changes, until the subscription is
    /// dropped: on the thread whose request changed it, which holds no lock; the callback may use
    /// the pool. A level ends only when use has fallen below it by
    /// [`hysteresis_share`](PoolConfig::hysteresis_share).
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use bitnet_tensor::memory::{HybridMemoryPool, PoolConfig, PressureLevel};
    /// let pool = HybridMemoryPool::with_config(PoolConfig::new().with_limit_bytes(1 << 20));
    /// let levels = Arc::new(Mutex::new(Vec::new()));
    /// let subscription = {
    ///     let levels = levels.clone();
    ///     pool.on_pressure(move |change| levels.lock().unwrap().push(change.to))
    /// };
    /// drop(pool.allocate(1_000_000)?);
    /// assert_eq!(*levels.lock().unwrap(), [PressureLevel::Critical, PressureLevel::Normal]);
    /// # drop(subscription);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn on_pressure(
        &self,
        callback: impl Fn(PressureChange) + Send + Sync + 'static,
    ) -> PressureSubscription {
        PressureSubscription::new(self.shared(), Arc::new(callback))
    }

    /// Begins or ends to track who holds what. Blocks that are in use already stay unknown.
    pub fn set_tracking(&self, on: bool) {
        self.shared().set_tracking(on);
    }

    /// The blocks in use, where they come from and how old they are: those that were allocated
    /// while [tracking](Self::set_tracking) was on.
    ///
    /// ```
    /// use bitnet_tensor::memory::{HybridMemoryPool, PoolConfig};
    /// let pool = HybridMemoryPool::with_config(PoolConfig::new().with_tracking(true));
    /// let block = pool.allocate(100)?;
    /// let report = pool.live_report();
    /// assert_eq!((report.blocks.len(), report.bytes()), (1, 100));
    /// assert!(report.blocks[0].origin.to_string().contains(".rs:"));
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn live_report(&self) -> LiveReport {
        self.shared().tracker.report()
    }

    /// Calls `tell` with what is in use when the last handle on the pool is dropped, if anything
    /// that was tracked is. Without this, the report is a `tracing` warning.
    pub fn on_leak(&self, tell: impl FnOnce(LiveReport) + Send + 'static) {
        *lock(&self.shared().on_leak) = Some(Box::new(tell));
    }

    /// Lets one allocation fail, after `successes` more: to test what a program does without
    /// memory. `None` takes that back.
    ///
    /// ```
    /// use bitnet_tensor::memory::HybridMemoryPool;
    /// let pool = HybridMemoryPool::new();
    /// pool.fail_allocation(Some(1));
    /// let results = [pool.allocate(8), pool.allocate(8), pool.allocate(8)];
    /// assert_eq!(results.each_ref().map(|result| result.is_ok()), [true, false, true]);
    /// ```
    pub fn fail_allocation(&self, successes: Option<u32>) {
        let shared = self.shared();
        shared.word.set(Word::FAILING, false);
        if let Some(successes) = successes {
            shared.fails_after.store(i64::from(successes), Relaxed);
            shared.word.set(Word::FAILING, true);
        }
    }

    /// Whether the failure asked for by [`fail_allocation`](Self::fail_allocation) is still to
    /// come.
    pub fn failure_is_pending(&self) -> bool {
        self.shared().word.has(Word::FAILING)
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
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

#[cfg(test)]
mod tests {
    use super::super::{TrimPolicy, size_class::ALIGNMENT};
    use super::*;

    fn blocks(pool: &HybridMemoryPool, count: usize, bytes: usize) -> Vec<PoolBlock> {
        (0..count).map(|_| pool.allocate(bytes).expect("memory")).collect()
    }

    #[test]
    fn blocks_are_aligned_and_zeroed_when_fresh() {
        for alignment in [0, 64, 65, 256, 4096, usize::MAX] {
            let pool = HybridMemoryPool::with_config(PoolConfig::new().with_alignment(alignment));
            let aligned = alignment.clamp(ALIGNMENT, 4096).next_power_of_two();
            let sizes = [0, 1, 63, 64, 65, 1000, 5000, 32768, 32769, 1 << 20, (1 << 20) + 1];
            let blocks: Vec<_> = sizes.map(|bytes| pool.allocate(bytes).expect("memory")).into();
            for (block, bytes) in blocks.iter().zip(sizes) {
                assert_eq!(block.len(), bytes);
                assert_eq!(block.as_ptr().addr() % aligned, 0);
                assert!(block.iter().all(|&byte| byte == 0));
            }
        }
    }

    #[test]
    fn statistics_return_to_zero_live_bytes() {
        let pool = HybridMemoryPool::new();
        let blocks: Vec<_> = (0..100).filter_map(|i| pool.allocate(i * 1000).ok()).collect();
        let stats = pool.stats();
        assert_eq!((stats.live_blocks, stats.requested_bytes), (100, 4950 * 1000));
        assert_eq!(stats.peak_bytes, stats.current_bytes);
        assert!((0.0..0.25).contains(&stats.internal_fragmentation), "{stats}");
        assert_eq!(stats.size_classes.iter().map(|class| class.requests).sum::<u64>(), 100);
        drop(blocks);
        let stats = pool.stats();
        assert_eq!((stats.live_blocks, stats.current_bytes, stats.requested_bytes), (0, 0, 0));
        assert_eq!(pool.trim(), stats.cached_bytes);
        let stats = pool.stats();
        assert_eq!((stats.cached_bytes, stats.reserved_bytes), (0, 0));
        pool.reset_peak();
        assert_eq!(pool.stats().peak_bytes, 0);
    }

    #[test]
    fn the_cache_limit_holds() {
        for (cache, bytes) in [(1 << 16, 1 << 14), (1 << 20, 1 << 18), (0, 100)] {
            let pool = HybridMemoryPool::with_cache_limit(cache);
            drop(blocks(&pool, 64, bytes));
            assert!(pool.stats().cached_bytes <= cache.max(1 << 13), "{}", pool.stats());
        }
        let pool =
            HybridMemoryPool::with_config(PoolConfig::new().with_trim(TrimPolicy::Immediate));
        drop((blocks(&pool, 100, 100), blocks(&pool, 10, 1 << 20)));
        assert_eq!(pool.stats().reserved_bytes, 0);
    }

    #[test]
    fn the_limit_holds_and_says_so() {
        let limit = 1 << 20;
        let pool = HybridMemoryPool::with_config(PoolConfig::new().with_limit_bytes(limit));
        for bytes in [100, 5000, 40_000] {
            let mut held = Vec::new();
            let error = loop {
                match pool.allocate(bytes) {
                    Ok(block) => held.push(block),
                    Err(error) => break error,
                }
            };
            assert!(pool.stats().reserved_bytes <= limit);
            assert!(pool.stats().current_bytes > limit * 8 / 10, "{bytes}: {}", pool.stats());
            assert!(error.to_string().contains("limit of 1048576"), "{error}");
            drop(held);
        }
        // What is kept of small blocks makes room for a large one.
        assert!(pool.allocate(limit).is_ok());
        assert!(pool.allocate(limit + 1).is_err());
        assert_eq!(pool.stats().current_bytes, 0);
    }

    #[test]
    fn an_impossible_request_is_an_error() {
        let pool = HybridMemoryPool::new();
        for bytes in [usize::MAX, usize::MAX - 4096, isize::MAX as usize, 1 << 62, 1 << 48] {
            let error = pool.allocate(bytes).expect_err("more than there is");
            assert!(error.to_string().starts_with("allocate: the system has no "), "{error}");
        }
        assert_eq!(pool.stats().reserved_bytes, 0);
    }

    #[test]
    fn blocks_freed_by_another_thread_are_used_again() {
        let pool = HybridMemoryPool::new();
        for bytes in [100, 3000, 100_000] {
            for _ in 0..10 {
                let blocks = blocks(&pool, 200, bytes);
                std::thread::spawn(move || drop(blocks)).join().expect("no panic");
            }
        }
        let stats = pool.stats();
        assert_eq!((stats.current_bytes, stats.live_blocks, stats.threads), (0, 0, 1));
        assert!(stats.reserved_bytes < 40 << 20, "{stats}");
        assert_eq!(pool.trim(), stats.reserved_bytes);
    }

    #[test]
    fn blocks_outlive_their_pool() {
        let pool = HybridMemoryPool::new();
        let mut held = blocks(&pool, 10, 1000);
        held.extend(blocks(&pool, 2, 100_000));
        let weak = Arc::downgrade(pool.shared());
        drop(pool);
        for block in &mut held {
            block.fill(3);
            assert!(block.iter().all(|&byte| byte == 3));
        }
        drop(held);
        assert!(weak.upgrade().is_none(), "the memory went back");
    }

    #[test]
    fn measurements_nest() {
        let pool = HybridMemoryPool::new();
        let held = pool.allocate(1 << 20).expect("memory");
        let (inner, outer) = pool.measure(|| {
            let a = blocks(&pool, 4, 1 << 20);
            let ((), inner) = pool.measure(|| drop(blocks(&pool, 3, 1024)));
            drop(a);
            inner
        });
        assert_eq!((inner, outer), (3 << 10, (4 << 20) + (3 << 10)));
        assert_eq!(pool.measure(|| drop(held)).1, 0);
        let ((), small) = pool.measure(|| drop(blocks(&pool, 5, 64)));
        assert_eq!(small, 5 * 64);
    }

    #[test]
    fn calls_are_sampled() {
        let pool = HybridMemoryPool::new();
        (0..5000).for_each(|_| drop(pool.allocate(64)));
        let stats = pool.stats();
        assert!((9..=10).contains(&stats.sampled_calls), "{stats}");
        assert!(stats.mean_call_time().is_some());
        let text = stats.to_string();
        assert!(text.contains("per call") && text.contains("requests  5000, 99.98 %"), "{text}");
    }
}
