//! Which device work is given to: by priority, by what was measured, by force; and what is kept of
//! the measurements. The tests register devices and set the strategy of the process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bitnet_tensor::backend::{
    AccelerationMetrics, CostModel, SelectionStrategy, Work, WorkClass, set_cost_model,
    set_selection_strategy,
};
use bitnet_tensor::{BitNetDType, BitNetTensor, Device, Result};
use bitnet_testkit::{Throttle, ThrottledDevice};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const SLOW: Throttle = Throttle {
    launch: Duration::from_millis(1),
    transfer_per_mebibyte: Duration::ZERO,
    compute_per_mebibyte: Duration::from_millis(2),
};
/// Computes as the processor does, far away from the host.
const FAR: Throttle = Throttle {
    launch: Duration::ZERO,
    transfer_per_mebibyte: Duration::from_millis(4),
    compute_per_mebibyte: Duration::ZERO,
};

/// Two devices, of which the first by priority is slow and the second is far away.
fn devices() -> Result<(Device, Device, CostModel)> {
    let (slow, far) = (ThrottledDevice::register(0, SLOW)?, ThrottledDevice::register(1, FAR)?);
    let measured = CostModel::measure();
    // The processor itself is left out: what it is compared with is as fast.
    let mut model = CostModel::default();
    for device in [slow, far] {
        model.insert(device, *measured.costs(device).expect("measured"));
    }
    let mut slowest = *measured.costs(slow).expect("measured");
    slowest.launch_seconds = 1e3;
    model.insert(Device::CPU, slowest);
    Ok((slow, far, model))
}

#[test]
fn the_measured_best_is_chosen_and_transfers_turn_the_choice() -> Result<()> {
    let _alone = alone();
    let (slow, far, model) = devices()?;
    set_cost_model(model);
    let chosen = |strategy: SelectionStrategy, work: Work| strategy.choose(&work);
    let mebibytes = |n: u64| n << 20;
    // Much to compute, nothing to bring: the one that computes fast.
    let resident = Work { bytes: mebibytes(64), ..Work::new(WorkClass::Elementwise) };
    assert_eq!(chosen(SelectionStrategy::BestMeasured, resident)?, far);
    // The same with its operands on the host: the way is longer than the work.
    let from_host = Work { upload_bytes: mebibytes(64), download_bytes: mebibytes(64), ..resident };
    assert_eq!(chosen(SelectionStrategy::BestMeasured, from_host)?, slow);
    // What begins first, without and with operands to bring.
    assert_eq!(chosen(SelectionStrategy::LowLatency, resident)?, far);
    assert_eq!(chosen(SelectionStrategy::LowLatency, from_host)?, slow);

    assert_eq!(chosen(SelectionStrategy::HighestPriority, resident)?, Device::best());
    assert_eq!(chosen(SelectionStrategy::LowMemory, resident)?, Device::CPU);
    assert_eq!(chosen(SelectionStrategy::Forced(slow), resident)?, slow);
    let nowhere = SelectionStrategy::Forced(Device::new("nowhere", 0));
    assert!(nowhere.choose(&resident).is_err());
    Ok(())
}

#[test]
fn operations_on_the_host_go_where_the_strategy_says_and_come_back() -> Result<()> {
    let _alone = alone();
    let (_, far, _) = devices()?;
    let x = BitNetTensor::full([3, 4], 2.0f32)?;
    let before = AccelerationMetrics::snapshot();
    set_selection_strategy(Some(SelectionStrategy::Forced(far)));
    let result = x.exp();
    let view = x.transpose(0, 1);
    set_selection_strategy(None);
    let spent = AccelerationMetrics::snapshot().since(&before);
    assert_eq!((spent.offloads, spent.uploads, spent.downloads), (1, 1, 1));
    let result = result?;
    assert_eq!((result.device(), view?.device()), (Device::CPU, Device::CPU));
    assert_eq!(result.to_vec::<f32>()?, x.exp()?.to_vec::<f32>()?);
    Ok(())
}

#[test]
fn measurements_are_kept_and_what_is_not_whole_is_made_anew() -> Result<()> {
    let _alone = alone();
    devices()?;
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("not/there/yet");
    CostModel::cached_in(&folder);
    let file = folder.join("devices.json");
    let whole = std::fs::read_to_string(&file).expect("written");
    let kept = CostModel::cached_in(&folder);
    assert_eq!(kept, CostModel::cached_in(&folder), "read, not measured");
    assert_eq!(std::fs::read_to_string(&file).expect("there"), whole, "not written again");
    for damaged in [
        String::new(),
        whole[..whole.len() / 2].to_owned(),
        whole.replace("\"key\": \"", "\"key\": \"another machine, "),
        whole.replace("\"launch_seconds\": ", "\"launch_seconds\": -"),
        whole.replace("throttled:1", "throttled:9"),
    ] {
        std::fs::write(&file, &damaged).expect("written");
        let again = CostModel::cached_in(&folder);
        assert!(again.costs(Device::CPU).is_some_and(|costs| costs.launch_seconds > 0.0));
        assert_ne!(std::fs::read_to_string(&file).expect("written"), damaged);
    }
    assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1, "nothing beside it");
    Ok(())
}

#[test]
fn devices_are_found_by_name() -> Result<()> {
    let _alone = alone();
    let (slow, far, _) = devices()?;
    assert_eq!(Device::parse("throttled")?, slow);
    assert_eq!(Device::parse("throttled:1")?, far);
    assert_eq!("cpu:0".parse::<Device>()?, Device::CPU);
    assert_ne!(Device::parse("gpu")?, Device::CPU);
    for wrong in ["throttled:7", "cpu:1", "cpu:", "", "throttled:-1", "CPU"] {
        let error = Device::parse(wrong).expect_err(wrong).to_string();
        assert!(error.contains("throttled:0, throttled:1, cpu"), "{error}");
    }
    let list = Device::list();
    assert_eq!(list.last().map(|info| info.device), Some(Device::CPU));
    assert!(far.measure_bandwidth()? > 0.0);
    let zeros = BitNetTensor::zeros([2], BitNetDType::F32)?.to_device(far)?;
    assert_eq!(zeros.device().to_string(), "throttled:1");
    Ok(())
}
