//! `cargo fuzz run tokenizer`: see `src/tokenizer.rs`.
#![no_main]

use bitnet_fuzz::{tokenizer, limits};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

libfuzzer_sys::fuzz_target!(|data: &[u8]| limits::within(&ALLOCATED, data, tokenizer::run));
