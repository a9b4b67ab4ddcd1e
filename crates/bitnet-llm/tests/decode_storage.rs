//! What a decode step copies and what storage it takes: nothing for its layers.
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
    session.read(&[0, 1811, 797])?;
    session.read(&[261])?;
    for token in 262..270 {
        let before = AccelerationMetrics::snapshot();
        session.read(&[token])?;
        let spent = AccelerationMetrics::snapshot().since(&before);
        let operations = spent.operations + spent.views;
        println!("{} of {operations} operations take new storage", spent.allocations);
        assert_eq!(spent.copied_bytes, 0);
        // The embedding's row, its conversion, the quantized last state, the logits.
        assert_eq!(spent.allocations, 4);
    }
    Ok(())
}
