//! The corpus replayed without a fuzzer: what the tests `fuzz_corpus.rs` of two crates share.

use std::fs;
use std::path::{Path, PathBuf};

use peak_alloc::PeakAlloc;

use super::limits;

/// A target's name and what it does with an input.
pub type Target<'a> = (&'a str, fn(&[u8]));

/// Runs every target on every input that fuzzing found worth keeping for it.
///
/// # Panics
/// Where a target has no inputs, or breaks on one.
pub fn replay(allocated: &PeakAlloc, targets: [Target<'_>; 2]) {
    for (name, target) in targets {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "no inputs for {name}");
        for path in inputs {
            println!("{}", path.display());
            let data = fs::read(&path).expect("a readable input");
            limits::within(allocated, &data, target);
        }
    }
}

fn inputs(target: &str) -> Vec<PathBuf> {
    // Beside the folder of the crate whose test this is.
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(corpus).expect("the corpus");
    let mut inputs: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    inputs.sort();
    inputs
}
