//! From logits to the next token: repetition penalty, temperature, top-k, top-p, min-p, then one
//! draw. The order and the meaning of each step are those of Hugging Face transformers.
//!
//! The same seed gives the same tokens on every platform and in every version: the generator is
//! xoshiro256++, exponentials come from `libm`, sums run in the order of token ids in `f64`, and
//! no result depends on how a sort breaks ties.

mod params;
#[cfg(test)]
mod tests;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

pub use params::{SampleError, SamplingParams};

/// Chooses tokens; owns the state of the random sequence and the scratch memory, so that a token
/// costs no allocation after the first.
#[derive(Clone, Debug)]
pub struct Sampler {
    params: SamplingParams,
    random: Xoshiro256PlusPlus,
    /// The logits after the repetition penalty.
    logits: Vec<f32>,
    /// The tokens still possible, by ascending id.
    candidates: Vec<Candidate>,
    /// Room to find the k-th largest logit.
    largest: Vec<f32>,
    /// Room for the partial sorts, whose order must not leak into `candidates`.
    ranked: Vec<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: u32,
    logit: f32,
    /// `exp((logit − best)/temperature)`: the probability up to a common factor.
    weight: f64,
}

impl Sampler {
    /// A sampler at the beginning of its random sequence.
    ///
    /// # Errors
    /// [`SampleError::InvalidParameter`], see [`SamplingParams::validate`].
    pub fn new(params: SamplingParams) -> Result<Self, SampleError> {
        params.validate()?;
        Ok(Self {
            random: Xoshiro256PlusPlus::seed_from_u64(params.seed),
            params,
            logits: Vec::new(),
            candidates: Vec::new(),
            largest: Vec::new(),
            ranked: Vec::new(),
        })
    }

    /// The parameters this sampler was made with.
    #[must_use]
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// Chooses the next token. `logits` has one entry per token of the vocabulary, −∞ for what is
    /// impossible; `history` is what the repetition penalty looks at: prompt and answer so far.
    ///
    /// ```
    /// use bitnet_llm::sampler::{Sampler, SamplingParams};
    ///
    /// let mut sampler = Sampler::new(SamplingParams::greedy())?;
    /// assert_eq!(sampler.sample(&[0.5, 2.0, -1.0], &[])?, 1);
    /// # Ok::<(), bitnet_llm::sampler::SampleError>(())
    /// ```
    ///
    /// # Errors
    /// NaN or +∞ among the logits, no possible token, a token of the history beyond the logits.
    /// The random sequence then stays where it was.
    pub fn sample(&mut self, logits: &[f32], history: &[u32]) -> Result<u32, SampleError> {
        self.load(logits, history)?;
        let best =
            argmax(&self.logits).ok_or(SampleError::NoCandidate { vocab_size: logits.len() })?;
        if self.params.temperature == 0.0 {
            return Ok(best as u32);
        }
        let best_logit = self.logits[best];
        self.keep_top_k();
        self.weigh(best_logit);
        self.keep_top_p();
        if self.params.min_p > 0.0 {
            // The best weight is exp(0).
            let least = f64::from(self.params.min_p);
            self.candidates.retain(|c| c.weight >= least);
        }
        Ok(self.draw())
    }

    /// Copies the logits, checked and with the repetition penalty applied.
    fn load(&mut self, logits: &[f32], history: &[u32]) -> Result<(), SampleError> {
        let vocab_size = logits.len();
        if let Some(token) = (logits.iter()).position(|l| l.is_nan() || *l == f32::INFINITY) {
            let value = logits[token];
            return Err(SampleError::NotFinite { token, value });
        }
        self.logits.clear();
        self.logits.extend_from_slice(logits);
        let penalty = self.params.repetition_penalty;
        if penalty == 1.0 {
            return Ok(());
        }
        let first = match self.params.repetition_window {
            0 => 0,
            window => history.len().saturating_sub(window),
        };
        for &token in &history[first..] {
            let Some(&logit) = logits.get(token as usize) else {
                return Err(SampleError::HistoryOutOfRange { token, vocab_size });
            };
            // From the original logit: a token that occurred twice is penalised once.
            let penalised = if logit > 0.0 { logit / penalty } else { logit * penalty };
            // A penalty near 0 can push a logit out of the range of f32.
            self.logits[token as usize] = penalised.min(f32::MAX);
        }
        Ok(())
    }

