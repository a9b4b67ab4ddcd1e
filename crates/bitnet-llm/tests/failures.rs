//! A device that fails in the middle: whatever call it is and however it fails, the numbers are those
//! of a run without failures, and what happened is counted. The tests read counters of the process.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitnet_llm::generation::{Generation, GenerationOptions, generate};
use bitnet_llm::model::LogitsOf;
use bitnet_llm::perplexity::perplexity;
use bitnet_llm::sampler::SamplingParams;
use bitnet_llm::{LlmError, LoadOptions, Model, Result, Session};
use bitnet_tensor::backend::{
    AccelerationMetrics, FailureKind, FallbackPolicy, registry, set_fallback_policy,
};
use bitnet_tensor::{Device, TensorOpError};
use bitnet_testkit::{BackendCall, FaultyDevice};

const IDS: [u32; 3] = [1, 403, 2501];

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    set_fallback_policy(FallbackPolicy::Silent);
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(device: Device) -> Result<Arc<Model>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    Model::load(&path, &LoadOptions { device, ..LoadOptions::default() })
}

fn counted<T>(body: impl FnOnce() -> T) -> (T, AccelerationMetrics) {
    let before = AccelerationMetrics::snapshot();
    let result = body();
    (result, AccelerationMetrics::snapshot().since(&before))
}

/// The bits of the logits after a prompt of two tokens and after one more.
fn logits(session: &mut Session) -> Result<Vec<u32>> {
    session.recovering(|session| {
        session.truncate(0);
        let prompt = session.forward(&IDS[..2], LogitsOf::All)?.to_vec::<f32>()?;
        let next = session.read(&IDS[2..])?.to_vec::<f32>()?;
        Ok(prompt.into_iter().chain(next).map(f32::to_bits).collect())
    })
}

fn fresh_logits(model: &Arc<Model>) -> Result<Vec<u32>> {
    logits(&mut Session::with_capacity(model, 8)?)
}

#[test]
fn each_failure_at_each_call_of_a_forward_pass_leaves_the_logits_as_they_are() -> Result<()> {
    let _alone = alone();
    let mut faulty = FaultyDevice::register(0)?;
    let model = load(faulty.device())?;
    let expected = fresh_logits(&load(Device::CPU)?)?;
    faulty.fail_never();
    let (undisturbed, spent) = counted(|| fresh_logits(&model));
    assert!(undisturbed? == expected);
    assert_eq!((spent.fallbacks, spent.recoveries), (0, 0));
    let calls = faulty.calls();
    for kind in [BackendCall::Allocate, BackendCall::Execute, BackendCall::ExecuteInPlace] {
        assert!(calls.iter().filter(|&&call| call == kind).count() > 50, "{kind:?}: {calls:?}");
    }

    for kind in FailureKind::ALL {
        for (n, call) in calls.iter().enumerate() {
            let at = format!("{kind} at call {n}, {call:?}");
            faulty.fail_at(n, kind);
            let (result, spent) = counted(|| fresh_logits(&model));
            assert_eq!(faulty.injected(), 1, "{at}");
            let result = match (kind, result) {
                // The numbers are at fault on every device: the caller hears of it, and goes on.
                (FailureKind::Numerical, Err(LlmError::Tensor(error))) => {
                    assert!(matches!(error, TensorOpError::NumericalError(_)), "{at}: {error}");
                    assert_eq!((spent.fallbacks, spent.recoveries), (0, 0), "{at}");
                    fresh_logits(&model)
                }
                (FailureKind::Numerical, other) => panic!("{at}: {other:?}"),
                (FailureKind::DeviceLost, result) => {
                    assert_eq!((spent.fallbacks, spent.recoveries), (0, 1), "{at}");
                    assert!(registry::is_lost(faulty.device())?, "{at}");
                    result
                }
                (_, result) => {
                    assert_eq!(spent.fallbacks + spent.recoveries, 1, "{at}");
                    if matches!(call, BackendCall::Execute | BackendCall::ExecuteInPlace) {
                        assert_eq!(spent.fallbacks, 1, "{at}");
                    }
                    result
                }
            };
            let result = result.unwrap_or_else(|error| panic!("{at}: {error}"));
            assert!(result == expected, "{at}: other logits");
            for other in FailureKind::ALL {
                assert_eq!(spent.failures(other), u64::from(other == kind), "{at}: {spent}");
            }
            faulty = FaultyDevice::register(0)?;
        }
    }
    Ok(())
}

fn told(model: &Arc<Model>, temperature: f32) -> Result<(Generation, usize)> {
    let sampling = SamplingParams { temperature, seed: 5, ..SamplingParams::default() };
    let options =
        GenerationOptions { sampling, max_tokens: Some(6), ..GenerationOptions::default() };
    let mut session = Session::with_capacity(model, 16)?;
    let generation = generate(&mut session, &IDS, &options)?;
    Ok((generation, session.recoveries()))
}

