//! Memory for tensors: blocks that are aligned for SIMD and stay warm between uses.

mod pool;
mod size_class;
mod stats;

pub use pool::{HybridMemoryPool, PoolBlock};
pub use stats::MemoryStats;
