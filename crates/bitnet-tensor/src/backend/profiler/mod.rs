//! Records what is executed, when and for how long; costs one load of a flag when it is off.
//!
//! Every operation that reaches a backend, and every view, is a span; a program adds its own with
//! [`scope`]; a backend whose device has a clock adds its kernels. What was recorded is a [`Profile`]: a
//! table for people, numbers per kind of operation, and a Chrome trace for Perfetto.

mod kernels;
mod log;
mod metrics;
mod peaks;
mod profile;
mod trace;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::ops::{Op, OperationType};
use crate::{BitNetDType, BitNetTensor, Device, TensorShape};

use super::metrics::{AccelerationMetrics, FallbackCount, fallbacks_since};
use crate::memory::HybridMemoryPool;

use log::{Entry, Log};

pub use kernels::{KernelMetrics, KernelSpan};
pub use metrics::{OperationMetrics, ScopeMetrics};
pub use peaks::Peaks;
pub use profile::Profile;

static RECORDING: AtomicBool = AtomicBool::new(false);
static RECORDER: Mutex<Option<Recorder>> = Mutex::new(None);

struct Recorder {
    begun: Instant,
    log: Log,
    kernels: Vec<KernelSpan>,
    /// What recording itself took.
    overhead: Duration,
    /// What was counted before.
    counters: AccelerationMetrics,
    fallbacks: Vec<FallbackCount>,
    /// Requests that the process's memory pool served from what it held, and others, before.
    requests: (u64, u64),
}

/// A stretch of time and what was done in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// When it began, counted from the start of the recording.
    pub start: Duration,
    /// How long it took. On an asynchronous device: until the work was enqueued.
    pub duration: Duration,
    /// How long it then took to record it.
    pub recording: Duration,
    /// The thread, numbered in the order in which threads appeared.
    pub thread: u32,
    /// What was done.
    pub event: Event,
}

/// What a span is about.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "nearly all events are operations")]
pub enum Event {
    /// An operation.
    Operation(OperationEvent),
    /// A part of a program, by the name that it gave.
    Scope(&'static str),
}

/// An operation that was executed.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationEvent {
    /// The operation.
    pub operation: OperationType,
    /// The device that executed it.
    pub device: Device,
    /// Whether it only made a view.
    pub is_view: bool,
    /// Whether another device was asked first and could not.
    pub is_fallback: bool,
    /// Types and shapes of the operands.
    pub operands: SmallVec<[(BitNetDType, TensorShape); 2]>,
    /// Bytes read and written, where they can be told without looking at elements.
    pub bytes: Option<u64>,
    /// Multiplications and additions, of products.
    pub flops: Option<u64>,
}

/// A running recording; there is one at a time in a process. Dropping it forgets what was
/// recorded.
///
/// ```
/// use bitnet_tensor::BitNetTensor;
/// use bitnet_tensor::backend::profiler::Profiler;
///
/// let profiler = Profiler::start().expect("no other recording runs");
/// let x = BitNetTensor::full([64, 64], 0.5f32)?;
/// x.matmul(&x)?.exp()?;
/// let profile = profiler.finish();
/// let metrics = profile.metrics();
/// let product = metrics.iter().find(|m| m.operation.to_string() == "matmul").expect("recorded");
/// assert_eq!((product.count, product.flops), (1, Some(2 * 64 * 64 * 64)));
/// # Ok::<(), bitnet_tensor::TensorOpError>(())
/// ```
#[derive(Debug)]
pub struct Profiler {
    is_running: bool,
}

impl Profiler {
    /// Begins to record; `None` while another recording runs.
    pub fn start() -> Option<Self> {
        let mut recorder = lock();
        if recorder.is_some() {
            return None;
        }
        let (counters, fallbacks) = (AccelerationMetrics::snapshot(), fallbacks_since(&[]));
        let (requests, log) = (requests(), Log::new());
        let (kernels, begun, overhead) = (Vec::new(), Instant::now(), Duration::ZERO);
        *recorder = Some(Recorder { begun, log, kernels, overhead, counters, fallbacks, requests });
        RECORDING.store(true, Relaxed);
        Some(Self { is_running: true })
    }

