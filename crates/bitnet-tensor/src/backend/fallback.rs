//! What happens when a device cannot execute an operation: it is really executed again, by the next
//! device of the chain that can, on the same operands, and that is counted and said.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use smallvec::SmallVec;

use super::registered::Registered;
use super::{FailureKind, OpDesc, environment, metrics, registry};
use crate::error::Result;
use crate::ops::{Op, Outputs};
use crate::storage::HostBuffer;
use crate::{BitNetTensor, Device, TensorOpError};

/// What happens when the operands' device cannot execute an operation and another one can, or an
/// engine's device is lost and there is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum FallbackPolicy {
    /// The operation fails, with the error of the operands' device.
    Error,
    /// It is executed on the next device; a warning says so.
    #[default]
    Warn,
    /// It is executed on the next device and only counted.
    Silent,
}

/// Not decided yet: the environment is asked when it matters for the first time.
const UNDECIDED: u8 = u8::MAX;

static POLICY: AtomicU8 = AtomicU8::new(UNDECIDED);

/// Sets the process's policy for operations that the operands' device cannot execute. Until then it is
/// what `BITNET_FALLBACK` says, else [`Warn`](FallbackPolicy::Warn).
pub fn set_fallback_policy(policy: FallbackPolicy) {
    POLICY.store(policy as u8, Relaxed);
}

/// The process's policy for operations that the operands' device cannot execute.
///
/// ```
/// use bitnet_tensor::backend::{FallbackPolicy, fallback_policy, set_fallback_policy};
/// set_fallback_policy("silent".parse()?);
/// assert_eq!(fallback_policy(), FallbackPolicy::Silent);
/// # Ok::<(), String>(())
/// ```
pub fn fallback_policy() -> FallbackPolicy {
    match POLICY.load(Relaxed) {
        p if p == FallbackPolicy::Error as u8 => FallbackPolicy::Error,
        p if p == FallbackPolicy::Silent as u8 => FallbackPolicy::Silent,
        p if p == FallbackPolicy::Warn as u8 => FallbackPolicy::Warn,
        _ => {
            let policy = environment::or_default(environment::fallback_policy());
            // Whoever set one in the meantime has decided.
            let _ = POLICY.compare_exchange(UNDECIDED, policy as u8, Relaxed, Relaxed);
            policy
        }
    }
}

impl FromStr for FallbackPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "silent" => Ok(Self::Silent),
            other => Err(format!("{other:?} is none of error, warn and silent")),
        }
    }
}

impl fmt::Display for FallbackPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Silent => "silent",
        })
    }
}

/// Calls `attempt` with each device after `home` that supports `op`, until one succeeds: its result
/// and which it was. `refusal` is why `home` did not, a failure of the device; it is the error when
/// nobody can.
pub(super) fn on_another_device<T>(
    op: &Op,
    inputs: &[&BitNetTensor],
    home: Device,
    refusal: TensorOpError,
    mut attempt: impl FnMut(&'static Registered) -> Result<T>,
) -> Result<(T, &'static Registered)> {
    let policy = fallback_policy();
    if policy == FallbackPolicy::Error {
        return Err(refusal);
    }
    for next in registry::entries_after(home) {
        if !next.supports(&OpDesc { op, inputs }) {
            continue;
        }
        match attempt(next) {
            Ok(result) => {
                if let Some(reason) = refusal.failure() {
                    metrics::record_fallback(op.operation_type(), home, next.device(), reason);
                }
                if policy == FallbackPolicy::Warn {
                    let (operation, from, to) = (op.name(), home, next.device());
                    tracing::warn!(operation, %from, %to, reason = %refusal, "fallback");
                }
                return Ok((result, next));
            }
            Err(error) if is_of_device(&error, next.device()) => {}
            Err(error) => return Err(error),
        }
    }
    Err(refusal)
}

/// Whether the error says that `device` cannot, so that yet another one may.
fn is_of_device(error: &TensorOpError, device: Device) -> bool {
    match error.failure() {
        Some(FailureKind::DeviceLost) => error.context().lost_device == Some(device),
        Some(kind) => kind.may_fall_back(),
        None => false,
    }
}

/// The tensors on `device`, without their histories.
pub(super) fn moved(
    tensors: &[&BitNetTensor],
    device: Device,
) -> Result<SmallVec<[BitNetTensor; 3]>> {
    tensors.iter().map(|tensor| tensor.detach().to_device(device)).collect()
}

/// The results on the device where the operands were.
pub(super) fn brought_home(outputs: &[BitNetTensor], home: Device) -> Result<Outputs> {
    outputs.iter().map(|output| output.to_device(home)).collect()
}

/// `target` replaced by the result of `op`, computed on another device in a copy of it: it is as
/// before until the result is there.
pub(super) fn in_place(
    op: &Op,
    target: &mut BitNetTensor,
    others: &[&BitNetTensor],
    refusal: TensorOpError,
) -> Result<&'static Registered> {
    let home = target.device();
    let inputs: SmallVec<[&BitNetTensor; 3]> =
        std::iter::once(&*target).chain(others.iter().copied()).collect();
    let (result, next) = on_another_device(op, &inputs, home, refusal, |next| {
        let mut copy = private_copy(target, next)?;
        let others = moved(others, next.device())?;
        next.execute_in_place(op, &mut copy, &others.iter().collect::<SmallVec<[_; 3]>>())?;
        Ok(copy)
    })?;
    drop(inputs);
    metrics::record_operation();
    // A view of the same bytes: the whole storage comes back, in the same layout.
    *target = result.to_device(home)?;
    Ok(next)
}

/// `tensor` on the device of `next`, in storage that nobody else holds.
fn private_copy(tensor: &BitNetTensor, next: &Registered) -> Result<BitNetTensor> {
    let moved = tensor.detach().to_device(next.device())?;
    if !moved.shares_storage_with(tensor) {
        return Ok(moved);
    }
    // Both devices compute in the host's memory.
    let host = next.download(moved.storage())?;
    let storage = next.upload(Arc::new(HostBuffer::copy_of(&host)?))?;
    Ok(BitNetTensor::from_parts(storage, tensor.layout().clone(), tensor.dtype(), next.device()))
}
