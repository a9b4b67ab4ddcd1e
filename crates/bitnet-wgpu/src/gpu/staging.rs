//! Bytes between the host and the device.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc;

use bitnet_tensor::memory::HybridMemoryPool;
use bitnet_tensor::{DeviceBuffer, ErrorContext, HostBuffer, Result, Storage, TensorOpError};

use super::recorder::STATUS_BYTES;
use super::{Block, Gpu, GpuBuffer, fault, lock};
use crate::checks;

/// Buffers for reading that are kept: a token's logits fit.
const KEPT_STAGING: u64 = 4 << 20;

impl Gpu {
    /// Storage with unspecified contents.
    pub(crate) fn allocate(self: &Arc<Self>, byte_len: usize) -> Result<Storage> {
        let block = self.allocate_block(byte_len, false)?;
        Ok(self.storage(block, byte_len))
    }

    fn storage(self: &Arc<Self>, block: Arc<Block>, byte_len: usize) -> Storage {
        Storage::Device(Arc::new(GpuBuffer::new(block, byte_len, self.name, self.clone())))
    }

    /// Storage with these bytes. They are in the driver's hands when this returns.
    pub(crate) fn upload(self: &Arc<Self>, bytes: &[u8]) -> Result<Storage> {
        // Bytes written by the host come before everything that is recorded and not submitted: the
        // buffer must be one that none of that uses.
        let block = self.allocate_block(bytes.len(), true)?;
        let (words, rest) = bytes.split_at(bytes.len() / 4 * 4);
        if !words.is_empty() {
            self.submissions.write(&block.buffer, 0, words);
        }
        if !rest.is_empty() {
            let mut last = [0; 4];
            last[..rest.len()].copy_from_slice(rest);
            self.submissions.write(&block.buffer, words.len() as u64, &last);
        }
        Ok(self.storage(block, bytes.len()))
    }

    /// The bytes of `storage`, after the work that writes them.
    ///
    /// # Errors
    /// `BackendError` when the device is lost or refused something, `MemoryError` of the host, and
    /// what enqueued work found wrong.
    pub(crate) fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>> {
        let buffer = GpuBuffer::of(storage)?;
        let mut host = HybridMemoryPool::global().allocate(buffer.byte_len())?;
        self.read("download", Some(buffer.block()), &mut host)?;
        Ok(Arc::new(HostBuffer::Pool(host)))
    }

    /// Waits for everything recorded.
    pub(crate) fn synchronize(&self) -> Result<()> {
        self.read("synchronize", None, &mut [])
    }

    fn read(&self, operation: &'static str, block: Option<&Block>, bytes: &mut [u8]) -> Result<()> {
        self.check(operation, &[])?;
        let length = bytes.len().next_multiple_of(16) as u64;
        let size = (length + STATUS_BYTES).next_power_of_two();
        let (staging, own) = {
            let recorder = &mut *lock(&self.recorder);
            self.record_held(recorder)?;
            let staging = recorder.staging.get_mut(&size).and_then(Vec::pop).unwrap_or_else(|| {
                self.device.create_buffer(&wgpu::BufferDescriptor {
                    label: Some("read back"),
                    size,
                    usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                })
            });
            let status = recorder.status.clone();
            let encoder = recorder.encoder(&self.device);
            if let Some(block) = block.filter(|_| !bytes.is_empty()) {
                let whole_words = bytes.len().next_multiple_of(4) as u64;
                encoder.copy_buffer_to_buffer(&block.buffer, 0, &staging, 0, whole_words);
            }
            encoder.copy_buffer_to_buffer(&status, 0, &staging, length, STATUS_BYTES);
            // Whoever reads is told; what is found wrong from here on is for the next one.
            encoder.clear_buffer(&status, 0, None);
            let own = recorder.submission();
            recorder.submit(self);
            recorder.start_again();
            (staging, own)
        };
        let Some(submission) = self.submissions.last() else {
            return Err(self.lost(operation, "the thread of its queue is gone"));
        };
        self.counters.read_backs.fetch_add(1, Relaxed);
        self.keep_kernels();
        let (sender, receiver) = mpsc::channel();
        staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            // Nobody listens any more when the wait below failed.
            let _ = sender.send(result);
        });
        let wait = wgpu::PollType::Wait { submission_index: Some(submission), timeout: None };
        fault::poll(&self.device, wait).map_err(|error| self.lost(operation, &error))?;
        // The driver's own words come first, where it has said why.
        let unreadable = |reason: String| {
            let reason = format!("its memory cannot be read: {reason}");
            let error = TensorOpError::BackendError(ErrorContext::new(operation, &[], reason));
            self.check(operation, &[]).err().unwrap_or(error)
        };
        match receiver.recv() {
            Ok(Ok(())) => {}
            failed => return Err(unreadable(format!("{failed:?}"))),
        }
        let report = {
            let view = staging.slice(..).get_mapped_range();
            let view = view.map_err(|error| unreadable(error.to_string()))?;
            bytes.copy_from_slice(&view[..bytes.len()]);
            let word = |place: usize| {
                let start = length as usize + 4 * place;
                u32::from_le_bytes([view[start], view[start + 1], view[start + 2], view[start + 3]])
            };
            [word(0), word(1)]
        };
        staging.unmap();
        let recorder = &mut *lock(&self.recorder);
        if let Some(clock) = &mut recorder.clock {
            clock.report(own, &self.device, self.name);
        }
        if size <= KEPT_STAGING {
            recorder.staging.entry(size).or_default().push(staging);
        }
        self.check(operation, &[])?;
        if report[0] != 0 {
            return Err(checks::error(report));
        }
        Ok(())
    }
}
