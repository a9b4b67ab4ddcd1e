//! What a model is, as the texts of a Hugging Face directory: `config.json`, the tokenizer and its
//! settings.

use bitnet_formats::gguf::Metadata;
use serde_json::{Map, Value, json};

use super::metadata::rope_divisors;
use super::source::{Checkpoint, Container};
use crate::config::{Activation, Architecture, ModelConfig, RopeScaling};
use crate::error::{LlmError, Result};
use crate::model::EmbeddedModel;
use crate::model::tensor_names::GGUF_ROPE_FREQS;
use crate::tokenizer::BosPolicy;

/// The texts of a model that the loader knows.
const MODEL_TEXTS: [&str; 4] =
    ["tokenizer.json", "tokenizer_config.json", "generation_config.json", "chat_template.jinja"];

/// Further texts that a directory may have: carried over as they are.
const OTHER_TEXTS: [&str; 4] =
    ["special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt"];

/// How the projections of the directory are stored.
pub(super) struct Projections {
    /// Whether any is ternary.
    pub(super) ternary: bool,
    /// The names of those that are not, where others are.
    pub(super) dense: Vec<String>,
}

/// Names and contents of the files beside the weights.
pub(super) fn directory_texts(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    projections: &Projections,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut root = match checkpoint.container() {
        Container::HuggingFace => {
            let text = checkpoint.model_files().text("config.json").unwrap_or_default();
            serde_json::from_slice::<Map<String, Value>>(text)
                .map_err(|error| checkpoint.refuse(format!("config.json: {error}")))?
        }
        Container::Gguf => config_of(checkpoint, config)?,
    };
    root.remove("quantization_config");
    if projections.ternary {
        root.insert("quantization_config".into(), quantization_config(&projections.dense));
    }
    let mut texts = vec![("config.json".to_owned(), pretty(&Value::Object(root)))];
    match checkpoint.container() {
        Container::HuggingFace => {
            for name in MODEL_TEXTS {
                let text = checkpoint.model_files().text(name);
                texts.extend(text.map(|text| (name.to_owned(), text.to_vec())));
            }
            for name in OTHER_TEXTS {
                let text = std::fs::read(std::path::Path::new(checkpoint.origin()).join(name));
                texts.extend(text.ok().map(|text| (name.to_owned(), text)));
            }
        }
        Container::Gguf => {
            let gguf = checkpoint.gguf()?;
            texts.extend(tokenizer_texts(checkpoint, config, gguf.metadata())?);
        }
    }
    Ok(texts)
}

fn quantization_config(dense: &[String]) -> Value {
    let mut config = json!({
        "quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline",
    });
    if !dense.is_empty() {
        config["modules_to_not_convert"] = json!(dense);
    }
    config
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = format!("{value:#}").into_bytes();
    text.push(b'\n');
    text
}

/// The texts of a model that has no files: a configuration with ternary projections, and the tokenizer of
/// another one.
pub(super) fn synthetic_texts(
    config: &ModelConfig,
    vocabulary: &EmbeddedModel,
) -> Vec<(String, Vec<u8>)> {
    let mut root = hyperparameters(config);
    root.insert("quantization_config".into(), quantization_config(&[]));
    // The output head is the embedding, whatever the model's own has.
    root.insert("tie_word_embeddings".into(), json!(true));
    vec![
        ("config.json".to_owned(), pretty(&Value::Object(root))),
        ("tokenizer.json".to_owned(), vocabulary.tokenizer.to_vec()),
        ("tokenizer_config.json".to_owned(), vocabulary.tokenizer_config.to_vec()),
    ]
}

