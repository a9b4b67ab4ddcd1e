//! Who holds what: for each block that was allocated while tracking was on, where it comes from,
//! how old and how large it is. Off, it costs a comparison per request; what it costs when on,
//! `cargo bench -p bitnet-tensor --bench memory` measures.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::bytes::Bytes;
use super::shared::lock;
use super::sync::Mutex;

/// Records are spread over so many locks.
const SHARDS: usize = 16;

/// How many pools are tracking: while none is, nobody notes where it is.
static TRACKING: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static LABEL: RefCell<Option<Arc<str>>> = const { RefCell::new(None) };
    static OPERATION: Cell<Option<&'static str>> = const { Cell::new(None) };
    static SITE: Cell<Option<&'static Location<'static>>> = const { Cell::new(None) };
}

/// Where a block comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[non_exhaustive]
pub struct Origin {
    /// The label of the innermost [`with_label`] around it.
    pub label: Option<String>,
    /// The tensor operation whose result it is.
    pub operation: Option<&'static str>,
    /// The line of the program that made it, as `file:line`, unless an operation did.
    pub location: Option<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(label) = &self.label {
            write!(f, "{label}: ")?;
        }
        match (self.operation, &self.location) {
            (Some(operation), _) => f.write_str(operation),
            (None, Some(location)) => f.write_str(location),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// A block in use.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct LiveBlock {
    /// The bytes that were asked for.
    pub bytes: usize,
    /// How long ago it was allocated.
    pub age: Duration,
    /// Where it comes from.
    pub origin: Origin,
}

/// The blocks of a pool that are in use and were allocated while tracking was on, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct LiveReport {
    /// Each block.
    pub blocks: Vec<LiveBlock>,
}

impl LiveReport {
    /// The bytes that were asked for, of all blocks together.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.bytes).sum()
    }
}

impl fmt::Display for LiveReport {
    /// A line for each origin, the one that holds most first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} blocks", Bytes(self.bytes()), self.blocks.len())?;
        let mut origins: HashMap<&Origin, (usize, usize, Duration)> = HashMap::new();
        for LiveBlock { bytes, age, origin } in &self.blocks {
            let (count, sum, oldest) = origins.entry(origin).or_default();
            (*count, *sum, *oldest) = (*count + 1, *sum + bytes, age.max(oldest).to_owned());
        }
        let mut origins: Vec<_> = origins.into_iter().collect();
        origins.sort_by_key(|&(origin, (_, bytes, _))| (usize::MAX - bytes, origin));
        for (origin, (count, bytes, age)) in origins {
            let size = Bytes(bytes);
            write!(f, "\n{size:>10} in {count:>6} blocks, up to {age:>8.1?} old: {origin}")?;
        }
        Ok(())
    }
}

struct Record {
    bytes: usize,
    created: Instant,
    label: Option<Arc<str>>,
    operation: Option<&'static str>,
    location: &'static Location<'static>,
}

/// What a pool knows about its blocks, by address.
#[derive(Default)]
pub(super) struct Tracker {
    shards: [Mutex<HashMap<usize, Record>>; SHARDS],
}

impl Tracker {
    fn shard(&self, address: usize) -> &Mutex<HashMap<usize, Record>> {
        // Blocks are multiples of 64 bytes; the bits above tell them apart.
        &self.shards[((address / 64) ^ (address / 4096)) % SHARDS]
    }

    /// Notes a block of `bytes` bytes that `caller` asked for.
    pub(super) fn note(&self, address: usize, bytes: usize, caller: &'static Location<'static>) {
        let record = Record {
            bytes,
            created: Instant::now(),
            label: LABEL.try_with(|label| label.borrow().clone()).ok().flatten(),
            operation: OPERATION.get(),
            location: SITE.get().unwrap_or(caller),
        };
        lock(self.shard(address)).insert(address, record);
    }

    /// What the records need.
    pub(super) fn overhead_bytes(&self) -> usize {
        // Beside each place of the table a byte says whether it is taken.
        let place = size_of::<(usize, Record)>() + 1;
        self.shards.iter().map(|shard| lock(shard).capacity() * place).sum()
    }

    pub(super) fn forget(&self, address: usize) {
        let record = lock(self.shard(address)).remove(&address);
        drop(record);
    }

    pub(super) fn report(&self) -> LiveReport {
        let now = Instant::now();
        let mut blocks = Vec::new();
        for shard in &self.shards {
            blocks.extend(lock(shard).values().map(|record| LiveBlock {
                bytes: record.bytes,
                age: now.saturating_duration_since(record.created),
                origin: Origin {
                    label: record.label.as_deref().map(String::from),
                    operation: record.operation,
                    location:
                        record.operation.is_none().then(|| {
                            format!("{}:{}", record.location.file(), record.location.line())
                        }),
                },
            }));
        }
        blocks.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| b.bytes.cmp(&a.bytes)));
        LiveReport { blocks }
    }
}

/// Counts a pool that begins or ends to track.
pub(super) fn count_pool(tracks: bool) {
    if tracks {
        TRACKING.fetch_add(1, Relaxed);
    } else {
        TRACKING.fetch_sub(1, Relaxed);
    }
}

/// Restores what was noted before, also after a panic.
struct Restore<F: FnMut()>(F);

impl<F: FnMut()> Drop for Restore<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Calls `f`; blocks that this thread allocates meanwhile are reported under `label`.
///
/// ```
/// use bitnet_tensor::memory::{HybridMemoryPool, with_label, with_pool};
/// use bitnet_tensor::BitNetTensor;
/// let pool = HybridMemoryPool::new();
/// pool.set_tracking(true);
/// let cache = with_pool(&pool, || with_label("key cache", || BitNetTensor::full([64], 0.5f32)))?;
/// let report = pool.live_report();
/// assert_eq!(report.blocks[0].bytes, 256);
/// assert_eq!(report.blocks[0].origin.label.as_deref(), Some("key cache"));
/// drop(cache);
/// assert!(pool.live_report().blocks.is_empty());
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
pub fn with_label<R>(label: impl Into<Arc<str>>, f: impl FnOnce() -> R) -> R {
    // Where the thread ends, in the destructor of another thread-local value, there is no label.
    let replace = |label| LABEL.try_with(|current| current.replace(label)).ok();
    let before = replace(Some(label.into()));
    let _restore = before.map(|mut before| Restore(move || drop(replace(before.take()))));
    f()
}

/// Calls `f` as the work of an operation, unless somebody noted on whose behalf it works.
#[inline]
pub(crate) fn during<R>(operation: &'static str, f: impl FnOnce() -> R) -> R {
    if TRACKING.load(Relaxed) == 0 || SITE.get().is_some() {
        return f();
    }
    let before = OPERATION.replace(Some(operation));
    let _restore = Restore(move || OPERATION.set(before));
    f()
}

/// Calls `f` on behalf of `caller`, unless somebody did already.
#[inline]
pub(crate) fn on_behalf_of<R>(caller: &'static Location<'static>, f: impl FnOnce() -> R) -> R {
    if TRACKING.load(Relaxed) == 0 {
        return f();
    }
    let before = SITE.replace(Some(SITE.get().unwrap_or(caller)));
    let _restore = Restore(move || SITE.set(before));
    f()
}
