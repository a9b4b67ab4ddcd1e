//! `cargo fuzz run safetensors`: see `src/safetensors.rs`.
#![no_main]

use bitnet_fuzz::{safetensors, limits};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| limits::within(&ALLOCATED, data, safetensors::run));
