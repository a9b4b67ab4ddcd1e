//! What a kind of operation cost on a device, and a part of a program, summed over a recording.

use std::time::Duration;

use super::{OperationEvent, Peaks};
use crate::Device;
use crate::ops::OperationType;

/// Count, time and work of one kind of operation on one device.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct OperationMetrics {
    /// The operation.
    pub operation: OperationType,
    /// The device that executed it.
    pub device: Device,
    /// How often.
    pub count: u64,
    /// Of these, how often because another device could not.
    pub fallbacks: u64,
    /// The time of all together, without that of spans inside of them.
    pub time: Duration,
    /// Bytes read and written; `None` when one of them cannot tell.
    pub bytes: Option<u64>,
    /// Multiplications and additions; `None` when it is not a product.
    pub flops: Option<u64>,
}

/// Count and time of the scopes of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScopeMetrics {
    /// The name that the program gave.
    pub name: &'static str,
    /// How often.
    pub count: u64,
    /// The time of all together, without that of spans inside of them.
    pub time: Duration,
}

impl OperationMetrics {
    pub(super) fn new(event: &OperationEvent) -> Self {
        Self {
            operation: event.operation,
            device: event.device,
            count: 0,
            fallbacks: 0,
            time: Duration::ZERO,
            bytes: Some(0),
            flops: Some(0),
        }
    }

    pub(super) fn add(&mut self, own: Duration, event: &OperationEvent) {
        self.count += 1;
        self.fallbacks += u64::from(event.is_fallback);
        self.time += own;
        self.bytes = self.bytes.zip(event.bytes).map(|(sum, bytes)| sum + bytes);
        self.flops = self.flops.zip(event.flops).map(|(sum, flops)| sum + flops);
    }

    /// Operations per second of their own time.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.seconds()
    }

    /// 10⁹ multiplications and additions per second.
    pub fn gflops(&self) -> Option<f64> {
        self.flops.map(|flops| flops as f64 / self.seconds() / 1e9)
    }

    /// Bytes read and written per second.
    pub fn bytes_per_second(&self) -> Option<f64> {
        self.bytes.map(|bytes| bytes as f64 / self.seconds())
    }

    /// How close it comes to what the device can do, 0 to 1: in bytes or in multiplications and
    /// additions, whichever is closer. More than 1 where the caches are faster than the memory.
    pub fn share_of_peak(&self, peaks: &Peaks) -> Option<f64> {
        let bytes = self.bytes_per_second().map(|rate| rate / peaks.bytes_per_second);
        let flops = self.gflops().map(|rate| rate * 1e9 / peaks.flops_per_second);
        let shares = bytes.into_iter().chain(flops);
        (self.device == peaks.device).then(|| shares.reduce(f64::max)).flatten()
    }

    fn seconds(&self) -> f64 {
        self.time.as_secs_f64().max(1e-9)
    }
}
