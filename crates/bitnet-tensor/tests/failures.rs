//! How operations meet a device that fails: executed again elsewhere or refused, counted exactly,
//! and nothing is ever written by half. The tests read counters of the process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bitnet_tensor::backend::{
    AccelerationMetrics, FailureKind, FallbackPolicy, metrics, registry, set_fallback_policy,
    set_finite_check,
};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result, TensorOpError};
use bitnet_testkit::{BackendCall, FaultyDevice, MockDevice, Random, failing_writes};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    set_fallback_policy(FallbackPolicy::Silent);
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn counted<T>(body: impl FnOnce() -> T) -> (T, AccelerationMetrics) {
    let before = AccelerationMetrics::snapshot();
    let result = body();
    (result, AccelerationMetrics::snapshot().since(&before))
}

/// How often operations were done elsewhere because `device` failed in that way.
fn fallbacks_from(device: Device, kind: FailureKind) -> u64 {
    let counts = metrics::fallbacks().into_iter();
    counts.filter(|f| f.from == device && f.reason == kind).map(|f| f.count).sum()
}

/// Every way to an execution: new results, several of them, over an operand, into given storage,
/// rows written in place.
type Way = (&'static str, BackendCall, fn(Device) -> Result<Vec<BitNetTensor>>);

fn ways() -> [Way; 6] {
    fn x(device: Device) -> Result<BitNetTensor> {
        Random::new(81).floats(&[3, 8])?.to_device(device)
    }
    [
        ("new", BackendCall::Execute, |device| Ok(vec![x(device)?.softmax(-1)?])),
        ("allocated", BackendCall::Allocate, |device| Ok(vec![x(device)?.softmax(-1)?])),
        ("several", BackendCall::Execute, |device| {
            let (values, places) = x(device)?.sort(-1, false)?;
            Ok(vec![values, places])
        }),
        ("owned", BackendCall::ExecuteInPlace, |device| {
            let (a, b) = (x(device)?.copy()?, x(device)?);
            Ok(vec![a.into_add(&b)?])
        }),
        ("given", BackendCall::Execute, |device| {
            let weight = Random::new(82).floats(&[5, 8])?.to_device(device)?;
            let mut out = BitNetTensor::empty([3, 5], BitNetDType::F32, device)?;
            x(device)?.linear_out(&weight, &mut out)?;
            Ok(vec![out])
        }),
        ("rows", BackendCall::ExecuteInPlace, |device| {
            // In memory the second axis comes first, as in a key-value cache.
            let cache = Random::new(83).floats(&[2, 1, 4])?.to_device(device)?.copy()?;
            let mut cache = cache.into_permuted();
            let positions = BitNetTensor::from_vec(vec![1u32], [1, 1])?.to_device(device)?;
            let rows = Random::new(84).floats(&[1, 1, 4])?.to_device(device)?;
            cache.write_rows(&positions, &rows)?;
            Ok(vec![cache])
        }),
    ]
}

trait IntoPermuted {
    fn into_permuted(self) -> BitNetTensor;
}

impl IntoPermuted for BitNetTensor {
    /// The first two axes exchanged, in storage that nobody else holds.
    fn into_permuted(self) -> BitNetTensor {
        self.permute(&[1, 0, 2]).expect("a permutation")
    }
}

#[track_caller]
fn assert_same(got: &[BitNetTensor], want: &[BitNetTensor], what: &str) {
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        let (got, want) = (got.to_device(Device::CPU), want.to_device(Device::CPU));
        bitnet_testkit::compare::compare(
            &got.expect("downloaded"),
            &want.expect("downloaded"),
            bitnet_testkit::Tolerance::EXACT,
        )
        .unwrap_or_else(|difference| panic!("{what}: {difference}"));
    }
}

