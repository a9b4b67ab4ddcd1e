//! Operations of neural networks.

mod attention;
mod convolution;
mod gate;
mod norm;
mod normalization;
mod pooling;
mod rope;
mod softmax;

pub use attention::Attention;
pub use convolution::Convolution;
pub use gate::Gate;
pub use norm::{RmsNorm, RmsNormQuantize};
pub use rope::Rope;
pub use softmax::Softmax;
