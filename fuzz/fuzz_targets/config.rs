//! `cargo fuzz run config`: see `src/config.rs`.
#![no_main]

use bitnet_fuzz::{config, limits};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| limits::within(&ALLOCATED, data, config::run));
