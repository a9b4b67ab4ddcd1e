//! The largest and the smallest: their values and their places. NaN wins over every number.

use std::marker::PhantomData;

use super::fold::Fold;

/// A wide type in which elements are compared.
pub(super) trait Ordered: Copy + Default + Send + Sync {
    /// Loses against every other number: begins a search for the largest, or the smallest.
    fn weakest(largest: bool) -> Self;
    /// Whether `self` takes the place of `best`, which came before it.
    fn beats(self, best: Self, largest: bool) -> bool;
    /// The better of two, where the place does not matter: any NaN is as good as the first.
    fn better(self, best: Self, largest: bool) -> Self;
    fn is_zero(self) -> bool;
}

impl Ordered for f64 {
    fn weakest(largest: bool) -> Self {
        if largest { f64::NEG_INFINITY } else { f64::INFINITY }
    }

    #[inline(always)]
    fn beats(self, best: f64, largest: bool) -> bool {
        let better = if largest { self > best } else { self < best };
        better || (self.is_nan() && !best.is_nan())
    }

    #[inline(always)]
    fn better(self, best: f64, largest: bool) -> f64 {
        let better = if largest { self > best } else { self < best };
        // No short cut: vectors have none.
        if better | self.is_nan() { self } else { best }
    }

    fn is_zero(self) -> bool {
        self == 0.0
    }
}

impl Ordered for i64 {
    fn weakest(largest: bool) -> Self {
        if largest { i64::MIN } else { i64::MAX }
    }

    #[inline(always)]
    fn beats(self, best: i64, largest: bool) -> bool {
        if largest { self > best } else { self < best }
    }

    #[inline(always)]
    fn better(self, best: i64, largest: bool) -> i64 {
        if self.beats(best, largest) { self } else { best }
    }

    fn is_zero(self) -> bool {
        self == 0
    }
}

/// The value of the largest or smallest.
pub(super) struct Extreme<W> {
    pub(super) largest: bool,
    /// The result of no elements.
    pub(super) start: W,
}

impl<W: Ordered> Extreme<W> {
    pub(super) fn new(largest: bool) -> Self {
        Self { largest, start: W::weakest(largest) }
    }
}

impl<W: Ordered> Fold for Extreme<W> {
    type Wide = W;
    type State = W;

    fn begin(&self, _: usize) -> W {
        self.start
    }

    fn along(&self, state: &mut W, block: &[W], _: usize) {
        // Two loops without the question in them.
        *state = if self.largest {
            best_of::<W, true>(*state, block)
        } else {
            best_of::<W, false>(*state, block)
        };
    }

    fn across(&self, states: &mut [W], row: &[W], _: usize) {
        let pairs = states.iter_mut().zip(row);
        if self.largest {
            pairs.for_each(|(state, x)| *state = x.better(*state, true));
        } else {
            pairs.for_each(|(state, x)| *state = x.better(*state, false));
        }
    }

    fn merge(&self, state: &mut W, later: W) {
        if later.beats(*state, self.largest) {
            *state = later;
        }
    }
}

/// A value and its place; a place of `NONE` before any element.
#[derive(Clone, Copy)]
pub(super) struct Best<W> {
    value: W,
    pub(super) place: usize,
}

const NONE: usize = usize::MAX;

/// The best of a stretch, by eight searches side by side.
fn best_of<W: Ordered, const LARGEST: bool>(start: W, block: &[W]) -> W {
    let mut best = [start; 8];
    let (eights, rest) = block.as_chunks::<8>();
    for eight in eights {
        for i in 0..8 {
            best[i] = eight[i].better(best[i], LARGEST);
        }
    }
    let winner = best.iter().chain(rest).fold(start, |best, x| x.better(best, LARGEST));
    if winner.is_zero() {
        // The first of two zeros: there may be a negative and a positive one.
        return block.iter().fold(start, |best, x| x.better(best, LARGEST));
    }
    winner
}

/// The value of the last of the largest or smallest, which matters where both zeros are.
pub(super) struct Latest<W> {
    largest: bool,
    wide: PhantomData<W>,
}

impl<W> Latest<W> {
    pub(super) fn new(largest: bool) -> Self {
        Self { largest, wide: PhantomData }
    }
}

impl<W: Ordered> Fold for Latest<W> {
    type Wide = W;
    type State = W;

    fn begin(&self, _: usize) -> W {
        W::weakest(self.largest)
    }

    fn along(&self, state: &mut W, block: &[W], _: usize) {
        for &x in block {
            self.merge(state, x);
        }
    }

    fn across(&self, states: &mut [W], row: &[W], _: usize) {
        for (state, &x) in states.iter_mut().zip(row) {
            self.merge(state, x);
        }
    }

    fn merge(&self, state: &mut W, later: W) {
        if !state.beats(later, self.largest) {
            *state = later;
        }
    }
}

/// The place of the first largest or smallest, or of the first NaN.
pub(super) struct Place<W> {
    largest: bool,
    wide: PhantomData<W>,
}

impl<W> Place<W> {
    pub(super) fn new(largest: bool) -> Self {
        Self { largest, wide: PhantomData }
    }
}

impl<W: Ordered> Fold for Place<W> {
    type Wide = W;
    type State = Best<W>;

    fn begin(&self, _: usize) -> Best<W> {
        Best { value: W::weakest(self.largest), place: NONE }
    }

    fn along(&self, state: &mut Best<W>, block: &[W], at: usize) {
        for (i, &value) in block.iter().enumerate() {
            if state.place == NONE || value.beats(state.value, self.largest) {
                *state = Best { value, place: at + i };
            }
        }
    }

    fn across(&self, states: &mut [Best<W>], row: &[W], at: usize) {
        for (state, &value) in states.iter_mut().zip(row) {
            if state.place == NONE || value.beats(state.value, self.largest) {
                *state = Best { value, place: at };
            }
        }
    }

    fn merge(&self, state: &mut Best<W>, later: Best<W>) {
        if later.value.beats(state.value, self.largest) {
            *state = later;
        }
    }
}
