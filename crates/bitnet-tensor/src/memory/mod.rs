//! Memory for tensors: blocks that are aligned for SIMD and stay warm between uses.
//!
//! The way of a request, from the shortest: the thread's front (`front`), what the threads share
//! (`central`), the free spans (`large`), the system (`span`). [`HybridMemoryPool`] is the door;
//! `shared` knows when to go on to the next.

mod block;
mod bytes;
mod central;
mod clock;
mod config;
mod environment;
mod front;
mod large;
mod pool;
mod pressure;
mod scope;
mod shared;
mod size_class;
mod span;
mod stats;
mod sync;
mod tally;
mod tracking;
mod usage;

pub use block::PoolBlock;
pub use bytes::parse_bytes;
pub use config::{PoolConfig, TrimPolicy};
pub use pool::HybridMemoryPool;
pub use pressure::{PressureChange, PressureLevel, PressureSubscription};
pub(crate) use scope::with_current;
pub use scope::with_pool;
pub use stats::{MemoryStats, SizeClassStats};
pub use tracking::{LiveBlock, LiveReport, Origin, with_label};
pub(crate) use tracking::{during, on_behalf_of};
