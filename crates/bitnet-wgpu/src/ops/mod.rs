//! What each operation asks of the device, a file for each family, named as on the CPU.
//!
//! Every operation has a `plan`: the kernel, its operands and its numbers, or `None` where the
//! device has no kernel for these types and layouts. `supports` asks whether there is one, `execute`
//! records it: what is said to be possible is what is done.

mod attention;
pub(crate) mod elementwise;
pub(crate) mod fusion;
pub(crate) mod linalg;
mod matmul;
pub(crate) mod movement;
pub(crate) mod neural;
pub(crate) mod quantization;
pub(crate) mod reduction;

use std::sync::Arc;

use bitnet_tensor::ops::Op;
use bitnet_tensor::{BitNetDType, BitNetTensor, ErrorContext, Result, TensorOpError};
use smallvec::{SmallVec, smallvec};

use crate::checks;
use crate::gpu::{Abilities, Block, Dispatch, Gpu, Params, Template};
use crate::operand::block;

/// Sources that several templates have.
const FUNCTIONS: &str = include_str!("../shaders/functions.wgsl");
const MAP: &str = include_str!("../shaders/map.wgsl");
const STRIDED: &str = include_str!("../shaders/strided.wgsl");

/// Threads of a workgroup, where a template says no other number.
const WORKGROUP: u32 = Template::PLAIN.workgroup;

/// The kernels of an operation, one after the other.
pub(crate) type Plans = SmallVec<[Plan; 1]>;

/// A kernel with what it is called with. Operands are numbered: first the inputs, then the outputs;
/// of an operation in place the target is the output.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) template: &'static Template,
    pub(crate) types: SmallVec<[BitNetDType; 6]>,
    pub(crate) constants: SmallVec<[u32; 6]>,
    pub(crate) operands: SmallVec<[Source; 6]>,
    pub(crate) params: Params,
    pub(crate) workgroups: [u32; 3],
    /// Bytes of the space that the operation's plans share.
    pub(crate) temporary: usize,
}

/// Which tensor an operand of a kernel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Input(usize),
    Output(usize),
    /// Space between the plans of one operation.
    Temporary,
    /// The codes and the scales of a packed weight among the inputs.
    Codes(usize),
    Scales(usize),
}

/// The tensors that an operation is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tensors<'a> {
    pub(crate) inputs: &'a [&'a BitNetTensor],
    /// Shapes, types and layouts of the results; the target of an operation in place.
    pub(crate) outputs: &'a [Target<'a>],
    pub(crate) abilities: Abilities,
}

/// A result, before it has storage or after.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) shape: &'a [usize],
    pub(crate) dtype: BitNetDType,
}

impl<'a> Target<'a> {
    pub(crate) fn of(tensor: &'a BitNetTensor) -> Self {
        Self { shape: tensor.shape(), dtype: tensor.dtype() }
    }

    pub(crate) fn count(&self) -> usize {
        self.shape.iter().product()
    }
}

impl Plan {
    /// A plan over all of `template`'s operands in their order: inputs, then outputs.
    pub(crate) fn new(template: &'static Template) -> Self {
        Self {
            template,
            types: SmallVec::new(),
            constants: SmallVec::new(),
            operands: SmallVec::new(),
            params: smallvec![if template.checks { checks::code(template.name) } else { 0 }],
            workgroups: [0; 3],
            temporary: 0,
        }
    }

    pub(crate) fn operand(mut self, source: Source, dtype: BitNetDType) -> Self {
        self.operands.push(source);
        self.types.push(dtype);
        self
    }

    pub(crate) fn constants(mut self, constants: &[u32]) -> Self {
        self.constants.extend_from_slice(constants);
        self
    }

    /// Numbers after the first parameter, which is the code that a checking kernel reports with.
    pub(crate) fn params(mut self, params: &[u32]) -> Self {
        self.params.extend_from_slice(params);
        self
    }

    /// The operation whose name a checking kernel reports with, where it is not the template's.
    pub(crate) fn reports(mut self, operation: &str) -> Self {
        self.params[0] = checks::code(operation);
        self
    }

    pub(crate) fn workgroups(mut self, workgroups: [u32; 3]) -> Self {
        self.workgroups = workgroups;
        self
    }

    /// Records it.
    pub(crate) fn record(
        self,
        gpu: &Gpu,
        operation: &'static str,
        inputs: &[&BitNetTensor],
        outputs: &[&BitNetTensor],
        temporary: Option<&Arc<Block>>,
    ) -> Result<()> {
        debug_assert_eq!(self.operands.len(), self.template.operands.len(), "{operation}");
        debug_assert!(self.template.operands.iter().zip(&self.operands).all(
            |((_, access), source)| match source {
                Source::Temporary => true,
                Source::Output(_) => access.writes(),
                _ => !access.writes(),
            }
        ));
        let of = |source: Source| match source {
            Source::Input(n) => block(inputs[n]),
            Source::Output(n) => block(outputs[n]),
            Source::Temporary => temporary.ok_or_else(|| {
                let reason = "there is no space between the steps";
                TensorOpError::InternalError(ErrorContext::new(operation, inputs, reason))
            }),
            Source::Codes(n) => block(inputs[n].packed_parts().map_or(inputs[n], |parts| parts.1)),
            Source::Scales(n) => block(inputs[n].packed_parts().map_or(inputs[n], |parts| parts.2)),
        };
        let mut buffers = SmallVec::with_capacity(self.operands.len());
        for &source in &self.operands {
            buffers.push(of(source)?.clone());
        }
        let dispatch = Dispatch {
            operation,
            template: self.template,
            types: self.types,
            constants: self.constants,
            buffers,
            params: self.params,
            workgroups: self.workgroups,
        };
        gpu.dispatch(dispatch)
    }
}

