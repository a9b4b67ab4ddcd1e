//! The backend of the host's processor: always present, and able to do every operation.
//!
//! It joins tensors to the kernels of `bitnet-kernels`: layouts become slices here, and nothing
//! is computed in this crate that a kernel computes.

mod bandwidth;
mod elementwise;
pub(crate) mod linalg;
mod machine;
mod movement;
mod neural;
mod quantization;
mod reduction;
mod spans;

use bitnet_kernels::Cpu;

use crate::backend::{Backend, DeviceInfo, DeviceMemory, HostMemory, OpDesc};
use crate::error::{Result, error};
use crate::ops::Op;
use crate::{BitNetTensor, Device};

pub use quantization::pack_weight;

/// Elements that one piece of elementwise work has: small tensors stay on the calling thread.
const GRAIN: usize = 1 << 15;

/// Enough to leave the caches behind, and done within a fraction of a second.
const BANDWIDTH_BYTES: usize = 256 << 20;
const BANDWIDTH_PASSES: usize = 4;

/// The backend of the host's processor, with the instructions of one tier.
#[derive(Debug, Clone)]
pub struct CpuBackend {
    cpu: Cpu,
    device: Device,
    memory: HostMemory,
}

impl CpuBackend {
    /// The backend of [`Device::CPU`], with the best instructions that the processor has.
    pub fn new() -> Self {
        Self::with_tier(Cpu::best(), Device::CPU)
    }

    /// A backend under another name with the instructions of `cpu`: to compare tiers. Its tensors
    /// come from the pool of `device`.
    pub fn with_tier(cpu: Cpu, device: Device) -> Self {
        Self { cpu, device, memory: HostMemory::of(device) }
    }

    /// The tier of instructions.
    pub fn cpu(&self) -> Cpu {
        self.cpu
    }
}

impl Default for CpuBackend {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for CpuBackend {
    fn device(&self) -> Device {
        self.device
    }

    fn memory(&self) -> &dyn DeviceMemory {
        &self.memory
    }

    fn info(&self) -> DeviceInfo {
        machine::info(self.device, self.cpu)
    }

    fn measure_bandwidth(&self) -> Result<f64> {
        Ok(bandwidth::measure(BANDWIDTH_BYTES, BANDWIDTH_PASSES))
    }

    fn supports(&self, desc: &OpDesc<'_>) -> bool {
        // Shape inference has refused what has no meaning; what it lets through is done here.
        !matches!(desc.op, Op::View(_) | Op::Bitcast(_))
    }

