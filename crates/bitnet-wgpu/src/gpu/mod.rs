//! A device of `wgpu` with what this backend keeps of it: its queue and the commands recorded for it,
//! its pool of buffers, and the kernels that were compiled.

mod buffer;
mod cache;
mod clock;
mod compile;
mod cooperative;
mod fault;
mod kernel;
mod recorder;
mod staging;
mod submission;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bitnet_tensor::{BitNetTensor, Device, ErrorContext, Result, TensorOpError};
use rustc_hash::FxHashMap;

pub use buffer::PoolStats;
pub(crate) use buffer::{Block, GpuBuffer};
pub(crate) use kernel::{Access, Template, is_native, per_word, value_type};

use buffer::BufferPool;
use cache::KernelCache;
use compile::Kernel;
use fault::Faults;
use kernel::Variant;
use recorder::Recorder;
pub(crate) use recorder::{Dispatch, Fusion, Params};
use submission::Submissions;

#[derive(Debug)]
pub(crate) struct Gpu {
    device: wgpu::Device,
    submissions: Submissions,
    name: Device,
    limits: wgpu::Limits,
    pool: BufferPool,
    recorder: Mutex<Recorder>,
    /// `None` where fused kernels need more than the adapter has.
    fusion: Option<Fusion>,
    /// The least number of threads of a subgroup; 0 where kernels cannot use them.
    subgroup: u32,
    /// Whether kernels can use matrix units.
    cooperative: bool,
    /// Those that the driver refused among them: nobody waits for that twice.
    kernels: RwLock<FxHashMap<Variant, Result<Arc<Kernel>>>>,
    /// `None` where nothing is kept from run to run.
    cache: Option<KernelCache>,
    faults: Arc<Faults>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    submissions: AtomicU64,
    dispatches: AtomicU64,
    read_backs: AtomicU64,
}

/// What a plan depends on beside the tensors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Abilities {
    /// Threads that can share a row of a weight, a power of two: no more than add up what they have
    /// without a detour, at most 16.
    pub(crate) lanes: u32,
    /// Bytes that the threads of a workgroup can share.
    pub(crate) shared: u32,
    /// Whether there are matrix units for `F16`.
    pub(crate) cooperative: bool,
}

/// What was asked of the device so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GpuCounters {
    /// Command buffers given to the queue.
    pub submissions: u64,
    /// Kernels in them.
    pub dispatches: u64,
    /// How often the host waited for bytes.
    pub read_backs: u64,
}

/// What makes kernels faster where an adapter has it, and what times them.
fn wanted_features() -> wgpu::Features {
    wgpu::Features::SUBGROUP | wgpu::Features::PIPELINE_CACHE | wgpu::Features::TIMESTAMP_QUERY
}

/// Which of an adapter's features kernels use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernels {
    /// The fastest that it has.
    Best,
    /// Those that run on every adapter.
    Plain,
}

