//! Logarithms of sums of exponentials: of the distances to the largest element, so that none
//! overflows.

use bitnet_kernels::{Cpu, reduce as kernels};

use super::extreme::Extreme;
use super::fold::{Fold, fold};
use super::plan::Plan;
use super::reduce::fill_rows;
use super::source::{floats, readable, write_floats};
use crate::error::Result;
use crate::ops::LogSumExp;
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn logsumexp(
    cpu: Cpu,
    op: &LogSumExp,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let x = &readable(x)?;
    let plan = Plan::new(x.layout(), &op.axes);
    if x.dtype() == BitNetDType::F32 && plan.reduced.count > 0 && x.element_count() > 0 {
        return rows(cpu, op, x, out);
    }
    let source = &*floats(x)?;
    let mut largest = fold(&plan, source, &Extreme::new(true));
    // An infinite one is not a distance away from itself.
    largest.iter_mut().filter(|max| !max.is_finite()).for_each(|max| *max = 0.0);
    let states = fold(&plan, source, &Exponentials { largest: &largest });
    let values = states.iter().map(|state| libm::log(state.sum) + state.largest);
    write_floats(&values.collect::<Vec<f64>>(), out)
}

/// `F32`: the kernel for rows is worth bringing the elements of each result together.
fn rows(cpu: Cpu, op: &LogSumExp, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let kept = (0..x.rank()).filter(|axis| !op.axes.contains(axis));
    let order: Vec<isize> = kept.chain(op.axes.iter().copied()).map(|axis| axis as isize).collect();
    let x = x.permute(&order)?.contiguous()?;
    let columns = x.shape()[x.rank() - op.axes.len()..].iter().product();
    let data = x.as_slice::<f32>()?;
    let row = |row: usize| kernels::log_sum_exp(cpu, &data[row * columns..][..columns]);
    if out.dtype() == BitNetDType::F32 {
        fill_rows(out.try_mut::<f32>()?, columns, row);
        return Ok(());
    }
    let mut values = vec![0.0; data.len() / columns];
    fill_rows(&mut values, columns, |at| f64::from(row(at)));
    write_floats(&values, out)
}

struct Exponentials<'a> {
    largest: &'a [f64],
}

#[derive(Clone, Copy)]
struct Exponential {
    largest: f64,
    sum: f64,
}

impl Fold for Exponentials<'_> {
    type Wide = f64;
    type State = Exponential;

    fn begin(&self, output: usize) -> Exponential {
        Exponential { largest: self.largest[output], sum: 0.0 }
    }

    fn along(&self, state: &mut Exponential, block: &[f64], _: usize) {
        state.sum += block.iter().map(|x| libm::exp(x - state.largest)).sum::<f64>();
    }

    fn across(&self, states: &mut [Exponential], row: &[f64], _: usize) {
        for (state, x) in states.iter_mut().zip(row) {
            state.sum += libm::exp(x - state.largest);
        }
    }

    fn merge(&self, state: &mut Exponential, later: Exponential) {
        state.sum += later.sum;
    }
}
