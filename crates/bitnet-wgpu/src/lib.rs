//! GPUs for BitNet-Rust: Metal on Apple, Vulkan on Linux, DX12 on Windows, through `wgpu`.
//!
//! [`register`] looks for adapters and registers a device for each: `vulkan:0`, `metal:0`. Its tensors
//! stay in the GPU's memory; operations are recorded and given to the driver many at a time; only
//! reading a tensor waits.
//!
//! ```
//! let devices = bitnet_wgpu::register()?;
//! for info in bitnet_tensor::Device::list() {
//!     println!("{} {:?}", info.device, info.name);
//! }
//! # let _ = devices;
//! # Ok::<(), bitnet_tensor::TensorOpError>(())
//! ```
//!
//! # What it computes
//! `Bool`, 8-, 16- and 32-bit integers, `F16`, `BF16` and `F32`, with arithmetic in 32 bits; ternary
//! weights as two-bit codes with exact sums. Elements of 64 bits are moved, index others and are made of
//! shorter integers. What has no kernel here is executed by the CPU's backend, with the transfers counted:
//! arithmetic of 64 bits, powers and inverse functions (they need more digits than kernels have), whole
//! lines of more than 1,024 elements in order (the largest or smallest 1,024 of longer ones are found),
//! running products of floats, sums of halves where an index says, unique and searched values,
//! decompositions, weights in blocks.
//!
//! # What it keeps
//! Where the driver lets a program keep what it compiled (Vulkan), kernels are written to the folder of
//! `BITNET_CACHE_DIR` after the first tokens, and read from there by the next run.
//!
//! # Values that are found wrong
//! An index outside of its axis is found by the GPU. Whoever reads next gets a `ComputationError`
//! then, once, whichever tensor it is.

mod adapter;
mod backend;
mod checks;
mod gpu;
mod operand;
mod ops;

use std::sync::Arc;

use bitnet_tensor::backend::{Backend, registry};
use bitnet_tensor::{Device, Result};

pub use backend::WgpuBackend;
pub use gpu::{GpuCounters, PoolStats};

use gpu::Kernels;

/// Registers a device for every adapter, the fastest first, and says which. None is no error.
/// Software adapters are registered too: nothing is computed on them unless they are named.
///
/// # Errors
/// Never; the registry's signature has them.
pub fn register() -> Result<Vec<Device>> {
    Ok(backends()?.iter().map(|backend| backend.device()).collect())
}

/// As [`register`], with the backends themselves, which count what is asked of them.
///
/// # Errors
/// As [`register`].
pub fn backends() -> Result<Vec<Arc<WgpuBackend>>> {
    registered(Kernels::Best)
}

/// As [`backends`], with the kernels of adapters that have no subgroups, whatever these have: to test
/// them, and to see what subgroups are worth.
///
/// # Errors
/// As [`register`].
pub fn plain_backends() -> Result<Vec<Arc<WgpuBackend>>> {
    registered(Kernels::Plain)
}

fn registered(kernels: Kernels) -> Result<Vec<Arc<WgpuBackend>>> {
    let mut registered: Vec<Arc<WgpuBackend>> = Vec::new();
    for found in adapter::find() {
        let kind = found.kind();
        let same = registered.iter().filter(|other| other.device().kind() == kind);
        let device = Device::new(kind, same.count() as u32);
        let backend = Arc::new(WgpuBackend::new(device, found, kernels));
        registry::register(backend.clone())?;
        registered.push(backend);
    }
    Ok(registered)
}
