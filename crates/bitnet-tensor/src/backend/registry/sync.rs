//! What threads meet at. `tests/loom_registry.rs` compiles the list with loom's in their place.

pub(super) use std::sync::atomic::AtomicBool;
pub(super) use std::sync::{Mutex, OnceLock};
