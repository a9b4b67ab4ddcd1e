//! `config.json` and `generation_config.json` of a checkpoint directory, or the metadata of a GGUF
//! file: what the model is, read once and checked, so that no later code meets a zero size or an
//! architecture it does not know.
//!
//! What a file asks for and this program cannot do is refused here by name; an option silently
//! ignored would be a model that runs and is wrong.

mod fields;
mod generation;
mod gguf;
#[cfg(test)]
mod tests;

use bitnet_tensor::ops::RopeMode;
use serde_json::Value;

use fields::{Fields, parse_object};

pub use fields::ConfigError;
pub use generation::GenerationConfig;
pub use gguf::GgufTensorFacts;

/// The largest accepted dimension: above every real model, and products of two fit in 48 bits.
pub const MAX_DIMENSION: usize = 1 << 24;
const MAX_LAYERS: usize = 1 << 12;

/// Which family of transformer blocks the weights belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// `BitNetForCausalLM`: RMS norms also before the output and down projections.
    BitNet,
    /// `LlamaForCausalLM`, dense or with ternary projections.
    Llama,
    /// `Qwen3ForCausalLM`, dense or with ternary projections: RMS norms of each query and key head.
    Qwen3,
}

/// The activation on the gate of the feed-forward block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activation {
    /// `max(x, 0)²`.
    Relu2,
    /// `x · sigmoid(x)`.
    Silu,
}

/// How the rotary frequencies depart from `theta^(−2i/head_dim)`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Llama 3.1's: wavelengths above `original_max_position_embeddings / low_freq_factor` are
    /// stretched by `factor`, those below `… / high_freq_factor` are kept, in between it blends.
    Llama3 {
        /// By how much the low frequencies are slowed.
        factor: f64,
        /// Bounds the stretched wavelengths.
        low_freq_factor: f64,
        /// Bounds the kept wavelengths; above `low_freq_factor`.
        high_freq_factor: f64,
        /// The context length, in tokens, before it was extended.
        original_max_position_embeddings: usize,
    },
    /// Every position counts `1 / factor`.
    Linear {
        /// By how much all frequencies are slowed.
        factor: f64,
    },
}

/// What a stored `weight_scale` does to the integer product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleConvention {
    /// The scale is the mean absolute weight (`linear_class: autobitlinear`).
    Multiply,
    /// The scale is its reciprocal (`linear_class: bitlinear`, also when none is given).
    Divide,
}

/// When the weights become ternary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuantizationMode {
    /// The file holds packed ternary codes.
    Offline,
    /// The file holds float masters, to be quantized when they are loaded.
    Online,
}

/// How the projections are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightFormat {
    /// Floats, used as floats.
    Dense,
    /// Ternary after loading.
    Ternary {
        /// Meaning of `weight_scale`; of no effect in [`QuantizationMode::Online`].
        scale: ScaleConvention,
        /// Packed codes or float masters.
        mode: QuantizationMode,
    },
    /// As the type of each tensor in the file says (GGUF).
    ByTensor,
}

/// The hyperparameters of a model, all checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// Family of the transformer blocks.
    pub architecture: Architecture,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the feed-forward block.
    pub intermediate_size: usize,
    /// Transformer blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides the query heads.
    pub num_key_value_heads: usize,
    /// Width of one head; even, as rotary embedding needs.
    pub head_dim: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// The context length in tokens.
    pub max_position_embeddings: usize,
    /// The epsilon of the RMS norms.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Adjustment of the rotary frequencies.
    pub rope_scaling: Option<RopeScaling>,
    /// Which elements of a head rotate together: halves in Hugging Face's files, adjacent pairs in
    /// GGUF files of the `llama` architecture, whose query and key rows are sorted for it.
    pub rope_mode: RopeMode,
    /// Activation on the feed-forward gate.
    pub hidden_act: Activation,
    /// The output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Beginning of text, where the file names one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text; may be empty.
    pub eos_token_ids: Vec<u32>,
    /// How the projections are stored.
    pub weight_format: WeightFormat,
    /// Module names that stay dense in a ternary model, besides the output head.
    pub modules_to_not_convert: Vec<String>,
}

impl ModelConfig {
    /// Reads the text of a `config.json`.
    ///
    /// Sizes must be given; the rest defaults as in Hugging Face transformers.
    ///
    /// ```
    /// use bitnet_llm::config::{Activation, ModelConfig};
    ///
    /// let config = ModelConfig::from_json(br#"{
    ///     "architectures": ["BitNetForCausalLM"], "hidden_size": 512, "intermediate_size": 1536,
    ///     "num_hidden_layers": 8, "num_attention_heads": 8, "vocab_size": 4096
    /// }"#)?;
    /// assert_eq!(config.head_dim, 64);
    /// assert_eq!(config.hidden_act, Activation::Relu2);
    /// # Ok::<(), bitnet_llm::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// A missing, malformed or unsupported value: the error names its key.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let root = parse_object("config.json", json)?;
        let fields = Fields::new("config.json", &root);
        let architecture = architecture(&fields)?;

