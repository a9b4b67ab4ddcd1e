//! A device that has no memory, and one that is lost: errors that say so, and work that goes on.

mod adapters;

use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use bitnet_llm::{LoadOptions, Model, Session};
use bitnet_tensor::backend::{
    AccelerationMetrics, Backend, FailureKind, FallbackPolicy, registry, set_fallback_policy,
};
use bitnet_tensor::{BitNetTensor, Device, Result, TensorOpError};

use bitnet_wgpu::WgpuBackend;

use adapters::each_device;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// What comes last leaves no device behind: it is not asked for anything by other tests.
#[test]
fn failures_are_errors() {
    each_device(|backend| {
        let device = backend.device();
        set_fallback_policy(FallbackPolicy::Error);
        more_than_a_buffer_holds(device).expect("refused as it should be");
        set_fallback_policy(FallbackPolicy::Silent);
        loss(device, || lose_while_others_work(backend)).expect("recovered");
    });
}

/// Bytes of a buffer that is asked for until there are no more.
const PART: usize = 256 << 20;

/// A process that may have four gigabytes is refused more by a driver that computes in its memory.
#[test]
#[cfg(target_os = "linux")]
fn memory_that_runs_out_is_an_error() {
    each_device(|backend| {
        if !backend.info().is_software {
            return;
        }
        let limited = "ulimit -v 4000000; exec \"$0\" --ignored --exact --nocapture until_refused";
        let output = std::process::Command::new("sh")
            .args(["-c", limited])
            .arg(std::env::current_exe().expect("this program"))
            .env_remove("BITNET_REQUIRE_GPU")
            .output()
            .expect("a shell");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains(&format!("{} has no more", backend.device())), "{text}");
    });
}

#[test]
#[ignore = "for a process that may have little memory"]
fn until_refused() {
    each_device(|backend| {
        let mut held = Vec::new();
        for _ in 0..64 {
            match backend.memory().allocate(PART) {
                Ok(storage) => held.push(storage),
                Err(error) => {
                    assert_eq!(error.failure(), Some(FailureKind::OutOfMemory), "{error}");
                    println!("{} has no more than {} parts: {error}", backend.device(), held.len());
                    break;
                }
            }
        }
        drop(held);
        // What is given back can be had again, and the device computes.
        backend.memory().allocate(PART).expect("a part");
        let one = BitNetTensor::from_vec(vec![3.0f32], [1]).expect("memory");
        let sum = one.to_device(backend.device()).and_then(|one| one.add(&one)?.to_vec::<f32>());
        assert_eq!(sum.expect("computed"), [6.0]);
    });
}

/// Beyond the limits of the device nothing is enqueued, and what is there stays usable.
fn more_than_a_buffer_holds(device: Device) -> TestResult {
    let one = BitNetTensor::from_vec(vec![3.0f32], [1])?.to_device(device)?;
    for shape in [vec![1 << 40], vec![1 << 20, 1 << 20], vec![1 << 30, 1 << 30]] {
        let refused = one.expand(shape.as_slice())?.copy();
        let error = refused.expect_err("no device has so much");
        let failure = error.failure();
        let said = matches!(failure, Some(FailureKind::OutOfMemory | FailureKind::Unsupported));
        assert!(said, "{error}");
    }
    // Fewer elements than kernels count to, more bytes than a buffer has.
    let refused = one.expand([(1 << 31) - 1])?.copy();
    if let Err(error) = refused {
        assert_eq!(error.failure(), Some(FailureKind::OutOfMemory), "{error}");
        assert!(error.to_string().contains(&device.to_string()), "{error}");
    }
    assert_eq!(one.add(&one)?.to_vec::<f32>()?, [6.0]);
    Ok(())
}

/// Destroys the device under threads that upload, compute and read: each is told, and ends.
fn lose_while_others_work(backend: &WgpuBackend) {
    const THREADS: usize = 4;
    let working = Barrier::new(THREADS + 1);
    let rounds = &|n: usize| -> Result<()> {
        let mut length = 1000;
        for round in 0.. {
            if round == 3 {
                working.wait();
            }
            // Bytes that wait for their turn, and such as do not.
            length = 41_000 - length;
            let host = BitNetTensor::full([length], n as f32)?;
            let x = host.to_device(backend.device())?;
            let mut sum = x.add(&x)?;
            for _ in 0..round % 20 {
                sum = sum.into_add(&x)?;
            }
            if round % 3 == 0 {
                let expected = (2 + round % 20) as f32 * n as f32;
                assert!(sum.to_vec::<f32>()?.iter().all(|&x| x == expected), "{expected}");
            }
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads = [1, 2, 3, 4].map(|n| scope.spawn(move || rounds(n)));
        working.wait();
        thread::sleep(Duration::from_millis(20));
        backend.destroy().expect("it was open");
        for thread in threads {
            let error = thread.join().expect("no panic").expect_err("the device is lost");
            assert_eq!(error.failure(), Some(FailureKind::DeviceLost), "{error}");
        }
    });
}

const IDS: [u32; 4] = [1, 403, 2501, 7];

fn loss(device: Device, lose: impl Fn()) -> TestResult {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    let load = |device| Model::load(&path, &LoadOptions { device, ..LoadOptions::default() });
    let (model, on_cpu): (Arc<Model>, _) = (load(device)?, load(Device::CPU)?);
    let best = |session: &mut Session, ids: &[u32]| -> bitnet_llm::Result<i64> {
        session.recovering(|session| Ok(session.read(ids)?.argmax(-1, false)?.to_vec::<i64>()?[0]))
    };
    let mut expected = Session::new(&on_cpu)?;
    let mut session = Session::new(&model)?;
    let held = BitNetTensor::from_vec(vec![1.0f32, 2.0], [2])?.to_device(device)?;
    assert_eq!(best(&mut session, &IDS[..2])?, best(&mut expected, &IDS[..2])?);
    let enqueued = held.add(&held)?;

    lose();
    let before = AccelerationMetrics::snapshot();
    assert_eq!(best(&mut session, &IDS[2..])?, best(&mut expected, &IDS[2..])?);
    let spent = AccelerationMetrics::snapshot().since(&before);
    assert_eq!((session.recoveries(), spent.recoveries), (1, 1));
    assert!(registry::is_lost(device)?);

    // Whatever is asked of it says so, every time.
    type Asked<'a> = &'a dyn Fn() -> Result<()>;
    let asked: [(&str, Asked<'_>); 6] = [
        ("an operation", &|| held.add(&held).map(drop)),
        ("another", &|| held.exp()?.sum(&[], false).map(drop)),
        ("a result that was on its way", &|| enqueued.to_vec::<f32>().map(drop)),
        ("reading", &|| held.to_vec::<f32>().map(drop)),
        ("writing", &|| BitNetTensor::from_vec(vec![1.0f32], [1])?.to_device(device).map(drop)),
        ("waiting", &|| registry::backend(device)?.synchronize()),
    ];
    for (what, ask) in asked.iter().chain(&asked) {
        let error = ask().expect_err(what);
        assert_eq!(error.failure(), Some(FailureKind::DeviceLost), "{what}: {error}");
        assert!(matches!(&error, TensorOpError::BackendError(_)), "{what}: {error}");
        assert!(error.to_string().contains(&format!("{device} is lost")), "{what}: {error}");
    }
    Ok(())
}
