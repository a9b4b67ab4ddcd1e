//! The device as the tensor library sees it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bitnet_tensor::backend::{Backend, DeviceInfo, DeviceMemory, OpDesc};
use bitnet_tensor::cpu::pack_weight;
use bitnet_tensor::ops::{Copy, Op};
use bitnet_tensor::{
    BitNetDType, BitNetTensor, CodeLayout, Device, ErrorContext, HostBuffer, Result, Storage,
    TensorOpError,
};
use smallvec::SmallVec;

use crate::adapter::Found;
use crate::gpu::{Gpu, GpuBuffer, GpuCounters, Kernels, PoolStats};
use crate::operand::block;
use crate::ops::{Plans, Target, Tensors, fusion, plan};

/// A GPU. It is opened when it is first used: a program that computes elsewhere does not pay for it.
#[derive(Debug)]
pub struct WgpuBackend {
    device: Device,
    found: Found,
    kernels: Kernels,
    gpu: OnceLock<Result<Arc<Gpu>>>,
}

impl WgpuBackend {
    pub(crate) fn new(device: Device, found: Found, kernels: Kernels) -> Self {
        Self { device, found, kernels, gpu: OnceLock::new() }
    }

    fn gpu(&self) -> Result<&Arc<Gpu>> {
        let opened = self.gpu.get_or_init(|| {
            Gpu::open(&self.found.adapter, self.device, self.kernels, fusion::FUSION)
        });
        opened.as_ref().map_err(Clone::clone)
    }

    /// What was asked of the device so far; zeros before it was used.
    pub fn counters(&self) -> GpuCounters {
        self.gpu().map(|gpu| gpu.counters()).unwrap_or_default()
    }

    /// What its pool of buffers holds.
    pub fn pool_stats(&self) -> PoolStats {
        self.gpu().map(|gpu| gpu.pool_stats()).unwrap_or_default()
    }

    /// The sources of all kernels that were compiled so far, in WGSL: to look at them, and to translate
    /// them for other platforms.
    pub fn kernel_sources(&self) -> Vec<String> {
        self.gpu().map(|gpu| gpu.sources()).unwrap_or_default()
    }

    /// Gives the pool's free buffers back to the driver.
    ///
    /// # Errors
    /// As [`synchronize`](Backend::synchronize).
    pub fn release_cache(&self) -> Result<()> {
        self.gpu()?.release_cache()
    }

    /// Gives the device up, with everything on it, as when a driver takes it away: to see what follows.
    ///
    /// # Errors
    /// When it could not be opened.
    pub fn destroy(&self) -> Result<()> {
        self.gpu()?.destroy();
        Ok(())
    }

    fn run(
        &self,
        op: &Op,
        tensors: Tensors<'_>,
        outputs: &[&BitNetTensor],
        in_place: bool,
    ) -> Result<()> {
        let gpu = self.gpu()?;
        let Some(plans) = self.plans(gpu, op, tensors, in_place) else {
            let reason = "the device has no kernel for these operands";
            let context = ErrorContext::new(op.name(), tensors.inputs, reason);
            return Err(TensorOpError::UnsupportedOperation(context));
        };
        let bytes = plans.iter().map(|plan| plan.temporary).max().unwrap_or(0);
        let space = (bytes > 0).then(|| gpu.allocate(bytes)).transpose()?;
        let temporary = space.as_ref().map(GpuBuffer::of).transpose()?.map(GpuBuffer::block);
        for plan in plans {
            plan.record(gpu, op.name(), tensors.inputs, outputs, temporary)?;
        }
        Ok(())
    }

    /// The operation's kernels, where they can see its operands.
    fn plans(&self, gpu: &Gpu, op: &Op, tensors: Tensors<'_>, in_place: bool) -> Option<Plans> {
        let are_visible = tensors.inputs.iter().all(|input| self.is_visible(gpu, input));
        are_visible.then(|| plan(op, tensors, in_place)).flatten()
    }

    /// Whether kernels can see all of a tensor's buffers.
    fn is_visible(&self, gpu: &Gpu, tensor: &BitNetTensor) -> bool {
        let fits = |tensor: &BitNetTensor| {
            block(tensor).is_ok_and(|block| block.buffer.size() <= gpu.largest_binding())
        };
        match tensor.packed_parts() {
            Some((_, codes, scales)) => fits(codes) && fits(scales),
            None => fits(tensor),
        }
    }
}

impl DeviceMemory for WgpuBackend {
    fn allocate(&self, byte_len: usize) -> Result<Storage> {
        self.gpu()?.allocate(byte_len)
    }

    fn upload(&self, host: Arc<HostBuffer>) -> Result<Storage> {
        self.gpu()?.upload(host.bytes())
    }

    fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>> {
        self.gpu()?.download(storage)
    }
}

impl Backend for WgpuBackend {
    fn device(&self) -> Device {
        self.device
    }

