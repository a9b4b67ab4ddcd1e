//! What a device must be able to do, and how an operation reaches it.
//!
//! A backend is registered once ([`registry`]); every operation passes through
//! `dispatch::apply`, which asks [`Backend::supports`] first, decomposes fused operations on
//! the same device when it must, and falls back to the next device only then.

pub(crate) mod dispatch;
mod finite_check;
pub mod metrics;
pub mod profiler;
pub mod registry;

use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::ops::Op;
use crate::storage::{HostBuffer, Storage};
use crate::{BitNetTensor, Device};

pub use dispatch::{FallbackPolicy, set_fallback_policy};
pub use finite_check::set_finite_check;
pub use metrics::AccelerationMetrics;

/// An operation with its operands, before anything is computed.
///
/// Backends decide from types, shapes and layouts whether they can do it; reading elements is
/// not allowed here.
#[derive(Debug, Clone, Copy)]
pub struct OpDesc<'a> {
    /// The operation.
    pub op: &'a Op,
    /// Its operands, all on the backend's device.
    pub inputs: &'a [&'a BitNetTensor],
}

/// A device and the operations that it can execute.
///
/// Execution may be asynchronous: [`execute`](Self::execute) enqueues, and only
/// [`download`](Self::download) and [`synchronize`](Self::synchronize) wait. Nothing inside a
/// model's forward pass reads back.
pub trait Backend: Send + Sync + fmt::Debug {
    /// The device this backend executes on.
    fn device(&self) -> Device;

    /// Whether [`execute`](Self::execute) can do this. Pure: the same description, the same answer.
    fn supports(&self, desc: &OpDesc<'_>) -> bool;

    /// Storage of `byte_len` bytes with unspecified contents.
    ///
    /// # Errors
    /// `MemoryError` when the device has none.
    fn allocate(&self, byte_len: usize) -> Result<Storage>;

    /// The bytes of `host` on this device.
    ///
    /// # Errors
    /// `MemoryError` or `BackendError`.
    fn upload(&self, host: Arc<HostBuffer>) -> Result<Storage>;

    /// The bytes of `storage` on the host; waits for the work that writes them.
    ///
    /// # Errors
    /// `BackendError` when the device is lost.
    fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>>;

    /// Writes every element of `outputs`: fresh, contiguous tensors of the shapes and types
    /// that the operation infers.
    ///
    /// # Errors
    /// `ComputationError` for values that the operation cannot take, `BackendError` for a
    /// failing device.
    fn execute(
        &self,
        op: &Op,
        inputs: &[&BitNetTensor],
        outputs: &mut [BitNetTensor],
    ) -> Result<()>;

    /// The operation with its first operand replaced by the result. `target` is unshared. Asked
    /// only for operations that [`Op::works_in_place`] names.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    fn execute_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<()>;

    /// The ternary weights `parts` (equal columns), one below the other, in the layout that
    /// this backend's kernels want.
    ///
    /// # Errors
    /// `ComputationError` when a code is none of −1, 0 and 1.
    fn prepare_weight(&self, parts: &[&BitNetTensor]) -> Result<BitNetTensor>;

    /// Waits until everything enqueued is done.
    ///
    /// # Errors
    /// `BackendError` when the device is lost.
    fn synchronize(&self) -> Result<()>;
}