        let num_attention_heads = fields.require_dimension("num_attention_heads")?;
        let hidden_size = fields.require_dimension("hidden_size")?;
        let num_key_value_heads =
            fields.dimension("num_key_value_heads")?.unwrap_or(num_attention_heads);
        let head_dim = match fields.dimension("head_dim")? {
            Some(head_dim) => head_dim,
            None if architecture == Architecture::Qwen3 => 128,
            None if hidden_size.is_multiple_of(num_attention_heads) => {
                hidden_size / num_attention_heads
            }
            None => {
                let reason =
                    format!("not a multiple of num_attention_heads = {num_attention_heads}");
                return Err(fields.invalid("hidden_size", reason));
            }
        };
        let num_hidden_layers = fields.require_dimension("num_hidden_layers")?;

        let (default_eps, default_theta, default_act) = match architecture {
            Architecture::BitNet => (1e-5, 500_000.0, Activation::Relu2),
            Architecture::Llama | Architecture::Qwen3 => (1e-6, 10_000.0, Activation::Silu),
        };
        let (rope_theta, rope_scaling) = rope(&fields, default_theta)?;
        let (weight_format, modules_to_not_convert) = quantization(&fields)?;
        let config = Self {
            architecture,
            hidden_size,
            intermediate_size: fields.require_dimension("intermediate_size")?,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            vocab_size: fields.require_dimension("vocab_size")?,
            max_position_embeddings: fields.dimension("max_position_embeddings")?.unwrap_or(2048),
            rms_norm_eps: fields.positive("rms_norm_eps")?.unwrap_or(default_eps),
            rope_theta,
            rope_scaling,
            rope_mode: RopeMode::RotateHalf,
            hidden_act: hidden_act(&fields)?.unwrap_or(default_act),
            tie_word_embeddings: fields.bool("tie_word_embeddings")?.unwrap_or(false),
            bos_token_id: fields.token_id("bos_token_id")?,
            eos_token_ids: fields.token_ids("eos_token_id")?,
            weight_format,
            modules_to_not_convert,
        };

        for (key, reason) in [
            ("attention_bias", "biases in the attention projections"),
            ("mlp_bias", "biases in the feed-forward projections"),
            ("rope_interleaved", "rotation of adjacent pairs"),
        ] {
            if fields.bool(key)? == Some(true) {
                return Err(fields.unsupported(key, &format!("false; {reason} are not")));
            }
        }
        if fields.bool("use_sliding_window")? == Some(true) {
            return Err(fields.unsupported("use_sliding_window", "false"));
        }
        config.check(
            &fields,
            &DimensionNames {
                layers: "num_hidden_layers",
                heads: "num_attention_heads",
                key_value_heads: "num_key_value_heads",
                head_dim: "head_dim",
            },
        )?;
        Ok(config)
    }

    /// What no file may ask for, whatever its keys are called.
    fn check(&self, fields: &Fields<'_>, names: &DimensionNames<'_>) -> Result<(), ConfigError> {
        let (heads, head_dim) = (self.num_attention_heads, self.head_dim);
        if self.num_hidden_layers > MAX_LAYERS {
            return Err(fields.invalid(names.layers, format!("more than {MAX_LAYERS} layers")));
        }
        if !heads.is_multiple_of(self.num_key_value_heads) {
            let reason = format!("does not divide {} = {heads}", names.heads);
            return Err(fields.invalid(names.key_value_heads, reason));
        }
        if !head_dim.is_multiple_of(2) {
            let reason = format!("odd ({head_dim}): rotary embedding turns pairs");
            return Err(fields.invalid(names.head_dim, reason));
        }
        // Both factors are at most 2^24.
        if heads as u64 * head_dim as u64 > MAX_DIMENSION as u64 {
            let reason = format!("times {} = {head_dim} exceeds {MAX_DIMENSION}", names.head_dim);
            return Err(fields.invalid(names.heads, reason));
        }
        Ok(())
    }

    /// How the projection of that name, such as `model.layers.0.mlp.up_proj`, becomes ternary;
    /// `None` where its weights stay floats.
    pub fn ternary(&self, projection: &str) -> Option<(ScaleConvention, QuantizationMode)> {
        let excluded = || {
            let mut modules = self.modules_to_not_convert.iter();
            modules.any(|module| projection.contains(module.as_str()))
        };
        match self.weight_format {
            WeightFormat::Ternary { scale, mode } if !excluded() => Some((scale, mode)),
            _ => None,
        }
    }
}

/// The keys of a file that errors about dimensions name.
struct DimensionNames<'a> {
    layers: &'a str,
    heads: &'a str,
    key_value_heads: &'a str,
    head_dim: &'a str,
}

