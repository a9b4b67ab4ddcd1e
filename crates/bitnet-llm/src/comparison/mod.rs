//! Whether two models are the same: their weights one by one, whatever the formats of their files,
//! and what they make of a text, on whatever devices they run.

mod logits;
mod weights;

pub use logits::{LogitsComparison, compare_logits};
pub use weights::{Difference, TensorDifference, WeightComparison, compare_weights};
