//! Buffers and the pool that they come from.
//!
//! A driver takes microseconds to make a buffer, a decoder needs the same sizes at every token: what
//! a tensor gives back waits here for the next of its size class. Each block is a buffer of its own,
//! because a buffer may not be read and written by the same dispatch. The queue executes in order, so
//! a block can be handed out while work that read it is still on its way.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use bitnet_tensor::{Device, DeviceBuffer, ErrorContext, Result, Storage, TensorOpError};

use super::{Gpu, lock};

/// Bytes that may wait here; what is beyond goes back to the driver. Loading a model leaves buffers that
/// nothing asks for again.
const MOST_CACHED: u64 = 256 << 20;
/// Blocks are whole 16-byte vectors, and never empty.
const SMALLEST: u64 = 256;

/// A buffer of the driver, in a tensor or in the pool, or kept by commands on their way.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) buffer: wgpu::Buffer,
    /// Different for every block that ever was.
    pub(crate) id: u64,
    /// The submission whose commands used it last.
    last_use: AtomicU64,
}

impl Block {
    pub(super) fn new(buffer: wgpu::Buffer, id: u64) -> Self {
        Self { buffer, id, last_use: AtomicU64::new(0) }
    }

    pub(super) fn used_in(&self, submission: u64) {
        self.last_use.store(submission, Relaxed);
    }

    /// Whether commands of that submission or of a later one use it: of such as may not be on their way yet,
    /// which would see bytes that the host writes now.
    pub(super) fn is_used_since(&self, submission: u64) -> bool {
        self.last_use.load(Relaxed) >= submission
    }
}

/// The storage of a tensor: a block, given back when nobody views it any more.
pub(crate) struct GpuBuffer {
    block: Arc<Block>,
    byte_len: usize,
    device: Device,
    gpu: Arc<Gpu>,
}

impl GpuBuffer {
    pub(super) fn new(block: Arc<Block>, byte_len: usize, device: Device, gpu: Arc<Gpu>) -> Self {
        Self { block, byte_len, device, gpu }
    }

    /// That of `storage`.
    ///
    /// # Errors
    /// `InternalError` when it is no buffer of a GPU.
    pub(crate) fn of(storage: &Storage) -> Result<&Self> {
        let buffer = match storage {
            Storage::Device(buffer) => buffer.as_any().downcast_ref(),
            _ => None,
        };
        buffer.ok_or_else(|| {
            let context = ErrorContext::new("gpu", &[], "the storage is another device's");
            TensorOpError::InternalError(context)
        })
    }

    pub(crate) fn block(&self) -> &Arc<Block> {
        &self.block
    }
}

impl Drop for GpuBuffer {
    fn drop(&mut self) {
        self.gpu.pool.put(self.block.clone());
    }
}

impl fmt::Debug for GpuBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GpuBuffer({} bytes on {})", self.byte_len, self.device)
    }
}

impl DeviceBuffer for GpuBuffer {
    fn device(&self) -> Device {
        self.device
    }

    fn byte_len(&self) -> usize {
        self.byte_len
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What a device's pool holds and how often it could serve a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolStats {
    /// Bytes of the buffers that tensors hold.
    pub live_bytes: u64,
    /// Buffers that tensors hold.
    pub live_buffers: u64,
    /// Bytes of the buffers that wait for the next tensor.
    pub cached_bytes: u64,
    /// Requests served from those.
    pub hits: u64,
    /// Requests for which a buffer was made.
    pub misses: u64,
}

#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    free: HashMap<u64, Vec<Arc<Block>>>,
    stats: PoolStats,
    next_id: u64,
}

impl BufferPool {
    /// The length of the block that serves a request for `byte_len` bytes: four classes for each
    /// doubling, so that at most a fifth is waste.
    pub(super) fn class(byte_len: u64) -> Option<u64> {
        let least = byte_len.max(SMALLEST);
        let step = least.checked_next_power_of_two()? / 8;
        least.checked_next_multiple_of(step.max(SMALLEST))
    }

    /// A block of `class` bytes that waits here. With `untouched_since`, one that no command of that
    /// submission or of a later one uses: other threads go on recording.
    pub(super) fn take(&self, class: u64, untouched_since: Option<u64>) -> Option<Arc<Block>> {
        let state = &mut *lock(&self.state);
        let blocks = state.free.get_mut(&class)?;
        let free =
            |block: &Arc<Block>| untouched_since.is_none_or(|then| !block.is_used_since(then));
        let block = blocks.iter().rposition(free).map(|place| blocks.swap_remove(place))?;
        state.stats.hits += 1;
        state.stats.cached_bytes -= class;
        state.stats.live_bytes += class;
        state.stats.live_buffers += 1;
        Some(block)
    }

    /// Counts a block that was made because none waited, and names it.
    pub(super) fn made(&self, class: u64) -> u64 {
        let mut state = lock(&self.state);
        state.stats.misses += 1;
        state.stats.live_bytes += class;
        state.stats.live_buffers += 1;
        state.next_id += 1;
        state.next_id
    }

    fn put(&self, block: Arc<Block>) {
        let mut state = lock(&self.state);
        let class = block.buffer.size();
        state.stats.live_bytes -= class;
        state.stats.live_buffers -= 1;
        if state.stats.cached_bytes + class > MOST_CACHED {
            return;
        }
        state.stats.cached_bytes += class;
        state.free.entry(class).or_default().push(block);
    }

    /// Gives what waits here back to the driver.
    pub(crate) fn trim(&self) {
        let mut state = lock(&self.state);
        state.free.clear();
        state.stats.cached_bytes = 0;
    }

    pub(crate) fn stats(&self) -> PoolStats {
        lock(&self.state).stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_waste_at_most_a_fifth() {
        for byte_len in (1..100_000).chain([1 << 20, (1 << 20) + 1, 400_000_001]) {
            let class = BufferPool::class(byte_len).expect("small");
            assert!(class >= byte_len && class.is_multiple_of(16));
            assert!(byte_len < 4096 || (class - byte_len) * 5 <= class, "{byte_len} -> {class}");
        }
        assert_eq!(BufferPool::class(u64::MAX), None);
    }
}
