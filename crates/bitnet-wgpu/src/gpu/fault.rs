//! What went wrong on a device while nobody was waiting for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};

use bitnet_tensor::{BitNetTensor, Device, ErrorContext, Result, TensorOpError};

use super::lock;

/// Told by the driver, asked at every call.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// Why the device is gone. It does not come back.
    lost: OnceLock<String>,
    /// A call that the driver refused: a mistake of this crate, or memory that ran out.
    refused: Mutex<Option<String>>,
}

impl Faults {
    /// Errors are kept for whoever calls next, in place of the panic that is the default.
    pub(super) fn watch(device: &wgpu::Device) -> Arc<Self> {
        let faults = Arc::new(Self::default());
        let told = faults.clone();
        device.set_device_lost_callback(move |_, message| {
            told.lost.get_or_init(|| message);
        });
        let told = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            lock(&told.refused).get_or_insert_with(|| error.to_string());
        }));
        faults
    }

    /// The device is gone, before the driver says so.
    pub(super) fn lose(&self, reason: &str) {
        self.lost.get_or_init(|| reason.to_owned());
    }

    /// # Errors
    /// That the device is lost, every time; what it refused, once.
    pub(super) fn check(
        &self,
        device: Device,
        operation: &'static str,
        inputs: &[&BitNetTensor],
    ) -> Result<()> {
        if let Some(reason) = self.lost.get() {
            return Err(TensorOpError::device_lost(device, operation, inputs, reason));
        }
        match lock(&self.refused).take() {
            None => Ok(()),
            Some(reason) => {
                let reason = format!("{device} refused earlier work: {reason}");
                Err(TensorOpError::BackendError(ErrorContext::new(operation, inputs, reason)))
            }
        }
    }
}

/// Hears what the driver has to say, after having waited for what `how` names.
///
/// # Errors
/// When it cannot be waited for. `wgpu` panics where the driver says that the device is lost: this is told
/// as the other errors are.
pub(super) fn poll(device: &wgpu::Device, how: wgpu::PollType) -> std::result::Result<(), String> {
    match catch_unwind(AssertUnwindSafe(|| device.poll(how))) {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the driver does not answer any more".to_owned()),
    }
}
