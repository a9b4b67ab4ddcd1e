//! Which backend serves which device.
//!
//! The CPU's is always there. Others announce themselves: the crate of a backend has a function
//! that looks for its devices and calls [`register`] for each, and a program, or the facade crate by
//! a feature, calls that function before it makes tensors. Nothing in this crate names them:
//!
//! ```
//! # use std::sync::Arc;
//! # use bitnet_tensor::backend::registry;
//! # use bitnet_tensor::cpu::CpuBackend;
//! # use bitnet_tensor::{Device, Result};
//! /// Registers every device that this backend can drive; none is no error.
//! pub fn register() -> Result<Vec<Device>> {
//!     let found = [Device::new("example", 0)]; // what a driver would report
//!     for device in found {
//! #       let backend = CpuBackend::with_tier(CpuBackend::new().cpu(), device);
//!         registry::register(Arc::new(backend))?;
//!     }
//!     Ok(found.to_vec())
//! }
//! assert_eq!(register()?, [Device::new("example", 0)]);
//! assert_eq!(registry::devices().last(), Some(&Device::CPU));
//! # Ok::<(), bitnet_tensor::TensorOpError>(())
//! ```
//!
//! The order of registration is the order of the chain along which operations fall back and from
//! which [`Device::best`] is taken, the CPU last: a program registers the fastest first (MLX, CUDA,
//! other GPUs).

mod chain;
mod sync;

use std::sync::{Arc, OnceLock};

use super::registered::Registered;
use super::{Backend, DeviceInfo, environment};
use crate::Device;
use crate::cpu::CpuBackend;
use crate::error::{Result, bail};
use crate::reference::ReferenceBackend;

use chain::Chain;

static OTHERS: Chain<Registered> =
    Chain { first: sync::OnceLock::new(), writing: sync::Mutex::new(()) };

fn cpu_entry() -> &'static Registered {
    static CPU: OnceLock<Registered> = OnceLock::new();
    CPU.get_or_init(|| {
        environment::warn_of_ignored();
        Registered::new(Arc::new(CpuBackend::new()))
    })
}

/// The backend of the host's processor.
pub fn cpu() -> &'static Arc<dyn Backend> {
    cpu_entry().backend()
}

/// Adds a backend, replacing the one of the same device if there is one: a device that was lost and
/// is back is registered again.
///
/// # Errors
/// `DeviceMismatch` for [`Device::CPU`], whose backend is fixed.
pub fn register(backend: Arc<dyn Backend>) -> Result<()> {
    let device = backend.device();
    if device == Device::CPU {
        bail!(DeviceMismatch, "register", &[], "the backend of the CPU cannot be replaced");
    }
    OTHERS.replace(Registered::new(backend), |other| other.device() == device);
    Ok(())
}

/// The backend registered for `device`.
///
/// # Errors
/// `DeviceMismatch` when there is none.
pub fn backend(device: Device) -> Result<Arc<dyn Backend>> {
    Ok(entry(device)?.backend().clone())
}

/// Every device that a backend is registered for, in the order of fallback: the CPU last.
pub fn devices() -> Vec<Device> {
    chain().into_iter().map(Registered::device).collect()
}

/// Whether a call to the device has found that it is gone, with everything on it.
///
/// # Errors
/// `DeviceMismatch` when no backend is registered for it.
pub fn is_lost(device: Device) -> Result<bool> {
    Ok(entry(device)?.is_lost())
}

/// The devices on which what `device` cannot do may be done, the best first: those after it in the
/// chain that are neither lost nor stand-ins in software. The reference is the definition for tests, never a place to compute.
pub fn devices_after(device: Device) -> Vec<Device> {
    entries_after(device).map(Registered::device).collect()
}

pub(super) fn entries_after(device: Device) -> impl Iterator<Item = &'static Registered> {
    let after = chain().into_iter().skip_while(move |entry| entry.device() != device).skip(1);
    after.filter(|entry| is_for_work(entry))
}

/// The devices that work may be given to: all of the chain but those that are lost, stand-ins in
/// software, and the reference.
pub fn devices_for_work() -> Vec<Device> {
    let entries = chain().into_iter().filter(|entry| is_for_work(entry));
    entries.map(Registered::device).collect()
}

/// The first stand-in in software that is not lost.
pub(crate) fn software() -> Option<Device> {
    let entry = chain().into_iter().find(|entry| entry.is_software() && !entry.is_lost());
    entry.map(Registered::device)
}

/// What is known of every device, in the order of the chain.
pub(crate) fn infos() -> Vec<DeviceInfo> {
    let info =
        |entry: &Registered| DeviceInfo { is_lost: entry.is_lost(), ..entry.backend().info() };
    chain().into_iter().map(info).collect()
}

fn is_for_work(entry: &Registered) -> bool {
    !entry.is_lost() && !entry.is_software() && entry.device() != ReferenceBackend::DEVICE
}

pub(crate) fn entry(device: Device) -> Result<&'static Registered> {
    if device == Device::CPU {
        return Ok(cpu_entry());
    }
    match OTHERS.iter().find(|entry| entry.device() == device) {
        Some(entry) => Ok(entry),
        None => bail!(DeviceMismatch, "device", &[], "no backend is registered for {device}"),
    }
}

fn chain() -> Vec<&'static Registered> {
    let mut entries: Vec<&Registered> = OTHERS.iter().collect();
    // While one is being replaced both are there for a moment: the later one counts.
    let all = entries.clone();
    let mut position = 0;
    entries.retain(|entry| {
        position += 1;
        !all[position..].iter().any(|later| later.device() == entry.device())
    });
    entries.push(cpu_entry());
    entries
}