#[test]
fn what_a_device_cannot_do_is_done_by_the_next_one() -> Result<()> {
    let _alone = alone();
    for (name, call, way) in ways() {
        let expected = way(Device::CPU)?;
        for kind in [FailureKind::Unsupported, FailureKind::OutOfMemory] {
            let faulty = FaultyDevice::register(0)?;
            faulty.fail_at_call(call, last(call, &faulty, way)?, kind);
            let told = fallbacks_from(faulty.device(), kind);
            let (result, spent) = counted(|| way(faulty.device()));
            let result = result?;
            assert_eq!((spent.fallbacks, faulty.injected()), (1, 1), "{name}, {kind}");
            assert_eq!(fallbacks_from(faulty.device(), kind), told + 1, "{name}, {kind}");
            for other in FailureKind::ALL {
                assert_eq!(spent.failures(other), u64::from(kind == other), "{name}: {spent}");
            }
            assert!(result.iter().all(|tensor| tensor.device() == faulty.device()), "{name}");
            faulty.fail_never();
            assert_same(&result, &expected, name);
        }
    }
    Ok(())
}

/// The number of the last call of that sort.
fn last(
    call: BackendCall,
    faulty: &FaultyDevice,
    way: fn(Device) -> Result<Vec<BitNetTensor>>,
) -> Result<usize> {
    faulty.fail_never();
    way(faulty.device())?;
    let calls = faulty.calls().into_iter().filter(|&other| other == call).count();
    assert!(calls > 0, "{call:?} is not called");
    Ok(calls - 1)
}

#[test]
fn what_another_device_cannot_mend_is_an_error() -> Result<()> {
    let _alone = alone();
    for (name, call, way) in ways() {
        for kind in [FailureKind::DeviceLost, FailureKind::Numerical] {
            let faulty = FaultyDevice::register(1)?;
            faulty.fail_at_call(call, last(call, &faulty, way)?, kind);
            let (result, spent) = counted(|| way(faulty.device()));
            let error = result.expect_err("it fails");
            assert_eq!(error.failure(), Some(kind), "{name}: {error}");
            assert_eq!((spent.fallbacks, spent.failures(kind)), (0, 1), "{name}");
            assert_eq!(registry::is_lost(faulty.device())?, kind == FailureKind::DeviceLost);
        }
    }
    Ok(())
}

#[test]
fn a_lost_device_stays_lost_and_is_counted_once() -> Result<()> {
    let _alone = alone();
    let faulty = FaultyDevice::register(2)?;
    let x = Random::new(85).floats(&[4])?.to_device(faulty.device())?;
    faulty.fail_at(0, FailureKind::DeviceLost);
    let (errors, spent) = counted(|| {
        [x.exp().map(|_| ()), x.to_vec::<f32>().map(|_| ()), x.exp().map(|_| ())]
            .map(|result| result.expect_err("it is lost"))
    });
    assert!(errors.iter().all(TensorOpError::is_device_lost), "{errors:?}");
    assert_eq!((spent.devices_lost, spent.fallbacks), (1, 0));
    assert!(!registry::devices_after(faulty.device()).contains(&faulty.device()));
    // It is back when it is registered again.
    FaultyDevice::register(2)?;
    assert!(!registry::is_lost(faulty.device())?);
    x.exp()?;
    Ok(())
}

#[test]
fn a_lost_device_on_the_way_is_passed_over() -> Result<()> {
    let _alone = alone();
    let (first, second) = (FaultyDevice::register(3)?, FaultyDevice::register(4)?);
    let x = Random::new(86).floats(&[4])?.to_device(first.device())?;
    first.fail_at_call(BackendCall::Execute, 0, FailureKind::OutOfMemory);
    second.fail_at(1, FailureKind::DeviceLost);
    let (y, spent) = counted(|| x.exp());
    assert_eq!((spent.fallbacks, spent.out_of_memory, spent.devices_lost), (1, 1, 1));
    assert_same(&[y?], &[x.to_device(Device::CPU)?.exp()?], "exp");
    Ok(())
}

