//! The memory of a device, and the one implementation for all whose memory is the host's.

use std::sync::Arc;

use crate::Device;
use crate::error::{Result, bail};
use crate::memory::HybridMemoryPool;
use crate::storage::{HostBuffer, Storage};

/// How bytes come onto a device and back.
pub trait DeviceMemory: Send + Sync {
    /// Storage of `byte_len` bytes with unspecified contents.
    ///
    /// # Errors
    /// `MemoryError` when the device has none.
    fn allocate(&self, byte_len: usize) -> Result<Storage>;

    /// The bytes of `host` on this device.
    ///
    /// # Errors
    /// `MemoryError`, or `BackendError` when the device is lost.
    fn upload(&self, host: Arc<HostBuffer>) -> Result<Storage>;

    /// The bytes of `storage` on the host; waits for the work that writes them.
    ///
    /// # Errors
    /// `BackendError` when the device is lost, `MemoryError` of the host, and what enqueued work
    /// failed with.
    fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>>;
}

/// The host's memory as that of a device: blocks of a pool; nothing is copied between the two.
#[derive(Debug, Clone)]
pub struct HostMemory {
    /// `None` for the process's, which is made when it is first needed: a program may configure it
    /// until then.
    pool: Option<HybridMemoryPool>,
}

impl HostMemory {
    /// Memory from `pool`, unless a thread has a pool of its own.
    pub fn new(pool: HybridMemoryPool) -> Self {
        Self { pool: Some(pool) }
    }

    /// Memory from the pool of `device`: the process's for the CPU.
    pub fn of(device: Device) -> Self {
        let is_cpu = device == Device::CPU;
        Self { pool: (!is_cpu).then(|| HybridMemoryPool::for_device(device)) }
    }
}

impl DeviceMemory for HostMemory {
    fn allocate(&self, byte_len: usize) -> Result<Storage> {
        let pool = match &self.pool {
            Some(pool) => pool,
            None => HybridMemoryPool::global(),
        };
        Ok(Storage::Host(Arc::new(HostBuffer::allocate(pool, byte_len)?)))
    }

    fn upload(&self, host: Arc<HostBuffer>) -> Result<Storage> {
        Ok(Storage::Host(host))
    }

    fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>> {
        match storage {
            Storage::Host(buffer) => Ok(buffer.clone()),
            _ => bail!(InternalError, "download", &[], "the storage is not in the host's memory"),
        }
    }
}
