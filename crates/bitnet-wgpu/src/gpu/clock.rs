//! When the device began and ended each kernel, for the profiler: while a recording runs, every dispatch
//! has a pass of its own, at whose ends the device notes the time.

use std::time::{Duration, Instant};

use bitnet_tensor::Device;
use bitnet_tensor::backend::profiler;

use super::fault;

/// What is known of a dispatch before it is executed.
#[derive(Debug, Clone, Copy)]
struct Timed {
    name: &'static str,
    workgroups: u64,
    enqueued: Instant,
}

#[derive(Debug)]
pub(super) struct Clock {
    queries: wgpu::QuerySet,
    /// The device's times of a submission, before they are copied to where the host reads them.
    times: wgpu::Buffer,
    nanoseconds_per_tick: f64,
    /// Of the submission that is being recorded.
    dispatches: Vec<Timed>,
    /// Of those that are on their way, by their numbers.
    submitted: Vec<(u64, wgpu::Buffer, Vec<Timed>)>,
    free: Vec<wgpu::Buffer>,
}

impl Clock {
    /// `None` where the device has no clock.
    pub(super) fn new(
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        dispatches_at_most: usize,
    ) -> Option<Self> {
        if !device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return None;
        }
        let queries = device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("times"),
            ty: wgpu::QueryType::Timestamp,
            count: 2 * dispatches_at_most as u32,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        Some(Self {
            queries,
            times: times(device, 16 * dispatches_at_most as u64, usage),
            nanoseconds_per_tick: queue.get_timestamp_period().into(),
            dispatches: Vec::new(),
            submitted: Vec::new(),
            free: Vec::new(),
        })
    }

    /// The pass of one dispatch.
    pub(super) fn pass(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        name: &'static str,
        workgroups: [u32; 3],
    ) -> wgpu::ComputePass<'static> {
        let first = 2 * self.dispatches.len() as u32;
        let workgroups = workgroups.iter().map(|&count| u64::from(count)).product();
        self.dispatches.push(Timed { name, workgroups, enqueued: Instant::now() });
        let writes = wgpu::ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: Some(first),
            end_of_pass_write_index: Some(first + 1),
        };
        let description =
            wgpu::ComputePassDescriptor { label: None, timestamp_writes: Some(writes) };
        encoder.begin_compute_pass(&description).forget_lifetime()
    }

    /// The last commands of the submission of that number.
    pub(super) fn end_submission(
        &mut self,
        number: u64,
        device: &wgpu::Device,
        encoder: &mut wgpu::CommandEncoder,
    ) {
        let count = self.dispatches.len();
        if count == 0 {
            return;
        }
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let host = self.free.pop().unwrap_or_else(|| times(device, self.times.size(), usage));
        encoder.resolve_query_set(&self.queries, 0..2 * count as u32, &self.times, 0);
        encoder.copy_buffer_to_buffer(&self.times, 0, &host, 0, 16 * count as u64);
        self.submitted.push((number, host, std::mem::take(&mut self.dispatches)));
    }

    /// Tells the profiler of the submissions up to that number, which the device has executed. What another
    /// thread submitted since is on its way: its times are not to be touched.
    pub(super) fn report(&mut self, until: u64, device: &wgpu::Device, name: Device) {
        let now = Instant::now();
        let count = self.submitted.iter().take_while(|&&(number, ..)| number <= until).count();
        if count == 0 {
            return;
        }
        for (_, host, _) in &self.submitted[..count] {
            // Whether it worked is seen below.
            host.map_async(wgpu::MapMode::Read, .., |_| {});
        }
        // What a lost device did is not told.
        let _ = fault::poll(device, wgpu::PollType::Poll);
        let mut kernels: Vec<(Timed, u64, u64)> = Vec::new();
        for (_, host, dispatches) in self.submitted.drain(..count) {
            let Ok(view) = host.get_mapped_range(..) else { continue };
            let (ticks, _) = view.as_chunks::<8>();
            let (spans, _) = ticks.as_chunks::<2>();
            let spans = spans.iter().map(|span| span.map(u64::from_le_bytes));
            kernels.extend(dispatches.iter().zip(spans).map(|(&timed, [a, b])| (timed, a, b)));
            drop(view);
            host.unmap();
            self.free.push(host);
        }
        let duration = |from: u64, to: u64| {
            let ticks = to.saturating_sub(from) as f64;
            Duration::from_nanos((ticks * self.nanoseconds_per_tick) as u64)
        };
        let last = kernels.iter().map(|&(_, _, end)| end).max().unwrap_or(0);
        for (Timed { name: kernel, workgroups, enqueued }, begin, end) in kernels {
            if let Some(start) = now.checked_sub(duration(begin, last)) {
                let duration = duration(begin, end);
                profiler::record_kernel(name, kernel, workgroups, enqueued, start, duration);
            }
        }
    }
}

fn times(device: &wgpu::Device, size: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("times"),
        size,
        usage,
        mapped_at_creation: false,
    })
}