#[test]
fn the_policy_decides() -> Result<()> {
    let _alone = alone();
    let faulty = FaultyDevice::register(5)?;
    let x = Random::new(87).floats(&[4])?.to_device(faulty.device())?;
    set_fallback_policy(FallbackPolicy::Error);
    faulty.fail_at(0, FailureKind::OutOfMemory);
    let (result, spent) = counted(|| x.exp());
    set_fallback_policy(FallbackPolicy::Silent);
    let error = result.expect_err("forbidden");
    assert!(matches!(error, TensorOpError::MemoryError(_)), "{error}");
    assert_eq!((spent.fallbacks, spent.out_of_memory), (0, 1));
    Ok(())
}

#[test]
fn a_check_that_fails_is_counted() {
    let _alone = alone();
    let zero = BitNetTensor::scalar(0.0f32).expect("memory");
    set_finite_check(true);
    let (result, spent) = counted(|| zero.log());
    set_finite_check(false);
    assert!(matches!(result, Err(TensorOpError::NumericalError(_))));
    assert_eq!((spent.numerical_failures, spent.fallbacks), (1, 0));
}

#[test]
fn targets_are_as_before_when_an_operation_fails() -> Result<()> {
    let _alone = alone();
    let cpu = Device::CPU;
    failing_writes::assert_nothing_is_written(cpu);
    failing_writes::assert_nothing_is_written(FaultyDevice::register(6)?.device());
    failing_writes::assert_nothing_is_written(MockDevice::register(60)?.device());
    Ok(())
}

/// The device fails before it writes; what was there is there still, in place and in given storage.
#[test]
fn targets_are_as_before_when_the_device_fails() -> Result<()> {
    let _alone = alone();
    let before = Random::new(88).floats(&[1, 3, 4])?;
    let positions = BitNetTensor::from_vec(vec![1u32], [1, 1])?;
    let rows = Random::new(89).floats(&[1, 1, 4])?;
    for kind in FailureKind::ALL {
        for policy in [FallbackPolicy::Silent, FallbackPolicy::Error] {
            let faulty = FaultyDevice::register(7)?;
            let on = |x: &BitNetTensor| x.copy()?.to_device(faulty.device());
            let (mut target, positions, rows) = (on(&before)?, on(&positions)?, on(&rows)?);
            set_fallback_policy(policy);
            faulty.fail_at_call(BackendCall::ExecuteInPlace, 0, kind);
            let failed = target.write_rows(&positions, &rows).is_err();
            set_fallback_policy(FallbackPolicy::Silent);
            assert_eq!(failed, policy == FallbackPolicy::Error || !kind.may_fall_back());
            let back = FaultyDevice::register(7)?; // its memory is the host's: it can be looked at
            let mut expected = before.copy()?;
            if !failed {
                expected.write_rows(
                    &positions.to_device(Device::CPU)?,
                    &rows.to_device(Device::CPU)?,
                )?;
            }
            assert_eq!(back.device(), target.device());
            assert_same(&[target], &[expected], &format!("{kind}, {policy}"));
        }
    }
    Ok(())
}

#[test]
fn transfers_are_counted_by_direction() -> Result<()> {
    let _alone = alone();
    let mock = MockDevice::register(61)?;
    let x = BitNetTensor::zeros([10, 10], BitNetDType::F32)?;
    let (y, spent) = counted(|| x.to_device(mock.device()));
    assert_eq!((spent.uploads, spent.uploaded_bytes, spent.downloads), (1, 400, 0));
    let (z, spent) = counted(|| y?.to_device(Device::CPU));
    assert_eq!((spent.downloads, spent.downloaded_bytes, spent.uploads), (1, 400, 0));
    let (_, spent) = counted(|| z?.to_device(Device::CPU));
    assert_eq!((spent.downloads, spent.uploads), (0, 0));
    Ok(())
}
