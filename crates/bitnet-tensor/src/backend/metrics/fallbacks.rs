//! Which operations were executed on another device than their operands', and why. A fallback moves
//! operands and is rare: it can take a lock.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use crate::Device;
use crate::backend::FailureKind;
use crate::ops::OperationType;

/// How often a kind of operation fell back from a device, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FallbackCount {
    /// The operation.
    pub operation: OperationType,
    /// The device of the operands, which could not.
    pub from: Device,
    /// The device that executed it.
    pub to: Device,
    /// Why the operands' device could not.
    pub reason: FailureKind,
    /// How often.
    pub count: u64,
}

impl FallbackCount {
    fn key(&self) -> Key {
        (self.operation, self.from, self.to, self.reason)
    }
}

impl fmt::Display for FallbackCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, from, to, reason, count } = self;
        write!(f, "{count} × {operation} on {to} instead of {from}: {reason}")
    }
}

type Key = (OperationType, Device, Device, FailureKind);

static COUNTS: Mutex<Option<HashMap<Key, u64>>> = Mutex::new(None);

pub(super) fn record(operation: OperationType, from: Device, to: Device, reason: FailureKind) {
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.get_or_insert_default().entry((operation, from, to, reason)).or_insert(0) += 1;
}

/// The fallbacks of the process so far by operation, devices and reason, the most frequent first:
/// what [`fallbacks`](super::AccelerationMetrics::fallbacks) counts, told apart.
pub fn fallbacks() -> Vec<FallbackCount> {
    fallbacks_since(&[])
}

/// Those that are not among `earlier` ones.
pub(crate) fn fallbacks_since(earlier: &[FallbackCount]) -> Vec<FallbackCount> {
    let mut all: Vec<FallbackCount> = {
        let counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.iter().flatten();
        counts
            .map(|(&(operation, from, to, reason), &count)| FallbackCount {
                operation,
                from,
                to,
                reason,
                count,
            })
            .collect()
    };
    for before in earlier {
        if let Some(count) = all.iter_mut().find(|count| count.key() == before.key()) {
            count.count -= before.count;
        }
    }
    all.retain(|count| count.count > 0);
    all.sort_by_cached_key(|count| (u64::MAX - count.count, count.operation, count.to_string()));
    all
}
