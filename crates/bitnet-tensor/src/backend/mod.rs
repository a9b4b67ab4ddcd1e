//! What a device must be able to do, and how an operation reaches it.
//!
//! A backend is registered once ([`registry`]); every operation passes through
//! `dispatch::apply`, which asks [`Backend::supports`] first, decomposes fused operations on
//! the same device when it must, and falls back to the next device only then. Where nothing has to be
//! made for the result, it asks by doing.

mod device_info;
mod device_memory;
pub(crate) mod dispatch;
pub mod environment;
mod failure;
mod fallback;
mod finite_check;
pub(crate) mod measurement;
pub mod metrics;
pub mod profiler;
mod registered;
pub mod registry;
mod selection;

use std::fmt;

use smallvec::SmallVec;

use crate::error::Result;
use crate::ops::{Op, TensorSpec};
use crate::{BitNetTensor, Device};

pub use device_info::DeviceInfo;
pub use device_memory::{DeviceMemory, HostMemory};
pub use failure::FailureKind;
pub use fallback::{FallbackPolicy, fallback_policy, set_fallback_policy};
pub use finite_check::set_finite_check;
pub use metrics::AccelerationMetrics;
pub use selection::{
    CostModel, DeviceCosts, SelectionStrategy, Work, WorkClass, set_cost_model,
    set_selection_strategy,
};

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

impl OpDesc<'_> {
    /// Shapes and types of the results.
    ///
    /// # Errors
    /// When the operation cannot take these operands.
    pub fn results(&self) -> Result<SmallVec<[TensorSpec; 1]>> {
        self.op.operation().infer(self.inputs)
    }
}

/// A device and the operations that it can execute.
///
/// Execution may be asynchronous: [`execute`](Self::execute) enqueues, and only
/// [`download`](DeviceMemory::download) and [`synchronize`](Self::synchronize) wait. Nothing inside a
/// model's forward pass reads back.
///
/// # Failing
/// **A call that returns an error has written nothing and enqueued nothing**: results and targets
/// are as they were. Whoever can fail half way (work space that is not there, an index out of range)
/// finds it out before the first write. So the same operation can be executed elsewhere, in place
/// too. [`FailureKind`] says which error means what. Two things happen later, when somebody waits:
/// a device may be lost ([`TensorOpError::device_lost`](crate::TensorOpError::device_lost); every
/// later call says so again), and values that enqueued work found wrong are reported then.
pub trait Backend: Send + Sync + fmt::Debug {
    /// The device this backend executes on.
    fn device(&self) -> Device;

    /// Its memory. Backends that compute in the host's memory have a [`HostMemory`].
    fn memory(&self) -> &dyn DeviceMemory;

    /// What is known of the device.
    fn info(&self) -> DeviceInfo {
        DeviceInfo::new(self.device())
    }

    /// The bytes per second at which the device reads its memory, measured now. By default by
    /// copying: what is read and what is written.
    ///
    /// # Errors
    /// When memory cannot be had, or the device fails.
    fn measure_bandwidth(&self) -> Result<f64> {
        measurement::copy_bandwidth(self)
    }

    /// Whether [`execute`](Self::execute) can do this. Pure: the same description, the same answer;
    /// executing what is not supported is refused.
    fn supports(&self, desc: &OpDesc<'_>) -> bool;

    /// Writes every element of `outputs`: contiguous tensors of the shapes and types that the
    /// operation infers, whose storage nobody else holds.
    ///
    /// # Errors
    /// Before anything is written or enqueued: `UnsupportedOperation` and `MemoryError` when
    /// another device should try, `ComputationError` for values that the operation cannot take,
    /// `BackendError` for a failing device.
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

    /// Waits until everything enqueued is done; backends that execute at once have nothing to do.
    ///
    /// # Errors
    /// `BackendError` when the device is lost, and what enqueued work failed with.
    fn synchronize(&self) -> Result<()> {
        Ok(())
    }
}
