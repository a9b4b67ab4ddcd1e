//! Neural network modules: parameters with a `forward`.
//!
//! A module holds tensors and calls the operations of `bitnet-tensor`; it computes nothing of
//! its own, so it runs on every device that has a backend.

mod embedding;
mod linear;
mod norm;
mod rotary;

pub use embedding::Embedding;
pub use linear::{BitLinear, Linear, Projection, ProjectionBuffers};
pub use norm::RmsNorm;
pub use rotary::RotaryEmbedding;
