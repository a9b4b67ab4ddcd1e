//! What is known of a device.

use crate::Device;

/// A device and its capabilities. What a system does not tell is absent.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Its name here.
    pub device: Device,
    /// What its maker calls it.
    pub name: Option<String>,
    /// Cores that this process may use; multiprocessors, of a GPU.
    pub cores: Option<usize>,
    /// Threads of this process that compute, where the host computes.
    pub threads: Option<usize>,
    /// The instruction set in use, or the compute capability.
    pub instruction_set: Option<String>,
    /// All that it has, the portable one first.
    pub instruction_sets: Vec<String>,
    /// All of its memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// What could be used now.
    pub available_memory_bytes: Option<u64>,
    /// Whether it is a stand-in that computes on the host's processor. Nothing is computed there unless
    /// it is named.
    pub is_software: bool,
    /// Whether it was lost: nothing runs on it until it is registered again.
    pub is_lost: bool,
    /// The bytes per second that [`Device::measure_bandwidth`] found, when it was asked.
    pub memory_bandwidth_bytes_per_second: Option<f64>,
}

impl DeviceInfo {
    /// A device of which nothing is known; a backend fills in what it can tell.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            name: None,
            cores: None,
            threads: None,
            instruction_set: None,
            instruction_sets: Vec::new(),
            memory_bytes: None,
            available_memory_bytes: None,
            is_software: false,
            is_lost: false,
            memory_bandwidth_bytes_per_second: None,
        }
    }
}
