//! What a recording holds: every way to execute an operation is a span, with what it did.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bitnet_tensor::backend::profiler::{self, Event, OperationEvent, Peaks, Profile, Profiler};
use bitnet_tensor::backend::{FailureKind, FallbackPolicy, set_fallback_policy};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};
use bitnet_testkit::{MockDevice, Random};

/// One test at a time: a recording is the process's.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn recorded(body: impl FnOnce() -> Result<()>) -> Result<Profile> {
    let profiler = Profiler::start().expect("no other recording");
    body()?;
    Ok(profiler.finish())
}

fn operations(profile: &Profile) -> Vec<&OperationEvent> {
    profile
        .spans()
        .iter()
        .filter_map(|span| match &span.event {
            Event::Operation(operation) => Some(operation),
            _ => None,
        })
        .collect()
}

fn names(profile: &Profile) -> Vec<&'static str> {
    operations(profile).iter().map(|event| event.operation.name()).collect()
}

#[test]
fn each_way_to_execute_is_a_span() -> Result<()> {
    let _alone = alone();
    let mut random = Random::new(90);
    let (x, weight) = (random.floats(&[3, 8])?, random.floats(&[5, 8])?);
    let mut cache = BitNetTensor::zeros([1, 4, 2], BitNetDType::F32)?;
    let positions = BitNetTensor::from_vec(vec![1u32], [1, 1])?;
    let mut out = BitNetTensor::empty([3, 5], BitNetDType::F32, Device::CPU)?;
    let profile = recorded(|| {
        let y = x.add(&x)?.into_neg()?;
        y.transpose(0, 1)?;
        y.linear_out(&weight, &mut out)?;
        cache.write_rows(&positions, &BitNetTensor::zeros([1, 1, 2], BitNetDType::F32)?)
    })?;
    assert_eq!(names(&profile), ["add", "neg", "permute", "linear", "write_rows"]);
    let events = operations(&profile);
    assert!(events[2].is_view && events[2].bytes == Some(0));
    assert_eq!(events[3].flops, Some(2 * 3 * 5 * 8));
    assert_eq!(events[3].bytes, Some(4 * (3 * 8 + 5 * 8 + 3 * 5)));
    let shapes: Vec<String> = events[3].operands.iter().map(|(_, s)| s.to_string()).collect();
    assert_eq!(shapes, ["[3, 8]", "[5, 8]"]);
    assert!(profile.covered() <= profile.wall());
    assert!(profile.spans().windows(2).all(|pair| pair[0].start <= pair[1].start));
    Ok(())
}

#[test]
fn a_fallback_names_the_device_that_did_it() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(0)?;
    mock.lack(&["exp"]);
    set_fallback_policy(FallbackPolicy::Silent);
    let x = Random::new(91).floats(&[4])?.to_device(mock.device())?;
    let profile = recorded(|| x.neg()?.exp().map(drop))?;
    set_fallback_policy(FallbackPolicy::default());
    let metrics = profile.metrics();
    let of = |name| metrics.iter().find(|m| m.operation.name() == name).expect("recorded");
    assert_eq!((of("neg").device, of("neg").fallbacks), (mock.device(), 0));
    assert_eq!((of("exp").device, of("exp").fallbacks), (Device::CPU, 1));
    let [fallback] = profile.fallbacks() else { panic!("{:?}", profile.fallbacks()) };
    assert_eq!((fallback.operation.name(), fallback.count), ("exp", 1));
    assert_eq!((fallback.from, fallback.to), (mock.device(), Device::CPU));
    assert_eq!(fallback.reason, FailureKind::Unsupported);
    let line = format!("1 × exp on cpu instead of {}: unsupported", mock.device());
    assert!(profile.to_string().contains(&line), "{profile}");
    Ok(())
}

#[test]
fn numbers_add_up_per_kind_of_operation() -> Result<()> {
    let _alone = alone();
    let x = Random::new(92).floats(&[16, 16])?;
    let profile = recorded(|| {
        for _ in 0..3 {
            x.matmul(&x)?;
        }
        Ok(())
    })?;
    let metrics = profile.metrics();
    let [product] = metrics.as_slice() else { panic!("{metrics:?}") };
    assert_eq!((product.count, product.flops), (3, Some(3 * 2 * 16 * 16 * 16)));
    assert_eq!(product.bytes, Some(3 * 3 * 16 * 16 * 4));
    assert!(product.time > Duration::ZERO && product.gflops() > Some(0.0));
    let peaks = Peaks { device: Device::CPU, bytes_per_second: 1e9, flops_per_second: 1e30 };
    let share = product.share_of_peak(&peaks).expect("bytes are known");
    assert!((share * 1e9 / product.bytes_per_second().expect("known") - 1.0).abs() < 1e-9);
    let other = Peaks { device: Device::new("other", 0), ..peaks };
    assert_eq!(product.share_of_peak(&other), None);
    assert_eq!(profile.counters().operations, 3);
    assert!(profile.pool_hit_rate().is_some_and(|rate| (0.0..=1.0).contains(&rate)));
    let table = profile.table(std::slice::from_ref(&peaks)).to_string();
    for part in ["matmul", "fallbacks", "peak", "memory pool"] {
        assert!(table.contains(part), "no {part} in {table}");
    }
    assert!(!profile.to_string().contains("peak"));
    Ok(())
}

