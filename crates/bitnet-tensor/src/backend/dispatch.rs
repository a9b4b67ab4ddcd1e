//! The one way from an operation to its execution: type promotion, shape inference, views,
//! choice of the backend, decomposition, fallback, the NaN check, recording for gradients.

use std::time::Instant;

use smallvec::{SmallVec, smallvec};

use super::profiler::{self, Execution};
use super::registered::Registered;
use super::{FailureKind, OpDesc, Work, fallback, finite_check, metrics, registry, selection};
use crate::error::{Result, bail, error};
use crate::grad;
use crate::ops::{Op, Operation, Outputs, Specs, TensorSpec};
use crate::{BitNetTensor, Device, TensorOpError, memory};

/// Executes `op` on `inputs`.
pub(crate) fn apply(op: impl Into<Op>, inputs: &[&BitNetTensor]) -> Result<Outputs> {
    let op = op.into();
    let operation = op.operation();
    let start = profiler::start();
    let device = common_device(operation, inputs)?;
    let _span = trace_span(&op, device);

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

    if device == Device::CPU
        && let Some(away) = selection::away_from_host(|| may_leave(&op, inputs, &specs))
        && let Some(outputs) = offload(&op, inputs, specs.clone(), away, start)?
    {
        finite_check::run(operation.name(), inputs, &outputs)?;
        return Ok(outputs);
    }

    let home = registry::entry(device)?;
    let mut outputs = if home.supports(&OpDesc { op: &op, inputs }) {
        match execute(home, &op, inputs, specs, start, Execution::Backend) {
            Err(refusal) if may_fall_back(&refusal) => {
                fall_back(&op, inputs, device, refusal, start)?
            }
            outputs => outputs?,
        }
    } else if let Some(outputs) = operation.decompose(inputs) {
        metrics::record_decomposition();
        // The parts recorded themselves for gradients.
        return outputs;
    } else {
        fall_back(&op, inputs, device, not_supported(&op, inputs), start)?
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
    let _span = outputs.first().map(|output| trace_span(&op, output.device()));
    if may_write(&op, inputs, outputs)? && execute_out(&op, inputs, outputs, start)? {
        return finite_check::run(op.name(), inputs, outputs);
    }
    let results = apply(op, inputs)?;
    replace(outputs, results);
    Ok(())
}

/// The operation with its results over `outputs`, here, or elsewhere when this device has no memory for
/// it; false when it cannot do it.
fn execute_out(
    op: &Op,
    inputs: &[&BitNetTensor],
    outputs: &mut [BitNetTensor],
    start: Option<Instant>,
) -> Result<bool> {
    let home = registry::entry(outputs[0].device())?;
    match home.attempt(op, inputs, outputs) {
        Ok(true) => {
            metrics::record_operation();
            done(start, op, home.device(), Execution::Backend, inputs, outputs);
            Ok(true)
        }
        Err(refusal) if may_fall_back(&refusal) => {
            replace(outputs, fall_back(op, inputs, home.device(), refusal, start)?);
            Ok(true)
        }
        other => other,
    }
}

fn replace(outputs: &mut [BitNetTensor], results: Outputs) {
    for (output, result) in outputs.iter_mut().zip(results) {
        *output = result;
    }
}

/// Whether the results of `op` can be written over `outputs`, by a backend that can: nobody else sees
/// them, they are of the results' shapes and types, and nothing is converted or recorded.
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
    Ok(specs.len() == outputs.len()
        && specs.iter().zip(outputs).all(|(spec, output)| {
            spec.shape == *output.shape() && spec.dtype == output.dtype() && output.grad.is_none()
        }))
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
    if may_reuse(&op, target, others)? && execute_in_place(&op, target, others, start)? {
        return Ok(());
    }
    let result = apply_one(op, &with_first(target, others))?;
    *target = result;
    Ok(())
}

/// Whether `op` can write its result over `first`, by a backend that can: nobody else sees it, the
/// result is of its shape and type, and nothing is recorded.
fn may_reuse(op: &Op, first: &BitNetTensor, others: &[&BitNetTensor]) -> Result<bool> {
    let inputs = with_first(first, others);
    common_device(op.operation(), &inputs)?;
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
    Ok(matches!(specs.as_slice(),
        [spec] if spec.shape == *first.shape() && spec.dtype == first.dtype()))
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
    }
    if execute_in_place(&op, target, others, start)? {
        return Ok(());
    }
    let refusal = not_supported(&op, &with_first(target, others));
    fall_back_in_place(&op, target, others, refusal, start)
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

