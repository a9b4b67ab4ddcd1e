//! Reductions that keep every step: running sums, products and extremes along an axis.

use bitnet_kernels::parallel;

use super::extreme::{Latest, Ordered};
use super::fold::Fold;
use super::plan::Side;
use super::source::{Reading, Source, floats, integers, readable, write_floats, write_integers};
use super::sum::{IntegerProduct, IntegerSum, Product, Sum};
use crate::BitNetTensor;
use crate::error::Result;
use crate::ops::{Cumulative, CumulativeKind};
use crate::shape::count;

/// Elements that are read at once.
const BLOCK: usize = 256;

pub(in crate::cpu) fn cumulative(
    op: &Cumulative,
    x: &BitNetTensor,
    outputs: &mut [BitNetTensor],
) -> Result<()> {
    let Some((values, places)) = outputs.split_first_mut() else { return Ok(()) };
    if x.element_count() == 0 {
        return Ok(());
    }
    let x = &readable(x)?;
    let lines = Lines::new(x, op.axis);
    let extreme = matches!(op.kind, CumulativeKind::Max | CumulativeKind::Min);
    let largest = op.kind == CumulativeKind::Max;
    if x.dtype().is_float() {
        let source = &*floats(x)?;
        let steps = match op.kind {
            CumulativeKind::Sum => running(&lines, source, &Sum),
            CumulativeKind::Prod => running(&lines, source, &Product),
            _ => running(&lines, source, &Latest::new(largest)),
        };
        write_floats(&steps, values)?;
        if let [places] = places {
            running_places(&lines, source, largest, places.try_mut()?);
        }
        return Ok(());
    }
    let reading = if extreme { Reading::Order } else { Reading::Bits };
    let source = &*integers(x, reading)?;
    let mut steps = match op.kind {
        CumulativeKind::Sum => running(&lines, source, &IntegerSum),
        CumulativeKind::Prod => running(&lines, source, &IntegerProduct),
        _ => running(&lines, source, &Latest::new(largest)),
    };
    steps.iter_mut().for_each(|value| *value = reading.bits(x.dtype(), *value));
    write_integers(&steps, values)?;
    if let [places] = places {
        running_places(&lines, source, largest, places.try_mut()?);
    }
    Ok(())
}

/// What is done with a row: its place, its index along the axis, its first line, its elements.
type Step<'a, W> = dyn FnMut(usize, usize, usize, &[W]) + 'a;

/// How the lines along an axis lie: `outer` times `length` rows of `inner` elements.
struct Lines {
    across: Side,
    along: Side,
    length: usize,
    inner: usize,
}

impl Lines {
    fn new(x: &BitNetTensor, axis: usize) -> Self {
        let others: Vec<usize> = (0..x.rank()).filter(|&other| other != axis).collect();
        Self {
            across: Side::new(x.layout(), &others),
            along: Side::new(x.layout(), &[axis]),
            length: x.shape()[axis],
            inner: count(&x.shape()[axis + 1..]),
        }
    }

    /// Elements of one outer part.
    fn part(&self) -> usize {
        self.length * self.inner
    }

    fn outer(&self) -> usize {
        self.across.count / self.inner
    }

    /// Calls `step` with each row of some lines of the part `outer`, in the order of the axis: the
    /// place of the row in the part, its index along the axis, and the place of its first line.
    /// Where the part is one line, a row is a stretch of it.
    fn walk<W: Copy + Default>(
        &self,
        source: &dyn Source<W>,
        outer: usize,
        step: &mut Step<'_, W>,
    ) {
        let mut buffer = [W::default(); BLOCK];
        if self.inner == 1 {
            let displacement = self.across.displacement(outer);
            for at in (0..self.length).step_by(BLOCK) {
                let block = &mut buffer[..BLOCK.min(self.length - at)];
                source.read(&self.along.spans, displacement, at, block);
                step(at, at, 0, block);
            }
            return;
        }
        for line in (0..self.inner).step_by(BLOCK) {
            let row = &mut buffer[..BLOCK.min(self.inner - line)];
            for at in 0..self.length {
                let displacement = self.along.displacement(at);
                source.read(&self.across.spans, displacement, outer * self.inner + line, row);
                step(at * self.inner + line, at, line, row);
            }
        }
    }
}

/// The state after each element, in row-major order.
fn running<F: Fold<State = <F as Fold>::Wide>>(
    lines: &Lines,
    source: &dyn Source<F::Wide>,
    fold: &F,
) -> Vec<F::Wide>
where
    F::Wide: Send,
{
    let part = lines.part();
    let mut steps = vec![F::Wide::default(); part * lines.outer()];
    parallel::for_each_chunk_mut(&mut steps, part, |outer, steps| {
        let mut states = vec![fold.begin(0); lines.inner];
        lines.walk(source, outer, &mut |place, at, line, row| {
            let steps = &mut steps[place..][..row.len()];
            if let [state] = &mut states[..] {
                for (step, x) in steps.iter_mut().zip(row) {
                    fold.across(std::slice::from_mut(state), std::slice::from_ref(x), at);
                    *step = *state;
                }
                return;
            }
            let states = &mut states[line..][..row.len()];
            fold.across(states, row, at);
            steps.copy_from_slice(states);
        });
    });
    steps
}

/// The place of the extreme so far, the latest of equal ones, after each element.
fn running_places<W: Ordered>(
    lines: &Lines,
    source: &dyn Source<W>,
    largest: bool,
    places: &mut [i64],
) {
    parallel::for_each_chunk_mut(places, lines.part(), |outer, places| {
        let mut best = vec![(W::weakest(largest), 0i64); lines.inner];
        lines.walk(source, outer, &mut |place, at, line, row| {
            let places = &mut places[place..][..row.len()];
            let along = usize::from(lines.inner == 1);
            for (i, (&x, out)) in row.iter().zip(places).enumerate() {
                // The same line again, one further, or the next line.
                let best = &mut best[line + i * (1 - along)];
                if !best.0.beats(x, largest) {
                    *best = (x, (at + i * along) as i64);
                }
                *out = best.1;
            }
        });
    });
}
