//! The locks of what threads share. `tests/loom_memory.rs` compiles the files that use them with
//! those of loom, which tries every order in which threads can meet.

pub(super) use std::sync::Mutex;
pub(super) use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize};
