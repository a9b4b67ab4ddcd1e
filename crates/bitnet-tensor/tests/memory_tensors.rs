//! Tensors and their pool: every allocation of a program failing in turn, who holds what, and what
//! is left when the pool goes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitnet_tensor::memory::{
    HybridMemoryPool, LiveReport, PoolConfig, PressureLevel, TrimPolicy, with_label, with_pool,
};
use bitnet_tensor::{BitNetDType, BitNetTensor, Result, TensorOpError};

/// Views, copies, broadcasts, reductions, products and gradients.
fn program() -> Result<Vec<f32>> {
    let x = BitNetTensor::from_vec((0..48).map(|n| n as f32 / 7.0).collect(), [6, 8])?.with_grad();
    let w = BitNetTensor::from_vec((0..40).map(|n| (n % 5) as f32 - 2.0).collect(), [5, 8])?;
    let y = x.linear(&w)?.softmax(-1)?;
    let z = y.transpose(0, 1)?.copy()?.into_add(1.5)?.mul(2.0)?;
    let total = z.sum(&[], false)?;
    let gradient = total.backward()?.get(&x).expect("a gradient").sum(&[0], false)?;
    let sorted = z.detach().sum(&[1], false)?;
    let ternary = BitNetTensor::prepare_weight(&[&w.ternarize()?])?;
    let product = x.detach().linear(&ternary)?.max(&[1], false)?;
    let all = BitNetTensor::cat(&[&gradient.detach(), &sorted, &product], 0)?;
    all.to_vec::<f32>()
}

#[test]
fn every_allocation_may_fail() {
    let pool = HybridMemoryPool::with_config(PoolConfig::new().with_tracking(true));
    let expected = with_pool(&pool, program).expect("memory");
    let mut failures = 0;
    loop {
        pool.fail_allocation(Some(failures));
        let result = with_pool(&pool, program);
        let spared = pool.failure_is_pending();
        pool.fail_allocation(None);
        let stats = pool.stats();
        assert_eq!((stats.current_bytes, stats.live_blocks), (0, 0), "failure {failures}");
        assert!(pool.live_report().blocks.is_empty());
        match result {
            Ok(values) => {
                assert!(spared, "failure {failures} was hidden");
                assert_eq!(values, expected);
                break;
            }
            Err(error) => {
                assert!(matches!(error, TensorOpError::MemoryError(_)), "{error:?}");
                assert_eq!(with_pool(&pool, program).expect("memory"), expected);
            }
        }
        failures += 1;
    }
    assert!(failures >= 15, "the program allocates: {failures}");
}

#[test]
fn an_exhausted_pool_serves_again() -> Result<()> {
    let limit = 1 << 20;
    let pool = HybridMemoryPool::with_config(PoolConfig::new().with_limit_bytes(limit));
    with_pool(&pool, || {
        let x = BitNetTensor::zeros([1 << 17], BitNetDType::F32)?;
        // Half of the limit is in use and half is not enough: the other half, and its header.
        let error = x.add(&x).and_then(|y| y.add(&x)).expect_err("the limit");
        let reason = &error.context().reason;
        assert!(reason.contains("524288 bytes do not fit into the limit of 1048576"), "{reason}");
        assert!(matches!(error, TensorOpError::MemoryError(_)));
        // In place needs nothing more, and small tensors make room for large ones.
        let y = x.into_add(0.0)?;
        assert_eq!(y.to_vec::<f32>()?, [0.0; 1 << 17]);
        drop(y);
        let many: Vec<_> =
            (0..1000).map(|_| BitNetTensor::scalar(1.0f32)).collect::<Result<_>>()?;
        drop(many);
        BitNetTensor::zeros([1 << 18], BitNetDType::F32).map(drop)
    })?;
    assert_eq!(pool.stats().current_bytes, 0);
    assert!(pool.stats().peak_reserved_bytes <= limit);
    Ok(())
}

