//! The parameters of sampling with their ranges, and why no token could be chosen.

/// How the next token is chosen. The default draws from the model's own distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplingParams {
    /// Divides the logits; 0 always takes the most likely token. From 0.
    pub temperature: f32,
    /// Keeps this many of the most likely tokens, and what equals the last of them; 0 is off.
    pub top_k: usize,
    /// Keeps the most likely tokens until their probabilities reach this sum. Above 0, to 1; 1 is
    /// off.
    pub top_p: f32,
    /// Keeps tokens at least this fraction as likely as the most likely one. 0 to 1; 0 is off.
    pub min_p: f32,
    /// Divides positive and multiplies negative logits of tokens that occurred. Above 0; 1 is off.
    pub repetition_penalty: f32,
    /// How many of the last tokens count as having occurred; 0 means all.
    pub repetition_window: usize,
    /// Begins the random sequence.
    pub seed: u64,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            repetition_window: 0,
            seed: 0,
        }
    }
}

impl SamplingParams {
    /// Always the most likely token.
    #[must_use]
    pub fn greedy() -> Self {
        Self { temperature: 0.0, ..Self::default() }
    }

    /// Checks every parameter against its range.
    ///
    /// # Errors
    /// [`SampleError::InvalidParameter`] with the first that is outside.
    pub fn validate(&self) -> Result<(), SampleError> {
        let checks = [
            (
                "temperature",
                self.temperature,
                self.temperature >= 0.0 && self.temperature.is_finite(),
                "a finite number from 0",
            ),
            ("top_p", self.top_p, self.top_p > 0.0 && self.top_p <= 1.0, "above 0, to 1"),
            ("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "0 to 1"),
            (
                "repetition_penalty",
                self.repetition_penalty,
                self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite(),
                "a finite number above 0",
            ),
        ];
        for (name, value, valid, allowed) in checks {
            if !valid {
                return Err(SampleError::InvalidParameter { name, value, allowed });
            }
        }
        Ok(())
    }
}

/// Why no token could be chosen.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// A parameter is out of its range.
    #[error("{name} = {value} is not allowed (allowed: {allowed})")]
    InvalidParameter {
        /// Name of the field of [`SamplingParams`].
        name: &'static str,
        /// Its value.
        value: f32,
        /// Its range.
        allowed: &'static str,
    },
    /// The model gave no number: its weights or its computation are broken.
    #[error("the logit of token {token} is {value}")]
    NotFinite {
        /// The first such token.
        token: usize,
        /// NaN or +∞.
        value: f32,
    },
    /// No token is possible: there are no logits, or all are −∞.
    #[error("no token is possible: all {vocab_size} logits are -inf")]
    NoCandidate {
        /// Number of logits.
        vocab_size: usize,
    },
    /// The history has a token that the logits do not cover.
    #[error("the history has token {token}, the logits cover {vocab_size} tokens")]
    HistoryOutOfRange {
        /// The token.
        token: u32,
        /// Number of logits.
        vocab_size: usize,
    },
}
