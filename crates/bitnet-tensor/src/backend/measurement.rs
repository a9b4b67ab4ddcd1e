//! Short measurements of what a device can do, by the operations that every backend has.

use std::time::Instant;

use super::Backend;
use crate::error::Result;
use crate::{BitNetDType, BitNetTensor, Device};

/// Larger than most caches, and quickly done.
const COPIED_ELEMENTS: usize = 1 << 24;

/// Bytes read and written per second by copying a tensor on the device of `backend`.
pub(super) fn copy_bandwidth(backend: &(impl Backend + ?Sized)) -> Result<f64> {
    let x = zeros(COPIED_ELEMENTS, backend.device())?;
    let seconds = best_seconds(3, || {
        let _copy = x.copy()?;
        backend.synchronize()
    })?;
    Ok(2.0 * x.byte_size() as f64 / seconds)
}

/// `F32` zeros on the device.
pub(super) fn zeros(count: usize, device: Device) -> Result<BitNetTensor> {
    BitNetTensor::zeros([count], BitNetDType::F32)?.to_device(device)
}

/// The shortest time of `runs` calls after one that warms up.
pub(super) fn best_seconds(runs: usize, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    work()?;
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best.max(1e-9))
}