    /// Fills `candidates` with the possible tokens whose logit is at least the k-th best.
    fn keep_top_k(&mut self) {
        let k = self.params.top_k;
        let least = if k == 0 || k >= self.logits.len() {
            f32::NEG_INFINITY
        } else {
            kth_largest(&self.logits, k, &mut self.largest)
        };
        let kept = (self.logits.iter().enumerate())
            .filter(|(_, logit)| **logit >= least && **logit > f32::NEG_INFINITY)
            .map(|(token, &logit)| Candidate { token: token as u32, logit, weight: 0.0 });
        self.candidates.clear();
        self.candidates.extend(kept);
    }

    fn weigh(&mut self, best_logit: f32) {
        let temperature = f64::from(self.params.temperature);
        for candidate in &mut self.candidates {
            let below_best = f64::from(candidate.logit) - f64::from(best_logit);
            candidate.weight = libm::exp(below_best / temperature);
        }
    }

    /// Keeps the shortest run of most likely candidates that has the mass `top_p`.
    fn keep_top_p(&mut self) {
        if self.params.top_p >= 1.0 {
            return;
        }
        let total: f64 = self.candidates.iter().map(|c| c.weight).sum();
        let wanted = total * f64::from(self.params.top_p);
        self.ranked.clear();
        self.ranked.extend_from_slice(&self.candidates);
        // The nucleus is nearly always small against the vocabulary: rank only ever larger heads.
        let mut sorted = 0;
        let mut head = 64;
        let mut mass = 0.0;
        let last = loop {
            let rest = &mut self.ranked[sorted..];
            let count = head.min(rest.len());
            if count < rest.len() {
                rest.select_nth_unstable_by(count, most_likely_first);
            }
            rest[..count].sort_unstable_by(most_likely_first);
            let reached = rest[..count].iter().find(|candidate| {
                mass += candidate.weight;
                mass >= wanted
            });
            if let Some(last) = reached {
                break *last;
            }
            sorted += count;
            head *= 4;
            if sorted == self.ranked.len() {
                // Rounding kept the sum below the total: everything belongs to the nucleus.
                return;
            }
        };
        let beyond = |c: &Candidate| most_likely_first(c, &last).is_gt();
        self.candidates.retain(|c| !beyond(c));
    }

    fn draw(&mut self) -> u32 {
        let total: f64 = self.candidates.iter().map(|c| c.weight).sum();
        // 53 random bits: uniform in [0, 1) on the grid of f64.
        let uniform = (self.random.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64);
        let mut left = uniform * total;
        let mut chosen = 0;
        for candidate in self.candidates.iter().filter(|c| c.weight > 0.0) {
            chosen = candidate.token;
            left -= candidate.weight;
            if left < 0.0 {
                break;
            }
        }
        chosen
    }
}

/// By descending logit, equal ones by ascending id: a total order, so that no result depends on
/// the sorting algorithm.
fn most_likely_first(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    // Not total_cmp, for which 0.0 and -0.0 differ; NaN was refused on entry.
    let by_logit = b.logit.partial_cmp(&a.logit);
    by_logit.unwrap_or(std::cmp::Ordering::Equal).then(a.token.cmp(&b.token))
}

/// The first of the largest; `None` where all are −∞ or there are none.
fn argmax(logits: &[f32]) -> Option<usize> {
    let mut best = None;
    let mut best_logit = f32::NEG_INFINITY;
    for (token, &logit) in logits.iter().enumerate() {
        if logit > best_logit {
            best = Some(token);
            best_logit = logit;
        }
    }
    best
}

/// The k-th largest of `logits`, −∞ where fewer are above that; `k` from 1. One pass that keeps at
/// most 2k values: copying and partitioning a vocabulary of 128 thousand takes several times as
/// long.
fn kth_largest(logits: &[f32], k: usize, largest: &mut Vec<f32>) -> f32 {
    let descending = |a: &f32, b: &f32| b.total_cmp(a);
    let mut least = f32::NEG_INFINITY;
    largest.clear();
    for &logit in logits {
        if logit > least {
            largest.push(logit);
            if largest.len() == k.saturating_mul(2) {
                least = *largest.select_nth_unstable_by(k - 1, descending).1;
                largest.truncate(k);
            }
        }
    }
    if largest.len() < k {
        return f32::NEG_INFINITY;
    }
    *largest.select_nth_unstable_by(k - 1, descending).1
}
