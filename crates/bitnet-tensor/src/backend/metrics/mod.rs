//! Counters of what was executed, so that copies, transfers and fallbacks are never hidden.

mod counters;
mod fallbacks;

use std::fmt;

use super::FailureKind;
use crate::Device;
use crate::ops::OperationType;

pub(super) use fallbacks::fallbacks_since;
pub use fallbacks::{FallbackCount, fallbacks};

/// Defines the counters from one list.
macro_rules! counters {
    ($($(#[$doc:meta])+ $name:ident $constant:ident,)+) => {
        /// What the process executed so far. Subtract two snapshots to measure a part of a program.
        ///
        /// Each thread counts for itself: the numbers are exact when the other threads are at rest.
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
            $($(#[$doc])+ pub $name: u64,)+
        }

        #[repr(usize)]
        #[derive(Clone, Copy)]
        enum Counter {
            $($constant,)+
        }

        impl AccelerationMetrics {
            /// The counters now.
            pub fn snapshot() -> Self {
                let totals = counters::totals();
                Self { $($name: totals[Counter::$constant as usize],)+ }
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
                Self { $($name: self.$name.saturating_sub(earlier.$name),)+ }
            }
        }
    };
}

counters! {
    /// Operations that a backend executed.
    operations Operations,
    /// Of these, the ones whose results got new storage: neither written over an operand nor into
    /// a given tensor.
    allocations Allocations,
    /// Operations that only made a view.
    views Views,
    /// Fused operations executed as their parts.
    decompositions Decompositions,
    /// Operations executed on another device than the operands', because theirs could not.
    fallbacks Fallbacks,
    /// Operations with operands on the host that the selection strategy gave to another device.
    offloads Offloads,
    /// Times that a backend said that it cannot do something, asked before or while it should.
    unsupported Unsupported,
    /// Times that a device had no memory.
    out_of_memory OutOfMemory,
    /// Devices that were lost.
    devices_lost DevicesLost,
    /// Numbers that a check found wrong: a backend's own, or that of the process.
    numerical_failures NumericalFailures,
    /// Times that an engine went on on another device, from the tokens on.
    recoveries Recoveries,
    /// Storages brought from the host to another device.
    uploads Uploads,
    /// Their bytes.
    uploaded_bytes UploadedBytes,
    /// Storages brought from another device to the host.
    downloads Downloads,
    /// Their bytes.
    downloaded_bytes DownloadedBytes,
    /// Bytes written by copying elements into another layout.
    copied_bytes CopiedBytes,
}

impl AccelerationMetrics {
    /// Failures of that kind.
    pub fn failures(&self, kind: FailureKind) -> u64 {
        match kind {
            FailureKind::Unsupported => self.unsupported,
            FailureKind::OutOfMemory => self.out_of_memory,
            FailureKind::DeviceLost => self.devices_lost,
            FailureKind::Numerical => self.numerical_failures,
        }
    }
}

impl fmt::Display for AccelerationMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} operations ({} with new storage), {} views, {} decompositions, {} fallbacks",
            self.operations, self.allocations, self.views, self.decompositions, self.fallbacks,
        )?;
        if self.offloads > 0 {
            write!(f, ", {} on another device by strategy", self.offloads)?;
        }
        write!(
            f,
            ", {} uploads ({} bytes), {} downloads ({} bytes), {} bytes copied",
            self.uploads,
            self.uploaded_bytes,
            self.downloads,
            self.downloaded_bytes,
            self.copied_bytes,
        )?;
        for kind in FailureKind::ALL {
            if self.failures(kind) > 0 {
                write!(f, ", {} × {kind}", self.failures(kind))?;
            }
        }
        if self.recoveries > 0 {
            write!(f, ", {} recoveries on another device", self.recoveries)?;
        }
        Ok(())
    }
}

#[inline]
fn count(counter: Counter) {
    counters::add(counter as usize, 1);
}

#[inline]
pub(crate) fn record_operation() {
    count(Counter::Operations);
}

#[inline]
pub(crate) fn record_allocation() {
    count(Counter::Allocations);
}

#[inline]
pub(crate) fn record_view() {
    count(Counter::Views);
}

pub(crate) fn record_decomposition() {
    count(Counter::Decompositions);
}

pub(crate) fn record_fallback(
    operation: OperationType,
    from: Device,
    to: Device,
    reason: FailureKind,
) {
    count(Counter::Fallbacks);
    fallbacks::record(operation, from, to, reason);
}

pub(crate) fn record_offload() {
    count(Counter::Offloads);
}

pub(crate) fn record_failure(kind: FailureKind) {
    count(match kind {
        FailureKind::Unsupported => Counter::Unsupported,
        FailureKind::OutOfMemory => Counter::OutOfMemory,
        FailureKind::DeviceLost => Counter::DevicesLost,
        FailureKind::Numerical => Counter::NumericalFailures,
    });
}

/// An engine goes on on another device: called by the engine, which alone knows.
pub fn record_recovery() {
    count(Counter::Recoveries);
}

pub(crate) fn record_upload(bytes: usize) {
    count(Counter::Uploads);
    counters::add(Counter::UploadedBytes as usize, bytes as u64);
}

pub(crate) fn record_download(bytes: usize) {
    count(Counter::Downloads);
    counters::add(Counter::DownloadedBytes as usize, bytes as u64);
}

pub(crate) fn record_copy(bytes: usize) {
    counters::add(Counter::CopiedBytes as usize, bytes as u64);
}
