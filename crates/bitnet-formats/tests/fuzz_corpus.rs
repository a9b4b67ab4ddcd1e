//! Every input that fuzzing found worth keeping, replayed without a fuzzer.

#![allow(unreachable_pub)] // what the fuzz targets reach in the modules included here

use peak_alloc::PeakAlloc;

#[path = "../../../fuzz/src/gguf.rs"]
mod gguf;
#[path = "../../../fuzz/src/limits.rs"]
mod limits;
#[path = "../../../fuzz/src/replay.rs"]
mod replay;
#[path = "../../../fuzz/src/safetensors.rs"]
mod safetensors;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The only test: the limit on memory counts what the whole process allocates.
#[test]
fn the_corpus_breaks_nothing() {
    replay::replay(&ALLOCATED, [("gguf", gguf::run), ("safetensors", safetensors::run)]);
}
