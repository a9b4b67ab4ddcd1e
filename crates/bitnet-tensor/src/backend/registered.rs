//! A backend in the registry. Every call to it passes here, so that each failure is counted once and
//! a lost device is known to be lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use smallvec::SmallVec;

use super::{Backend, FailureKind, OpDesc, metrics};
use crate::error::Result;
use crate::ops::Op;
use crate::storage::{HostBuffer, Storage};
use crate::{BitNetTensor, Device, TensorOpError};

pub(crate) struct Registered {
    backend: Arc<dyn Backend>,
    /// Looked at on every operation: here it costs no call.
    device: Device,
    is_software: bool,
    is_lost: AtomicBool,
}

impl Registered {
    pub(super) fn new(backend: Arc<dyn Backend>) -> Self {
        let device = backend.device();
        let is_software = backend.info().is_software;
        Self { backend, device, is_software, is_lost: AtomicBool::new(false) }
    }

    pub(super) fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    pub(crate) fn device(&self) -> Device {
        self.device
    }

    pub(super) fn is_software(&self) -> bool {
        self.is_software
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Relaxed)
    }

    pub(super) fn supports(&self, desc: &OpDesc<'_>) -> bool {
        self.backend.supports(desc)
    }

    pub(crate) fn allocate(&self, byte_len: usize) -> Result<Storage> {
        self.observed(self.backend.memory().allocate(byte_len))
    }

    /// Counts the transfer, unless the bytes stay in the host's memory.
    pub(crate) fn upload(&self, host: Arc<HostBuffer>) -> Result<Storage> {
        let bytes = host.bytes().len();
        let storage = self.observed(self.backend.memory().upload(host))?;
        if self.device != Device::CPU {
            metrics::record_upload(bytes);
        }
        Ok(storage)
    }

    /// As [`upload`](Self::upload).
    pub(crate) fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>> {
        let host = self.observed(self.backend.memory().download(storage))?;
        if self.device != Device::CPU {
            metrics::record_download(host.bytes().len());
        }
        Ok(host)
    }

    pub(super) fn execute(
        &self,
        op: &Op,
        inputs: &[&BitNetTensor],
        outputs: &mut [BitNetTensor],
    ) -> Result<()> {
        self.observed(self.backend.execute(op, inputs, outputs))
    }

    pub(super) fn execute_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<()> {
        self.observed(self.backend.execute_in_place(op, target, others))
    }

    /// [`execute`](Self::execute) by a backend that was not asked whether it can: false when it cannot,
    /// which is no failure.
    pub(super) fn attempt(
        &self,
        op: &Op,
        inputs: &[&BitNetTensor],
        outputs: &mut [BitNetTensor],
    ) -> Result<bool> {
        match self.backend.execute(op, inputs, outputs) {
            Ok(()) => Ok(true),
            Err(refusal) => self.refused(refusal, &OpDesc { op, inputs }),
        }
    }

    /// As [`attempt`](Self::attempt).
    pub(super) fn attempt_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<bool> {
        match self.backend.execute_in_place(op, target, others) {
            Ok(()) => Ok(true),
            Err(refusal) => {
                let inputs: SmallVec<[&BitNetTensor; 3]> =
                    std::iter::once(&*target).chain(others.iter().copied()).collect();
                self.refused(refusal, &OpDesc { op, inputs: &inputs })
            }
        }
    }

    /// False when the backend says so too; refusing what it supports is a failure.
    #[cold]
    fn refused(&self, refusal: TensorOpError, desc: &OpDesc<'_>) -> Result<bool> {
        if matches!(refusal, TensorOpError::UnsupportedOperation(_)) && !self.supports(desc) {
            return Ok(false);
        }
        self.failed(&refusal);
        Err(refusal)
    }

    pub(crate) fn prepare_weight(&self, parts: &[&BitNetTensor]) -> Result<BitNetTensor> {
        self.observed(self.backend.prepare_weight(parts))
    }

    #[inline]
    fn observed<T>(&self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.failed(error);
        }
        result
    }

    #[cold]
    fn failed(&self, error: &TensorOpError) {
        match error.failure() {
            // Every later call says it again.
            Some(FailureKind::DeviceLost) => {
                let is_own = error.context().lost_device == Some(self.device);
                if is_own && !self.is_lost.swap(true, Relaxed) {
                    metrics::record_failure(FailureKind::DeviceLost);
                    tracing::error!(device = %self.device, %error, "device lost");
                }
            }
            Some(kind) => metrics::record_failure(kind),
            None => {}
        }
    }
}
