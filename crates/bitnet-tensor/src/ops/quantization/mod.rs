//! Fewer bits per element.

mod activation;
mod ternary;

pub use activation::{QuantizeActivation, QuantizedActivation, padded_features};
pub(crate) use activation::{quantized_outputs, quantized_specs};
pub use ternary::Ternarize;
