//! Samples and what they tell: the median, an interval that holds the true median, and how much
//! faster one thing is than another.
//!
//! Times are neither normal nor symmetric, and there are few of them: both intervals come from the
//! order of the samples alone and hold for any distribution. They tell of the noise within a run, not
//! of a machine that is slower on another day.

use serde::{Deserialize, Serialize};

/// The confidence that intervals have where the number of samples allows it.
const CONFIDENCE: f64 = 0.95;

/// Repeated measurements of one quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Measurement {
    /// The middle of the samples.
    pub(super) median: f64,
    /// As they were taken.
    pub(super) samples: Vec<f64>,
    #[serde(flatten)]
    pub(super) interval: Interval,
}

/// Two numbers, and how probably the true one is between them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Interval {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Less than 0.95 where there are too few samples for that; 0 of a single one.
    pub(super) confidence: f64,
}

impl Measurement {
    /// What `samples`, of which there is at least one, tell.
    ///
    /// The interval is between two of the samples: `k` of `n` lie below the true median as heads do
    /// among `n` coins (David and Nagaraja, Order Statistics, section 7.1).
    pub(super) fn of(samples: Vec<f64>) -> Self {
        let sorted = sorted(samples.clone());
        let interval = interval(&sorted, &binomial(sorted.len()));
        Self { median: middle(&sorted), samples, interval }
    }

    /// The measurement of `f` of each sample.
    pub(super) fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self::of(self.samples.iter().map(|&sample| f(sample)).collect())
    }

    /// The ratios of samples that were taken in turn, of which `other` may have fewer: what changes slowly
    /// falls out.
    pub(super) fn paired_ratio(&self, other: &Self) -> Self {
        Self::of(self.samples.iter().zip(&other.samples).map(|(a, b)| a / b).collect())
    }

    /// How many times `other` this is, for samples that have nothing to do with each other: the median
    /// of all ratios, and an interval from how often one sample exceeds the other when both are
    /// of one distribution (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, section
    /// 4.3, of logarithms).
    pub(super) fn ratio(&self, other: &Self) -> (f64, Interval) {
        // More say little more, and counting the orders that they can have grows with their square.
        let some = |m: &'_ Self| m.samples.iter().copied().take(40).collect::<Vec<f64>>();
        let (ours, theirs) = (some(self), some(other));
        let ratios = ours.iter().flat_map(|a| theirs.iter().map(move |b| a / b));
        let ratios = sorted(ratios.collect());
        (middle(&ratios), interval(&ratios, &mann_whitney(ours.len(), theirs.len())))
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    let (below, above) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    (below + above) / 2.0
}

/// The narrowest interval between a value and the one that is as far from the other end, of those
/// with the wanted confidence; the whole range where none has it. `probabilities[k]` is that of
/// exactly `k` values below the true one.
fn interval(sorted: &[f64], probabilities: &[f64]) -> Interval {
    let (mut outside, mut skipped) = (0.0, 0);
    let mut confidence = (1.0 - 2.0 * probabilities[0]).max(0.0);
    for k in 0..sorted.len().div_ceil(2) {
        outside += 2.0 * probabilities[k];
        if 1.0 - outside < CONFIDENCE {
            break;
        }
        (skipped, confidence) = (k, 1.0 - outside);
    }
    Interval { low: sorted[skipped], high: sorted[sorted.len() - 1 - skipped], confidence }
}

/// How probably `k` of `n` coins show heads, for each `k`.
fn binomial(n: usize) -> Vec<f64> {
    let mut row = vec![1.0];
    for _ in 0..n {
        let shifted = std::iter::once(&0.0).chain(&row);
        row = shifted.zip(row.iter().chain([&0.0])).map(|(a, b)| (a + b) / 2.0).collect();
    }
    row
}

/// How probably `k` of the `m · n` pairs have the first sample below the second when both are of one
/// distribution, for each `k`.
fn mann_whitney(m: usize, n: usize) -> Vec<f64> {
    // The number of subsets of m of m + n ranks with each sum, counted rank by rank as a share of all.
    let pairs = m * n;
    let mut shares = vec![vec![0.0; pairs + 1]; m + 1];
    shares[0][0] = 1.0;
    for rank in 0..m + n {
        let left = (m + n - rank) as f64;
        let mut next = vec![vec![0.0; pairs + 1]; m + 1];
        for taken in 0..=m.min(rank) {
            let probability = (m - taken) as f64 / left;
            for sum in 0..=pairs {
                let share = shares[taken][sum];
                if share == 0.0 {
                    continue;
                }
                next[taken][sum] += share * (1.0 - probability);
                // Those of the second sample that are below: the ranks before that were not taken.
                let below = sum + (rank - taken);
                if taken < m && below <= pairs {
                    next[taken + 1][below] += share * probability;
                }
            }
        }
        shares = next;
    }
    shares.swap_remove(m)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measurement(samples: &[f64]) -> Measurement {
        Measurement::of(samples.to_vec())
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(measurement(&[3.0, 1.0, 2.0]).median, 2.0);
        assert_eq!(measurement(&[4.0, 1.0, 2.0, 3.0]).median, 2.5);
    }

    /// The table of David and Nagaraja, and of every textbook: of 6 samples the range has 96.9 %,
    /// of 10 the second to the ninth 97.9 %.
    #[test]
    fn intervals_are_those_of_the_sign_test() {
        let of = |n: i32| Measurement::of((1..=n).map(f64::from).collect()).interval;
        let near = |interval: Interval, low: f64, high: f64, confidence: f64| {
            assert_eq!((interval.low, interval.high), (low, high));
            assert!((interval.confidence - confidence).abs() < 1e-4, "{interval:?}");
        };
        near(of(1), 1.0, 1.0, 0.0);
        near(of(3), 1.0, 3.0, 0.75);
        near(of(5), 1.0, 5.0, 0.9375);
        near(of(6), 1.0, 6.0, 0.96875);
        near(of(10), 2.0, 9.0, 0.97852);
        near(of(20), 6.0, 15.0, 0.95861);
    }

    /// Critical values of Mann and Whitney's U, two-sided 5 %: 2 for 5 and 5 samples, 23 for 10 and 10.
    #[test]
    fn pairs_are_those_of_mann_and_whitney() {
        for (m, n, critical) in [(5, 5, 2), (10, 10, 23), (4, 8, 4)] {
            let probabilities = mann_whitney(m, n);
            assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let below = |k: usize| probabilities[..=k].iter().sum::<f64>();
            assert!(below(critical) <= 0.025 && below(critical + 1) > 0.025, "{m} {n}");
        }
        assert!((mann_whitney(3, 3)[0] - 1.0 / 20.0).abs() < 1e-12);
    }

    #[test]
    fn ratios_have_intervals() {
        let (fast, slow) = (measurement(&[20.0, 21.0, 22.0]), measurement(&[10.0, 10.5, 11.0]));
        let (ratio, interval) = fast.ratio(&slow);
        assert!((1.9..=2.1).contains(&ratio), "{ratio}");
        assert_eq!((interval.low, interval.high), (20.0 / 11.0, 2.2));
        assert!((interval.confidence - 0.9).abs() < 1e-9);
        assert_eq!(fast.paired_ratio(&slow).samples, [2.0, 2.0, 2.0]);
    }

    #[test]
    fn many_samples_are_no_burden() {
        let many = Measurement::of((0..60).map(|n| 1.0 + f64::from(n % 7)).collect());
        let (ratio, interval) = many.ratio(&many);
        assert!(interval.low <= ratio && ratio <= interval.high);
        assert!(interval.confidence >= CONFIDENCE);
    }
}
