//! The cases of every backend, on every adapter of this machine; and every kernel that they compile,
//! translated for the platforms that are not here.

mod translation;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bitnet_tensor::backend::Backend;
use bitnet_testkit::conformance::{Family, run_family};
use bitnet_testkit::failing_writes::assert_nothing_is_written;
use bitnet_wgpu::WgpuBackend;

/// The devices; one test at a time, since what a device finds wrong is told to whoever waits first.
fn each_device(test: impl Fn(&WgpuBackend)) {
    static BACKENDS: OnceLock<Vec<Arc<WgpuBackend>>> = OnceLock::new();
    static ONE: Mutex<()> = Mutex::new(());
    let backends = BACKENDS.get_or_init(|| bitnet_wgpu::backends().expect("registered"));
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    assert!(!backends.is_empty(), "there is no adapter: install a Vulkan driver");
    backends.iter().for_each(|backend| test(backend));
}

fn family(family: Family) {
    each_device(|backend| {
        let device = backend.device();
        let report = run_family(family, device);
        println!("{device} {family:?}: {} cases, {} fallbacks", report.cases, report.fallbacks);
        println!("{} kernels translated", translation::translate_all(backend.kernel_sources()));
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
    each_device(|backend| assert_nothing_is_written(backend.device()));
}