#[test]
fn a_generation_goes_on_on_another_device_wherever_its_own_is_lost() -> Result<()> {
    let _alone = alone();
    let mut faulty = FaultyDevice::register(1)?;
    let model = load(faulty.device())?;
    for temperature in [0.0, 1.0] {
        faulty.fail_never();
        let (expected, recoveries) = told(&model, temperature)?;
        assert_eq!((expected.generated_ids.len(), recoveries), (6, 0));
        let calls = faulty.calls().len();
        // Every step, and not always the same call of it.
        for n in (0..calls).step_by(41) {
            faulty.fail_at(n, FailureKind::DeviceLost);
            let ((generation, recoveries), spent) = {
                let (result, spent) = counted(|| told(&model, temperature));
                (result?, spent)
            };
            assert_eq!(generation.text, expected.text, "lost at call {n}");
            assert_eq!(generation.generated_ids, expected.generated_ids, "lost at call {n}");
            assert_eq!((recoveries, spent.recoveries, spent.devices_lost), (1, 1, 1));
            faulty = FaultyDevice::register(1)?;
        }
        // The last read back is the last thing that a generation does.
        let last = calls - 1;
        faulty.fail_at(last, FailureKind::DeviceLost);
        assert_eq!(told(&model, temperature)?.0.text, expected.text);
        faulty = FaultyDevice::register(1)?;
    }
    Ok(())
}

#[test]
fn sessions_of_a_lost_device_go_on_with_one_model() -> Result<()> {
    let _alone = alone();
    let faulty = FaultyDevice::register(2)?;
    let model = load(faulty.device())?;
    let (mut a, mut b) = (Session::new(&model)?, Session::new(&model)?);
    a.read(&IDS[..2])?;
    b.read(&IDS[..1])?;
    faulty.fail_at(0, FailureKind::DeviceLost);
    a.read(&IDS[2..])?;
    b.read(&IDS[1..])?;
    assert!(Arc::ptr_eq(a.model(), b.model()));
    assert_eq!((a.model().device(), a.tokens(), b.tokens()), (Device::CPU, &IDS[..], &IDS[..]));
    Ok(())
}

#[test]
fn a_model_is_loaded_where_it_can_be() -> Result<()> {
    let _alone = alone();
    let expected = fresh_logits(&load(Device::CPU)?)?;
    for kind in [FailureKind::OutOfMemory, FailureKind::DeviceLost, FailureKind::Unsupported] {
        for call in [BackendCall::Upload, BackendCall::PrepareWeight] {
            let faulty = FaultyDevice::register(3)?;
            faulty.fail_at_call(call, 1, kind);
            let (model, spent) = counted(|| load(faulty.device()));
            let model = model?;
            assert_eq!((model.device(), spent.recoveries), (Device::CPU, 1), "{kind}, {call:?}");
            assert!(fresh_logits(&model)? == expected);
        }
    }
    Ok(())
}

#[test]
fn perplexity_survives_a_lost_device() -> Result<()> {
    let _alone = alone();
    let ids: Vec<u32> = (0..48).map(|i| 3 + i * 7 % 4000).collect();
    let expected = perplexity(&load(Device::CPU)?, &ids, 16, &mut |_| {})?;
    let mut faulty = FaultyDevice::register(4)?;
    let model = load(faulty.device())?;
    faulty.fail_never();
    perplexity(&model, &ids, 16, &mut |_| {})?;
    for n in (0..faulty.calls().len()).step_by(97) {
        faulty.fail_at(n, FailureKind::DeviceLost);
        assert_eq!(perplexity(&model, &ids, 16, &mut |_| {})?, expected);
        faulty = FaultyDevice::register(4)?;
    }
    Ok(())
}

#[test]
fn the_policy_forbids() -> Result<()> {
    let _alone = alone();
    let faulty = FaultyDevice::register(5)?;
    let model = load(faulty.device())?;
    let mut session = Session::new(&model)?;
    session.read(&IDS[..1])?;
    set_fallback_policy(FallbackPolicy::Error);
    faulty.fail_at(30, FailureKind::DeviceLost);
    let result = session.read(&IDS[1..]);
    set_fallback_policy(FallbackPolicy::Silent);
    let error = result.expect_err("the device is lost");
    assert!(matches!(&error, LlmError::Tensor(error) if error.is_device_lost()), "{error}");
    assert!(error.to_string().contains("faulty:5 is lost"), "{error}");
    assert_eq!(session.tokens(), &IDS[..1], "what was not read is not remembered");
    Ok(())
}
