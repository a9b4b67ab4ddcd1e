//! What a pool may hold and how it treats it.

use super::size_class::ALIGNMENT;
use super::span::PAGE;

/// When a pool gives kept memory back to the system by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum TrimPolicy {
    /// When more than [`PoolConfig::cache_bytes`] is kept.
    #[default]
    CacheSize,
    /// Also, everything, when the pressure rises (see [`PoolConfig::elevated_share`]).
    Pressure,
    /// At once: nothing is kept.
    Immediate,
}

/// What a pool may hold and how it treats it.
///
/// ```
/// use bitnet_tensor::memory::{HybridMemoryPool, PoolConfig};
/// let config = PoolConfig::new().with_limit_bytes(1 << 20);
/// let pool = HybridMemoryPool::with_config(config);
/// assert!(pool.allocate(1 << 19).is_ok());
/// let error = pool.allocate(1 << 21).unwrap_err().to_string();
/// assert_eq!(
///     error,
///     "allocate: 2097152 bytes do not fit into the limit of 1048576: 0 bytes held, 0 of them in use"
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PoolConfig {
    /// The most that the pool reserves from the system, kept memory included; without it, what the
    /// system has.
    pub limit_bytes: Option<usize>,
    /// How much memory that nobody uses is kept for reuse.
    pub cache_bytes: usize,
    /// The alignment of every block: a power of two from 64 to 4096. Other values are rounded up
    /// to one, or down to the largest.
    pub alignment: usize,
    /// When memory goes back to the system.
    pub trim: TrimPolicy,
    /// Whether long regions ask for huge pages: fewer page faults at the first touch, and memory
    /// that is resident in steps of 2 MiB.
    pub huge_pages: bool,
    /// The share of the limit in use from which the pressure is elevated.
    pub elevated_share: f64,
    /// The share of the limit in use from which the pressure is critical.
    pub critical_share: f64,
    /// How far, as a share of the limit, use must fall below a level for the level to end.
    pub hysteresis_share: f64,
    /// Whether blocks are tracked from the beginning; see
    /// [`set_tracking`](super::HybridMemoryPool::set_tracking).
    pub tracking: bool,
}

impl PoolConfig {
    /// No limit, 1 GiB kept, blocks at multiples of 64 bytes, huge pages, pressure at 75 and 90 %.
    pub const fn new() -> Self {
        Self {
            limit_bytes: None,
            cache_bytes: 1 << 30,
            alignment: ALIGNMENT,
            trim: TrimPolicy::CacheSize,
            huge_pages: true,
            elevated_share: 0.75,
            critical_share: 0.9,
            hysteresis_share: 0.05,
            tracking: false,
        }
    }

    /// With [`limit_bytes`](Self::limit_bytes).
    #[must_use]
    pub const fn with_limit_bytes(mut self, bytes: usize) -> Self {
        self.limit_bytes = Some(bytes);
        self
    }

    /// With [`cache_bytes`](Self::cache_bytes).
    #[must_use]
    pub const fn with_cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// With [`alignment`](Self::alignment).
    #[must_use]
    pub const fn with_alignment(mut self, bytes: usize) -> Self {
        self.alignment = bytes;
        self
    }

    /// With [`trim`](Self::trim).
    #[must_use]
    pub const fn with_trim(mut self, policy: TrimPolicy) -> Self {
        self.trim = policy;
        self
    }

    /// With [`huge_pages`](Self::huge_pages).
    #[must_use]
    pub const fn with_huge_pages(mut self, on: bool) -> Self {
        self.huge_pages = on;
        self
    }

    /// With [`elevated_share`](Self::elevated_share), [`critical_share`](Self::critical_share) and
    /// [`hysteresis_share`](Self::hysteresis_share).
    #[must_use]
    pub const fn with_pressure(mut self, elevated: f64, critical: f64, hysteresis: f64) -> Self {
        self.elevated_share = elevated;
        self.critical_share = critical;
        self.hysteresis_share = hysteresis;
        self
    }

    /// With [`tracking`](Self::tracking).
    #[must_use]
    pub const fn with_tracking(mut self, on: bool) -> Self {
        self.tracking = on;
        self
    }

    /// The alignment that blocks get.
    pub(super) fn effective_alignment(&self) -> usize {
        let power = self.alignment.clamp(ALIGNMENT, PAGE);
        power.next_power_of_two()
    }

    /// What memory is taken in units of: small pools must not be full after one slab.
    pub(super) fn unit(&self) -> usize {
        let bytes = self.limit_bytes.unwrap_or(usize::MAX).min(self.cache_bytes) / 16;
        (bytes / PAGE).max(1).saturating_mul(PAGE)
    }
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self::new()
    }
}
