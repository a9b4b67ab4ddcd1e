//! The one way from an operation to its execution: type promotion, shape inference, views,
//! choice of the backend, decomposition, fallback, the NaN check, recording for gradients.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::time::Instant;

use smallvec::{SmallVec, smallvec};

use super::profiler::{self, Execution};
use super::{Backend, OpDesc, finite_check, metrics, registry};
use crate::error::{Result, bail, error};
use crate::grad;
use crate::ops::{Op, Operation, Outputs, Specs, TensorSpec};
use crate::reference::ReferenceBackend;
use crate::{BitNetTensor, Device, memory};

/// What happens when the operands' device cannot execute an operation and another one can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum FallbackPolicy {
    /// The operation fails with `UnsupportedOperation`.
    Error,
    /// It is executed on the next device; a warning says so.
    #[default]
    Warn,
    /// It is executed on the next device and only counted.
    Silent,
}

static POLICY: AtomicU8 = AtomicU8::new(FallbackPolicy::Warn as u8);

/// Sets the process's policy for operations that the operands' device cannot execute.
pub fn set_fallback_policy(policy: FallbackPolicy) {
    POLICY.store(policy as u8, Relaxed);
}

/// Executes `op` on `inputs`.
pub(crate) fn apply(op: impl Into<Op>, inputs: &[&BitNetTensor]) -> Result<Outputs> {
    let op = op.into();
    let operation = op.operation();
    let start = profiler::start();
    let device = common_device(operation, inputs)?;

    if let Some(types) = operation.operand_types(inputs)?
        && inputs.iter().zip(&types).any(|(input, &dtype)| input.dtype() != dtype)
    {
        let operands = inputs.iter().zip(types);
        let converted: SmallVec<[BitNetTensor; 3]> =
            operands.map(|(input, dtype)| input.to_dtype(dtype)).collect::<Result<_>>()?;
        return apply(op, &converted.iter().collect::<SmallVec<[_; 3]>>());
    }

    let specs = operation.infer(inputs)?;
    if let [input] = inputs
        && let Some(layout) = operation.view(input)
    {
        metrics::record_view();
        let mut view = input.with_layout(layout);
        view.reinterpret(specs[0].dtype);
        let mut outputs: Outputs = smallvec![view];
        done(start, &op, device, Execution::View, inputs, &outputs);
        grad::record(&op, inputs, &mut outputs);
        return Ok(outputs);
    }

    let backend = registry::backend(device)?;
    let mut outputs = if backend.supports(&OpDesc { op: &op, inputs }) {
        execute(&*backend, &op, inputs, specs, start, Execution::Backend)?
    } else if let Some(outputs) = operation.decompose(inputs) {
        metrics::record_decomposition();
        // The parts recorded themselves for gradients.
        return outputs;
    } else {
        fall_back(&op, inputs, specs, device, start)?
    };
    finite_check::run(operation.name(), inputs, &outputs)?;
    grad::record(&op, inputs, &mut outputs);
    Ok(outputs)
}

/// [`apply`] for operations with one output.
pub(crate) fn apply_one(op: impl Into<Op>, inputs: &[&BitNetTensor]) -> Result<BitNetTensor> {
    let mut outputs = apply(op, inputs)?;
    match (outputs.pop(), outputs.is_empty()) {
        (Some(output), true) => Ok(output),
        _ => Err(error!(InternalError, "apply", inputs, "the operation has not one output")),
    }
}

/// [`apply`] with the results written into `outputs`, as NumPy's `out`: into their storage where
/// they have the shape, type and device of the result and nobody else sees them, else they are
/// replaced.
pub(crate) fn apply_out(
    op: impl Into<Op>,
    inputs: &[&BitNetTensor],
    outputs: &mut [BitNetTensor],
) -> Result<()> {
    let op = op.into();
    let start = profiler::start();
    if may_write(&op, inputs, outputs)? {
        let device = outputs[0].device();
        metrics::record_operation();
        registry::backend(device)?.execute(&op, inputs, outputs)?;
        done(start, &op, device, Execution::Backend, inputs, outputs);
        return finite_check::run(op.name(), inputs, outputs);
    }
    let results = apply(op, inputs)?;
    for (output, result) in outputs.iter_mut().zip(results) {
        *output = result;
    }
    Ok(())
}

