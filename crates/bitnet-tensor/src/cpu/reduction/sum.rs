//! Sums and products.

use super::fold::Fold;

/// A sum of numbers with fewer bits than `f64` has: what is lost stays below their precision.
pub(super) struct Sum;

impl Fold for Sum {
    type Wide = f64;
    type State = f64;

    fn begin(&self, _: usize) -> f64 {
        0.0
    }

    fn along(&self, state: &mut f64, block: &[f64], _: usize) {
        *state += lanes(block);
    }

    fn across(&self, states: &mut [f64], row: &[f64], _: usize) {
        for (state, x) in states.iter_mut().zip(row) {
            *state += x;
        }
    }

    fn merge(&self, state: &mut f64, later: f64) {
        *state += later;
    }
}

/// Eight partial sums, added at the end: an order that the processor can do side by side.
pub(super) fn lanes(block: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (eights, rest) = block.as_chunks::<8>();
    for eight in eights {
        for i in 0..8 {
            sums[i] += eight[i];
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += x;
    }
    ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]))
}

/// A sum of `f64` together with what rounding took from it (Knuth's two-sum).
pub(super) struct ExactSum;

#[derive(Clone, Copy, Default)]
pub(super) struct Compensated {
    sum: f64,
    lost: f64,
}

impl Compensated {
    pub(super) fn add(&mut self, x: f64) {
        let sum = self.sum + x;
        let part = sum - self.sum;
        self.lost += (self.sum - (sum - part)) + (x - part);
        self.sum = sum;
    }

    pub(super) fn value(self) -> f64 {
        let total = self.sum + self.lost;
        // Beyond the finite numbers what was lost is NaN and says nothing.
        if total.is_nan() { self.sum } else { total }
    }
}

impl Fold for ExactSum {
    type Wide = f64;
    type State = Compensated;

    fn begin(&self, _: usize) -> Compensated {
        Compensated::default()
    }

    fn along(&self, state: &mut Compensated, block: &[f64], _: usize) {
        state.add(pairwise(block));
    }

    fn across(&self, states: &mut [Compensated], row: &[f64], _: usize) {
        for (state, &x) in states.iter_mut().zip(row) {
            state.add(x);
        }
    }

    fn merge(&self, state: &mut Compensated, later: Compensated) {
        state.add(later.sum);
        state.lost += later.lost;
    }
}

/// Adds halves: the rounding error grows with the logarithm of the length.
fn pairwise(block: &[f64]) -> f64 {
    if block.len() <= 64 {
        return lanes(block);
    }
    let (left, right) = block.split_at(block.len() / 2);
    pairwise(left) + pairwise(right)
}

/// A sum of integers, which wraps around.
pub(super) struct IntegerSum;

impl Fold for IntegerSum {
    type Wide = i64;
    type State = i64;

    fn begin(&self, _: usize) -> i64 {
        0
    }

    fn along(&self, state: &mut i64, block: &[i64], _: usize) {
        *state = block.iter().fold(*state, |sum, &x| sum.wrapping_add(x));
    }

    fn across(&self, states: &mut [i64], row: &[i64], _: usize) {
        for (state, &x) in states.iter_mut().zip(row) {
            *state = state.wrapping_add(x);
        }
    }

    fn merge(&self, state: &mut i64, later: i64) {
        *state = state.wrapping_add(later);
    }
}

/// A product of floats.
pub(super) struct Product;

impl Fold for Product {
    type Wide = f64;
    type State = f64;

    fn begin(&self, _: usize) -> f64 {
        1.0
    }

    fn along(&self, state: &mut f64, block: &[f64], _: usize) {
        *state = block.iter().fold(*state, |product, x| product * x);
    }

    fn across(&self, states: &mut [f64], row: &[f64], _: usize) {
        for (state, x) in states.iter_mut().zip(row) {
            *state *= x;
        }
    }

    fn merge(&self, state: &mut f64, later: f64) {
        *state *= later;
    }
}

/// A product of integers, which wraps around.
pub(super) struct IntegerProduct;

impl Fold for IntegerProduct {
    type Wide = i64;
    type State = i64;

    fn begin(&self, _: usize) -> i64 {
        1
    }

    fn along(&self, state: &mut i64, block: &[i64], _: usize) {
        *state = block.iter().fold(*state, |product, &x| product.wrapping_mul(x));
    }

    fn across(&self, states: &mut [i64], row: &[i64], _: usize) {
        for (state, &x) in states.iter_mut().zip(row) {
            *state = state.wrapping_mul(x);
        }
    }

    fn merge(&self, state: &mut i64, later: i64) {
        *state = state.wrapping_mul(later);
    }
}
