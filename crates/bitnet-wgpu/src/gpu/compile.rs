//! Kernels compiled by the driver, each variant when it is first asked for.

use std::sync::{Arc, PoisonError};

use bitnet_tensor::{BitNetDType, ErrorContext, Result, TensorOpError};

use super::Gpu;
use super::cache::{self, KernelCache};
use super::kernel::{Access, Template, Variant};

/// A compiled variant.
#[derive(Debug)]
pub(super) struct Kernel {
    source: String,
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) layout: wgpu::BindGroupLayout,
    pub(super) id: u64,
}

/// What earlier runs compiled for such an adapter, for `device` to begin with.
pub(super) fn cache(device: &wgpu::Device, adapter: &wgpu::AdapterInfo) -> Option<KernelCache> {
    if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
        return None;
    }
    let path = cache::path(adapter)?;
    let data = cache::read(&path);
    // SAFETY: the bytes are those that `wgpu` gave for a file of this name, in a folder of the user's
    // own: `read` has compared their checksum. It compares adapter and driver itself, and begins anew
    // (`fallback`) when they are others.
    let pipelines = unsafe {
        device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
            label: Some("bitnet"),
            data: data.as_deref(),
            fallback: true,
        })
    };
    Some(KernelCache::new(pipelines, path, data.map_or(0, |data| data.len())))
}

impl Gpu {
    /// Keeps what was compiled for the next run, when it is worth it: the host waits anyway.
    pub(super) fn keep_kernels(&self) {
        if let Some(cache) = &self.cache {
            let count = self.kernels.read().unwrap_or_else(PoisonError::into_inner).len();
            cache.keep(count);
        }
    }

    /// The kernel of `template` for these types and constants, compiled when it is first asked for.
    pub(super) fn kernel(
        &self,
        template: &'static Template,
        types: &[BitNetDType],
        constants: &[u32],
    ) -> Result<Arc<Kernel>> {
        let variant = template.variant(types, constants);
        if let Some(kernel) =
            self.kernels.read().unwrap_or_else(PoisonError::into_inner).get(&variant)
        {
            return kernel.clone();
        }
        let mut kernels = self.kernels.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(kernel) = kernels.get(&variant) {
            return kernel.clone();
        }
        let kernel = self.compile(template, &variant, kernels.len() as u64)?.map(Arc::new);
        kernels.insert(variant, kernel.clone());
        kernel
    }

    /// The sources of all kernels that were compiled.
    pub(crate) fn sources(&self) -> Vec<String> {
        let kernels = self.kernels.read().unwrap_or_else(PoisonError::into_inner);
        kernels.values().flatten().map(|kernel| kernel.source.clone()).collect()
    }

    /// The kernel, or that the driver refuses it.
    ///
    /// # Errors
    /// What is no fault of the kernel: the device is lost, or has refused earlier work.
    fn compile(&self, template: &Template, variant: &Variant, id: u64) -> Result<Result<Kernel>> {
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let source = template.source(variant, self.subgroup > 0);
        let description = wgpu::ShaderModuleDescriptor {
            label: Some(template.name),
            source: wgpu::ShaderSource::Wgsl(source.as_str().into()),
        };
        // Indices are checked; every loop of the kernels ends at a parameter or an operand's length,
        // so that none has to be counted.
        let checks = wgpu::ShaderRuntimeChecks { force_loop_bounding: false, ..Default::default() };
        // SAFETY: what is left out is the guard against loops without end, which the kernels of this
        // crate have not.
        let module = unsafe { self.device.create_shader_module_trusted(description, checks) };
        let storage = |access: Access| wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only: !access.writes() },
            has_dynamic_offset: false,
            min_binding_size: None,
        };
        let params = wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: true,
            min_binding_size: None,
        };
        let types = std::iter::once(params).chain(template.accesses().map(storage));
        let entries: Vec<_> = types
            .enumerate()
            .map(|(binding, ty)| wgpu::BindGroupLayoutEntry {
                binding: binding as u32,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty,
                count: None,
            })
            .collect();
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(template.name),
            entries: &entries,
        });
        let pipeline_layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(template.name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let pipeline = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(template.name),
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions {
                // Kernels write their shared memory before they read it.
                zero_initialize_workgroup_memory: false,
                ..Default::default()
            },
            cache: self.cache.as_ref().map(|cache| &cache.pipelines),
        });
        match pollster::block_on(scope.pop()) {
            None => Ok(Ok(Kernel { source, pipeline, layout, id })),
            Some(error) => {
                self.check(template.name, &[])?;
                let reason =
                    format!("the kernel {} is refused by {}: {error}", template.name, self.name);
                Ok(Err(TensorOpError::BackendError(ErrorContext::new(template.name, &[], reason))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bitnet_tensor::Device;

    use super::*;
    use crate::adapter;
    use crate::gpu::{Fusion, Kernels};

    static BROKEN: Template =
        Template { name: "broken", body: "fn main() { nothing(); }", ..Template::PLAIN };

    #[test]
    fn a_kernel_is_refused_once_and_told_always() {
        let (continues, combine) = (|_: &[_], _: &_| false, |_: &[_]| None);
        let fusion = Fusion { workgroup: 1, buffers: 1, continues, combine };
        for found in adapter::find() {
            let name = Device::new("refusing", 0);
            let gpu = Gpu::open(&found.adapter, name, Kernels::Best, fusion).expect("opened");
            let refused = || gpu.kernel(&BROKEN, &[], &[]).expect_err("it is broken").to_string();
            let first = refused();
            assert!(first.contains("the kernel broken is refused"), "{first}");
            assert_eq!(gpu.kernels.read().expect("no panic").len(), 1, "it is compiled again");
            assert_eq!(refused(), first);
            assert!(gpu.sources().is_empty());
        }
    }
}
