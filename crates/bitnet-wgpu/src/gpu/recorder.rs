//! Commands on their way to the queue.
//!
//! Dispatches are recorded one after the other into one pass and given to the driver many at a time:
//! a submission costs more than a dispatch. The numbers that a kernel is called with lie side by side
//! in one buffer that is written once for each submission.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bitnet_tensor::backend::profiler;
use bitnet_tensor::{BitNetDType, Result};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::clock::Clock;
use super::compile::Kernel;
use super::kernel::{PARAMS, Template};
use super::{Block, Gpu, lock};

/// Dispatches of a submission, at most: enough that its cost is small beside theirs, few enough that the
/// device has not much left to do when the last one comes.
const DISPATCHES: usize = 64;
/// Of the first submission after the device was waited for, which begins while the rest is recorded; each
/// that follows may have twice as many as the one before.
const FIRST_DISPATCHES: usize = 8;
/// Bytes between the parameters of two dispatches: what every adapter can address.
const STRIDE: usize = PARAMS * 4;
/// Groups of bindings that are kept; a decoder needs as many as it has dispatches.
const BIND_GROUPS: usize = 8192;
/// What checking kernels write to: the operation's code, and the value that it cannot take.
pub(super) const STATUS_BYTES: u64 = 16;

type Bindings = (u64, SmallVec<[u64; 14]>);

/// The numbers of a dispatch; few have more.
pub(crate) type Params = SmallVec<[u32; 32]>;

#[derive(Debug)]
pub(super) struct Recorder {
    // Before the encoder: a pass ends before what it records into.
    pass: Option<wgpu::ComputePass<'static>>,
    encoder: Option<wgpu::CommandEncoder>,
    params: Vec<u32>,
    params_buffer: wgpu::Buffer,
    pub(super) status: wgpu::Buffer,
    bind_groups: FxHashMap<Bindings, wgpu::BindGroup>,
    /// Dispatches that may become one with what follows.
    held: Vec<Dispatch>,
    /// Dispatches of the submission that is being recorded.
    room: usize,
    /// The number of the submission that is being recorded.
    submission: u64,
    /// `None` where the device has none.
    pub(super) clock: Option<Clock>,
    /// Buffers that hosts read, of each size.
    pub(super) staging: FxHashMap<u64, Vec<wgpu::Buffer>>,
}

impl Recorder {
    pub(super) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let buffer = |label, size, usage| {
            device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage: usage | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        };
        let (uniform, storage) = (wgpu::BufferUsages::UNIFORM, wgpu::BufferUsages::STORAGE);
        Self {
            pass: None,
            encoder: None,
            params: Vec::with_capacity(DISPATCHES * PARAMS),
            params_buffer: buffer("parameters", (DISPATCHES * STRIDE) as u64, uniform),
            status: buffer("status", STATUS_BYTES, storage | wgpu::BufferUsages::COPY_SRC),
            bind_groups: FxHashMap::default(),
            held: Vec::new(),
            room: FIRST_DISPATCHES,
            submission: 1,
            clock: Clock::new(device, queue, DISPATCHES),
            staging: FxHashMap::default(),
        }
    }

    pub(super) fn submission(&self) -> u64 {
        self.submission
    }

    /// Where the numbers of a submission's dispatches are.
    pub(super) fn params_buffer(&self) -> &wgpu::Buffer {
        &self.params_buffer
    }

    /// The device is about to have nothing to do.
    pub(super) fn start_again(&mut self) {
        self.room = FIRST_DISPATCHES;
    }

    /// Lets go of what it keeps of buffers.
    pub(super) fn forget_buffers(&mut self) {
        self.bind_groups.clear();
        self.staging.clear();
    }

    /// The encoder outside of a pass, for copies.
    pub(super) fn encoder(&mut self, device: &wgpu::Device) -> &mut wgpu::CommandEncoder {
        self.pass = None;
        self.encoder.get_or_insert_with(|| device.create_command_encoder(&Default::default()))
    }

    fn pass(&mut self, device: &wgpu::Device) -> &mut wgpu::ComputePass<'static> {
        if self.pass.is_none() {
            let encoder = self.encoder(device);
            let pass = encoder.begin_compute_pass(&Default::default()).forget_lifetime();
            self.pass = Some(pass);
        }
        self.pass.as_mut().expect("it was just made")
    }

    /// Before a dispatch: whether it has a pass of its own, because somebody wants to know its time.
    fn begin(&mut self, device: &wgpu::Device, dispatch: &Dispatch) -> bool {
        let is_timed = profiler::is_recording() && self.clock.is_some();
        if is_timed {
            self.encoder(device);
            if let (Some(clock), Some(encoder)) = (&mut self.clock, &mut self.encoder) {
                let name = dispatch.template.name;
                self.pass = Some(clock.pass(encoder, name, dispatch.workgroups));
            }
        }
        is_timed
    }

    /// Sends what is recorded on its way to the queue.
    pub(super) fn submit(&mut self, gpu: &Gpu) {
        self.pass = None;
        let Some(mut encoder) = self.encoder.take() else { return };
        if let Some(clock) = &mut self.clock {
            clock.end_submission(self.submission, &gpu.device, &mut encoder);
        }
        let params = std::mem::replace(&mut self.params, Vec::with_capacity(DISPATCHES * PARAMS));
        self.submission += 1;
        // What is held back goes with the next one.
        self.held.iter().for_each(|dispatch| dispatch.used_in(self.submission));
        gpu.counters.submissions.fetch_add(1, Relaxed);
        gpu.submissions.commands(encoder, params);
    }
}

