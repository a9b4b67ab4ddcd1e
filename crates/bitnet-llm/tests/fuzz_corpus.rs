//! Every input that fuzzing found worth keeping, replayed without a fuzzer.

#![allow(unreachable_pub)] // what the fuzz targets reach in the modules included here

use std::fs;
use std::path::{Path, PathBuf};

use peak_alloc::PeakAlloc;

#[path = "../../../fuzz/src/config.rs"]
mod config;
#[path = "../../../fuzz/src/limits.rs"]
mod limits;
#[path = "../../../fuzz/src/tokenizer.rs"]
mod tokenizer;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// The only test: the limit on memory counts what the whole process allocates.
#[test]
fn the_corpus_breaks_nothing() {
    // The backtrace of a panic that is turned into an error would count as its input's memory.
    tokenizer::let_loading_unwind();
    for (name, target) in [("config", config::run as fn(&[u8])), ("tokenizer", tokenizer::run)] {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "no inputs for {name}");
        for path in inputs {
            println!("{}", path.display());
            let data = fs::read(&path).expect("a readable input");
            limits::within(&ALLOCATED, &data, target);
        }
    }
}

fn inputs(target: &str) -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(corpus).expect("the corpus");
    let mut inputs: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    inputs.sort();
    inputs
}
