//! How much a device can do at most, by measurement: what a profile is compared with when somebody
//! asks.

use crate::backend::measurement::best_seconds;
use crate::backend::registry;
use crate::error::Result;
use crate::random::Generator;
use crate::{BitNetDType, Device};

/// The most that was measured of a device.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Peaks {
    /// The device.
    pub device: Device,
    /// Bytes read per second.
    pub bytes_per_second: f64,
    /// Multiplications and additions per second of a large `f32` matrix product. Products of codes of
    /// fewer bits can exceed it.
    pub flops_per_second: f64,
}

/// Rows of the matrices: large enough that the product is limited by computing.
const SIZE: usize = 768;

impl Peaks {
    /// Measures `device`, in about half a second.
    ///
    /// # Errors
    /// When it has no memory for some hundred megabytes, or fails.
    pub fn measure(device: Device) -> Result<Self> {
        let backend = registry::backend(device)?;
        let x = Generator::new(1)
            .uniform([SIZE, SIZE], 0.0, 1.0, BitNetDType::F32)?
            .to_device(device)?;
        let seconds = best_seconds(3, || x.matmul(&x).and_then(|_| backend.synchronize()))?;
        Ok(Self {
            device,
            bytes_per_second: device.measure_bandwidth()?,
            flops_per_second: 2.0 * (SIZE as f64).powi(3) / seconds,
        })
    }
}
