//! Commands and bytes on their last way, to the driver: a thread of its own gives them to the queue, in the
//! order in which they come. What a submission costs there is more than recording its commands, so that the
//! next ones are recorded meanwhile.

use std::io;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};

/// Submissions that may wait: whoever records is not far ahead.
const WAITING: usize = 8;
/// Bytes that are copied to wait with the others; of more, whoever brings them waits himself.
const MOST_WAITING_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Submissions {
    queue: wgpu::Queue,
    /// `None` when the device is closed, as below.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    /// With the numbers of their dispatches.
    Commands(wgpu::CommandEncoder, Vec<u32>),
    Bytes(wgpu::Buffer, u64, Vec<u8>),
    /// Whoever waits is told the number of the last submission.
    Tell(SyncSender<Option<wgpu::SubmissionIndex>>),
}

impl Submissions {
    /// To `queue`; the numbers of a submission's dispatches are written to `numbers`.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn new(queue: wgpu::Queue, numbers: wgpu::Buffer) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::sync_channel(WAITING);
        let own = queue.clone();
        let thread = thread::Builder::new()
            .name("bitnet-gpu-queue".to_owned())
            .spawn(move || work(&own, &numbers, &waiting))?;
        Ok(Self { queue, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Sends commands on their way.
    pub(super) fn commands(&self, encoder: wgpu::CommandEncoder, numbers: Vec<u32>) {
        self.send(Job::Commands(encoder, numbers));
    }

    /// Writes `bytes`, after the commands and bytes that came before.
    pub(super) fn write(&self, buffer: &wgpu::Buffer, offset: u64, bytes: &[u8]) {
        if bytes.len() <= MOST_WAITING_BYTES {
            self.send(Job::Bytes(buffer.clone(), offset, bytes.to_vec()));
        } else {
            self.last();
            self.queue.write_buffer(buffer, offset, bytes);
        }
    }

    /// Waits until everything is in the driver's hands, and gives the number of the last submission: `None`
    /// when there was none, or when the thread is gone.
    pub(super) fn last(&self) -> Option<wgpu::SubmissionIndex> {
        let (whom, answer) = mpsc::sync_channel(1);
        self.send(Job::Tell(whom));
        answer.recv().ok().flatten()
    }

    fn send(&self, job: Job) {
        if let Some(jobs) = &self.jobs {
            // When the thread is gone, `last` has no answer.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Submissions {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It has no result, and a panic there was already said to whoever waited.
            let _ = thread.join();
        }
    }
}

fn work(queue: &wgpu::Queue, numbers: &wgpu::Buffer, jobs: &Receiver<Job>) {
    let mut last = None;
    for job in jobs {
        match job {
            Job::Commands(encoder, of_dispatches) => {
                if !of_dispatches.is_empty() {
                    queue.write_buffer(numbers, 0, bytemuck::cast_slice(&of_dispatches));
                }
                last = Some(queue.submit([encoder.finish()]));
            }
            Job::Bytes(buffer, offset, bytes) => queue.write_buffer(&buffer, offset, &bytes),
            Job::Tell(whom) => {
                // Nobody listens any more when the wait was given up.
                let _ = whom.send(last.clone());
            }
        }
    }
}