/// The kernel for `op`, its first operand being replaced by the result if `in_place`; `None` where
/// there is none. An empty plan list does nothing: the result has no elements.
pub(crate) fn plan(op: &Op, tensors: Tensors<'_>, in_place: bool) -> Option<Plans> {
    let Tensors { inputs, outputs, abilities } = tensors;
    let lanes = abilities.lanes;
    if in_place {
        let one = match (op, inputs) {
            (Op::Unary(op), [x]) => return elementwise::unary_in_place(op.0, x),
            (Op::Binary(op), [a, b]) => elementwise::binary_in_place(op.0, a, b),
            (Op::WriteRows(_), [target, positions, rows]) => {
                movement::write_rows(target, positions, rows)
            }
            (Op::SliceScatter(op), [target, values]) => {
                return movement::slice_scatter_in_place(op, target, values);
            }
            (Op::Scatter(op), [target, index, source]) => {
                return movement::scatter_in_place(op, target, [index, source]);
            }
            _ => None,
        };
        return one.map(|plan| smallvec![plan]);
    }
    if outputs.iter().all(|output| output.count() == 0) {
        return native(op).then(Plans::new);
    }
    let one = match (op, inputs, outputs) {
        (Op::Unary(op), [x], [out]) => return elementwise::unary(op.0, x, out),
        (Op::Binary(op), [a, b], [out]) => elementwise::binary(op.0, a, b, out),
        (Op::Compare(op), [a, b], [out]) => elementwise::compare(op.0, a, b, out),
        (Op::Where(_), [condition, a, b], [out]) => elementwise::where_(condition, a, b, out),
        (Op::Gate(op), [gate, up], [out]) => elementwise::gate(op.0, gate, up, out),
        (Op::Cast(op), [x], [out]) => movement::cast(op.0, x, out),
        (Op::Copy(_), [x], [out]) => movement::copy(x, Source::Input(0), out),
        (Op::StraightThrough(_), [_, value], [out]) => movement::copy(value, Source::Input(1), out),
        (Op::IndexSelect(op), [x, indices], [out]) => {
            movement::index_select(op.axis, x, indices, out)
        }
        (Op::Gather(op), [x, index], [out]) => movement::gather(op.axis, x, index, out),
        (Op::Cat(op), inputs, [out]) => return movement::cat(op.axis, inputs, out),
        (Op::SliceScatter(op), [target, values], [out]) => {
            return movement::slice_scatter(op, [target, values], out);
        }
        (Op::Scatter(op), [target, index, source], [out]) => {
            return movement::scatter(op, [target, index, source], out);
        }
        (Op::Softmax(_), [x], [_]) => reduction::softmax(x),
        (Op::RmsNorm(op), [x, weight], [_]) => neural::rms_norm(x, weight, op.eps),
        (Op::LayerNorm(op), [x, weight, bias], [_]) => neural::layer_norm(x, weight, bias, op.eps),
        (Op::Rope(op), [x, cos, sin, positions], [_]) => {
            neural::rope(op.mode, x, [cos, sin], positions)
        }
        (Op::Attention(op), [q, k, v, positions], [_]) => {
            return attention::attention(abilities, [q, k, v], positions, op.scale);
        }
        (Op::QuantizeActivation(_), [x], [..]) => quantization::activation(x, None),
        (Op::RmsNormQuantize(op), [x, weight], [..]) => {
            quantization::activation(x, Some((weight, op.eps)))
        }
        (Op::PackedLinear(op), [codes, scales, sums, weight], [_]) => {
            linalg::packed_linear(lanes, op.features, [codes, scales, sums], weight)
        }
        (Op::LinearInt8(op), [codes, scales, sums, weight, weight_scales], [_]) => {
            linalg::linear_int8(lanes, op.features, [codes, scales, sums], weight, weight_scales)
        }
        (Op::Linear(_), [x, weight], [_]) => linalg::linear(abilities, x, weight),
        (Op::MatMul(_), [a, b], [out]) => matmul::matmul(abilities, a, b, out),
        (Op::Reduce(op), [x], [out]) => return reduction::reduce(op, x, out),
        (Op::ArgExtreme(op), [x], [out]) => return reduction::arg_extreme(op, x, out),
        (Op::Cumulative(op), [x], [..]) => reduction::cumulative(op, x),
        (Op::Sort(op), [x], [..]) => reduction::sort(op, x),
        (Op::Variance(op), [x], [out]) => reduction::variance(op, x, out),
        (Op::Norm(op), [x], [out]) => reduction::norm(op, x, out),
        (Op::LogSumExp(op), [x], [out]) => reduction::logsumexp(op, x, out),
        _ => None,
    };
    one.map(|plan| smallvec![plan])
}

/// Whether the device has kernels for the operation at all.
fn native(op: &Op) -> bool {
    matches!(
        op,
        Op::Unary(_)
            | Op::Binary(_)
            | Op::Compare(_)
            | Op::Where(_)
            | Op::Gate(_)
            | Op::Copy(_)
            | Op::StraightThrough(_)
            | Op::Cat(_)
            | Op::SliceScatter(_)
            | Op::Cumulative(_)
            | Op::Sort(_)
            | Op::Softmax(_)
            | Op::RmsNorm(_)
            | Op::LayerNorm(_)
    )
}
