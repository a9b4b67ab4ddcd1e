//! The bytes in use, their peak, and the peaks of measured stretches of a program.
//!
//! Threads tell in steps how their use moved, with the maximum that it had in between. With one
//! thread the peak is therefore exact; with several, each can be off by one step, because the
//! maxima of different threads in one step need not have been at the same time.
//!
//! A thread changes the use and then looks at the peak and the measurements; who resets the peak or
//! begins to measure changes those and then looks at the use. One of the two must see the other,
//! which is what sequential consistency is for here.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::sync::{AtomicI64, AtomicU64, AtomicUsize, Mutex};

/// The largest step in which a thread tells the pool how its use moved.
pub(super) const MAX_GRAIN: u64 = 64 << 10;

/// Bytes in use. On cache lines of its own: its neighbours are read by every request.
#[repr(align(128))]
pub(super) struct Usage {
    /// The step, in bytes.
    pub(super) grain: u64,
    live: AtomicI64,
    peak: AtomicI64,
    open: AtomicUsize,
    /// The peaks of the measurements under way.
    windows: Mutex<Vec<(u64, i64)>>,
    next_window: AtomicU64,
}

impl Usage {
    pub(super) fn new(grain: u64) -> Self {
        Self {
            grain,
            live: AtomicI64::new(0),
            peak: AtomicI64::new(0),
            open: AtomicUsize::new(0),
            windows: Mutex::new(Vec::new()),
            next_window: AtomicU64::new(0),
        }
    }

    /// Use moved by `change` and was at most `highest` above what it was before.
    pub(super) fn report(&self, change: i64, highest: i64) {
        if (change, highest) == (0, 0) {
            return;
        }
        let top = self.live.fetch_add(change, SeqCst) + highest;
        if top > self.peak.load(SeqCst) {
            self.peak.fetch_max(top, SeqCst);
        }
        if self.open.load(SeqCst) != 0 {
            for (_, peak) in &mut *self.windows.lock().unwrap_or_else(PoisonError::into_inner) {
                *peak = top.max(*peak);
            }
        }
    }

    /// The bytes in use, as far as threads have told.
    pub(super) fn live(&self) -> usize {
        usize::try_from(self.live.load(SeqCst)).unwrap_or(0)
    }

    pub(super) fn peak(&self) -> usize {
        usize::try_from(self.peak.load(SeqCst)).unwrap_or(0)
    }

    pub(super) fn reset_peak(&self) {
        self.peak.store(self.live.load(SeqCst), SeqCst);
        // What was taken meanwhile, by a thread that compared it with the peak from before.
        self.peak.fetch_max(self.live.load(SeqCst), SeqCst);
    }

    /// Begins a measurement; dropping it ends it.
    pub(super) fn measure(&self) -> Window<'_> {
        let id = self.next_window.fetch_add(1, Relaxed);
        self.open.fetch_add(1, SeqCst);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let start = self.live.load(SeqCst);
        windows.push((id, start));
        drop(windows);
        Window { usage: self, id, start }
    }
}

/// A measurement under way.
pub(super) struct Window<'a> {
    usage: &'a Usage,
    id: u64,
    start: i64,
}

impl Window<'_> {
    /// By how much use was above that at the beginning, at most.
    pub(super) fn peak(&self) -> usize {
        let windows = self.usage.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let peak = windows.iter().find(|(id, _)| *id == self.id).map_or(0, |&(_, peak)| peak);
        usize::try_from(peak - self.start).unwrap_or(0)
    }
}

impl Drop for Window<'_> {
    fn drop(&mut self) {
        let mut windows = self.usage.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|(id, _)| *id != self.id);
        self.usage.open.fetch_sub(1, SeqCst);
    }
}