impl Gpu {
    /// Opens the adapter as `name`, with all of its limits.
    pub(crate) fn open(
        adapter: &wgpu::Adapter,
        name: Device,
        kernels: Kernels,
        fusion: Fusion,
    ) -> Result<Arc<Self>> {
        let mut features = adapter.features() & wanted_features();
        let cooperative = kernels != Kernels::Plain && cooperative::is_offered(adapter);
        if kernels == Kernels::Plain {
            features.remove(wgpu::Features::SUBGROUP);
        }
        if cooperative {
            features |= cooperative::FEATURES;
        }
        let limits = adapter.limits();
        let has_subgroups = features.contains(wgpu::Features::SUBGROUP);
        let least = adapter.get_info().subgroup_min_size;
        // Smaller ones would have more to tell each other than kernels have room for.
        let subgroup = if has_subgroups && least >= 4 { least } else { 0 };
        let fusion = Some(fusion).filter(|fusion| {
            limits.max_compute_invocations_per_workgroup >= fusion.workgroup
                && limits.max_storage_buffers_per_shader_stage >= fusion.buffers
        });
        let description = wgpu::DeviceDescriptor {
            label: Some("bitnet"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::Performance,
            experimental_features: match cooperative {
                true => cooperative::experiments(),
                false => wgpu::ExperimentalFeatures::disabled(),
            },
            ..Default::default()
        };
        let opened = pollster::block_on(adapter.request_device(&description));
        let (device, queue) = opened.map_err(|error| {
            let reason = format!("{name} cannot be opened: {error}");
            TensorOpError::BackendError(ErrorContext::new("device", &[], reason))
        })?;
        let faults = Faults::watch(&device);
        let recorder = Recorder::new(&device, &queue);
        let submissions = Submissions::new(queue, recorder.params_buffer().clone());
        let submissions = submissions.map_err(|error| {
            let reason = format!("{name} has no thread for its queue: {error}");
            TensorOpError::BackendError(ErrorContext::new("device", &[], reason))
        })?;
        let cache = compile::cache(&device, &adapter.get_info());
        Ok(Arc::new(Self {
            device,
            submissions,
            name,
            limits,
            pool: BufferPool::default(),
            recorder: Mutex::new(recorder),
            fusion,
            subgroup,
            cooperative,
            kernels: RwLock::default(),
            cache,
            faults,
            counters: Counters::default(),
        }))
    }

    /// What kernels may count on here.
    pub(crate) fn abilities(&self) -> Abilities {
        let lanes = match self.subgroup {
            0 => 16,
            least => (1 << least.ilog2()).min(16),
        };
        let shared = self.limits.max_compute_workgroup_storage_size;
        Abilities { lanes, shared, cooperative: self.cooperative }
    }

    /// The most bytes of a buffer that a kernel can see.
    pub(crate) fn largest_binding(&self) -> u64 {
        self.limits.max_buffer_size.min(self.limits.max_storage_buffer_binding_size)
    }

    pub(crate) fn pool_stats(&self) -> PoolStats {
        self.pool.stats()
    }

    pub(crate) fn counters(&self) -> GpuCounters {
        GpuCounters {
            submissions: self.counters.submissions.load(Relaxed),
            dispatches: self.counters.dispatches.load(Relaxed),
            read_backs: self.counters.read_backs.load(Relaxed),
        }
    }

    /// A buffer with unspecified contents, for which no recorded command is waiting if `is_fresh`:
    /// the host's bytes can be written at once.
    fn allocate_block(&self, byte_len: usize, is_fresh: bool) -> Result<Arc<Block>> {
        self.check("allocate", &[])?;
        let refused =
            |reason: String| TensorOpError::MemoryError(ErrorContext::new("allocate", &[], reason));
        let class = BufferPool::class(byte_len as u64)
            .filter(|&class| class <= self.limits.max_buffer_size)
            .ok_or_else(|| {
                let most = self.limits.max_buffer_size;
                refused(format!("{byte_len} bytes on {}: a buffer has at most {most}", self.name))
            })?;
        let untouched_since = is_fresh.then(|| lock(&self.recorder).submission());
        if let Some(block) = self.pool.take(class, untouched_since) {
            return Ok(block);
        }
        let buffer = match self.create_buffer(class) {
            Ok(buffer) => buffer,
            Err(_) => {
                // What waits in the pool may be what is missing.
                self.release_cache()?;
                self.create_buffer(class).map_err(|reason| {
                    refused(format!("{byte_len} bytes on {}: {reason}", self.name))
                })?
            }
        };
        Ok(Arc::new(Block::new(buffer, self.pool.made(class))))
    }

    fn create_buffer(&self, size: u64) -> Result<wgpu::Buffer, String> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let usage = wgpu::BufferUsages::STORAGE
            | wgpu::BufferUsages::COPY_SRC
            | wgpu::BufferUsages::COPY_DST;
        let description =
            wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        let buffer = self.device.create_buffer(&description);
        match pollster::block_on(scope.pop()) {
            None => Ok(buffer),
            Some(error) => Err(error.to_string()),
        }
    }

    /// Gives the pool's free buffers back to the driver, once the work that uses them is done.
    pub(crate) fn release_cache(&self) -> Result<()> {
        self.synchronize()?;
        lock(&self.recorder).forget_buffers();
        self.pool.trim();
        // Buffers are destroyed when the device is polled.
        fault::poll(&self.device, wgpu::PollType::Poll)
            .map_err(|error| self.lost("release", &error))?;
        Ok(())
    }

    /// Gives the device up, as when a driver takes it away.
    pub(crate) fn destroy(&self) {
        // The driver says so when it has nothing left to do and is asked; other threads are refused now.
        self.faults.lose("it was given up");
        self.device.destroy();
    }

    /// It cannot be waited for: why, in the driver's own words where it has said so, else that it is lost.
    fn lost(&self, operation: &'static str, reason: &str) -> TensorOpError {
        if let Err(error) = self.check(operation, &[]) {
            return error;
        }
        self.faults.lose(reason);
        TensorOpError::device_lost(self.name, operation, &[], &reason)
    }

    /// The error of a device that is lost, or that refused something that was recorded.
    pub(crate) fn check(&self, operation: &'static str, inputs: &[&BitNetTensor]) -> Result<()> {
        let check = || self.faults.check(self.name, operation, inputs);
        check().map_err(|refusal| {
            // What is refused because the device is gone is heard of first, the loss when it is asked.
            // There is nothing to do about an error of asking.
            let _ = fault::poll(&self.device, wgpu::PollType::Poll);
            check().err().unwrap_or(refusal)
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
