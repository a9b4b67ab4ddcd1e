//! How fast devices are, measured in a fraction of a second each.

use std::collections::BTreeMap;
use std::path::Path;

use super::cache;
use super::work::{Work, WorkClass};
use crate::backend::measurement::{best_seconds, zeros};
use crate::backend::{environment, registry};
use crate::error::Result;
use crate::{BitNetTensor, Device};

/// What was measured of each device, by its name.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CostModel {
    devices: BTreeMap<String, DeviceCosts>,
}

/// How fast a device is, per second.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct DeviceCosts {
    /// From the call of an operation on nothing to its end, in seconds.
    pub launch_seconds: f64,
    /// Bytes read and written by elementwise operations.
    pub elementwise_bytes: f64,
    /// Bytes read by sums.
    pub reduction_bytes: f64,
    /// Multiplications and additions of a matrix product.
    pub product_flops: f64,
    /// Bytes brought there; `None` where the host's memory is the device's.
    pub upload_bytes: Option<f64>,
    /// Bytes brought back.
    pub download_bytes: Option<f64>,
}

/// Large against what starting an operation takes.
const ELEMENTS: usize = 1 << 20;
const MATRIX: usize = 256;
const RUNS: usize = 3;

impl DeviceCosts {
    /// Measures `device`.
    ///
    /// # Errors
    /// When it fails, or has no memory for some megabytes.
    pub fn measure(device: Device) -> Result<Self> {
        let backend = registry::backend(device)?;
        let wait = || backend.synchronize();
        let one = zeros(1, device)?;
        let launch_seconds = best_seconds(20, || one.neg().and_then(|_| wait()))?;
        let time = |work: &dyn Fn() -> Result<BitNetTensor>| -> Result<f64> {
            let seconds = best_seconds(RUNS, || work().and_then(|_| wait()))?;
            Ok((seconds - launch_seconds).max(1e-9))
        };
        let host = zeros(ELEMENTS, Device::CPU)?;
        let bytes = host.byte_size() as f64;
        let x = host.to_device(device)?;
        let matrix = x.narrow(0, 0, MATRIX * MATRIX)?.reshape([MATRIX, MATRIX])?;
        let (upload_bytes, download_bytes) = if device == Device::CPU {
            (None, None)
        } else {
            let up = best_seconds(RUNS, || host.to_device(device).and_then(|_| wait()))?;
            let down = best_seconds(RUNS, || x.to_device(Device::CPU).map(|_| ()))?;
            (Some(bytes / up), Some(bytes / down))
        };
        Ok(Self {
            launch_seconds,
            elementwise_bytes: 3.0 * bytes / time(&|| x.add(&x))?,
            reduction_bytes: bytes / time(&|| x.sum(&[], false))?,
            product_flops: 2.0 * (MATRIX as f64).powi(3) / time(&|| matrix.matmul(&matrix))?,
            upload_bytes,
            download_bytes,
        })
    }

    /// Whether the numbers can be compared: they may come from a file.
    fn is_sound(&self) -> bool {
        let rates = [self.elementwise_bytes, self.reduction_bytes, self.product_flops];
        let transfers = [self.upload_bytes, self.download_bytes].into_iter().flatten();
        rates.into_iter().chain(transfers).chain([self.launch_seconds]).all(|rate| rate > 0.0)
    }
}

impl CostModel {
    /// Measures every device that work can be given to; one that fails is left out.
    pub fn measure() -> Self {
        let mut model = Self::default();
        for device in registry::devices_for_work() {
            match DeviceCosts::measure(device) {
                Ok(costs) => model.insert(device, costs),
                Err(error) => tracing::warn!(%device, %error, "the device could not be measured"),
            }
        }
        model
    }

    /// What an earlier run measured on this machine with these devices, else measured now and kept
    /// for the next run, in [`cache_folder`](environment::cache_folder).
    pub fn of_this_machine() -> Self {
        match environment::cache_folder() {
            Some(folder) => Self::cached_in(&folder),
            None => Self::measure(),
        }
    }

    /// [`of_this_machine`](Self::of_this_machine), kept in `folder`. A file that is not whole, of
    /// another version or of another machine is written anew.
    pub fn cached_in(folder: &Path) -> Self {
        let key = cache::key();
        if let Some(model) = cache::read(folder, &key).filter(Self::is_complete) {
            return model;
        }
        let model = Self::measure();
        if let Err(error) = cache::write(folder, &key, &model) {
            tracing::warn!(%error, "measurements could not be kept");
        }
        model
    }

    fn is_complete(&self) -> bool {
        let has = |device: &Device| self.costs(*device).is_some_and(DeviceCosts::is_sound);
        registry::devices_for_work().iter().all(has)
    }

    /// Sets what is known of a device.
    pub fn insert(&mut self, device: Device, costs: DeviceCosts) {
        self.devices.insert(device.to_string(), costs);
    }

    /// What is known of a device.
    pub fn costs(&self, device: Device) -> Option<&DeviceCosts> {
        self.devices.get(&device.to_string())
    }

    /// How long `work` takes on `device`, with bringing operands there and results back.
    pub fn seconds(&self, device: Device, work: &Work) -> Option<f64> {
        let costs = self.costs(device)?;
        let computing = match work.class {
            WorkClass::Elementwise => work.bytes as f64 / costs.elementwise_bytes,
            WorkClass::Reduction => work.bytes as f64 / costs.reduction_bytes,
            WorkClass::Product => work.flops as f64 / costs.product_flops,
        };
        let down = costs.download_bytes.map_or(0.0, |rate| work.download_bytes as f64 / rate);
        Some(self.seconds_to_begin(device, work)? + computing + down)
    }

    /// How long it takes until `work` is under way on `device`.
    pub fn seconds_to_begin(&self, device: Device, work: &Work) -> Option<f64> {
        let costs = self.costs(device)?;
        let up = costs.upload_bytes.map_or(0.0, |rate| work.upload_bytes as f64 / rate);
        Some(costs.launch_seconds + up)
    }
}
