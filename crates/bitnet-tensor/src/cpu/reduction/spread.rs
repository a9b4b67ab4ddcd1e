//! Variance: the mean first, then the deviations from it. The sum of the deviations, which is
//! zero but for rounding, corrects what the mean lost.

use bitnet_kernels::{Cpu, reduce as kernels};

use super::fold::{Fold, fold};
use super::plan::Plan;
use super::reduce::{fill_rows, sums};
use super::source::{floats, readable, write_floats};
use super::sum::lanes;
use crate::error::Result;
use crate::ops::Variance;
use crate::{BitNetDType, BitNetTensor};

pub(in crate::cpu) fn variance(
    cpu: Cpu,
    op: &Variance,
    x: &BitNetTensor,
    out: &mut BitNetTensor,
) -> Result<()> {
    let x = &readable(x)?;
    let plan = Plan::new(x.layout(), &op.axes);
    if x.dtype() == BitNetDType::F32
        && out.dtype() == BitNetDType::F32
        && plan.reduced.count > 0
        && let Some(start) = plan.rows()
    {
        let (data, columns) = (x.host_data::<f32>()?, plan.reduced.count);
        fill_rows(out.try_mut::<f32>()?, columns, |row| {
            let variance = kernels::variance(cpu, &data[start(row)..][..columns], op.ddof);
            (if op.root { variance.sqrt() } else { variance }) as f32
        });
        return Ok(());
    }
    let count = plan.reduced.count as f64;
    let mut means = sums(&plan, x)?;
    means.iter_mut().for_each(|sum| *sum /= count);
    let states = fold(&plan, &*floats(x)?, &Deviations { means: &means });
    let degrees = (count - op.ddof as f64).max(0.0);
    let value = |state: &Deviation| {
        let variance = (state.squares - state.sum * state.sum / count) / degrees;
        if op.root { variance.sqrt() } else { variance }
    };
    write_floats(&states.iter().map(value).collect::<Vec<f64>>(), out)
}

struct Deviations<'a> {
    means: &'a [f64],
}

#[derive(Clone, Copy)]
struct Deviation {
    mean: f64,
    sum: f64,
    squares: f64,
}

impl Deviation {
    #[inline(always)]
    fn add(&mut self, x: f64) {
        let deviation = x - self.mean;
        self.sum += deviation;
        self.squares += deviation * deviation;
    }
}

impl Fold for Deviations<'_> {
    type Wide = f64;
    type State = Deviation;

    fn begin(&self, output: usize) -> Deviation {
        Deviation { mean: self.means[output], sum: 0.0, squares: 0.0 }
    }

    fn along(&self, state: &mut Deviation, block: &[f64], _: usize) {
        // Eight sums side by side, as `sum::lanes` has them.
        let (mut sums, mut squares) = ([0.0; 8], [0.0; 8]);
        let (eights, rest) = block.as_chunks::<8>();
        for eight in eights {
            for i in 0..8 {
                let deviation = eight[i] - state.mean;
                sums[i] += deviation;
                squares[i] += deviation * deviation;
            }
        }
        let mut part = Deviation { sum: lanes(&sums), squares: lanes(&squares), ..*state };
        rest.iter().for_each(|&x| part.add(x));
        self.merge(state, part);
    }

    fn across(&self, states: &mut [Deviation], row: &[f64], _: usize) {
        for (state, &x) in states.iter_mut().zip(row) {
            state.add(x);
        }
    }

    fn merge(&self, state: &mut Deviation, later: Deviation) {
        state.sum += later.sum;
        state.squares += later.squares;
    }
}
