//! What a model is, as the metadata of a GGUF file: hyperparameters, tokenizer, chat template.

use bitnet_formats::gguf::{MetadataBuilder, ToMetadata};
use bitnet_kernels::ternary::I2sBlock;

use super::matrix::Encoding;
use super::source::{Checkpoint, Container};
use crate::chat_template::template_source;
use crate::config::{Activation, Architecture, ModelConfig, RopeScaling};
use crate::error::{LlmError, Result};
use crate::model::GGUF_I2_S_BLOCK;
use crate::tokenizer::{BosPolicy, ExportedVocabulary};

/// The metadata of a file with the tensors of `checkpoint`, most of them in `encoding`, some perhaps
/// in I2_S.
pub(super) fn gguf_metadata(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    encoding: Encoding,
    has_i2_s: bool,
) -> Result<MetadataBuilder> {
    let mut metadata = Metadata(MetadataBuilder::new());
    if checkpoint.container() == Container::Gguf {
        for (key, value) in checkpoint.gguf()?.metadata().entries() {
            match *key {
                "general.file_type" => metadata.push(key, file_type(encoding))?,
                GGUF_I2_S_BLOCK => {}
                key if key.starts_with("split.") => {}
                _ => metadata.push(key, *value)?,
            }
        }
        metadata.i2_s(has_i2_s)?;
        return Ok(metadata.0);
    }
    let architecture = gguf_architecture(config)
        .ok_or_else(|| checkpoint.refuse("no architecture of GGUF has its activation"))?;
    metadata.push("general.architecture", architecture)?;
    metadata.push("general.type", "model")?;
    let name = checkpoint.origin().trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next();
    metadata.push("general.name", name.unwrap_or_default())?;
    metadata.push("general.file_type", file_type(encoding))?;
    metadata.push("general.quantization_version", 2u32)?;
    metadata.hyperparameters(checkpoint, config, architecture)?;
    metadata.tokenizer(checkpoint, config)?;
    metadata.i2_s(has_i2_s)?;
    Ok(metadata.0)
}

/// The architecture of GGUF files for a model of ours.
pub(super) fn gguf_architecture(config: &ModelConfig) -> Option<&'static str> {
    Some(match (config.architecture, config.hidden_act) {
        (Architecture::BitNet, Activation::Relu2) => "bitnet-b1.58",
        (Architecture::BitNet, Activation::Silu) => "bitnet",
        (Architecture::Llama, Activation::Silu) => "llama",
        (Architecture::Qwen3, Activation::Silu) => "qwen3",
        _ => return None,
    })
}

/// llama.cpp's number for a file of mostly this encoding; bitnet.cpp's for I2_S.
fn file_type(encoding: Encoding) -> u32 {
    match encoding.to_string().as_str() {
        "F16" => 1,
        "Q4_0" => 2,
        "Q4_1" => 3,
        "Q8_0" => 7,
        "Q5_0" => 8,
        "Q5_1" => 9,
        "Q6_K" => 18,
        "BF16" => 32,
        "TQ1_0" => 36,
        "TQ2_0" => 37,
        "I2_S" => 40,
        _ => 0,
    }
}

/// The divisors of the rotary frequencies, as GGUF files keep Llama 3's scaling.
pub(super) fn rope_divisors(config: &ModelConfig) -> Option<Vec<f32>> {
    let Some(RopeScaling::Llama3 {
        factor,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings,
    }) = config.rope_scaling
    else {
        return None;
    };
    let divisor = |pair: usize| {
        let exponent = 2.0 * pair as f64 / config.head_dim as f64;
        let wavelength = 2.0 * std::f64::consts::PI * config.rope_theta.powf(exponent);
        let turns = original_max_position_embeddings as f64 / wavelength;
        let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
        let kept = kept.clamp(0.0, 1.0);
        (1.0 / ((1.0 - kept) / factor + kept)) as f32
    };
    Some((0..config.head_dim / 2).map(divisor).collect())
}

struct Metadata(MetadataBuilder);

impl Metadata {
    fn push(&mut self, key: &str, value: impl ToMetadata) -> Result<()> {
        self.0.push(key, value).map_err(LlmError::Format)
    }