#[test]
fn the_trace_is_json_of_complete_events() -> Result<()> {
    let _alone = alone();
    let x = Random::new(93).floats(&[2, 2])?;
    let profile = recorded(|| {
        let _scope = profiler::scope("part");
        x.exp().map(drop)
    })?;
    let mut json = Vec::new();
    profile.write_chrome_trace(&mut json).expect("memory");
    let trace: serde_json::Value = serde_json::from_slice(&json).expect("valid JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let names: Vec<&str> = events.iter().filter_map(|event| event["name"].as_str()).collect();
    assert_eq!(names, ["part", "exp"]);
    assert!(events.iter().all(|event| event["ph"] == "X" && event["dur"].as_f64() > Some(0.0)));
    assert_eq!(events[1]["args"]["operands"][0], "f32[2, 2]");
    Ok(())
}

#[test]
fn one_recording_at_a_time_and_none_when_it_is_over() -> Result<()> {
    let _alone = alone();
    let first = Profiler::start().expect("no other recording");
    assert!(Profiler::start().is_none());
    drop(first);
    let second = Profiler::start().expect("the first was dropped");
    let profile = second.finish();
    assert!(profile.spans().is_empty());
    Random::new(94).floats(&[2])?.exp()?;
    assert!(recorded(|| Ok(()))?.spans().is_empty());
    Ok(())
}

#[test]
fn kernels_are_of_the_recording_in_which_they_were_asked_for() -> Result<()> {
    let _alone = alone();
    let (first, second) = (Device::new("mock", 1), Device::new("mock", 2));
    let short = Duration::from_micros(2);
    let kernel = |device, name, at| profiler::record_kernel(device, name, 3, at, at, short);
    let before = Instant::now();
    kernel(first, "unrecorded", before);
    let profile = recorded(|| {
        let now = Instant::now();
        // Enqueued, or even begun, before the recording was.
        profiler::record_kernel(first, "enqueued before", 3, before, now, short);
        kernel(first, "before", before);
        kernel(first, "fast", now);
        kernel(second, "slow", now);
        kernel(second, "slow", now + short);
        kernel(first, "fast", now);
        kernel(first, "slow", now);
        Ok(())
    })?;
    kernel(first, "afterwards", Instant::now());
    assert!(recorded(|| Ok(()))?.kernels().is_empty());

    let kernels = profile.kernels();
    let names: Vec<&str> = kernels.iter().map(|kernel| kernel.name).collect();
    assert_eq!(names, ["fast", "slow", "slow", "fast", "slow"]);
    assert_eq!(kernels[2].start - kernels[1].start, short);
    assert!(kernels.iter().all(|kernel| kernel.workgroups == 3 && kernel.duration == short));
    let mut metrics: Vec<_> = profile
        .kernel_metrics()
        .iter()
        .map(|kernel| (kernel.device.index(), kernel.name, kernel.count, kernel.time))
        .collect();
    assert!(metrics.is_sorted_by_key(|&(.., time)| std::cmp::Reverse(time)), "{metrics:?}");
    metrics.sort_unstable();
    let expected = [(1, "fast", 2, 2 * short), (1, "slow", 1, short), (2, "slow", 2, 2 * short)];
    assert_eq!(metrics, expected);
    assert_eq!(profile.covered(), Duration::ZERO, "what devices do is no time of the host");

    let mut json = Vec::new();
    profile.write_chrome_trace(&mut json).expect("memory");
    let trace: serde_json::Value = serde_json::from_slice(&json).expect("valid JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let row = |event: &serde_json::Value| (event["pid"].as_u64(), event["tid"].as_u64());
    let rows: Vec<_> = events.iter().map(row).collect();
    assert_eq!(rows, [1, 2, 2, 1, 1].map(|device| (Some(2), Some(device))));
    assert!(events.iter().all(|event| event["ph"] == "X" && event["dur"] == 2.0));
    assert!(events.iter().all(|event| event["args"]["workgroups"] == 3));
    Ok(())
}
