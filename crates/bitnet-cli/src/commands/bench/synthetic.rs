//! Models of random weights in known shapes: speed without a download.

use anyhow::Result;
use bitnet::llm::config::ModelConfig;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(super) enum Synthetic {
    /// 2.4 billion parameters (microsoft/bitnet-b1.58-2B-4T)
    #[value(name = "bitnet-2b-4t")]
    #[serde(rename = "bitnet-2b-4t")]
    BitNet2b4t,
    /// 27 million parameters (the model inside of the program)
    #[value(name = "stories-27m")]
    #[serde(rename = "stories-27m")]
    Stories27m,
}

impl Synthetic {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BitNet2b4t => "bitnet-2b-4t (synthetic)",
            Self::Stories27m => "stories-27m (synthetic)",
        }
    }

    pub(super) fn config(self) -> Result<ModelConfig> {
        Ok(ModelConfig::from_json(match self {
            // From the config.json on Hugging Face.
            Self::BitNet2b4t => {
                br#"{
                    "architectures": ["BitNetForCausalLM"], "hidden_act": "relu2",
                    "hidden_size": 2560, "intermediate_size": 6912, "num_hidden_layers": 30,
                    "num_attention_heads": 20, "num_key_value_heads": 5, "vocab_size": 128256,
                    "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
                    "tie_word_embeddings": true,
                    "quantization_config": {"quant_method": "bitnet"}
                }"#
            }
            Self::Stories27m => bitnet::embedded::stories_27m().config,
        })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synthetic_configurations_are_valid() {
        for synthetic in Synthetic::value_variants() {
            synthetic.config().unwrap();
        }
        let config = Synthetic::BitNet2b4t.config().unwrap();
        assert_eq!((config.head_dim, config.num_key_value_heads), (128, 5));
    }
}
