//! A session remembers what it has read, also when reading was broken off.

use std::ops::ControlFlow;
use std::path::Path;

use bitnet_llm::model::LogitsOf;
use bitnet_llm::{LlmError, LoadOptions, Model, PREFILL_CHUNK, Session};

#[test]
fn an_interrupted_prompt_is_resumed_where_it_ended() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    let model = Model::load(&path, &LoadOptions::default())?;
    let ids: Vec<u32> = (0..900).map(|i| 3 + i * 7 % 4000).collect();

    let mut session = Session::new(&model)?;
    let broken = session.read_all(&ids, &mut |_, _| ControlFlow::Break(()));
    assert!(matches!(broken, Err(LlmError::Interrupted)));
    assert_eq!(session.tokens(), &ids[..PREFILL_CHUNK]);

    let mut told = Vec::new();
    let resumed = session.read_all(&ids, &mut |done, total| {
        told.push((done, total));
        ControlFlow::Continue(())
    })?;
    let rest = ids.len() - PREFILL_CHUNK;
    assert_eq!(told, [(rest, rest)]);
    let whole = Session::new(&model)?.read(&ids)?;
    assert!(resumed.to_vec::<f32>()? == whole.to_vec::<f32>()?);
    Ok(())
}

/// Token by token over the places where the caches grow: the bits are those of a session in which
/// they were large enough before the first token.
#[test]
fn growing_caches_change_no_bit() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    let model = Model::load(&path, &LoadOptions::default())?;
    let ids: Vec<u32> = (0..516).map(|i| 3 + i * 11 % 4000).collect();
    let mut growing = Session::new(&model)?;
    growing.read(&ids[..254])?;
    for end in [255, 256, 257, 258, 511, 512, 513, 514] {
        let logits = growing.read(&ids[growing.tokens().len()..end])?;
        let whole = Session::with_capacity(&model, end)?.forward(&ids[..end], LogitsOf::Last)?;
        assert!(logits.to_vec::<f32>()? == whole.to_vec::<f32>()?, "after {end} tokens");
    }
    Ok(())
}