/// Whether the results of `op` can be written over `outputs`: nobody else sees them, they are of
/// the results' shapes and types, nothing is converted or recorded, and the backend can.
fn may_write(op: &Op, inputs: &[&BitNetTensor], outputs: &[BitNetTensor]) -> Result<bool> {
    let operation = op.operation();
    let device = common_device(operation, inputs)?;
    let converts = operation
        .operand_types(inputs)?
        .is_some_and(|types| inputs.iter().zip(types).any(|(input, dtype)| input.dtype() != dtype));
    let free = |output: &BitNetTensor| {
        output.is_contiguous() && output.is_unique() && output.device() == device
    };
    if converts || !outputs.iter().all(free) || inputs.iter().any(|input| input.grad.is_some()) {
        return Ok(false);
    }
    let specs = operation.infer(inputs)?;
    let same = specs.len() == outputs.len()
        && specs.iter().zip(outputs).all(|(spec, output)| {
            spec.shape == *output.shape() && spec.dtype == output.dtype() && output.grad.is_none()
        });
    Ok(same && registry::backend(device)?.supports(&OpDesc { op, inputs }))
}

/// [`apply_one`] that may write the result into `first`, the first operand, when nobody else
/// can see it.
pub(crate) fn apply_reusing(
    op: impl Into<Op>,
    mut first: BitNetTensor,
    others: &[&BitNetTensor],
) -> Result<BitNetTensor> {
    apply_assign(op, &mut first, others)?;
    Ok(first)
}

/// Replaces `target`, the first operand, by the result: in its storage when nobody else can see
/// it. When the operation is refused the target is as before.
pub(crate) fn apply_assign(
    op: impl Into<Op>,
    target: &mut BitNetTensor,
    others: &[&BitNetTensor],
) -> Result<()> {
    let op = op.into();
    let start = profiler::start();
    if !may_reuse(&op, target, others)? {
        let result = apply_one(op, &with_first(target, others))?;
        *target = result;
        return Ok(());
    }
    execute_in_place(&op, target, others, start)?;
    Ok(())
}

/// Whether `op` can write its result over `first`: nobody else sees it, the result is of its
/// shape and type, nothing is recorded, and the backend can.
fn may_reuse(op: &Op, first: &BitNetTensor, others: &[&BitNetTensor]) -> Result<bool> {
    let inputs = with_first(first, others);
    let device = common_device(op.operation(), &inputs)?;
    let simple = op.works_in_place()
        // The check looks at the operands after the result.
        && !finite_check::is_on()
        && first.is_contiguous()
        && first.is_unique()
        && inputs.iter().all(|input| input.grad.is_none());
    if !simple {
        return Ok(false);
    }
    // Refuses types that the operation has not.
    let types = op.operation().operand_types(&inputs)?;
    let converts = types
        .is_some_and(|types| inputs.iter().zip(types).any(|(input, dtype)| input.dtype() != dtype));
    if converts {
        return Ok(false);
    }
    let specs = op.operation().infer(&inputs)?;
    let same = matches!(specs.as_slice(),
        [spec] if spec.shape == *first.shape() && spec.dtype == first.dtype());
    Ok(same && registry::backend(device)?.supports(&OpDesc { op, inputs: &inputs }))
}

fn with_first<'a>(
    first: &'a BitNetTensor,
    others: &[&'a BitNetTensor],
) -> SmallVec<[&'a BitNetTensor; 3]> {
    std::iter::once(first).chain(others.iter().copied()).collect()
}

/// Replaces `target` by the result of `op` with `target` as its first operand.
///
/// # Errors
/// `InvalidTensor` when the storage is shared or recorded for gradients: nothing is copied
/// behind the caller's back.
pub(crate) fn apply_in_place(
    op: impl Into<Op>,
    target: &mut BitNetTensor,
    others: &[&BitNetTensor],
) -> Result<()> {
    let op = op.into();
    let operation = op.operation();
    let start = profiler::start();
    {
        let inputs = with_first(target, others);
        common_device(operation, &inputs)?;
        operation.infer(&inputs)?;
        if !target.is_unique() {
            bail!(
                InvalidTensor,
                operation.name(),
                &inputs,
                "the storage to write to is shared or foreign"
            );
        }
        if inputs.iter().any(|input| input.grad.is_some()) {
            bail!(
                InvalidTensor,
                operation.name(),
                &inputs,
                "a tensor with a gradient cannot be changed in place"
            );
        }
        let backend = registry::backend(target.device())?;
        if !backend.supports(&OpDesc { op: &op, inputs: &inputs }) {
            bail!(
                UnsupportedOperation,
                operation.name(),
                &inputs,
                "not on {} in place",
                target.device()
            );
        }
    }
    execute_in_place(&op, target, others, start)?;
    Ok(())
}

