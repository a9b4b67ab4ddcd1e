//! Random ternary weights in the shapes of a model, as a directory of Hugging Face: what other programs
//! are measured with where there is no download.

use std::path::Path;

use bitnet_formats::RawDType;
use bitnet_formats::safetensors::TensorSpec;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::convert::OnConvert;
use super::directory::synthetic_texts;
use super::sink::Sink;
use crate::config::{Architecture, ModelConfig};
use crate::error::{LlmError, Result};
use crate::model::{EmbeddedModel, Progress, fill_ternary_codes};

/// Bytes that are made and written at once.
const PIECE: usize = 1 << 24;

/// Writes a directory of the shapes of `config` with random ternary projections and a random embedding,
/// which is also the output head. The tokenizer is that of `vocabulary`, whose tokens are the first of
/// the model's. The scaling of rotary frequencies is left out; the same seed gives the same files.
///
/// # Errors
/// A path that is taken, or a failing write; nothing is left behind. [`LlmError::Interrupted`] when
/// `progress`, which counts bytes, breaks.
pub fn write_synthetic(
    config: &ModelConfig,
    vocabulary: &EmbeddedModel,
    seed: u64,
    path: &Path,
    progress: &mut OnConvert<'_>,
) -> Result<()> {
    let specs = specs(config);
    let bytes = |spec: &TensorSpec| spec.dtype.byte_len(&spec.shape).unwrap_or(0);
    let total = specs.iter().map(bytes).sum();
    let texts = synthetic_texts(config, vocabulary);
    let mut sink = Sink::directory(path, false, &texts, specs.clone())?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut done = 0;
    while let Some(name) = sink.next_name() {
        let Some(spec) = specs.iter().find(|spec| spec.name == name) else { break };
        let contents = Contents::of(spec);
        let mut left = bytes(spec);
        while left > 0 {
            let mut piece = vec![0; left.min(PIECE)];
            contents.fill(&mut random, &mut piece);
            sink.write(&piece)?;
            left -= piece.len();
            done += piece.len();
            if progress(Progress { done, total }).is_break() {
                return Err(LlmError::Interrupted);
            }
        }
    }
    sink.finish()
}

/// What the elements of a tensor are.
enum Contents {
    /// Four codes in each byte.
    Codes,
    /// The scale of weights.
    Scale,
    /// The ones of a norm.
    Ones,
    /// Numbers of either sign, between 2⁻⁷ and 2⁻⁵.
    Embedding,
}

impl Contents {
    fn of(spec: &TensorSpec) -> Self {
        match spec.dtype {
            RawDType::U8 => Self::Codes,
            _ if spec.name.ends_with("_scale") => Self::Scale,
            _ if spec.name.ends_with("norm.weight") => Self::Ones,
            _ => Self::Embedding,
        }
    }

    /// Fills whole elements.
    fn fill(&self, random: &mut Xoshiro256PlusPlus, bytes: &mut [u8]) {
        let mut all = |number: u16| {
            bytes.as_chunks_mut::<2>().0.fill(number.to_le_bytes());
        };
        match self {
            Self::Scale => all(half::bf16::from_f32(1.0 / 64.0).to_bits()),
            Self::Ones => all(half::bf16::ONE.to_bits()),
            Self::Codes => fill_ternary_codes(random, bytes),
            Self::Embedding => {
                random.fill_bytes(bytes);
                for [_, upper] in bytes.as_chunks_mut::<2>().0 {
                    *upper = 0x3c | (*upper & 0x80);
                }
            }
        }
    }
}

