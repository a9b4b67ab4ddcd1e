//! What this machine can do, by measurement: the limits that speeds are compared with.

use anyhow::Result;
use bitnet::Device;
use bitnet::kernels::{Cpu, parallel, peaks};
use bitnet::tensor::backend::DeviceInfo;
use bitnet::tensor::backend::profiler;
use serde::{Deserialize, Serialize};

use crate::machine::load_average;

/// The machine that was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Machine {
    /// What its maker calls the processor, or the device that computes.
    pub(super) processor: Option<String>,
    /// Cores that this process may use.
    pub(super) cores: Option<usize>,
    pub(super) instruction_set: Option<String>,
    /// Programs that wanted to run in the minute before: above zero, others took part of the machine.
    pub(super) load_average: Option<f64>,
    /// By number of threads: one, and as many as computed.
    pub(super) peaks: Vec<Peaks>,
}

/// What the machine reaches with some threads.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Peaks {
    pub(super) threads: usize,
    /// In reading a buffer far larger than the caches.
    pub(super) bytes_per_second: f64,
    /// Multiplications and additions of `f32`.
    pub(super) f32_operations_per_second: f64,
    /// Multiplications and additions of products of codes with int8, two for each; absent on devices
    /// for which nothing measures it.
    pub(super) int8_operations_per_second: Option<f64>,
}

impl Machine {
    /// Who computes and how busy it was: before anything is measured, which makes it busy.
    pub(super) fn find(device: Device) -> Self {
        let info = Device::list().into_iter().find(|info| info.device == device);
        let info = info.unwrap_or_else(|| DeviceInfo::new(device));
        Self {
            processor: info.name,
            cores: info.cores,
            instruction_set: info.instruction_set,
            load_average: load_average(),
            peaks: Vec::new(),
        }
    }

    /// Measures `device` with one thread and with all that compute. Takes some seconds.
    pub(super) fn measure(&mut self, device: Device) -> Result<()> {
        let threads = parallel::num_threads();
        if device != Device::CPU {
            self.peaks = vec![Peaks::of_device(device)?];
            return Ok(());
        }
        if threads > 1 {
            parallel::set_num_threads(1);
            let one = Peaks::of_processor();
            parallel::set_num_threads(threads);
            self.peaks.push(one?);
        }
        self.peaks.push(Peaks::of_processor()?);
        Ok(())
    }

    /// With as many threads as computed.
    pub(super) fn in_use(&self) -> Option<&Peaks> {
        self.peaks.last()
    }
}

impl Peaks {
    fn of_processor() -> Result<Self> {
        let cpu = Cpu::best();
        Ok(Self {
            threads: parallel::num_threads(),
            bytes_per_second: Device::CPU.measure_bandwidth()?,
            f32_operations_per_second: peaks::f32_operations_per_second(cpu),
            int8_operations_per_second: Some(peaks::int8_operations_per_second(cpu)),
        })
    }

    /// By the operations that every device has.
    fn of_device(device: Device) -> Result<Self> {
        let peaks = profiler::Peaks::measure(device)?;
        Ok(Self {
            threads: parallel::num_threads(),
            bytes_per_second: peaks.bytes_per_second,
            f32_operations_per_second: peaks.flops_per_second,
            int8_operations_per_second: None,
        })
    }
}