/// The operation with the result over its first operand, here, or elsewhere when this device has no
/// memory for it; false when it cannot do it.
fn execute_in_place(
    op: &Op,
    target: &mut BitNetTensor,
    others: &[&BitNetTensor],
    start: Option<Instant>,
) -> Result<bool> {
    let home = registry::entry(target.device())?;
    let _span = trace_span(op, home.device());
    match home.attempt_in_place(op, target, others) {
        Ok(true) => {
            metrics::record_operation();
            done_in_place(start, op, home.device(), Execution::Backend, target, others);
            Ok(true)
        }
        Err(refusal) if may_fall_back(&refusal) => {
            fall_back_in_place(op, target, others, refusal, start).map(|()| true)
        }
        other => other,
    }
}

/// The same on the next device that can.
#[cold]
fn fall_back_in_place(
    op: &Op,
    target: &mut BitNetTensor,
    others: &[&BitNetTensor],
    refusal: TensorOpError,
    start: Option<Instant>,
) -> Result<()> {
    let next = fallback::in_place(op, target, others, refusal)?;
    done_in_place(start, op, next.device(), Execution::Fallback, target, others);
    Ok(())
}

fn done_in_place(
    start: Option<Instant>,
    op: &Op,
    device: Device,
    execution: Execution,
    target: &BitNetTensor,
    others: &[&BitNetTensor],
) {
    if start.is_some() {
        let inputs = with_first(target, others);
        done(start, op, device, execution, &inputs, std::slice::from_ref(target));
    }
}

/// A span of `tracing` at its lowest level; no subscriber, or one that asks for less, costs a look at
/// a number.
#[inline]
fn trace_span(op: &Op, device: Device) -> tracing::span::EnteredSpan {
    tracing::trace_span!("operation", name = op.name(), %device).entered()
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
    entry: &Registered,
    op: &Op,
    inputs: &[&BitNetTensor],
    specs: Specs,
    start: Option<Instant>,
    execution: Execution,
) -> Result<Outputs> {
    let empty = |spec: TensorSpec| BitNetTensor::empty(spec.shape, spec.dtype, entry.device());
    let mut outputs: Outputs = memory::during(op.operation().name(), || {
        specs.into_iter().map(empty).collect::<Result<_>>()
    })?;
    entry.execute(op, inputs, &mut outputs)?;
    metrics::record_operation();
    metrics::record_allocation();
    done(start, op, entry.device(), execution, inputs, &outputs);
    Ok(outputs)
}

/// Whether the error says that another device may execute the operation: nothing was written.
fn may_fall_back(refusal: &TensorOpError) -> bool {
    refusal.failure().is_some_and(FailureKind::may_fall_back)
}

/// What a device that was asked before says.
#[cold]
fn not_supported(op: &Op, inputs: &[&BitNetTensor]) -> TensorOpError {
    metrics::record_failure(FailureKind::Unsupported);
    error!(UnsupportedOperation, op.name(), inputs, "no backend implements this for these operands")
}

/// What the operation would be on another device, when it may go there.
fn may_leave(op: &Op, inputs: &[&BitNetTensor], specs: &[TensorSpec]) -> Option<Work> {
    let may = !inputs.is_empty() && inputs.iter().all(|input| !input.has_grad());
    may.then(|| Work::of(op, inputs, specs))
}

/// Executes `op`, whose operands are on the host, on `device`; `None` when that cannot do it.
#[cold]
fn offload(
    op: &Op,
    inputs: &[&BitNetTensor],
    specs: Specs,
    device: Device,
    start: Option<Instant>,
) -> Result<Option<Outputs>> {
    let entry = registry::entry(device)?;
    if !entry.supports(&OpDesc { op, inputs }) {
        return Ok(None);
    }
    let away = || {
        let moved = fallback::moved(inputs, device)?;
        let moved: SmallVec<[&BitNetTensor; 3]> = moved.iter().collect();
        let outputs = execute(entry, op, &moved, specs, start, Execution::Backend)?;
        fallback::brought_home(&outputs, Device::CPU)
    };
    match away() {
        Ok(outputs) => {
            metrics::record_offload();
            Ok(Some(outputs))
        }
        // The operands are on the host still: nothing is lost but time.
        Err(error) if error.is_device_lost() || may_fall_back(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Executes `op` on the first other device that can, moving operands there and results back.
#[cold]
fn fall_back(
    op: &Op,
    inputs: &[&BitNetTensor],
    home: Device,
    refusal: TensorOpError,
    start: Option<Instant>,
) -> Result<Outputs> {
    let (outputs, _) = fallback::on_another_device(op, inputs, home, refusal, |next| {
        let specs = op.operation().infer(inputs)?;
        let moved = fallback::moved(inputs, next.device())?;
        let moved: SmallVec<[&BitNetTensor; 3]> = moved.iter().collect();
        execute(next, op, &moved, specs, start, Execution::Fallback)
    })?;
    fallback::brought_home(&outputs, home)
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
