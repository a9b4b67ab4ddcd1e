//! Fewer bits per element.

mod activation;
mod bits;
mod measure;
mod quantize;
mod quantized;
mod scheme;
mod straight_through;
mod ternary;

pub use activation::{QuantizeActivation, QuantizedActivation, padded_features};
pub(crate) use activation::{quantized_outputs, quantized_specs};
pub use measure::{ErrorSums, QuantizationError};
pub use quantized::Quantized;
pub use scheme::{Granularity, QuantizationScheme, TernaryScale};
pub use straight_through::StraightThrough;
pub use ternary::Ternarize;

/// No scale of BitNet's is made from a smaller magnitude, so that a block of zeros stays defined.
const SMALLEST_MAGNITUDE: f64 = 1e-5;
