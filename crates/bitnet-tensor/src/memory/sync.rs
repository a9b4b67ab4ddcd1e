//! The locks, atomics and thread-local values of what threads share. `tests/loom_memory.rs`
//! compiles the files that use them with those of loom, which tries every order in which threads
//! can meet.

pub(super) use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, AtomicUsize};
pub(super) use std::sync::{Mutex, MutexGuard};
pub(super) use std::thread_local;