/// The tensors of a model with ternary projections and tied embeddings.
fn specs(config: &ModelConfig) -> Vec<TensorSpec> {
    let mut specs = Vec::new();
    let (hidden, ffn) = (config.hidden_size, config.intermediate_size);
    let (queries, keys) = (
        config.num_attention_heads * config.head_dim,
        config.num_key_value_heads * config.head_dim,
    );
    let spec =
        |name: String, dtype, shape: &[usize]| TensorSpec { name, dtype, shape: shape.into() };
    let numbers = |name: String, shape: &[usize]| spec(name, RawDType::BF16, shape);
    specs.push(numbers("model.embed_tokens.weight".to_owned(), &[config.vocab_size, hidden]));
    specs.push(numbers("model.norm.weight".to_owned(), &[hidden]));
    for layer in 0..config.num_hidden_layers {
        let name = |rest: &str| format!("model.layers.{layer}.{rest}.weight");
        specs.push(numbers(name("input_layernorm"), &[hidden]));
        specs.push(numbers(name("post_attention_layernorm"), &[hidden]));
        match config.architecture {
            Architecture::BitNet => {
                specs.push(numbers(name("self_attn.attn_sub_norm"), &[queries]));
                specs.push(numbers(name("mlp.ffn_sub_norm"), &[ffn]));
            }
            Architecture::Qwen3 => {
                specs.push(numbers(name("self_attn.q_norm"), &[config.head_dim]));
                specs.push(numbers(name("self_attn.k_norm"), &[config.head_dim]));
            }
            Architecture::Llama => {}
        }
        for (projection, rows, columns) in [
            ("self_attn.q_proj", queries, hidden),
            ("self_attn.k_proj", keys, hidden),
            ("self_attn.v_proj", keys, hidden),
            ("self_attn.o_proj", hidden, queries),
            ("mlp.gate_proj", ffn, hidden),
            ("mlp.up_proj", ffn, hidden),
            ("mlp.down_proj", hidden, ffn),
        ] {
            specs.push(spec(name(projection), RawDType::U8, &[rows / 4, columns]));
            specs.push(numbers(format!("{}_scale", name(projection)), &[1]));
        }
    }
    specs
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use super::*;
    use crate::checkpoint::{Checkpoint, Container, ConvertOptions, Encoding, convert};
    use crate::{LoadOptions, Model};

    fn vocabulary() -> EmbeddedModel {
        let file = |name: &str| -> &'static [u8] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
            std::fs::read(path.join(name)).expect("a file of the repository").leak()
        };
        EmbeddedModel {
            name: "stories-27m",
            config: &[],
            tokenizer: file("tokenizer.json"),
            tokenizer_config: file("tokenizer_config.json"),
            weights: &[],
        }
    }

    #[test]
    fn what_is_written_can_be_loaded_and_converted() {
        for (class, act) in
            [("BitNet", "relu2"), ("BitNet", "silu"), ("Llama", "silu"), ("Qwen3", "silu")]
        {
            let json = format!(
                r#"{{"architectures": ["{class}ForCausalLM"], "hidden_act": "{act}",
                "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64,
                "vocab_size": 5000, "max_position_embeddings": 128, "rms_norm_eps": 1e-5,
                "rope_theta": 10000.0, "tie_word_embeddings": true,
                "quantization_config": {{"quant_method": "bitnet"}}}}"#
            );
            let config = ModelConfig::from_json(json.as_bytes()).expect("a configuration");
            let folder = tempfile::tempdir().expect("a folder");
            let directory = folder.path().join("model");
            let mut goes_on = |_: Progress| ControlFlow::Continue(());
            write_synthetic(&config, &vocabulary(), 1, &directory, &mut goes_on).expect("written");
            Model::load(&directory, &LoadOptions::default()).expect("loaded");
            for name in ["i2_s", "tq2_0", "iq2_bn"] {
                let file = folder.path().join(format!("{name}.gguf"));
                let options = ConvertOptions {
                    ternary: Encoding::from_name(name),
                    ..ConvertOptions::new(Container::Gguf)
                };
                let checkpoint = Checkpoint::open(&directory).expect("opened");
                convert(&checkpoint, &file, &options, &mut goes_on)
                    .unwrap_or_else(|error| panic!("{class} to {name}: {error}"));
                Model::load(&file, &LoadOptions::default()).expect("loaded");
            }
        }
    }

    #[test]
    fn an_interruption_leaves_nothing_behind() {
        let json = br#"{"architectures": ["BitNetForCausalLM"], "hidden_act": "relu2",
            "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1,
            "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 4096,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "tie_word_embeddings": true, "quantization_config": {"quant_method": "bitnet"}}"#;
        let config = ModelConfig::from_json(json).expect("a configuration");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        let written = write_synthetic(&config, &vocabulary(), 1, &path, &mut |_: Progress| {
            ControlFlow::Break(())
        });
        assert!(matches!(written, Err(LlmError::Interrupted)));
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }
}
