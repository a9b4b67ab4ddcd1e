//! Which GPUs there are.

use wgpu::{Backend, Backends, DeviceType};

/// An adapter of the system.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) adapter: wgpu::Adapter,
    pub(crate) info: wgpu::AdapterInfo,
}

impl Found {
    /// Whether it is the processor that computes.
    pub(crate) fn is_software(&self) -> bool {
        self.info.device_type == DeviceType::Cpu
    }

    /// The interface's name, by which devices are called.
    pub(crate) fn kind(&self) -> &'static str {
        match self.info.backend {
            Backend::Metal => "metal",
            Backend::Dx12 => "dx12",
            _ => "vulkan",
        }
    }

    /// The fastest first, as far as the kind of adapter tells.
    fn rank(&self) -> u8 {
        match self.info.device_type {
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        }
    }
}

/// All of them, the fastest first; none where there is no driver.
pub(crate) fn find() -> Vec<Found> {
    let wanted = Backends::VULKAN | Backends::METAL | Backends::DX12;
    let built = wgpu::Instance::enabled_backend_features();
    if !built.intersects(wanted) {
        return Vec::new();
    }
    let mut description = wgpu::InstanceDescriptor::new_without_display_handle();
    description.backends = wanted;
    let instance = wgpu::Instance::new(description);
    let adapters = pollster::block_on(instance.enumerate_adapters(wanted));
    let mut found: Vec<Found> =
        adapters.into_iter().map(|adapter| Found { info: adapter.get_info(), adapter }).collect();
    found.sort_by_key(Found::rank);
    found
}
