//! The cases of every backend, on every adapter of this machine.

use std::sync::{Mutex, OnceLock, PoisonError};

use bitnet_tensor::Device;
use bitnet_testkit::conformance::{Family, run_family};

/// The devices; one test at a time, since what a device finds wrong is told to whoever waits first.
fn each_device(test: impl Fn(Device)) {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    static ONE: Mutex<()> = Mutex::new(());
    let devices = DEVICES.get_or_init(|| bitnet_wgpu::register().expect("registered"));
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(!devices.is_empty(), "there is no adapter: install a Vulkan driver");
    for &device in devices {
        test(device);
    }
}

fn family(family: Family) {
    each_device(|device| {
        let report = run_family(family, device);
        println!("{device} {family:?}: {} cases, {} fallbacks", report.cases, report.fallbacks);
    });
}

#[test]
fn elementwise() {
    family(Family::Elementwise);
}

#[test]
fn movement() {
    family(Family::Movement);
}

#[test]
fn reduction() {
    family(Family::Reduction);
}

#[test]
fn linalg() {
    family(Family::Linalg);
}

#[test]
fn neural() {
    family(Family::Neural);
}

#[test]
fn quantization() {
    family(Family::Quantization);
}

#[test]
fn nothing_is_written_by_what_fails() {
    each_device(bitnet_testkit::failing_writes::assert_nothing_is_written);
}
