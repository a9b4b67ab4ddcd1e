//! The program as its users run it: its output, its exit status, its errors.

mod bad_input;
mod bench;
mod chat;
mod checkpoints;
mod eval;
mod generate;
#[cfg(feature = "gpu")]
mod gpu;
mod measurements;
mod peers;
mod support;