    fn execute(
        &self,
        op: &Op,
        inputs: &[&BitNetTensor],
        outputs: &mut [BitNetTensor],
    ) -> Result<()> {
        let cpu = self.cpu;
        match (op, inputs, outputs) {
            (Op::Unary(op), [x], [out]) => elementwise::unary(cpu, op.0, x, out),
            (Op::Binary(op), [a, b], [out]) => elementwise::binary(cpu, op.0, a, b, out),
            (Op::Compare(op), [a, b], [out]) => elementwise::compare(op.0, a, b, out),
            (Op::Where(_), [condition, a, b], [out]) => elementwise::where_(condition, a, b, out),
            (Op::Gate(op), [gate, up], [out]) => neural::gate(cpu, op.0, gate, up, out),
            (Op::Cast(_), [x], [out]) if x.packed_parts().is_some() => {
                quantization::dequantize(x, out)
            }
            (Op::Cast(_), [x], [out]) if x.dtype().is_packed() => {
                quantization::dequantize_blocks(cpu, x, out)
            }
            (Op::IndexSelect(_), [x, indices], [out]) if x.dtype().is_packed() => {
                quantization::select_rows(cpu, x, indices, out)
            }
            (Op::Linear(_), [x, weight], [out]) if weight.dtype().is_packed() => {
                quantization::grouped_linear(cpu, x, weight, out)
            }
            (Op::Cast(_), [x], [out]) => movement::cast(cpu, x, out),
            (Op::Copy(_), [x], [out]) => movement::copy(x, out),
            (Op::Softmax(_), [x], [out]) => neural::softmax(cpu, x, out),
            (Op::LayerNorm(op), [x, weight, bias], [out]) => {
                neural::layer_norm(cpu, x, [weight, bias], op.eps, out)
            }
            (Op::RmsNorm(op), [x, weight], [out]) => neural::rms_norm(cpu, x, weight, op.eps, out),
            (Op::Reduce(op), [x], [out]) => reduction::reduce(cpu, op, x, out),
            (Op::ArgExtreme(op), [x], [out]) => reduction::arg_extreme(cpu, op, x, out),
            (Op::Variance(op), [x], [out]) => reduction::variance(cpu, op, x, out),
            (Op::Norm(op), [x], [out]) => reduction::norm(op, x, out),
            (Op::LogSumExp(op), [x], [out]) => reduction::logsumexp(cpu, op, x, out),
            (Op::Cumulative(op), [x], outputs) => reduction::cumulative(op, x, outputs),
            (Op::Sort(op), [x], [values, places]) => reduction::sort(op, x, values, places),
            (Op::UniqueRows(_), [x], outputs) => reduction::unique(x, outputs),
            (Op::SearchSorted(op), [sorted, values], [out]) => {
                reduction::search_sorted(op, sorted, values, out)
            }
            (Op::Cat(op), inputs, [out]) => movement::cat(op.axis, inputs, out),
            (Op::IndexSelect(op), [x, indices], [out]) => {
                movement::index_select(op.axis, x, indices, out)
            }
            (Op::Gather(op), [x, index], [out]) => movement::gather(op.axis, x, index, out),
            (Op::Scatter(op), [target, index, source], [out]) => {
                movement::scatter(op.axis, op.kind, [target, index, source], out)
            }
            (Op::SliceScatter(op), [target, values], [out]) => {
                movement::slice_scatter(op, target, values, out)
            }
            (Op::MatMul(_), [a, b], [out]) => linalg::matmul(a, b, out),
            (Op::MatMulI32(_), [a, b], [out]) => linalg::matmul_i32(a, b, out),
            (Op::Decomposition(op), inputs, outputs) => linalg::decomposition(*op, inputs, outputs),
            (Op::Linear(_), [x, weight], [out]) => linalg::linear(cpu, x, weight, out),
            (Op::PackedLinear(op), [codes, scales, sums, weight], [out]) => {
                linalg::packed_linear(cpu, op.features, [codes, scales, sums], weight, out)
            }
            (Op::LinearInt8(op), [codes, scales, sums, weight, weight_scales], [out]) => {
                linalg::linear_int8(
                    cpu,
                    op.features,
                    [codes, scales, sums],
                    weight,
                    weight_scales,
                    out,
                )
            }
            (Op::QuantizeActivation(_), [x], outputs) => {
                quantization::activation(cpu, x, None, outputs)
            }
            (Op::RmsNormQuantize(op), [x, weight], outputs) => {
                quantization::activation(cpu, x, Some((weight, op.eps)), outputs)
            }
            (Op::Ternarize(_), [weight], outputs) => quantization::ternarize(cpu, weight, outputs),
            (Op::StraightThrough(_), [_, value], [out]) => movement::copy(value, out),
            (Op::Rope(op), [x, cos, sin, positions], [out]) => {
                neural::rope(op.mode, x, [cos, sin], positions, out)
            }
            (Op::Attention(op), [q, k, v, positions], [out]) => {
                neural::attention(cpu, [q, k, v], positions, op.scale, out)
            }
            _ => {
                Err(error!(UnsupportedOperation, op.name(), inputs, "not on the CPU in this form"))
            }
        }
    }

    fn execute_in_place(
        &self,
        op: &Op,
        target: &mut BitNetTensor,
        others: &[&BitNetTensor],
    ) -> Result<()> {
        match (op, others) {
            (Op::Unary(op), []) => elementwise::unary_in_place(self.cpu, op.0, target),
            (Op::Binary(op), [b]) => elementwise::binary_in_place(self.cpu, op.0, target, b),
            (Op::Scatter(op), [index, source]) => {
                movement::scatter_in_place(op.axis, target, index, source)
            }
            (Op::SliceScatter(op), [values]) => {
                movement::slice_scatter_in_place(op, target, values)
            }
            (Op::WriteRows(_), [positions, rows]) => movement::write_rows(target, positions, rows),
            _ => Err(error!(UnsupportedOperation, op.name(), others, "not on the CPU in place")),
        }
    }

    fn prepare_weight(&self, parts: &[&BitNetTensor]) -> Result<BitNetTensor> {
        quantization::prepare_weight(self.cpu, parts, self.device)
    }
}