/// A kernel with its operands and numbers, on its way to the queue. It keeps the buffers, not the
/// tensors: those stay unshared.
#[derive(Debug, Clone)]
pub(crate) struct Dispatch {
    pub(crate) operation: &'static str,
    pub(crate) template: &'static Template,
    pub(crate) types: SmallVec<[BitNetDType; 6]>,
    pub(crate) constants: SmallVec<[u32; 6]>,
    pub(crate) buffers: SmallVec<[Arc<Block>; 8]>,
    pub(crate) params: Params,
    pub(crate) workgroups: [u32; 3],
}

impl Dispatch {
    fn used_in(&self, submission: u64) {
        self.buffers.iter().for_each(|block| block.used_in(submission));
    }
}

/// How neighbouring dispatches become one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fusion {
    /// The threads of a workgroup, and the buffers, that the kernels need.
    pub(crate) workgroup: u32,
    pub(crate) buffers: u32,
    /// Whether `next` may go on what is held: after nothing, whether it may begin something.
    pub(crate) continues: fn(held: &[Dispatch], next: &Dispatch) -> bool,
    /// One dispatch that does what the first ones of `held` do, and how many those are: more than one.
    pub(crate) combine: fn(held: &[Dispatch]) -> Option<(usize, Dispatch)>,
}

impl Gpu {
    /// Records a dispatch, or holds it back until it is known what follows.
    ///
    /// # Errors
    /// When the device is lost, has refused earlier work, or refuses a kernel.
    pub(crate) fn dispatch(&self, dispatch: Dispatch) -> Result<()> {
        self.check(dispatch.operation, &[])?;
        if dispatch.workgroups.contains(&0) {
            return Ok(());
        }
        debug_assert!(dispatch.params.len() <= PARAMS, "{}", dispatch.operation);
        let recorder = &mut *lock(&self.recorder);
        let Some(Fusion { continues, .. }) = self.fusion else {
            return self.record(recorder, &dispatch);
        };
        let mut is_held = continues(&recorder.held, &dispatch);
        if !is_held && !recorder.held.is_empty() {
            self.record_held(recorder)?;
            is_held = continues(&[], &dispatch);
        }
        if !is_held {
            return self.record(recorder, &dispatch);
        }
        // A kernel that the driver refuses is found out now, while the operation can go elsewhere.
        self.kernel(dispatch.template, &dispatch.types, &dispatch.constants)?;
        dispatch.used_in(recorder.submission);
        recorder.held.push(dispatch);
        Ok(())
    }

    /// Records what was held back, as few dispatches.
    pub(super) fn record_held(&self, recorder: &mut Recorder) -> Result<()> {
        let mut held = std::mem::take(&mut recorder.held);
        let mut rest = held.as_slice();
        while let Some(first) = rest.first() {
            let combined = self.fusion.and_then(|fusion| (fusion.combine)(rest));
            let done = match &combined {
                Some((count, fused)) if self.record(recorder, fused).is_ok() => *count,
                _ => {
                    self.record(recorder, first)?;
                    1
                }
            };
            rest = &rest[done..];
        }
        held.clear();
        recorder.held = held; // its room
        Ok(())
    }

    fn record(&self, recorder: &mut Recorder, dispatch: &Dispatch) -> Result<()> {
        let kernel = self.kernel(dispatch.template, &dispatch.types, &dispatch.constants)?;
        if recorder.params.len() >= recorder.room * PARAMS {
            recorder.submit(self);
            recorder.room = DISPATCHES.min(2 * recorder.room);
        }
        // Also of what was held: a submission may have gone since.
        dispatch.used_in(recorder.submission);
        let mut bindings: Bindings = (kernel.id, SmallVec::new());
        dispatch.buffers.iter().for_each(|block| bindings.1.push(block.id));
        if recorder.bind_groups.len() >= BIND_GROUPS {
            recorder.bind_groups.clear();
        }
        let group = match recorder.bind_groups.get(&bindings) {
            Some(group) => group.clone(),
            None => {
                let group = self.bind_group(recorder, &kernel, dispatch);
                recorder.bind_groups.insert(bindings, group.clone());
                group
            }
        };
        let offset = (recorder.params.len() * 4) as u32;
        recorder.params.extend_from_slice(&dispatch.params);
        recorder.params.resize(offset as usize / 4 + PARAMS, 0);
        let is_timed = recorder.begin(&self.device, dispatch);
        let pass = recorder.pass(&self.device);
        pass.set_pipeline(&kernel.pipeline);
        pass.set_bind_group(0, &group, &[offset]);
        let [x, y, z] = dispatch.workgroups;
        pass.dispatch_workgroups(x, y, z);
        if is_timed {
            recorder.pass = None;
        }
        self.counters.dispatches.fetch_add(1, Relaxed);
        Ok(())
    }

    fn bind_group(
        &self,
        recorder: &Recorder,
        kernel: &Kernel,
        dispatch: &Dispatch,
    ) -> wgpu::BindGroup {
        let parameters = wgpu::BindingResource::Buffer(wgpu::BufferBinding {
            buffer: &recorder.params_buffer,
            offset: 0,
            size: wgpu::BufferSize::new(STRIDE as u64),
        });
        let status = dispatch.template.checks.then(|| recorder.status.as_entire_binding());
        let buffers = dispatch.buffers.iter().map(|block| block.buffer.as_entire_binding());
        let resources = std::iter::once(parameters).chain(status).chain(buffers);
        let entries: SmallVec<[_; 8]> = resources
            .enumerate()
            .map(|(binding, resource)| wgpu::BindGroupEntry { binding: binding as u32, resource })
            .collect();
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.operation),
            layout: &kernel.layout,
            entries: &entries,
        })
    }
}
