//! A session remembers what it has read, also when reading was broken off.

use std::ops::ControlFlow;
use std::path::Path;

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
