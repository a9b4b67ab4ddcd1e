//! `cargo fuzz run gguf`: see `src/gguf.rs`.
#![no_main]

use bitnet_fuzz::{gguf, limits};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| limits::within(&ALLOCATED, data, gguf::run));