#[test]
fn reports_say_who_holds_what() -> Result<()> {
    let pool = HybridMemoryPool::new();
    let untracked = with_pool(&pool, || BitNetTensor::scalar(1.0f32))?;
    pool.set_tracking(true);
    let (here, held) = with_pool(&pool, || {
        let here = line!() + 1;
        let x = BitNetTensor::full([1000], 2.0f32)?;
        let y = with_label("layer 3", || x.exp())?;
        let view = y.narrow(0, 0, 10)?;
        drop(y);
        Ok::<_, TensorOpError>((here, [x, view]))
    })?;
    let report = pool.live_report();
    let origins: Vec<String> = report.blocks.iter().map(|b| b.origin.to_string()).collect();
    assert_eq!(origins, [format!("{}:{here}", file!()), "layer 3: exp".to_owned()]);
    assert_eq!(report.bytes(), 8000);
    assert!(report.blocks[0].age >= report.blocks[1].age);
    assert!(report.blocks[0].age < Duration::from_secs(600));
    let text = report.to_string();
    assert!(text.starts_with("7.8 KiB in 2 blocks\n"), "{text}");
    assert!(text.contains("layer 3: exp"), "{text}");

    let leaks = Arc::new(Mutex::new(LiveReport::default()));
    pool.on_leak({
        let leaks = leaks.clone();
        move |report| *leaks.lock().expect("no panic") = report
    });
    let clone = pool.clone();
    drop(pool);
    assert!(leaks.lock().expect("no panic").blocks.is_empty(), "a handle is left");
    drop(clone);
    assert_eq!(leaks.lock().expect("no panic").blocks.len(), 2);
    // The tensors are as good as before.
    assert_eq!(held[1].to_vec::<f32>()?, [2.0f32.exp(); 10]);
    drop((held, untracked));
    Ok(())
}

#[test]
fn a_pool_without_leaks_is_silent() -> Result<()> {
    let pool = HybridMemoryPool::with_config(PoolConfig::new().with_tracking(true));
    pool.on_leak(|report| panic!("{report}"));
    with_pool(&pool, || BitNetTensor::scalar(1.0f32)?.exp().map(drop))
}

#[test]
fn pressure_rises_and_falls_with_tensors() -> Result<()> {
    let config = PoolConfig::new().with_limit_bytes(16 << 20).with_trim(TrimPolicy::Pressure);
    let pool = HybridMemoryPool::with_config(config);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let subscription = pool.on_pressure({
        let (seen, pool) = (seen.clone(), pool.clone());
        move |change| {
            // A callback may use the pool.
            drop(pool.allocate(100));
            seen.lock().expect("no panic").push((change.from, change.to));
        }
    });
    let mib = || with_pool(&pool, || BitNetTensor::zeros([1 << 18], BitNetDType::F32));
    let mut held: Vec<_> = (0..15).map(|_| mib()).collect::<Result<_>>()?;
    assert_eq!(pool.pressure(), PressureLevel::Critical);
    // On and off around a mark: no change.
    for _ in 0..5 {
        let last = held.pop();
        drop(last);
        held.push(mib()?);
    }
    held.clear();
    assert_eq!(pool.pressure(), PressureLevel::Normal);
    use PressureLevel::{Critical, Elevated, Normal};
    let expected =
        [(Normal, Elevated), (Elevated, Critical), (Critical, Elevated), (Elevated, Normal)];
    assert_eq!(*seen.lock().expect("no panic"), expected);
    drop(subscription);
    let held: Vec<_> = (0..15).map(|_| mib()).collect::<Result<_>>()?;
    assert_eq!(pool.pressure(), PressureLevel::Critical);
    assert_eq!(seen.lock().expect("no panic").len(), 4, "nobody is told any more");
    drop(held);
    Ok(())
}

#[test]
fn a_panicking_callback_stops_nobody() -> Result<()> {
    let pool = HybridMemoryPool::with_config(PoolConfig::new().with_limit_bytes(1 << 20));
    let told = Arc::new(Mutex::new(0));
    let _first = pool.on_pressure(|_| panic!("on purpose"));
    let _second = pool.on_pressure({
        let told = told.clone();
        move |_| *told.lock().expect("no panic") += 1
    });
    drop(pool.allocate(1_000_000)?);
    assert_eq!(*told.lock().expect("no panic"), 2);
    Ok(())
}

#[test]
fn scopes_nest_and_end_with_a_panic() -> Result<()> {
    let [outer, inner] = [HybridMemoryPool::new(), HybridMemoryPool::new()];
    let make = || BitNetTensor::zeros([16], BitNetDType::F32);
    let live = |pool: &HybridMemoryPool| pool.stats().live_blocks;
    let held = with_pool(&outer, || {
        let a = make()?;
        let b = with_pool(&inner, make)?;
        let result = std::panic::catch_unwind(|| with_pool(&inner, || panic!("on purpose")));
        assert!(result.is_err());
        Ok::<_, TensorOpError>([a, b, make()?])
    })?;
    assert_eq!((live(&outer), live(&inner)), (2, 1));
    let elsewhere = with_pool(&outer, || std::thread::spawn(make).join().expect("no panic"))?;
    assert_eq!(live(&outer), 2, "a scope is of its thread");
    drop((held, elsewhere));
    assert_eq!((live(&outer), live(&inner)), (0, 0));
    // The peak of a part of a program, its result included.
    let (sum, bytes) = outer.measure(|| {
        with_pool(&outer, || BitNetTensor::full([1 << 16], 1.0f32)?.exp()?.sum(&[], false))
    });
    assert!((512 << 10..600 << 10).contains(&bytes), "{bytes}");
    drop(sum?);
    Ok(())
}