    /// How I2_S tensors are laid out: nothing in their bytes says it.
    fn i2_s(&mut self, is_there: bool) -> Result<()> {
        if is_there { self.push(GGUF_I2_S_BLOCK, I2sBlock::Of128.len() as u32) } else { Ok(()) }
    }

    fn hyperparameters(
        &mut self,
        checkpoint: &Checkpoint,
        config: &ModelConfig,
        architecture: &str,
    ) -> Result<()> {
        for (key, value) in [
            ("vocab_size", config.vocab_size),
            ("context_length", config.max_position_embeddings),
            ("embedding_length", config.hidden_size),
            ("block_count", config.num_hidden_layers),
            ("feed_forward_length", config.intermediate_size),
            ("rope.dimension_count", config.head_dim),
            ("attention.head_count", config.num_attention_heads),
            ("attention.head_count_kv", config.num_key_value_heads),
            ("attention.key_length", config.head_dim),
            ("attention.value_length", config.head_dim),
        ] {
            let number = u32::try_from(value)
                .map_err(|_| checkpoint.refuse(format!("{key} = {value} does not fit 32 bits")))?;
            self.push(&format!("{architecture}.{key}"), number)?;
        }
        let key = |rest: &str| format!("{architecture}.{rest}");
        self.push(&key("attention.layer_norm_rms_epsilon"), config.rms_norm_eps as f32)?;
        self.push(&key("rope.freq_base"), config.rope_theta as f32)?;
        match config.rope_scaling {
            // In a tensor: see `rope_divisors`.
            None | Some(RopeScaling::Llama3 { .. }) => Ok(()),
            Some(RopeScaling::Linear { factor }) => {
                self.push(&key("rope.scaling.type"), "linear")?;
                self.push(&key("rope.scaling.factor"), factor as f32)
            }
        }
    }

    fn tokenizer(&mut self, checkpoint: &Checkpoint, config: &ModelConfig) -> Result<()> {
        let files = checkpoint.model_files();
        let Some(json) = files.text("tokenizer.json") else {
            return Err(checkpoint.refuse("has no tokenizer.json"));
        };
        let tokenizer = files.tokenizer(config.bos_token_id)?;
        let vocabulary = ExportedVocabulary::new(json, &tokenizer, config.vocab_size)?;
        self.push("tokenizer.ggml.model", vocabulary.model)?;
        if let Some(pre) = vocabulary.pre {
            self.push("tokenizer.ggml.pre", pre)?;
        }
        self.push("tokenizer.ggml.tokens", &vocabulary.tokens[..])?;
        if !vocabulary.scores.is_empty() {
            self.push("tokenizer.ggml.scores", &vocabulary.scores[..])?;
        }
        self.push("tokenizer.ggml.token_type", &vocabulary.token_types[..])?;
        if !vocabulary.merges.is_empty() {
            self.push("tokenizer.ggml.merges", &vocabulary.merges[..])?;
        }
        let eos = tokenizer.eos().or(config.eos_token_ids.first().copied());
        // The first further end of a text is the end of a turn, the next that of a message.
        let mut ends = config.eos_token_ids.iter().copied().filter(|id| Some(*id) != eos);
        for (key, id) in [
            ("bos_token_id", tokenizer.bos().or(config.bos_token_id)),
            ("eos_token_id", eos),
            ("eot_token_id", ends.next()),
            ("eom_token_id", ends.next()),
            ("unknown_token_id", vocabulary.unknown_token_id),
        ] {
            if let Some(id) = id {
                self.push(&format!("tokenizer.ggml.{key}"), id)?;
            }
        }
        let begins = !tokenizer.encode("", BosPolicy::Auto)?.is_empty();
        self.push("tokenizer.ggml.add_bos_token", begins)?;
        if let Some(prefix) = vocabulary.add_space_prefix {
            self.push("tokenizer.ggml.add_space_prefix", prefix)?;
        }
        let template = files.text("chat_template.jinja").map(std::str::from_utf8).transpose();
        let template =
            template.map_err(|error| checkpoint.refuse(format!("chat_template.jinja: {error}")))?;
        if let Some(template) = template_source(files.text("tokenizer_config.json"), template)? {
            self.push("tokenizer.chat_template", template.as_str())?;
        }
        Ok(())
    }
}
