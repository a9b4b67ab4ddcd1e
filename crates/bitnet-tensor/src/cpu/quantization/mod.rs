//! Fewer bits per element.

mod ternary;

pub(super) use ternary::{activation, dequantize, prepare_weight, ternarize};
