//! Reductions over axes.

use bitnet_kernels::{Cpu, parallel, reduce as kernels};

use crate::cpu::GRAIN;
use crate::error::Result;
use crate::ops::{Reduce, ReduceKind};
use crate::shape::count;
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn argmax(cpu: Cpu, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let x = x.contiguous()?;
    let columns = x.shape().last().copied().unwrap_or(1);
    let x = x.as_slice::<f32>()?;
    fill_rows(out.try_mut::<u32>()?, columns, |row| {
        kernels::argmax(cpu, &x[row * columns..][..columns]) as u32
    });
    Ok(())
}

pub(in crate::cpu) fn reduce(
    cpu: Cpu,
    op: &Reduce,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    // The reduced axes go last, so that what is reduced together lies together.
    let kept = (0..x.rank()).filter(|axis| !op.axes.contains(axis));
    let order: Vec<isize> = kept.chain(op.axes.iter().copied()).map(|axis| axis as isize).collect();
    let x = x.permute(&order)?.contiguous()?;
    let columns = count(&x.shape()[x.rank() - op.axes.len()..]);
    if x.dtype() == BitNetDType::F64 {
        let x = x.as_slice::<f64>()?;
        fill_rows(out.try_mut::<f64>()?, columns, |row| {
            reduce_f64(op.kind, &x[row * columns..][..columns])
        });
        return Ok(());
    }
    let x = x.as_slice::<f32>()?;
    fill_rows(out.try_mut::<f32>()?, columns, |row| {
        let row = &x[row * columns..][..columns];
        match op.kind {
            ReduceKind::Sum => kernels::sum(cpu, row),
            ReduceKind::Mean => kernels::mean(cpu, row),
            ReduceKind::Max => kernels::max(cpu, row),
            ReduceKind::Min => kernels::min(cpu, row),
        }
    });
    Ok(())
}

fn reduce_f64(kind: ReduceKind, row: &[f64]) -> f64 {
    match kind {
        ReduceKind::Sum => pairwise_sum(row),
        ReduceKind::Mean => pairwise_sum(row) / row.len() as f64,
        ReduceKind::Max => row
            .iter()
            .fold(f64::NEG_INFINITY, |best, &x| if x > best || x.is_nan() { x } else { best }),
        ReduceKind::Min => {
            row.iter().fold(f64::INFINITY, |best, &x| if x < best || x.is_nan() { x } else { best })
        }
    }
}

/// Adds halves: the rounding error grows with the logarithm of the length.
fn pairwise_sum(row: &[f64]) -> f64 {
    if row.len() <= 64 {
        return row.iter().fold(0.0, |sum, x| sum + x); // `sum` of nothing is -0
    }
    let (left, right) = row.split_at(row.len() / 2);
    pairwise_sum(left) + pairwise_sum(right)
}

/// `out[row] = value(row)`, each row costing `columns` elements of work.
fn fill_rows<T: Send>(out: &mut [T], columns: usize, value: impl Fn(usize) -> T + Sync) {
    let grain = (GRAIN / columns.max(1)).max(1);
    parallel::for_each_chunk_mut(out, grain, |piece, chunk| {
        for (i, out) in chunk.iter_mut().enumerate() {
            *out = value(piece * grain + i);
        }
    });
}