    /// Ends the recording.
    pub fn finish(mut self) -> Profile {
        self.is_running = false;
        RECORDING.store(false, Relaxed);
        match lock().take() {
            Some(recorder) => {
                let wall = recorder.begun.elapsed();
                let (hits, misses) = requests();
                let spans = recorder.log.into_spans();
                let mut profile = Profile::new(spans, wall, recorder.overhead);
                profile.kernels = recorder.kernels;
                profile.counters = AccelerationMetrics::snapshot().since(&recorder.counters);
                profile.fallbacks = fallbacks_since(&recorder.fallbacks);
                profile.pool_hits = hits.saturating_sub(recorder.requests.0);
                profile.pool_misses = misses.saturating_sub(recorder.requests.1);
                profile
            }
            None => Profile::new(Vec::new(), Duration::ZERO, Duration::ZERO),
        }
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        if self.is_running {
            RECORDING.store(false, Relaxed);
            lock().take();
        }
    }
}

fn requests() -> (u64, u64) {
    let stats = HybridMemoryPool::global().stats();
    (stats.hits, stats.misses)
}

fn lock() -> MutexGuard<'static, Option<Recorder>> {
    RECORDER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The time until the guard is dropped as a span of that name.
///
/// ```
/// use bitnet_tensor::backend::profiler;
/// let _span = profiler::scope("sample");
/// ```
#[must_use = "the span ends when this is dropped"]
#[inline]
pub fn scope(name: &'static str) -> Scope {
    Scope { name, start: start() }
}

/// An open span; see [`scope`].
#[derive(Debug)]
pub struct Scope {
    name: &'static str,
    start: Option<Instant>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        if let Some(start) = self.start {
            record(start, |log, entry| log.scope(entry, self.name));
        }
    }
}

/// Whether a recording runs: whether a backend is to look at its device's clock.
#[inline]
pub fn is_recording() -> bool {
    RECORDING.load(Relaxed)
}

/// A kernel that `device` was asked for at `enqueued`, began at `start`, by its own clock, and executed for
/// `duration`; forgotten when no recording runs, or when it was asked for or began before.
pub fn record_kernel(
    device: Device,
    name: &'static str,
    workgroups: u64,
    enqueued: Instant,
    start: Instant,
    duration: Duration,
) {
    if let Some(recorder) = lock().as_mut()
        && enqueued >= recorder.begun
        && let Some(start) = start.checked_duration_since(recorder.begun)
    {
        recorder.kernels.push(KernelSpan { device, name, workgroups, start, duration });
    }
}

/// The time now if it will be recorded.
#[inline]
pub(crate) fn start() -> Option<Instant> {
    if is_recording() { Some(Instant::now()) } else { None }
}

/// An operation that began at `start` and is done.
#[cold]
pub(crate) fn record_operation(
    start: Instant,
    op: &Op,
    device: Device,
    kind: Execution,
    inputs: &[&BitNetTensor],
    outputs: &[BitNetTensor],
) {
    record(start, |log, entry| log.operation(entry, op, device, kind, inputs, outputs));
}

/// How an operation came to its result.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Execution {
    Backend,
    Fallback,
    View,
}

fn record(start: Instant, write: impl FnOnce(&mut Log, Entry)) {
    let end = Instant::now();
    let thread = thread_number();
    if let Some(recorder) = lock().as_mut() {
        // A span that began before the recording is not part of it.
        if let Some(begun) = start.checked_duration_since(recorder.begun) {
            let duration = end.duration_since(start);
            let entry = Entry { start: begun, duration, recording: Duration::ZERO, thread };
            write(&mut recorder.log, entry);
            let recording = end.elapsed();
            recorder.log.took(recording);
            recorder.overhead += recording;
        }
    }
}

fn thread_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    thread_local!(static NUMBER: Cell<u32> = const { Cell::new(0) });
    NUMBER.with(|number| {
        if number.get() == 0 {
            number.set(NEXT.fetch_add(1, Relaxed));
        }
        number.get()
    })
}
