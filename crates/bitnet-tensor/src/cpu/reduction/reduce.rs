//! Sums, products, means, extremes and tests over axes.

use bitnet_kernels::{Cpu, parallel, reduce as kernels};

use super::extreme::Extreme;
use super::fold::{fold, fold_by};
use super::plan::Plan;
use super::source::{Reading, floats, integers, readable, write_floats, write_integers};
use super::sum::{Compensated, ExactSum, IntegerProduct, IntegerSum, Product, Sum};
use crate::cpu::GRAIN;
use crate::error::Result;
use crate::ops::{Reduce, ReduceKind};
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn reduce(
    cpu: Cpu,
    op: &Reduce,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let x = &readable(x)?;
    let plan = Plan::new(x.layout(), &op.axes);
    match op.kind {
        ReduceKind::Any | ReduceKind::All | ReduceKind::CountNonzero => {
            truth(&plan, op.kind, x, out)
        }
        _ if !x.dtype().is_float() => integer(&plan, op.kind, x, out),
        ReduceKind::Sum | ReduceKind::Mean
            if x.dtype() == BitNetDType::F32 && plan.columns().is_some() =>
        {
            let values = columns_of_f32(cpu, &plan, x)?;
            let count = if op.kind == ReduceKind::Mean { plan.reduced.count as f64 } else { 1.0 };
            write_floats(&values.iter().map(|sum| sum / count).collect::<Vec<f64>>(), out)
        }
        kind => match row_kernel(kind).filter(|_| out.dtype() == BitNetDType::F32) {
            Some(kernel) if plan.reduced.count > 0 && plan.rows().is_some() => {
                rows_of_f32(cpu, &plan, kernel, x, out)
            }
            _ => float(&plan, kind, x, out),
        },
    }
}

/// The reduction of one row, where there is a kernel for it.
fn row_kernel(kind: ReduceKind) -> Option<fn(Cpu, &[f32]) -> f32> {
    match kind {
        ReduceKind::Sum => Some(kernels::sum),
        ReduceKind::Mean => Some(kernels::mean),
        ReduceKind::Max => Some(kernels::max),
        ReduceKind::Min => Some(kernels::min),
        _ => None,
    }
}

/// `kernel` of each row. There is one, and its elements lie side by side.
pub(super) fn rows_of_f32(
    cpu: Cpu,
    plan: &Plan,
    kernel: fn(Cpu, &[f32]) -> f32,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let Some(start) = plan.rows() else { return Ok(()) };
    let (data, columns) = (x.host_data::<f32>()?, plan.reduced.count);
    fill_rows(out.try_mut::<f32>()?, columns, |row| kernel(cpu, &data[start(row)..][..columns]));
    Ok(())
}

/// The sums of columns of which many lie side by side.
fn columns_of_f32(cpu: Cpu, plan: &Plan, x: &BitNetTensor) -> Result<Vec<f64>> {
    let (data, columns) = (x.host_data::<f32>()?, plan.columns());
    Ok(fold_by(plan, &Sum, |mut sums, mut output, piece| {
        let (Some((together, stride)), range) = (columns, plan.range(piece)) else { return };
        while !sums.is_empty() {
            let here = sums.len().min(together - output % together);
            let (now, rest) = sums.split_at_mut(here);
            let first = plan.start(output) + range.start * stride;
            kernels::add_rows(cpu, &data[first..], stride, range.len(), now);
            (sums, output) = (rest, output + here);
        }
    }))
}

/// `out[row] = value(row)`, each row costing `columns` elements of work.
pub(super) fn fill_rows<T: Send>(out: &mut [T], columns: usize, value: impl Fn(usize) -> T + Sync) {
    let grain = (GRAIN / columns.max(1)).max(1);
    parallel::for_each_chunk_mut(out, grain, |piece, chunk| {
        for (i, out) in chunk.iter_mut().enumerate() {
            *out = value(piece * grain + i);
        }
    });
}

fn float(plan: &Plan, kind: ReduceKind, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let source = &*floats(x)?;
    let mut values = match kind {
        ReduceKind::Prod => fold(plan, source, &Product),
        ReduceKind::Max => fold(plan, source, &Extreme::new(true)),
        ReduceKind::Min => fold(plan, source, &Extreme::new(false)),
        _ => sums(plan, x)?,
    };
    if kind == ReduceKind::Mean {
        values.iter_mut().for_each(|sum| *sum /= plan.reduced.count as f64);
    }
    write_floats(&values, out)
}

/// The sums of a float tensor, not yet rounded to its type.
pub(super) fn sums(plan: &Plan, x: &BitNetTensor) -> Result<Vec<f64>> {
    let source = &*floats(x)?;
    if x.dtype() != BitNetDType::F64 {
        return Ok(fold(plan, source, &Sum));
    }
    Ok(fold(plan, source, &ExactSum).into_iter().map(Compensated::value).collect())
}

fn integer(plan: &Plan, kind: ReduceKind, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let extreme = matches!(kind, ReduceKind::Max | ReduceKind::Min);
    let reading = if extreme { Reading::Order } else { Reading::Bits };
    let source = &*integers(x, reading)?;
    let mut values = match kind {
        ReduceKind::Prod => fold(plan, source, &IntegerProduct),
        ReduceKind::Max => fold(plan, source, &Extreme::new(true)),
        ReduceKind::Min => fold(plan, source, &Extreme::new(false)),
        _ => fold(plan, source, &IntegerSum),
    };
    values.iter_mut().for_each(|value| *value = reading.bits(x.dtype(), *value));
    write_integers(&values, out)
}

fn truth(plan: &Plan, kind: ReduceKind, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let source = &*integers(x, Reading::Truth)?;
    let values = match kind {
        ReduceKind::Any => fold(plan, source, &Extreme { largest: true, start: 0 }),
        ReduceKind::All => fold(plan, source, &Extreme { largest: false, start: 1 }),
        _ => fold(plan, source, &IntegerSum),
    };
    write_integers(&values, out)
}
