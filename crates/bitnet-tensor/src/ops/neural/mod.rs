//! Operations of neural networks.

mod attention;
mod convolution;
mod gate;
mod layers;
mod loss;
mod norm;
mod normalization;
mod pooling;
mod rope;
mod softmax;

pub use attention::Attention;
pub use convolution::Convolution;
pub use gate::Gate;
pub use layers::AttentionWindow;
pub use loss::Reduction;
pub use norm::{RmsNorm, RmsNormQuantize};
pub use normalization::LayerNorm;
pub use rope::Rope;
pub use softmax::Softmax;
