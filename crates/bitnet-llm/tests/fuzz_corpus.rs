//! Every input that fuzzing found worth keeping, replayed without a fuzzer.

#![allow(unreachable_pub)] // what the fuzz targets reach in the modules included here

use peak_alloc::PeakAlloc;

#[path = "../../../fuzz/src/config.rs"]
mod config;
#[path = "../../../fuzz/src/limits.rs"]
mod limits;
#[path = "../../../fuzz/src/replay.rs"]
mod replay;
#[path = "../../../fuzz/src/tokenizer.rs"]
mod tokenizer;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The only test: the limit on memory counts what the whole process allocates.
#[test]
fn the_corpus_breaks_nothing() {
    // The backtrace of a panic that is turned into an error would count as its input's memory.
    tokenizer::let_loading_unwind();
    replay::replay(&ALLOCATED, [("config", config::run), ("tokenizer", tokenizer::run)]);
}