/// Runs `body`, the operations that `name` is composed of, and puts its name and operands into
/// their errors: the caller called `name`.
pub(crate) fn composed<T>(
    name: &'static str,
    operands: &[&BitNetTensor],
    body: impl FnOnce() -> Result<T>,
) -> Result<T> {
    body().map_err(|error| error.inside(name, operands))
}

fn execute_in_place(
    op: &Op,
    target: &mut BitNetTensor,
    others: &[&BitNetTensor],
    start: Option<Instant>,
) -> Result<()> {
    let device = target.device();
    metrics::record_operation();
    registry::backend(device)?.execute_in_place(op, target, others)?;
    if start.is_some() {
        let inputs = with_first(target, others);
        done(start, op, device, Execution::Backend, &inputs, std::slice::from_ref(target));
    }
    Ok(())
}

/// Tells the profiler of an operation that began at `start`, when it asked for it.
#[inline]
fn done(
    start: Option<Instant>,
    op: &Op,
    device: Device,
    execution: Execution,
    inputs: &[&BitNetTensor],
    outputs: &[BitNetTensor],
) {
    if let Some(start) = start {
        profiler::record_operation(start, op, device, execution, inputs, outputs);
    }
}

fn execute(
    backend: &dyn Backend,
    op: &Op,
    inputs: &[&BitNetTensor],
    specs: Specs,
    start: Option<Instant>,
    execution: Execution,
) -> Result<Outputs> {
    let empty = |spec: TensorSpec| BitNetTensor::empty(spec.shape, spec.dtype, backend.device());
    let mut outputs: Outputs = memory::during(op.operation().name(), || {
        specs.into_iter().map(empty).collect::<Result<_>>()
    })?;
    metrics::record_operation();
    metrics::record_allocation();
    backend.execute(op, inputs, &mut outputs)?;
    done(start, op, backend.device(), execution, inputs, &outputs);
    Ok(outputs)
}

/// Executes `op` on the first other device that can, moving operands there and results back.
fn fall_back(
    op: &Op,
    inputs: &[&BitNetTensor],
    specs: Specs,
    home: Device,
    start: Option<Instant>,
) -> Result<Outputs> {
    let unsupported = || {
        error!(
            UnsupportedOperation,
            op.name(),
            inputs,
            "no backend implements this for these operands"
        )
    };
    let policy = POLICY.load(Relaxed);
    if policy == FallbackPolicy::Error as u8 {
        return Err(unsupported());
    }
    // Fallback goes down the chain: only devices after the operands' own are tried.
    let devices = registry::devices();
    // The reference is the definition for tests, never a place to compute.
    let later = devices.iter().skip_while(|&&device| device != home).skip(1);
    let later = later.filter(|&&device| device != ReferenceBackend::DEVICE);
    for &device in later {
        let backend = registry::backend(device)?;
        if !backend.supports(&OpDesc { op, inputs }) {
            continue;
        }
        metrics::record_fallback();
        if policy == FallbackPolicy::Warn as u8 {
            tracing::warn!(operation = op.name(), from = %home, to = %device, "fallback");
        }
        let moved: SmallVec<[BitNetTensor; 3]> =
            inputs.iter().map(|input| input.detach().to_device(device)).collect::<Result<_>>()?;
        let moved: SmallVec<[&BitNetTensor; 3]> = moved.iter().collect();
        let outputs = execute(&*backend, op, &moved, specs, start, Execution::Fallback)?;
        return outputs.iter().map(|output| output.to_device(home)).collect();
    }
    Err(unsupported())
}

fn common_device(operation: &dyn Operation, inputs: &[&BitNetTensor]) -> Result<Device> {
    let Some(first) = inputs.first() else {
        return Ok(Device::CPU);
    };
    if inputs.iter().any(|input| input.device() != first.device()) {
        bail!(DeviceMismatch, operation.name(), inputs, "the operands are on different devices");
    }
    Ok(first.device())
}
