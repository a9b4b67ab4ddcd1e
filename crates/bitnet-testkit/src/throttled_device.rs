//! A device of a chosen speed: the CPU's backend under another name, which really takes longer. It
//! sleeps before each operation, for what it computes, and for what crosses.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bitnet_kernels::Cpu;
use bitnet_tensor::backend::{Backend, DeviceMemory, OpDesc, registry};
use bitnet_tensor::cpu::CpuBackend;
use bitnet_tensor::ops::Op;
use bitnet_tensor::{BitNetTensor, Device, HostBuffer, Result, Storage};

/// How much slower than the processor a device is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Throttle {
    /// Before each operation.
    pub launch: Duration,
    /// For each mebibyte that is brought there or back.
    pub transfer_per_mebibyte: Duration,
    /// For each mebibyte of the results of an operation.
    pub compute_per_mebibyte: Duration,
}

/// The device `throttled:index`.
#[derive(Debug)]
pub struct ThrottledDevice {
    cpu: CpuBackend,
    throttle: Throttle,
}

impl ThrottledDevice {
    /// Registers device `throttled:index` of that speed, in place of an earlier one.
    ///
    /// # Errors
    /// Never for this device; the registry's signature has them.
    pub fn register(index: u32, throttle: Throttle) -> Result<Device> {
        let cpu = CpuBackend::with_tier(Cpu::best(), Device::new("throttled", index));
        let device = cpu.device();
        registry::register(Arc::new(Self { cpu, throttle }))?;
        Ok(device)
    }
}

fn sleep_for(bytes: usize, per_mebibyte: Duration) {
    thread::sleep(per_mebibyte.mul_f64(bytes as f64 / f64::from(1 << 20)));
}

impl DeviceMemory for ThrottledDevice {
    fn allocate(&self, byte_len: usize) -> Result<Storage> {
        self.cpu.memory().allocate(byte_len)
    }

    fn upload(&self, host: Arc<HostBuffer>) -> Result<Storage> {
        sleep_for(host.bytes().len(), self.throttle.transfer_per_mebibyte);
        self.cpu.memory().upload(host)
    }

    fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>> {
        let host = self.cpu.memory().download(storage)?;
        sleep_for(host.bytes().len(), self.throttle.transfer_per_mebibyte);
        Ok(host)
    }
}

impl Backend for ThrottledDevice {
    fn device(&self) -> Device {
        self.cpu.device()
    }

    fn memory(&self) -> &dyn DeviceMemory {
        self
    }

    fn supports(&self, desc: &OpDesc<'_>) -> bool {
        self.cpu.supports(desc)
    }

    fn execute(
        &self,
        op: &Op,
        inputs: &[&BitNetTensor],
        outputs: &mut [BitNetTensor],
    ) -> Result<()> {
        let bytes = outputs.iter().map(BitNetTensor::byte_size).sum();
        thread::sleep(self.throttle.launch);
        sleep_for(bytes, self.throttle.compute_per_mebibyte);
        self.cpu.execute(op, inputs, outputs)
    }

    fn execute_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<()> {
        thread::sleep(self.throttle.launch);
        sleep_for(target.byte_size(), self.throttle.compute_per_mebibyte);
        self.cpu.execute_in_place(op, target, others)
    }

    fn prepare_weight(&self, parts: &[&BitNetTensor]) -> Result<BitNetTensor> {
        self.cpu.prepare_weight(parts)
    }
}
