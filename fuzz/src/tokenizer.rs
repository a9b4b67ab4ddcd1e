//! The vocabulary, as `tokenizer.json` or in the metadata of a GGUF file: whatever is accepted must
//! encode and decode without a panic.

use bitnet_formats::gguf::Gguf;
use bitnet_llm::tokenizer::{BosPolicy, GgufVocabulary, Tokenizer};

const TEXT: &str = "ab a\n  Ġ▁é 日本 1234 I'll \u{1f642}<s></s>";

/// One input.
pub fn run(data: &[u8]) {
    if let Some(tokenizer) = load(data) {
        exercise(&tokenizer);
    }
}

fn load(data: &[u8]) -> Option<Tokenizer> {
    let Ok(gguf) = Gguf::parse(data) else {
        return Tokenizer::from_json(data, None).ok();
    };
    let vocabulary = GgufVocabulary::from_metadata(gguf.metadata(), gguf.architecture()).ok()?;
    Tokenizer::from_gguf(&vocabulary).ok()
}

/// Lets panics of the crate `tokenizers` unwind; any other ends the process, as the fuzzer wants.
pub fn let_loading_unwind() {
    let stop = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let foreign = panic.location().is_some_and(|at| at.file().contains("/tokenizers-"));
        if !foreign {
            stop(panic);
        }
    }));
}

fn exercise(tokenizer: &Tokenizer) {
    for policy in [BosPolicy::Auto, BosPolicy::Always, BosPolicy::Never] {
        if let Ok(ids) = tokenizer.encode(TEXT, policy) {
            for skip_special in [false, true] {
                let _ = tokenizer.decode(&ids, skip_special);
                let mut stream = tokenizer.stream(skip_special);
                for &id in &ids {
                    let _ = stream.push(id);
                }
            }
        }
    }
    for id in 0..tokenizer.vocab_size().min(64) as u32 {
        let _ = (tokenizer.token(id), tokenizer.token_bytes(id), tokenizer.is_special(id));
    }
}
