//! Fewer bits per element.

mod blocks;
mod codes;
mod prepare;
mod ternary;

pub(super) use blocks::{dequantize_blocks, grouped_linear, select_rows};
pub(super) use codes::dequantize;
pub use prepare::pack_weight;
pub(super) use prepare::prepare_weight;
pub(super) use ternary::{activation, ternarize};
