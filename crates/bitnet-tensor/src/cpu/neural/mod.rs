//! Operations of neural networks.

mod attention;
mod gate;
mod rows;

pub(super) use attention::{attention, rope};
pub(super) use gate::gate;
pub(super) use rows::{layer_norm, rms_norm, softmax};