fn architecture(fields: &Fields<'_>) -> Result<Architecture, ConfigError> {
    const SUPPORTED: &str = "BitNetForCausalLM (model_type bitnet), \
                             LlamaForCausalLM (model_type llama), \
                             Qwen3ForCausalLM (model_type qwen3)";
    // The class decides: a checkpoint of another class may carry the model_type of its ancestor.
    if let Some(value) = fields.get("architectures") {
        let name = value.as_array().and_then(|a| a.first()).and_then(Value::as_str);
        return match name {
            Some("BitNetForCausalLM") => Ok(Architecture::BitNet),
            Some("LlamaForCausalLM") => Ok(Architecture::Llama),
            Some("Qwen3ForCausalLM") => Ok(Architecture::Qwen3),
            Some(_) => Err(fields.unsupported("architectures", SUPPORTED)),
            None => Err(fields.invalid("architectures", "expected a list of class names")),
        };
    }
    match fields.string("model_type")? {
        Some("bitnet") => Ok(Architecture::BitNet),
        Some("llama") => Ok(Architecture::Llama),
        Some("qwen3") => Ok(Architecture::Qwen3),
        Some(_) => Err(fields.unsupported("model_type", SUPPORTED)),
        None => Err(fields.missing("architectures")),
    }
}

fn hidden_act(fields: &Fields<'_>) -> Result<Option<Activation>, ConfigError> {
    match fields.string("hidden_act")? {
        None => Ok(None),
        Some("relu2") => Ok(Some(Activation::Relu2)),
        Some("silu" | "swish") => Ok(Some(Activation::Silu)),
        Some(_) => Err(fields.unsupported("hidden_act", "relu2, silu")),
    }
}

/// The base and the scaling, from `rope_parameters` (transformers 5) or from `rope_theta` and
/// `rope_scaling` (before).
fn rope(root: &Fields<'_>, default_theta: f64) -> Result<(f64, Option<RopeScaling>), ConfigError> {
    let mut theta = root.positive("rope_theta")?;
    let key = match root.get("rope_parameters") {
        Some(_) => "rope_parameters",
        None => "rope_scaling",
    };
    let mut scaling = None;
    if let Some(fields) = root.object(key)? {
        theta = fields.positive("rope_theta")?.or(theta);
        // Older files say `type`.
        let type_key = match fields.get("rope_type") {
            Some(_) => "rope_type",
            None => "type",
        };
        scaling = match fields.string(type_key)? {
            None | Some("default") => None,
            Some("llama3") => Some(llama3_scaling(&fields)?),
            Some(_) => return Err(fields.unsupported(type_key, "default, llama3")),
        };
    }
    for fields in [Some(root), root.object(key)?.as_ref()].into_iter().flatten() {
        if fields.number("partial_rotary_factor")?.is_some_and(|f| f != 1.0) {
            return Err(fields.unsupported("partial_rotary_factor", "1.0"));
        }
    }
    Ok((theta.unwrap_or(default_theta), scaling))
}

fn llama3_scaling(fields: &Fields<'_>) -> Result<RopeScaling, ConfigError> {
    let require = |key| fields.positive(key)?.ok_or_else(|| fields.missing(key));
    let low_freq_factor = require("low_freq_factor")?;
    let high_freq_factor = require("high_freq_factor")?;
    if high_freq_factor <= low_freq_factor {
        let reason = format!("must be above low_freq_factor = {low_freq_factor}");
        return Err(fields.invalid("high_freq_factor", reason));
    }
    Ok(RopeScaling::Llama3 {
        factor: require("factor")?,
        low_freq_factor,
        high_freq_factor,
        original_max_position_embeddings: fields
            .require_dimension("original_max_position_embeddings")?,
    })
}

fn quantization(root: &Fields<'_>) -> Result<(WeightFormat, Vec<String>), ConfigError> {
    let Some(fields) = root.object("quantization_config")? else {
        return Ok((WeightFormat::Dense, Vec::new()));
    };
    match fields.string("quant_method")? {
        Some("bitnet") => {}
        Some(_) => return Err(fields.unsupported("quant_method", "bitnet")),
        None => return Err(fields.missing("quant_method")),
    }
    let scale = match fields.string("linear_class")? {
        Some("autobitlinear") => ScaleConvention::Multiply,
        Some("bitlinear") | None => ScaleConvention::Divide,
        Some(_) => return Err(fields.unsupported("linear_class", "autobitlinear, bitlinear")),
    };
    let mode = match fields.string("quantization_mode")? {
        Some("offline") | None => QuantizationMode::Offline,
        Some("online") => QuantizationMode::Online,
        Some(_) => return Err(fields.unsupported("quantization_mode", "offline, online")),
    };
    if fields.bool("use_rms_norm")? == Some(true) {
        let supported = "false; a norm inside each BitLinear is not";
        return Err(fields.unsupported("use_rms_norm", supported));
    }
    let modules = fields.strings("modules_to_not_convert")?;
    Ok((WeightFormat::Ternary { scale, mode }, modules))
}
