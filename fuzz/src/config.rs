//! What describes a model: `config.json`, `generation_config.json`, the metadata of a GGUF file, and
//! chat templates, which are compiled and rendered.

use bitnet_formats::gguf::Gguf;
use bitnet_llm::chat_template::{ChatTemplate, Message};
use bitnet_llm::config::{GenerationConfig, GgufTensorFacts, ModelConfig};

/// One input, read as each of them.
pub fn run(data: &[u8]) {
    if let Err(error) = ModelConfig::from_json(data) {
        check_message(&error.to_string());
    }
    if let Err(error) = GenerationConfig::from_json(data) {
        check_message(&error.to_string());
    }
    if let Ok(gguf) = Gguf::parse(data) {
        let tensors = GgufTensorFacts { vocab_size: 32, has_output: false };
        if let Err(error) = ModelConfig::from_gguf(gguf.metadata(), tensors) {
            check_message(&error.to_string());
        }
        if let Err(error) = GenerationConfig::from_gguf(gguf.metadata()) {
            check_message(&error.to_string());
        }
    }
    let Ok(source) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(template) = ChatTemplate::new(source, "<s>", "</s>") else {
        return;
    };
    let conversation = [
        Message::new("system", "Be brief."),
        Message::new("user", "Hi {{ there }}"),
        Message::new("assistant", "Hello"),
        Message::new("user", "Bye"),
    ];
    for add_generation_prompt in [false, true] {
        let _ = template.render(&conversation, add_generation_prompt);
    }
}

/// A message fits a terminal, whatever the file holds.
fn check_message(message: &str) {
    assert!(message.len() < 4000, "{} bytes of message", message.len());
}
