//! Logarithms of sums of exponentials: of the distances to the largest element, so that none
//! overflows.

use bitnet_kernels::{Cpu, reduce as kernels};

use super::extreme::Extreme;
use super::fold::{Fold, fold};
use super::plan::Plan;
use super::reduce::rows_of_f32;
use super::source::{floats, write_floats};
use crate::error::Result;
use crate::ops::LogSumExp;
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn logsumexp(
    cpu: Cpu,
    op: &LogSumExp,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let plan = Plan::new(x.layout(), &op.axes);
    if x.dtype() == BitNetDType::F32 && plan.reduced.count > 0 && plan.rows().is_some() {
        return rows_of_f32(cpu, &plan, kernels::log_sum_exp, x, out);
    }
    let source = &*floats(x)?;
    let mut largest = fold(&plan, source, &Extreme::new(true));
    // An infinite one is not a distance away from itself.
    largest.iter_mut().filter(|max| !max.is_finite()).for_each(|max| *max = 0.0);
    let states = fold(&plan, source, &Exponentials { largest: &largest });
    let values = states.iter().map(|state| libm::log(state.sum) + state.largest);
    write_floats(&values.collect::<Vec<f64>>(), out)
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
