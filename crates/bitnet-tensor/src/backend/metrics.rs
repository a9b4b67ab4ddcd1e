//! Counters of what was executed, so that copies and fallbacks are never hidden.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static OPERATIONS: AtomicU64 = AtomicU64::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static VIEWS: AtomicU64 = AtomicU64::new(0);
static DECOMPOSITIONS: AtomicU64 = AtomicU64::new(0);
static FALLBACKS: AtomicU64 = AtomicU64::new(0);
static TRANSFERS: AtomicU64 = AtomicU64::new(0);
static COPIED_BYTES: AtomicU64 = AtomicU64::new(0);

/// What the process executed so far. Subtract two snapshots to measure a part of a program.
///
/// ```
/// use bitnet_tensor::{BitNetDType, BitNetTensor, backend::AccelerationMetrics};
/// let before = AccelerationMetrics::snapshot();
/// let a = BitNetTensor::zeros([4, 4], BitNetDType::F32)?;
/// let _view = a.transpose(0, 1)?;
/// let spent = AccelerationMetrics::snapshot().since(&before);
/// assert!(spent.views >= 1);
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct AccelerationMetrics {
    /// Operations that a backend executed.
    pub operations: u64,
    /// Of these, the ones whose results got new storage: neither written over an operand nor into
    /// a given tensor.
    pub allocations: u64,
    /// Operations that only made a view.
    pub views: u64,
    /// Fused operations executed as their parts.
    pub decompositions: u64,
    /// Operations executed on another device than the operands'.
    pub fallbacks: u64,
    /// Storages moved between devices.
    pub transfers: u64,
    /// Bytes written by copying elements into another layout.
    pub copied_bytes: u64,
}

impl AccelerationMetrics {
    /// The counters now.
    pub fn snapshot() -> Self {
        Self {
            operations: OPERATIONS.load(Relaxed),
            allocations: ALLOCATIONS.load(Relaxed),
            views: VIEWS.load(Relaxed),
            decompositions: DECOMPOSITIONS.load(Relaxed),
            fallbacks: FALLBACKS.load(Relaxed),
            transfers: TRANSFERS.load(Relaxed),
            copied_bytes: COPIED_BYTES.load(Relaxed),
        }
    }

    /// What was counted between `earlier` and this.
    ///
    /// ```
    /// use bitnet_tensor::{BitNetTensor, backend::AccelerationMetrics};
    /// let before = AccelerationMetrics::snapshot();
    /// let _ = BitNetTensor::scalar(1.0f32)?.add(1)?;
    /// assert!(AccelerationMetrics::snapshot().since(&before).operations >= 1);
    /// # Ok::<(), bitnet_tensor::TensorOpError>(())
    /// ```
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            operations: self.operations.saturating_sub(earlier.operations),
            allocations: self.allocations.saturating_sub(earlier.allocations),
            views: self.views.saturating_sub(earlier.views),
            decompositions: self.decompositions.saturating_sub(earlier.decompositions),
            fallbacks: self.fallbacks.saturating_sub(earlier.fallbacks),
            transfers: self.transfers.saturating_sub(earlier.transfers),
            copied_bytes: self.copied_bytes.saturating_sub(earlier.copied_bytes),
        }
    }
}

impl fmt::Display for AccelerationMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations ({} with new storage), {} views, {} decompositions, {} fallbacks, {} transfers, {} bytes copied",
            self.operations,
            self.allocations,
            self.views,
            self.decompositions,
            self.fallbacks,
            self.transfers,
            self.copied_bytes,
        )
    }
}

pub(crate) fn record_operation() {
    OPERATIONS.fetch_add(1, Relaxed);
}

pub(crate) fn record_allocation() {
    ALLOCATIONS.fetch_add(1, Relaxed);
}

pub(crate) fn record_view() {
    VIEWS.fetch_add(1, Relaxed);
}

pub(crate) fn record_decomposition() {
    DECOMPOSITIONS.fetch_add(1, Relaxed);
}

pub(crate) fn record_fallback() {
    FALLBACKS.fetch_add(1, Relaxed);
}

pub(crate) fn record_transfer() {
    TRANSFERS.fetch_add(1, Relaxed);
}

pub(crate) fn record_copy(bytes: usize) {
    COPIED_BYTES.fetch_add(bytes as u64, Relaxed);
}
