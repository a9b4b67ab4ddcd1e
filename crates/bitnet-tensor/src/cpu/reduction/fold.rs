//! The one loop of all reductions.

use std::ops::Range;

use bitnet_kernels::parallel;

use super::plan::Plan;
use super::source::Source;

/// Elements that are read at once.
const BLOCK: usize = 1024;

/// A reduction: what is remembered of the elements seen so far, and how more are taken in.
pub(super) trait Fold: Sync {
    /// What elements are read as.
    type Wide: Copy + Default;
    /// What is remembered of one result's elements.
    type State: Copy + Send;

    /// The state of the result numbered `output` before any element.
    fn begin(&self, output: usize) -> Self::State;
    /// Takes in a stretch of one result's elements, the first of which is its `at`-th.
    fn along(&self, state: &mut Self::State, block: &[Self::Wide], at: usize);
    /// Takes in one element each of neighbouring results, the `at`-th of each.
    fn across(&self, states: &mut [Self::State], row: &[Self::Wide], at: usize);
    /// Adds what a later piece of the same result saw.
    fn merge(&self, state: &mut Self::State, later: Self::State);
}

/// The final state of each result.
pub(super) fn fold<F: Fold>(plan: &Plan, source: &dyn Source<F::Wide>, fold: &F) -> Vec<F::State> {
    fold_by(plan, fold, |states, output, piece| run(plan, source, fold, states, output, piece))
}

/// [`fold`] with another way to take one piece of the results from `output` on into their states.
pub(super) fn fold_by<F: Fold>(
    plan: &Plan,
    fold: &F,
    run: impl Fn(&mut [F::State], usize, usize) + Sync,
) -> Vec<F::State> {
    let outputs = plan.kept.count;
    if outputs == 0 || plan.reduced.count == 0 {
        return (0..outputs).map(|output| fold.begin(output)).collect();
    }
    let pieces = plan.pieces();
    let mut states: Vec<F::State> =
        (0..outputs * pieces).map(|n| fold.begin(n % outputs)).collect();
    let grain = plan.grain();
    parallel::for_each_chunk_mut(&mut states, grain, |i, mut states| {
        let mut at = i * grain;
        while !states.is_empty() {
            let (piece, output) = (at / outputs, at % outputs);
            let here = states.len().min(outputs - output);
            let (now, rest) = states.split_at_mut(here);
            run(now, output, piece);
            states = rest;
            at += here;
        }
    });
    for piece in 1..pieces {
        for output in 0..outputs {
            let later = states[piece * outputs + output];
            fold.merge(&mut states[output], later);
        }
    }
    states.truncate(outputs);
    states
}

/// Takes one piece of the results from `output` on into their `states`.
fn run<F: Fold>(
    plan: &Plan,
    source: &dyn Source<F::Wide>,
    fold: &F,
    states: &mut [F::State],
    output: usize,
    piece: usize,
) {
    let Range { start: first, end: last } = plan.range(piece);
    let mut buffer = [F::Wide::default(); BLOCK];
    if plan.across {
        for (i, states) in states.chunks_mut(BLOCK).enumerate() {
            let row = &mut buffer[..states.len()];
            for at in first..last {
                let displacement = plan.reduced.displacement(at);
                source.read(&plan.kept.spans, displacement, output + i * BLOCK, row);
                fold.across(states, row, at);
            }
        }
        return;
    }
    for (i, state) in states.iter_mut().enumerate() {
        let displacement = plan.kept.displacement(output + i);
        for at in (first..last).step_by(BLOCK) {
            let block = &mut buffer[..BLOCK.min(last - at)];
            source.read(&plan.reduced.spans, displacement, at, block);
            fold.along(state, block, at);
        }
    }
}
