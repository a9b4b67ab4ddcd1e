//! Matrix units: products of small matrices that a subgroup computes together.
//!
//! `wgpu` counts them among its experiments. What is used of them is one size, 16 by 16 of `f16` with sums
//! in `f32`, which GPUs through Vulkan have; sizes of Metal's are others, and DX12 has none.

use wgpu::{CooperativeScalarType, Features};

/// What a device needs for kernels that use them.
pub(super) const FEATURES: Features =
    Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(Features::SHADER_F16).union(Features::SUBGROUP);

/// Bytes of shared memory that they need.
const SHARED_BYTES: u32 = 28_672;

/// Whether an adapter multiplies matrices of that size, with subgroups as large as the kernels count on.
pub(super) fn is_offered(adapter: &wgpu::Adapter) -> bool {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    adapter.features().contains(FEATURES)
        && (info.subgroup_min_size, info.subgroup_max_size) == (32, 32)
        && limits.max_compute_workgroup_storage_size >= SHARED_BYTES
        && adapter.cooperative_matrix_properties().iter().any(|offer| {
            [offer.m_size, offer.n_size, offer.k_size] == [16; 3]
                && offer.ab_type == CooperativeScalarType::F16
                && offer.cr_type == CooperativeScalarType::F32
                && !offer.saturating_accumulation
        })
}

/// Leave to use an experimental feature.
pub(super) fn experiments() -> wgpu::ExperimentalFeatures {
    // SAFETY: it is used by the kernel `matmul_cooperative.wgsl` alone, which loads and stores matrices of
    // the size that the adapter offers, in shared memory, at indices within it; all threads of a
    // workgroup come there together.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
