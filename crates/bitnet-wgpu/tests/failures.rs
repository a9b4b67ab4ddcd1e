//! A device that has no memory, and one that is lost: errors that say so, and work that goes on.

mod adapters;

use std::path::Path;
use std::sync::Arc;

use bitnet_llm::{LoadOptions, Model, Session};
use bitnet_tensor::backend::{
    AccelerationMetrics, Backend, FailureKind, FallbackPolicy, registry, set_fallback_policy,
};
use bitnet_tensor::{BitNetTensor, Device, Result, TensorOpError};

use adapters::each_device;

type TestResult = std::result::Result<(), Box<dyn std::error::Error>>;

/// One test: what comes last leaves no device behind.
#[test]
fn failures_are_errors() {
    each_device(|backend| {
        let device = backend.device();
        set_fallback_policy(FallbackPolicy::Error);
        more_than_a_buffer_holds(device).expect("refused as it should be");
        set_fallback_policy(FallbackPolicy::Silent);
        loss(device, || backend.destroy().expect("it was open")).expect("recovered");
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