    fn memory(&self) -> &dyn DeviceMemory {
        self
    }

    fn info(&self) -> DeviceInfo {
        let mut info = DeviceInfo::new(self.device);
        info.name = Some(self.found.info.name.clone());
        info.is_software = self.found.is_software();
        info
    }

    /// By copying from one buffer to another as often as fills a twentieth of a second: of buffers that no
    /// cache holds, where it is not the processor that computes.
    fn measure_bandwidth(&self) -> Result<f64> {
        const LARGE: u64 = 512 << 20;
        const SMALL: u64 = 64 << 20;
        let most = if self.found.is_software() { SMALL } else { LARGE };
        let mut bytes = most.min(self.gpu()?.largest_binding() / 2).next_power_of_two() / 2;
        let (x, mut copies) = loop {
            let zeros = |bytes: u64| {
                let zero = BitNetTensor::zeros([1], BitNetDType::F32)?.to_device(self.device)?;
                zero.expand([(bytes / 4) as usize])?.copy()
            };
            match zeros(bytes).and_then(|x| Ok((x, [zeros(bytes)?]))) {
                Err(TensorOpError::MemoryError(_)) if bytes > SMALL / 8 => bytes /= 2,
                made => break made?,
            }
        };
        let mut seconds = |repeats: u32| -> Result<f64> {
            let begun = Instant::now();
            for _ in 0..repeats {
                self.execute(&Op::Copy(Copy), &[&x], &mut copies)?;
            }
            self.synchronize()?;
            Ok(begun.elapsed().as_secs_f64().max(1e-9) / f64::from(repeats))
        };
        seconds(1)?;
        let repeats = (0.05 / seconds(1)?).clamp(1.0, 500.0) as u32;
        let mut best = seconds(repeats)?;
        for _ in 0..2 {
            best = best.min(seconds(repeats)?);
        }
        Ok(2.0 * bytes as f64 / best)
    }

    fn supports(&self, desc: &OpDesc<'_>) -> bool {
        let Ok(gpu) = self.gpu() else { return false };
        let abilities = gpu.abilities();
        if matches!(desc.op, Op::WriteRows(_)) {
            let tensors = Tensors { inputs: desc.inputs, outputs: &[], abilities };
            return self.plans(gpu, desc.op, tensors, true).is_some();
        }
        let Ok(specs) = desc.results() else { return false };
        let targets: SmallVec<[Target<'_>; 3]> =
            specs.iter().map(|spec| Target { shape: &spec.shape, dtype: spec.dtype }).collect();
        let tensors = Tensors { inputs: desc.inputs, outputs: &targets, abilities };
        self.plans(gpu, desc.op, tensors, false).is_some()
    }

    fn execute(
        &self,
        op: &Op,
        inputs: &[&BitNetTensor],
        outputs: &mut [BitNetTensor],
    ) -> Result<()> {
        let abilities = self.gpu()?.abilities();
        if outputs.iter().any(|output| output.layout().offset() != 0) {
            let reason = "kernels write from the beginning of a buffer on";
            let context = ErrorContext::new(op.name(), inputs, reason);
            return Err(TensorOpError::UnsupportedOperation(context));
        }
        let targets: SmallVec<[Target<'_>; 3]> = outputs.iter().map(Target::of).collect();
        let outputs: SmallVec<[&BitNetTensor; 3]> = outputs.iter().collect();
        self.run(op, Tensors { inputs, outputs: &targets, abilities }, &outputs, false)
    }

    fn execute_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<()> {
        let abilities = self.gpu()?.abilities();
        let target: &BitNetTensor = target;
        let inputs: SmallVec<[&BitNetTensor; 3]> =
            std::iter::once(target).chain(others.iter().copied()).collect();
        self.run(op, Tensors { inputs: &inputs, outputs: &[], abilities }, &[target], true)
    }

    /// Ternary weights in rows of words of two-bit codes, six-bit ones in bytes.
    fn prepare_weight(&self, parts: &[&BitNetTensor]) -> Result<BitNetTensor> {
        // Happens when a model is loaded, where waiting is allowed.
        let parts: Vec<BitNetTensor> =
            parts.iter().map(|part| part.to_device(Device::CPU)).collect::<Result<_>>()?;
        let parts: Vec<&BitNetTensor> = parts.iter().collect();
        let is_int6 = parts.iter().any(|part| part.dtype() == BitNetDType::Int6);
        let layout = if is_int6 { CodeLayout::Int6Bytes } else { CodeLayout::Words };
        let weight = match pack_weight(layout, &parts) {
            Ok(Some(weight)) => weight,
            // Blocks of other codes: as the CPU has them, which multiplies them.
            _ => BitNetTensor::prepare_weight(&parts)?,
        };
        weight.to_device(self.device)
    }

    fn synchronize(&self) -> Result<()> {
        self.gpu()?.synchronize()
    }
}
