//! A device that fails when it is told to: the CPU's backend under another name, whose n-th call
//! reports one of the ways in which backends fail. A lost device stays lost.

use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitnet_kernels::Cpu;
use bitnet_tensor::backend::{Backend, DeviceMemory, FailureKind, OpDesc, registry};
use bitnet_tensor::cpu::CpuBackend;
use bitnet_tensor::ops::Op;
use bitnet_tensor::{
    BitNetTensor, Device, ErrorContext, HostBuffer, Result, Storage, TensorOpError,
};

/// What a backend is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BackendCall {
    /// [`DeviceMemory::allocate`].
    Allocate,
    /// [`DeviceMemory::upload`].
    Upload,
    /// [`DeviceMemory::download`].
    Download,
    /// [`Backend::execute`].
    Execute,
    /// [`Backend::execute_in_place`].
    ExecuteInPlace,
    /// [`Backend::prepare_weight`].
    PrepareWeight,
    /// [`Backend::synchronize`].
    Synchronize,
}

/// A device that fails on demand. Clones are the same device.
#[derive(Clone)]
pub struct FaultyDevice {
    cpu: CpuBackend,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The calls since the plan was made.
    calls: Mutex<Vec<BackendCall>>,
    plan: Mutex<Option<Plan>>,
    is_lost: AtomicBool,
    injected: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Plan {
    /// Of which calls; `None` of all.
    call: Option<BackendCall>,
    n: usize,
    kind: FailureKind,
}

thread_local! {
    /// Kernels call operations of their own, on the operands' device: they are part of the call.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

impl FaultyDevice {
    /// Device `faulty:index`, registered and in order. Registering an index again replaces that
    /// device.
    ///
    /// # Errors
    /// Never for this device; the registry's signature has them.
    pub fn register(index: u32) -> Result<Self> {
        let cpu = CpuBackend::with_tier(Cpu::best(), Device::new("faulty", index));
        let device = Self { cpu, state: Arc::default() };
        registry::register(Arc::new(device.clone()))?;
        Ok(device)
    }

    /// The device's name.
    pub fn device(&self) -> Device {
        self.cpu.device()
    }

    /// From now on, call `n` (from 0) fails in the way of `kind`, and so does every later one when
    /// the device is lost.
    pub fn fail_at(&self, n: usize, kind: FailureKind) {
        self.plan(Some(Plan { call: None, n, kind }));
    }

    /// [`fail_at`](Self::fail_at), counting only calls of that sort.
    pub fn fail_at_call(&self, call: BackendCall, n: usize, kind: FailureKind) {
        self.plan(Some(Plan { call: Some(call), n, kind }));
    }

    /// No call fails from now on, unless the device is lost.
    pub fn fail_never(&self) {
        self.plan(None);
    }

    fn plan(&self, plan: Option<Plan>) {
        *lock(&self.state.plan) = plan;
        lock(&self.state.calls).clear();
    }

    /// The calls since it was last said which should fail.
    pub fn calls(&self) -> Vec<BackendCall> {
        lock(&self.state.calls).clone()
    }

    /// How many failures it reported that were not a lost device saying so again.
    pub fn injected(&self) -> usize {
        self.state.injected.load(SeqCst)
    }

    fn call<T>(
        &self,
        call: BackendCall,
        operation: &'static str,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if INSIDE.get() {
            return work();
        }
        if let Some(kind) = self.fault(call) {
            return Err(self.error(kind, operation));
        }
        INSIDE.set(true);
        let _inside = Leave;
        work()
    }

    fn fault(&self, call: BackendCall) -> Option<FailureKind> {
        let mut calls = lock(&self.state.calls);
        calls.push(call);
        if self.state.is_lost.load(SeqCst) {
            return Some(FailureKind::DeviceLost);
        }
        let plan = (*lock(&self.state.plan))?;
        let counts = |other: &&BackendCall| plan.call.is_none_or(|call| call == **other);
        if !counts(&&call) || calls.iter().filter(counts).count() != plan.n + 1 {
            return None;
        }
        self.state.injected.fetch_add(1, SeqCst);
        self.state.is_lost.store(plan.kind == FailureKind::DeviceLost, SeqCst);
        Some(plan.kind)
    }

    fn error(&self, kind: FailureKind, operation: &'static str) -> TensorOpError {
        const REASON: &str = "as the test asked";
        let context = ErrorContext::new(operation, &[], REASON);
        match kind {
            FailureKind::Unsupported => TensorOpError::UnsupportedOperation(context),
            FailureKind::OutOfMemory => TensorOpError::MemoryError(context),
            FailureKind::Numerical => TensorOpError::NumericalError(context),
            _ => TensorOpError::device_lost(self.device(), operation, &[], REASON),
        }
    }
}

/// Ends a call, also when it panics.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

impl fmt::Debug for FaultyDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyDevice({})", self.device())
    }
}

impl DeviceMemory for FaultyDevice {
    fn allocate(&self, byte_len: usize) -> Result<Storage> {
        self.call(BackendCall::Allocate, "allocate", || self.cpu.memory().allocate(byte_len))
    }

    fn upload(&self, host: Arc<HostBuffer>) -> Result<Storage> {
        self.call(BackendCall::Upload, "upload", || self.cpu.memory().upload(host))
    }

    fn download(&self, storage: &Storage) -> Result<Arc<HostBuffer>> {
        self.call(BackendCall::Download, "download", || self.cpu.memory().download(storage))
    }
}

impl Backend for FaultyDevice {
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
        self.call(BackendCall::Execute, op.name(), || self.cpu.execute(op, inputs, outputs))
    }

    fn execute_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<()> {
        self.call(BackendCall::ExecuteInPlace, op.name(), || {
            self.cpu.execute_in_place(op, target, others)
        })
    }

    fn prepare_weight(&self, parts: &[&BitNetTensor]) -> Result<BitNetTensor> {
        self.call(BackendCall::PrepareWeight, "prepare_weight", || self.cpu.prepare_weight(parts))
    }

    fn synchronize(&self) -> Result<()> {
        self.call(BackendCall::Synchronize, "synchronize", || self.cpu.synchronize())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
