//! The meaning of each operation: slow, readable, in `f64`, index by index.
//!
//! Not a place to fall back to: [`ReferenceBackend`] exists so that the conformance suite can
//! compare every other backend with it. It is itself compared with data of NumPy and PyTorch.

mod backend;
mod semantics;

pub use backend::ReferenceBackend;