/// `config.json` but for the scaling of rotary frequencies.
fn hyperparameters(config: &ModelConfig) -> Map<String, Value> {
    let (class, model_type) = match config.architecture {
        Architecture::BitNet => ("BitNetForCausalLM", "bitnet"),
        Architecture::Llama => ("LlamaForCausalLM", "llama"),
        Architecture::Qwen3 => ("Qwen3ForCausalLM", "qwen3"),
    };
    let activation = match config.hidden_act {
        Activation::Relu2 => "relu2",
        Activation::Silu => "silu",
    };
    let json = json!({
        "architectures": [class],
        "model_type": model_type,
        "hidden_act": activation,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.num_hidden_layers,
        "num_attention_heads": config.num_attention_heads,
        "num_key_value_heads": config.num_key_value_heads,
        "head_dim": config.head_dim,
        "vocab_size": config.vocab_size,
        "max_position_embeddings": config.max_position_embeddings,
        "rms_norm_eps": shortest(config.rms_norm_eps),
        "rope_theta": shortest(config.rope_theta),
        "tie_word_embeddings": config.tie_word_embeddings,
        "attention_bias": false,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_ids,
        "torch_dtype": "bfloat16",
    });
    json.as_object().cloned().unwrap_or_default()
}

/// `config.json` of a model from a GGUF file.
fn config_of(checkpoint: &Checkpoint, config: &ModelConfig) -> Result<Map<String, Value>> {
    let mut root = hyperparameters(config);
    let scaling = match rope_scaling(checkpoint, config)? {
        None => return Ok(root),
        Some(RopeScaling::Linear { factor }) => json!({"rope_type": "linear", "factor": factor}),
        Some(RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        }) => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_max_position_embeddings,
        }),
    };
    root.insert("rope_scaling".into(), scaling);
    Ok(root)
}

/// A number that was an `f32`, as people write it: 1e-5 and not 9.999999747378752e-6.
fn shortest(value: f64) -> f64 {
    (value as f32).to_string().parse().unwrap_or(value)
}

/// The scaling of the rotary frequencies; a GGUF file has its result alone, in a tensor, from which
/// the values that Llama 3 models use are recognised.
fn rope_scaling(checkpoint: &Checkpoint, config: &ModelConfig) -> Result<Option<RopeScaling>> {
    let Some(entry) = checkpoint.tensor(GGUF_ROPE_FREQS) else {
        return Ok(config.rope_scaling);
    };
    let matrix = checkpoint.matrix(entry)?;
    let mut divisors = vec![0.0; matrix.cols()];
    matrix
        .read_row(0, &mut divisors)
        .map_err(|error| checkpoint.fault(entry, error.to_string()))?;
    let factor = f64::from(divisors.iter().copied().fold(0.0, f32::max));
    for original in [8192, 4096, 16384, 32768] {
        let scaling = RopeScaling::Llama3 {
            factor,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: original,
        };
        let scaled = ModelConfig { rope_scaling: Some(scaling), ..config.clone() };
        let expected = rope_divisors(&scaled).unwrap_or_default();
        let close = |(a, b): (&f32, &f32)| (a / b - 1.0).abs() < 1e-4;
        if expected.len() == divisors.len() && expected.iter().zip(&divisors).all(close) {
            return Ok(Some(scaling));
        }
    }
    Err(checkpoint.fault(entry, "is no scaling that config.json can say"))
}

/// The tokenizer of a GGUF file as Hugging Face writes it.
fn tokenizer_texts(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    metadata: &Metadata<'_>,
) -> Result<Vec<(String, Vec<u8>)>> {
    let tokenizer = checkpoint.model_files().tokenizer(config.bos_token_id)?;
    let mut settings = Map::new();
    settings.insert("tokenizer_class".into(), json!("PreTrainedTokenizerFast"));
    for (key, token) in [("bos_token", tokenizer.bos_token()), ("eos_token", tokenizer.eos_token())]
    {
        if let Some(token) = token {
            settings.insert(key.into(), json!(token));
        }
    }
    let begins = !tokenizer.encode("", BosPolicy::Auto)?.is_empty();
    settings.insert("add_bos_token".into(), json!(begins));
    settings.insert("model_max_length".into(), json!(config.max_position_embeddings));
    settings.insert("clean_up_tokenization_spaces".into(), json!(false));
    let template = metadata.get::<&str>("tokenizer.chat_template");
    let in_file =
        |error: bitnet_formats::FormatError| LlmError::Format(error.in_file(checkpoint.origin()));
    if let Some(template) = template.map_err(in_file)? {
        settings.insert("chat_template".into(), json!(template));
    }
    Ok(vec![
        ("tokenizer.json".to_owned(), tokenizer.to_json()?),
        ("tokenizer_config.json".to_owned(), pretty(&Value::Object(settings))),
    ])
}
