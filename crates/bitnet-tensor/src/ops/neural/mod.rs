//! Operations of neural networks.

mod attention;
mod gate;
mod norm;
mod rope;
mod softmax;

pub use attention::Attention;
pub use gate::Gate;
pub use norm::{RmsNorm, RmsNormQuantize};
pub use rope::Rope;
pub use softmax::Softmax;
