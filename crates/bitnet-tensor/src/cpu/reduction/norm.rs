//! Vector norms: sums of powers of the magnitudes.

use super::extreme::Extreme;
use super::fold::fold;
use super::plan::Plan;
use super::source::{Source, floats, readable, write_floats};
use super::sum::{Compensated, ExactSum};
use crate::BitNetTensor;
use crate::cpu::spans::Spans;
use crate::error::Result;
use crate::ops::Norm;

pub(in crate::cpu) fn norm(op: &Norm, x: &BitNetTensor, out: &mut BitNetTensor) -> Result<()> {
    let x = &readable(x)?;
    let plan = Plan::new(x.layout(), &op.axes);
    let powers = Powers { source: &*floats(x)?, p: op.p };
    let values = if op.p.is_infinite() {
        // The largest magnitude of nothing is 0; shape inference refuses its smallest.
        let start = if op.p > 0.0 { 0.0 } else { f64::INFINITY };
        fold(&plan, &powers, &Extreme { largest: op.p > 0.0, start })
    } else {
        let sums = fold(&plan, &powers, &ExactSum).into_iter().map(Compensated::value);
        sums.map(|sum| root(op.p, sum)).collect()
    };
    write_floats(&values, out)
}

fn root(p: f64, sum: f64) -> f64 {
    match p {
        0.0 | 1.0 => sum,
        2.0 => sum.sqrt(),
        _ => libm::pow(sum, 1.0 / p),
    }
}

/// The elements of another source as `|x|^p`; as `|x|` for the infinite norms, and whether they
/// are not zero for the norm that counts.
struct Powers<'a> {
    source: &'a dyn Source<f64>,
    p: f64,
}

impl Source<f64> for Powers<'_> {
    fn read(&self, spans: &Spans<1>, displacement: isize, start: usize, out: &mut [f64]) {
        self.source.read(spans, displacement, start, out);
        match self.p {
            0.0 => out.iter_mut().for_each(|x| *x = f64::from(*x != 0.0)),
            2.0 => out.iter_mut().for_each(|x| *x *= *x),
            p if p == 1.0 || p.is_infinite() => out.iter_mut().for_each(|x| *x = x.abs()),
            p => out.iter_mut().for_each(|x| *x = libm::pow(x.abs(), p)),
        }
    }
}
