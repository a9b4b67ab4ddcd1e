//! Which backend serves which device.
//!
//! The CPU's is always there. A program registers others; their order of registration is the
//! order in which fallback tries them, the CPU last.

use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::Backend;
use crate::Device;
use crate::cpu::CpuBackend;
use crate::error::{Result, bail};

static OTHERS: RwLock<Vec<Arc<dyn Backend>>> = RwLock::new(Vec::new());

/// The backend of the host's processor.
pub fn cpu() -> &'static Arc<dyn Backend> {
    static CPU: OnceLock<Arc<dyn Backend>> = OnceLock::new();
    CPU.get_or_init(|| Arc::new(CpuBackend::new()))
}

/// Adds a backend, replacing the one of the same device if there is one.
///
/// # Errors
/// `DeviceMismatch` for [`Device::CPU`], whose backend is fixed.
pub fn register(backend: Arc<dyn Backend>) -> Result<()> {
    let device = backend.device();
    if device == Device::CPU {
        bail!(DeviceMismatch, "register", &[], "the backend of the CPU cannot be replaced");
    }
    let mut others = OTHERS.write().unwrap_or_else(PoisonError::into_inner);
    others.retain(|other| other.device() != device);
    others.push(backend);
    Ok(())
}

/// The backend registered for `device`.
///
/// # Errors
/// `DeviceMismatch` when there is none.
pub fn backend(device: Device) -> Result<Arc<dyn Backend>> {
    if device == Device::CPU {
        return Ok(cpu().clone());
    }
    let others = OTHERS.read().unwrap_or_else(PoisonError::into_inner);
    match others.iter().find(|backend| backend.device() == device) {
        Some(backend) => Ok(backend.clone()),
        None => bail!(DeviceMismatch, "device", &[], "no backend is registered for {device}"),
    }
}

/// Every device that a backend is registered for, in the order of fallback: the CPU last.
pub fn devices() -> Vec<Device> {
    let others = OTHERS.read().unwrap_or_else(PoisonError::into_inner);
    others.iter().map(|backend| backend.device()).chain([Device::CPU]).collect()
}
