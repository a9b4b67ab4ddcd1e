//! What reading a prompt and a decode step copy, and what storage they take: nothing for the layers
//! of a step. `cargo test -p bitnet-llm --test decode_storage -- --nocapture` prints the share of
//! operations that need no new storage: views, and results written over an operand or into
//! storage that is kept. (Where the caches grow, a step does copy: `session.rs`.)
//!
//! The counters belong to the process, so this is a process of one test.

use std::path::Path;

use bitnet_llm::{LoadOptions, Model, Session};
use bitnet_tensor::backend::AccelerationMetrics;

/// What a layer computes lies where it lay for the layer and the token before.
#[test]
fn a_decode_step_copies_nothing_and_takes_no_new_storage_in_its_layers()
-> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    let model = Model::load(&path, &LoadOptions::default())?;
    let mut session = Session::new(&model)?;
    // The first prompt finds storage of its size nowhere; another of that size does.
    let prompt: Vec<u32> = (300..364).collect();
    session.read(&prompt)?;
    session.truncate(0);
    let before = AccelerationMetrics::snapshot();
    session.read(&prompt)?;
    let share = without_new_storage("prompt of 64 tokens", &before);
    assert!(share >= 0.8, "{share}");
    assert_eq!(AccelerationMetrics::snapshot().since(&before).copied_bytes, 0);
    session.truncate(0);
    session.read(&[0, 1811, 797])?;
    session.read(&[261])?;
    for token in 262..270 {
        let before = AccelerationMetrics::snapshot();
        session.read(&[token])?;
        let spent = AccelerationMetrics::snapshot().since(&before);
        let share = without_new_storage("decode step", &before);
        assert!(share >= 0.8, "{share}");
        assert_eq!(spent.copied_bytes, 0);
        // The embedding's row, its conversion, the quantized last state, the logits.
        assert_eq!(spent.allocations, 4);
    }
    Ok(())
}

/// The share of the operations since `before` that took no new storage, told.
fn without_new_storage(what: &str, before: &AccelerationMetrics) -> f64 {
    let spent = AccelerationMetrics::snapshot().since(before);
    let all = spent.operations + spent.views;
    let share = (all - spent.allocations) as f64 / all as f64;
    println!(
        "{what}: {all} operations, {} of them views, {} with new storage, {} bytes copied: {:.1} % need \
         no new storage",
        spent.views,
        spent.allocations,
        spent.copied_bytes,
        100.0 * share
    );
    share
}
