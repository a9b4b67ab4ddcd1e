//! How close a pool is to its limit, and who wants to know.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use super::config::PoolConfig;
use super::shared::{Shared, lock};
use super::sync::{AtomicU8, AtomicU64, AtomicUsize, Mutex};

/// How much of a pool's limit is in use. Without a limit it is always normal.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    serde::Serialize,
    serde::Deserialize,
)]
#[repr(u8)]
pub enum PressureLevel {
    /// Less than [`elevated_share`](PoolConfig::elevated_share).
    #[default]
    Normal,
    /// A time to free what can be had again.
    Elevated,
    /// Requests may soon fail.
    Critical,
}

impl PressureLevel {
    fn of(code: u8) -> Self {
        match code {
            0 => Self::Normal,
            1 => Self::Elevated,
            _ => Self::Critical,
        }
    }
}

impl fmt::Display for PressureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Normal => "normal",
            Self::Elevated => "elevated",
            Self::Critical => "critical",
        })
    }
}

/// A change of the pressure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PressureChange {
    /// What it was.
    pub from: PressureLevel,
    /// What it is now.
    pub to: PressureLevel,
    /// The bytes in use that changed it.
    pub current_bytes: usize,
    /// The pool's limit.
    pub limit_bytes: usize,
}

type Callback = Arc<dyn Fn(PressureChange) + Send + Sync>;

/// The level of a pool and its callbacks.
pub(super) struct Pressure {
    /// `None` without a limit.
    marks: Option<Marks>,
    level: AtomicU8,
    next: AtomicU64,
    callbacks: Mutex<Vec<(u64, Callback)>>,
    /// The number of callbacks that panicked.
    panics: AtomicUsize,
}

/// From how many bytes a level begins, and below how many it ends.
struct Marks {
    limit: usize,
    begin: [usize; 2],
    end: [usize; 2],
}

impl Marks {
    fn level(&self, before: PressureLevel, live: usize) -> PressureLevel {
        let holds = |level: usize| {
            let from = if before as usize > level { self.end[level] } else { self.begin[level] };
            live >= from
        };
        match (holds(0), holds(1)) {
            (_, true) => PressureLevel::Critical,
            (true, false) => PressureLevel::Elevated,
            (false, false) => PressureLevel::Normal,
        }
    }
}

impl Pressure {
    pub(super) fn new(config: &PoolConfig) -> Self {
        let marks = config.limit_bytes.map(|limit| {
            let bytes = |share: f64| (limit as f64 * share.clamp(0.0, 1.0)) as usize;
            let shares = [config.elevated_share, config.critical_share];
            // A level that begins at nothing would never end.
            let begin = shares.map(|share| bytes(share).max(1));
            let end = shares.map(|share| bytes(share - config.hysteresis_share).max(1));
            Marks { limit, begin, end }
        });
        Self {
            marks,
            level: AtomicU8::new(0),
            next: AtomicU64::new(0),
            callbacks: Mutex::new(Vec::new()),
            panics: AtomicUsize::new(0),
        }
    }

    pub(super) fn level(&self) -> PressureLevel {
        PressureLevel::of(self.level.load(Relaxed))
    }

    /// The change that `live` bytes in use are, if they are one. Of threads that find the same
    /// change, one gets it.
    pub(super) fn update(&self, live: usize) -> Option<PressureChange> {
        let marks = self.marks.as_ref()?;
        let from = self.level();
        let to = marks.level(from, live);
        if from == to {
            return None;
        }
        self.level.compare_exchange(from as u8, to as u8, Relaxed, Relaxed).ok()?;
        Some(PressureChange { from, to, current_bytes: live, limit_bytes: marks.limit })
    }

    /// Tells everybody. A callback may use the pool; one that panics does not stop the others.
    pub(super) fn tell(&self, change: PressureChange) {
        let callbacks: Vec<Callback> =
            lock(&self.callbacks).iter().map(|(_, callback)| callback.clone()).collect();
        for callback in callbacks {
            // The caller may be dropping a tensor, which must not panic.
            if catch_unwind(AssertUnwindSafe(|| callback(change))).is_err() {
                self.panics.fetch_add(1, Relaxed);
                tracing::error!("a callback for memory pressure panicked");
            }
        }
    }

    pub(super) fn subscribe(&self, callback: Callback) -> u64 {
        let id = self.next.fetch_add(1, Relaxed);
        lock(&self.callbacks).push((id, callback));
        id
    }

    fn unsubscribe(&self, id: u64) {
        let mut callbacks = lock(&self.callbacks);
        let place = callbacks.iter().position(|(other, _)| *other == id);
        let removed = place.map(|place| callbacks.remove(place));
        // What the callback holds may itself use the pool when it is dropped.
        drop(callbacks);
        drop(removed);
    }
}

/// Keeps a callback subscribed; dropping it ends that.
#[must_use = "dropping a subscription ends it"]
pub struct PressureSubscription {
    shared: Weak<Shared>,
    id: u64,
}

impl PressureSubscription {
    pub(super) fn new(shared: &Arc<Shared>, callback: Callback) -> Self {
        let id = shared.pressure.subscribe(callback);
        Self { shared: Arc::downgrade(shared), id }
    }
}

impl Drop for PressureSubscription {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.pressure.unsubscribe(self.id);
        }
    }
}

impl fmt::Debug for PressureSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PressureSubscription({})", self.id)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use PressureLevel::{Critical, Elevated, Normal};

    #[test]
    fn levels_end_lower_than_they_begin() {
        let config = PoolConfig::new().with_limit_bytes(1000).with_pressure(0.5, 0.8, 0.1);
        let pressure = Pressure::new(&config);
        let mut seen = Vec::new();
        for live in [0, 499, 500, 450, 400, 399, 800, 701, 700, 699, 2000, 100, 500] {
            if let Some(change) = pressure.update(live) {
                assert_eq!((change.current_bytes, change.limit_bytes), (live, 1000));
                seen.push((live, change.from, change.to));
            }
        }
        let expected = [
            (500, Normal, Elevated),
            (399, Elevated, Normal),
            (800, Normal, Critical),
            (699, Critical, Elevated),
            (2000, Elevated, Critical),
            (100, Critical, Normal),
            (500, Normal, Elevated),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn odd_shares_are_bounded() {
        for (elevated, critical, hysteresis) in
            [(0.0, 0.0, 0.0), (2.0, -1.0, 5.0), (f64::NAN, 0.9, f64::NAN)]
        {
            let config = PoolConfig::new().with_limit_bytes(100);
            let pressure = Pressure::new(&config.with_pressure(elevated, critical, hysteresis));
            for live in [0, 50, 100, 0] {
                pressure.update(live);
            }
            assert_eq!(pressure.level(), Normal, "{elevated} {critical} {hysteresis}");
        }
        assert_eq!(Pressure::new(&PoolConfig::new()).update(usize::MAX), None);
    }
}
