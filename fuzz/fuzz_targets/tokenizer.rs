//! `cargo fuzz run tokenizer`: see `src/tokenizer.rs`.
#![no_main]

use bitnet_fuzz::{tokenizer, limits};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

// The crate `tokenizers` panics on some malformed files; `Tokenizer::from_json` turns that into an
// error, which the fuzzer's own hook would not let it do. A panic that nobody catches still counts.
libfuzzer_sys::fuzz_target!(init: tokenizer::let_loading_unwind(), |data: &[u8]| limits::within(&ALLOCATED, data, tokenizer::run));
