//! What an operation, or a model, asks of a device: enough to estimate how long it takes there.

use crate::ops::{Op, TensorSpec};
use crate::{BitNetTensor, TensorShape};

/// Operations that run at the same speed, in the unit that limits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkClass {
    /// Elements by themselves, and moved: by the bytes that are read and written.
    Elementwise,
    /// Sums and extremes: by the bytes that are read.
    Reduction,
    /// Products: by multiplications and additions.
    Product,
}

/// What an operation asks of a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Work {
    /// How it is limited.
    pub class: WorkClass,
    /// Multiplications and additions, of products.
    pub flops: u64,
    /// Bytes read and written on the device.
    pub bytes: u64,
    /// Bytes of operands that are on the host.
    pub upload_bytes: u64,
    /// Bytes of results that are wanted on the host.
    pub download_bytes: u64,
}

impl Work {
    /// Nothing yet, of that class.
    pub const fn new(class: WorkClass) -> Self {
        Self { class, flops: 0, bytes: 0, upload_bytes: 0, download_bytes: 0 }
    }

    /// What an operation on the host would be elsewhere.
    pub(in crate::backend) fn of(op: &Op, inputs: &[&BitNetTensor], specs: &[TensorSpec]) -> Self {
        let class = match op {
            Op::MatMul(_)
            | Op::MatMulI32(_)
            | Op::Linear(_)
            | Op::PackedLinear(_)
            | Op::LinearInt8(_)
            | Op::Attention(_)
            | Op::Decomposition(_) => WorkClass::Product,
            Op::Reduce(_)
            | Op::ArgExtreme(_)
            | Op::Variance(_)
            | Op::Norm(_)
            | Op::LogSumExp(_) => WorkClass::Reduction,
            _ => WorkClass::Elementwise,
        };
        let upload: usize = inputs.iter().map(|x| x.byte_size()).fold(0, usize::saturating_add);
        let size = |spec: &TensorSpec| {
            let count = spec.shape.checked_element_count().unwrap_or(usize::MAX);
            count.saturating_mul(spec.dtype.size_in_bytes().unwrap_or(0))
        };
        let download = specs.iter().map(size).fold(0, usize::saturating_add);
        Self {
            class,
            flops: if class == WorkClass::Product { flops(inputs, specs) } else { 0 },
            bytes: upload.saturating_add(download) as u64,
            upload_bytes: upload as u64,
            download_bytes: download as u64,
        }
    }
}

/// Two for each element of the results and each one along the inner axis: what every product has in
/// common, good enough to compare devices.
fn flops(inputs: &[&BitNetTensor], specs: &[TensorSpec]) -> u64 {
    let count = |shape: &TensorShape| shape.checked_element_count().unwrap_or(usize::MAX) as u64;
    let inner = inputs.first().and_then(|x| x.shape().last().copied()).unwrap_or(1) as u64;
    let results: u64 = specs.iter().map(|spec| count(&spec.shape)).fold(0, u64::saturating_add);
    results.saturating_mul(inner).saturating_mul(2)
}
