//! The adapters of this machine, for tests that run on each of them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bitnet_wgpu::WgpuBackend;

/// Calls `test` with each device: with one at a time, since what is counted, and what a device finds
/// wrong, is of the process. Without a driver there is none: then it says so, unless
/// `BITNET_REQUIRE_GPU` is set, as `.ci/run` does.
///
/// # Panics
/// When there is none and one is required.
#[allow(dead_code, reason = "one file of tests calls the other")]
pub(crate) fn each_device(test: impl Fn(&WgpuBackend)) {
    static BACKENDS: OnceLock<Vec<Arc<WgpuBackend>>> = OnceLock::new();
    each_of(BACKENDS.get_or_init(|| bitnet_wgpu::backends().expect("registered")), test);
}

/// The same with the kernels of adapters without subgroups; not in one process with the other.
#[allow(dead_code, reason = "one file of tests calls it")]
pub(crate) fn each_plain_device(test: impl Fn(&WgpuBackend)) {
    static BACKENDS: OnceLock<Vec<Arc<WgpuBackend>>> = OnceLock::new();
    each_of(BACKENDS.get_or_init(|| bitnet_wgpu::plain_backends().expect("registered")), test);
}

fn each_of(backends: &[Arc<WgpuBackend>], test: impl Fn(&WgpuBackend)) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    if backends.is_empty() {
        let is_required = std::env::var_os("BITNET_REQUIRE_GPU").is_some();
        assert!(!is_required, "there is no adapter: install a Vulkan driver");
        eprintln!("skipped: there is no GPU here, and no driver that stands in for one");
    }
    backends.iter().for_each(|backend| test(backend));
}
