//! What a recording holds of a device with a clock: every kernel, once, in the time of the recording.

mod adapters;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use bitnet_tensor::backend::Backend;
use bitnet_tensor::backend::profiler::{Profile, Profiler};
use bitnet_tensor::{BitNetTensor, Device, Result};
use bitnet_wgpu::WgpuBackend;

use adapters::each_device;

fn ones(device: Device, count: usize) -> Result<BitNetTensor> {
    BitNetTensor::full([count], 1.0f32)?.to_device(device)
}

/// Adds `count` times, a dispatch each, and reads the sum.
fn sums(device: Device, count: usize) -> Result<Vec<f32>> {
    let x = ones(device, 1000)?;
    let mut sum = x.add(&x)?;
    for _ in 1..count {
        sum = sum.into_add(&x)?;
    }
    sum.to_vec()
}

/// What was recorded of `body`, with the dispatches of it.
fn recorded(backend: &WgpuBackend, body: impl FnOnce() -> Result<()>) -> Result<(Profile, u64)> {
    let before = backend.counters().dispatches;
    let profiler = Profiler::start().expect("no other recording");
    body()?;
    let profile = profiler.finish();
    Ok((profile, backend.counters().dispatches - before))
}

/// Every dispatch of the recording is in it, within its time. A device without a clock has none.
fn assert_complete(backend: &WgpuBackend, profile: &Profile, dispatches: u64) {
    let kernels = profile.kernels();
    if kernels.is_empty() {
        println!("{} has no clock", backend.device());
        return;
    }
    assert_eq!(kernels.len() as u64, dispatches, "{}", backend.device());
    for kernel in kernels {
        assert_eq!(kernel.device, backend.device());
        assert!(!kernel.name.is_empty() && kernel.workgroups > 0, "{kernel:?}");
        assert!(kernel.start + kernel.duration <= profile.wall(), "{kernel:?}");
    }
    let all: Duration = kernels.iter().map(|kernel| kernel.duration).sum();
    assert!(all > Duration::ZERO && all <= profile.wall(), "{all:?} of {:?}", profile.wall());
}

#[test]
fn kernels_of_many_submissions_are_all_recorded() {
    each_device(|backend| {
        let device = backend.device();
        // More than a submission has, and such as began before the recording did.
        let x = ones(device, 1000).expect("memory");
        x.add(&x).expect("recorded");
        let (profile, dispatches) = recorded(backend, || {
            assert_eq!(sums(device, 500)?, [501.0; 1000]);
            x.exp()?.to_vec::<f32>().map(drop)
        })
        .expect("computed");
        assert_eq!(dispatches, 501);
        assert_complete(backend, &profile, dispatches);
        if profile.kernels().is_empty() {
            return;
        }
        let metrics = profile.kernel_metrics();
        assert_eq!(metrics.iter().map(|kernel| kernel.count).sum::<u64>(), dispatches);
        assert!(metrics.iter().all(|kernel| kernel.workgroups <= 4), "{metrics:?}");

        let mut json = Vec::new();
        profile.write_chrome_trace(&mut json).expect("memory");
        let trace: serde_json::Value = serde_json::from_slice(&json).expect("valid JSON");
        let events = trace["traceEvents"].as_array().expect("a list");
        let kernels: Vec<_> = events.iter().filter(|event| event["pid"] == 2).collect();
        assert_eq!(kernels.len() as u64, dispatches);
        for event in kernels {
            assert!(event["ph"] == "X" && event["cat"] == "kernel", "{event}");
            assert!(event["args"]["device"] == device.to_string().as_str(), "{event}");
            assert!(event["ts"].as_f64() >= Some(0.0) && event["dur"].as_f64() >= Some(0.0));
        }
    });
}

#[test]
fn what_a_recording_leaves_is_not_of_the_next() {
    each_device(|backend| {
        let device = backend.device();
        let x = ones(device, 10).expect("memory");
        // Enqueued and not waited for.
        let (profile, _) = recorded(backend, || x.add(&x)?.exp().map(drop)).expect("computed");
        assert!(profile.kernels().is_empty());
        let wait = || backend.synchronize();
        let (profile, _) = recorded(backend, wait).expect("computed");
        assert!(profile.kernels().is_empty(), "{:?}", profile.kernels());
        // Nor what comes between two.
        assert_eq!(sums(device, 3).expect("computed"), [4.0; 1000]);
        let (profile, _) = recorded(backend, wait).expect("computed");
        assert!(profile.kernels().is_empty(), "{:?}", profile.kernels());
    });
}

#[test]
fn threads_that_read_leave_each_others_kernels_alone() {
    each_device(|backend| {
        let device = backend.device();
        let (profile, dispatches) = recorded(backend, || {
            thread::scope(|scope| {
                for thread in 0..4 {
                    scope.spawn(move || {
                        for n in 0..40 {
                            let count = 1 + (n + thread) * 7 % 100;
                            let found = sums(device, count).expect("computed");
                            assert!(found.iter().all(|&x| x == 1.0 + count as f32), "{count}");
                        }
                    });
                }
            });
            backend.synchronize()
        })
        .expect("computed");
        assert_complete(backend, &profile, dispatches);
    });
}

#[test]
fn recordings_begin_and_end_in_the_middle_of_submissions() {
    each_device(|backend| {
        let device = backend.device();
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Relaxed) {
                    assert_eq!(sums(device, 100).expect("computed"), [101.0; 1000]);
                }
            });
            for n in 0..60 {
                let profiler = Profiler::start().expect("no other recording");
                thread::sleep(Duration::from_micros(100 * n));
                let profile = profiler.finish();
                for kernel in profile.kernels() {
                    assert!(kernel.start + kernel.duration <= profile.wall(), "{kernel:?}");
                }
            }
            is_done.store(true, Relaxed);
        });
    });
}
