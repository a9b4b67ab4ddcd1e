//! Hyperparameters from the metadata of a GGUF file.
//!
//! The keys are `<architecture>.…`; what a model needs and a file does not say defaults as in
//! llama.cpp. What would change the results and is not supported is refused by its key.

use bitnet_formats::gguf::{Metadata, Value as GgufValue};
use bitnet_tensor::ops::RopeMode;
use serde_json::{Map, Value};

use super::fields::{ConfigError, Fields};
use super::{
    Activation, Architecture, DimensionNames, GenerationConfig, ModelConfig, RopeScaling,
    WeightFormat,
};

/// What errors call the place.
const FILE: &str = "metadata";

/// Lists that are longer describe tokens, not layers.
const LONGEST_LIST: usize = 4096;

/// An architecture of GGUF that is one of ours.
struct GgufArchitecture {
    name: &'static str,
    architecture: Architecture,
    activation: Activation,
    /// Which elements of a head its file's rows are sorted to rotate together.
    rope_mode: RopeMode,
}

const ARCHITECTURES: [GgufArchitecture; 5] = [
    GgufArchitecture {
        name: "bitnet-b1.58",
        architecture: Architecture::BitNet,
        activation: Activation::Relu2,
        rope_mode: RopeMode::RotateHalf,
    },
    // The first upload of BitNet b1.58 2B-4T.
    GgufArchitecture {
        name: "bitnet-25",
        architecture: Architecture::BitNet,
        activation: Activation::Relu2,
        rope_mode: RopeMode::RotateHalf,
    },
    // 1bitLLM's models.
    GgufArchitecture {
        name: "bitnet",
        architecture: Architecture::BitNet,
        activation: Activation::Silu,
        rope_mode: RopeMode::RotateHalf,
    },
    GgufArchitecture {
        name: "llama",
        architecture: Architecture::Llama,
        activation: Activation::Silu,
        rope_mode: RopeMode::AdjacentPairs,
    },
    GgufArchitecture {
        name: "qwen3",
        architecture: Architecture::Qwen3,
        activation: Activation::Silu,
        rope_mode: RopeMode::RotateHalf,
    },
];

/// What the tensors of a GGUF file say of the model, and its metadata do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GgufTensorFacts {
    /// The rows of `token_embd.weight`.
    pub vocab_size: usize,
    /// Whether there is an `output.weight`.
    pub has_output: bool,
}

impl ModelConfig {
    /// The hyperparameters that a GGUF file names.
    ///
    /// # Errors
    /// A missing, malformed or unsupported value: the error names its key.
    pub fn from_gguf(
        metadata: &Metadata<'_>,
        tensors: GgufTensorFacts,
    ) -> Result<Self, ConfigError> {
        let root = scalars(metadata);
        let fields = Fields::new(FILE, &root);
        const ARCHITECTURE: &str = "general.architecture";
        let name = match fields.string(ARCHITECTURE)? {
            Some(name) => name,
            None => return Err(fields.missing(ARCHITECTURE)),
        };
        let Some(family) = ARCHITECTURES.iter().find(|family| family.name == name) else {
            let names: Vec<_> = ARCHITECTURES.iter().map(|family| family.name).collect();
            return Err(fields.unsupported(ARCHITECTURE, &names.join(", ")));
        };
        let key = |rest: &str| format!("{name}.{rest}");
        refuse_what_would_be_ignored(&fields, &root, &key)?;

        let heads_key = key("attention.head_count");
        let hidden_key = key("embedding_length");
        let num_attention_heads = per_layer(&fields, &heads_key)?;
        let num_attention_heads = num_attention_heads.ok_or_else(|| fields.missing(&heads_key))?;
        let hidden_size = fields.require_dimension(&hidden_key)?;
        let head_dim = match fields.dimension(&key("attention.key_length"))? {
            Some(head_dim) => head_dim,
            None if hidden_size.is_multiple_of(num_attention_heads) => {
                hidden_size / num_attention_heads
            }
            None => {
                let reason = format!("not a multiple of {heads_key} = {num_attention_heads}");
                return Err(fields.invalid(&hidden_key, reason));
            }
        };
        for (rest, what) in [
            ("attention.value_length", "as wide as the keys"),
            ("rope.dimension_count", "the whole head"),
        ] {
            let key = key(rest);
            if fields.dimension(&key)?.is_some_and(|value| value != head_dim) {
                return Err(fields.unsupported(&key, &format!("{head_dim}, {what}")));
            }
        }
        let feed_forward_key = key("feed_forward_length");
        let intermediate_size = per_layer(&fields, &feed_forward_key)?;
        let config = Self {
            architecture: family.architecture,
            hidden_size,
            intermediate_size: intermediate_size
                .ok_or_else(|| fields.missing(&feed_forward_key))?,
            num_hidden_layers: fields.require_dimension(&key("block_count"))?,
            num_attention_heads,
            num_key_value_heads: per_layer(&fields, &key("attention.head_count_kv"))?
                .unwrap_or(num_attention_heads),
            head_dim,
            vocab_size: tensors.vocab_size,
            max_position_embeddings: fields.require_dimension(&key("context_length"))?,
            rms_norm_eps: {
                let key = key("attention.layer_norm_rms_epsilon");
                fields.positive(&key)?.ok_or_else(|| fields.missing(&key))?
            },
            rope_theta: fields.positive(&key("rope.freq_base"))?.unwrap_or(10_000.0),
            rope_scaling: rope_scaling(&fields, &key)?,
            rope_mode: family.rope_mode,
            hidden_act: family.activation,
            tie_word_embeddings: !tensors.has_output,
            bos_token_id: fields.token_id("tokenizer.ggml.bos_token_id")?,
            eos_token_ids: stop_ids(metadata, &fields)?,
            weight_format: WeightFormat::ByTensor,
            modules_to_not_convert: Vec::new(),
        };
        config.check(
            &fields,
            &DimensionNames {
                layers: &key("block_count"),
                heads: &heads_key,
                key_value_heads: &key("attention.head_count_kv"),
                head_dim: &key("attention.key_length"),
            },
        )?;
        Ok(config)
    }
}

impl GenerationConfig {
    /// What a GGUF file suggests for sampling (`general.sampling.…`); its stop tokens are in
    /// [`ModelConfig::eos_token_ids`].
    ///
    /// # Errors
    /// A malformed value: the error names its key.
    pub fn from_gguf(metadata: &Metadata<'_>) -> Result<Self, ConfigError> {
        let root = scalars(metadata);
        let fields = Fields::new(FILE, &root);
        Ok(Self {
            temperature: fields.number("general.sampling.temp")?,
            top_k: fields.size("general.sampling.top_k")?,
            top_p: fields.number("general.sampling.top_p")?,
            min_p: fields.number("general.sampling.min_p")?,
            repetition_penalty: fields.number("general.sampling.penalty_repeat")?,
            ..Self::default()
        })
    }
}

/// The metadata as JSON, without the lists of the vocabulary: the typed access and its errors are
/// those of `config.json`.
fn scalars(metadata: &Metadata<'_>) -> Map<String, Value> {
    let mut map = Map::new();
    for (key, value) in metadata.entries() {
        map.insert((*key).to_owned(), as_json(value));
    }
    map
}

fn as_json(value: &GgufValue<'_>) -> Value {
    match value {
        GgufValue::Bool(value) => Value::Bool(*value),
        GgufValue::F32(value) => Value::from(*value),
        GgufValue::F64(value) => Value::from(*value),
        GgufValue::String(bytes) => Value::String(String::from_utf8_lossy(bytes).into_owned()),
        GgufValue::Array(array) if array.len() <= LONGEST_LIST => {
            Value::Array(array.iter().map(|value| as_json(&value)).collect())
        }
        GgufValue::Array(array) => Value::String(format!("({} values)", array.len())),
        integer => match integer.as_integer() {
            Some(n) => i64::try_from(n).map(Value::from).unwrap_or_else(|_| Value::from(n as u64)),
            None => Value::Null,
        },
    }
}

/// A number that some files write once per layer; the layers of one model must not differ.
fn per_layer(fields: &Fields<'_>, key: &str) -> Result<Option<usize>, ConfigError> {
    let Some(list) = fields.get(key).and_then(Value::as_array) else {
        return fields.dimension(key);
    };
    match list.split_first() {
        Some((first, rest)) if rest.iter().all(|value| value == first) => {
            let mut one = Map::new();
            one.insert(key.to_owned(), first.clone());
            Fields::new(FILE, &one).dimension(key)
        }
        _ => Err(fields.unsupported(key, "the same in every layer")),
    }
}

fn refuse_what_would_be_ignored(
    fields: &Fields<'_>,
    root: &Map<String, Value>,
    key: &dyn Fn(&str) -> String,
) -> Result<(), ConfigError> {
    for (rest, neutral) in [
        ("expert_count", 0.0),
        ("attention.scale", 0.0),
        ("logit_scale", 1.0),
        ("residual_scale", 1.0),
        ("embedding_scale", 1.0),
        ("attention.max_alibi_bias", 0.0),
        ("attention.clamp_kqv", 0.0),
    ] {
        let key = key(rest);
        if fields.number(&key)?.is_some_and(|value| value != neutral) {
            return Err(fields.unsupported(&key, &format!("{neutral}")));
        }
    }
    if fields.bool(&key("attention.causal"))? == Some(false) {
        return Err(fields.unsupported(&key("attention.causal"), "true"));
    }
    // A window that is as long as the context hides nothing.
    let window = key("attention.sliding_window");
    let context = fields.dimension(&key("context_length"))?;
    if fields.size(&window)?.is_some_and(|size| size != 0 && Some(size) < context) {
        return Err(fields.unsupported(&window, "none"));
    }
    match root.keys().find(|key| key.starts_with("prism.hadamard")) {
        Some(key) => Err(fields.unsupported(
            key,
            "weights without a Hadamard transform: take the upload without it, or convert the \
             original checkpoint",
        )),
        None => Ok(()),
    }
}

fn rope_scaling(
    fields: &Fields<'_>,
    key: &dyn Fn(&str) -> String,
) -> Result<Option<RopeScaling>, ConfigError> {
    let type_key = key("rope.scaling.type");
    let factor_key = key("rope.scaling.factor");
    let factor = fields.positive(&factor_key)?;
    match fields.string(&type_key)? {
        Some("none") => Ok(None),
        Some("linear") => {
            let factor = factor.ok_or_else(|| fields.missing(&factor_key))?;
            Ok((factor != 1.0).then_some(RopeScaling::Linear { factor }))
        }
        // Written before there were types.
        None => {
            let factor = match factor {
                Some(factor) => Some(factor),
                None => fields.positive(&key("rope.scale_linear"))?,
            };
            Ok(factor.filter(|f| *f != 1.0).map(|factor| RopeScaling::Linear { factor }))
        }
        Some(_) => Err(fields.unsupported(&type_key, "none, linear")),
    }
}

/// End of text, of a turn, and of a message; by name where the file does not number them.
fn stop_ids(metadata: &Metadata<'_>, fields: &Fields<'_>) -> Result<Vec<u32>, ConfigError> {
    let mut ids = Vec::new();
    for (key, names) in [
        ("tokenizer.ggml.eos_token_id", &[][..]),
        ("tokenizer.ggml.eot_token_id", &["<|eot_id|>", "<|im_end|>", "<end_of_turn>"][..]),
        ("tokenizer.ggml.eom_token_id", &["<|eom_id|>"][..]),
    ] {
        match fields.token_id(key)? {
            Some(id) => ids.push(id),
            None if names.is_empty() => {}
            None => ids.extend(control_tokens(metadata, names)),
        }
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// The ids of the control tokens with these names.
fn control_tokens(metadata: &Metadata<'_>, names: &[&str]) -> Vec<u32> {
    const CONTROL: i128 = crate::tokenizer::TokenType::Control as i128;
    let array = |key: &str| match metadata.value(key) {
        Some(GgufValue::Array(array)) => Some(array),
        _ => None,
    };
    let Some(tokens) = array("tokenizer.ggml.tokens") else { return Vec::new() };
    let Some(types) = array("tokenizer.ggml.token_type") else { return Vec::new() };
    let is_control = |value: GgufValue<'_>| value.as_integer() == Some(CONTROL);
    (0..)
        .zip(tokens.iter().zip(types.iter()))
        .filter(|(_, (text, kind))| {
            let GgufValue::String(text) = text else { return false };
            is_control(*kind) && names.iter().any(|name| name.as_bytes() == *text)
        })
        .map(|(id, _)| id)
        .collect()
}

#[cfg(test)]
mod tests {
    use bitnet_formats::gguf::{Gguf, GgufWriter, MetadataBuilder};

    use super::*;

    const FACTS: GgufTensorFacts = GgufTensorFacts { vocab_size: 100, has_output: false };

    fn read(
        architecture: &str,
        change: impl FnOnce(&mut MetadataBuilder),
    ) -> Result<ModelConfig, String> {
        let mut metadata = MetadataBuilder::new();
        metadata.push("general.architecture", architecture).unwrap();
        let key = |rest: &str| format!("{architecture}.{rest}");
        for (rest, value) in [
            ("block_count", 2_u32),
            ("context_length", 64),
            ("embedding_length", 32),
            ("feed_forward_length", 48),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ] {
            metadata.push(&key(rest), value).unwrap();
        }
        metadata.push(&key("attention.layer_norm_rms_epsilon"), 1e-5_f32).unwrap();
        change(&mut metadata);
        let file = GgufWriter::new(Vec::new(), &metadata, Vec::new()).unwrap().finish().unwrap();
        let gguf = Gguf::parse(&file).unwrap();
        ModelConfig::from_gguf(gguf.metadata(), FACTS).map_err(|error| error.to_string())
    }

    #[test]
    fn architectures_and_what_they_imply() {
        for (name, architecture, activation, rope_mode) in [
            ("bitnet-b1.58", Architecture::BitNet, Activation::Relu2, RopeMode::RotateHalf),
            ("bitnet-25", Architecture::BitNet, Activation::Relu2, RopeMode::RotateHalf),
            ("bitnet", Architecture::BitNet, Activation::Silu, RopeMode::RotateHalf),
            ("llama", Architecture::Llama, Activation::Silu, RopeMode::AdjacentPairs),
            ("qwen3", Architecture::Qwen3, Activation::Silu, RopeMode::RotateHalf),
        ] {
            let config = read(name, |_| {}).unwrap();
            assert_eq!(config.architecture, architecture);
            assert_eq!(config.hidden_act, activation);
            assert_eq!(config.rope_mode, rope_mode);
            assert_eq!((config.head_dim, config.num_key_value_heads), (8, 2));
            assert_eq!(config.rms_norm_eps as f32, 1e-5);
            assert_eq!(config.rope_theta, 10_000.0);
            assert!(config.tie_word_embeddings);
        }
    }

    #[test]
    fn optional_keys() {
        let config = read("qwen3", |m| {
            m.push("qwen3.attention.key_length", 16_u32).unwrap();
            m.push("qwen3.attention.value_length", 16_u32).unwrap();
            m.push("qwen3.rope.freq_base", 1e6_f32).unwrap();
            m.push("qwen3.rope.scaling.type", "linear").unwrap();
            m.push("qwen3.rope.scaling.factor", 4.0_f32).unwrap();
            m.push("tokenizer.ggml.bos_token_id", 3_u32).unwrap();
            m.push("tokenizer.ggml.eos_token_id", 2_u32).unwrap();
            m.push("tokenizer.ggml.tokens", &["a", "<|im_end|>"][..]).unwrap();
            m.push("tokenizer.ggml.token_type", &[1_i32, 3][..]).unwrap();
        })
        .unwrap();
        assert_eq!((config.head_dim, config.rope_theta), (16, 1e6));
        assert_eq!(config.rope_scaling, Some(RopeScaling::Linear { factor: 4.0 }));
        assert_eq!((config.bos_token_id, config.eos_token_ids), (Some(3), vec![1, 2]));
    }

    #[test]
    fn errors_name_the_key() {
        type Change = fn(&mut MetadataBuilder);
        let cases: [(Change, &str); 8] = [
            (
                |m| m.push("llama.expert_count", 8_u32).unwrap(),
                "metadata: llama.expert_count = 8 is not supported (supported: 0)",
            ),
            (
                |m| m.push("llama.rope.scaling.type", "yarn").unwrap(),
                "metadata: llama.rope.scaling.type = \"yarn\" is not supported",
            ),
            (
                |m| m.push("llama.rope.dimension_count", 4_u32).unwrap(),
                "metadata: llama.rope.dimension_count = 4 is not supported (supported: 8,",
            ),
            (
                |m| m.push("llama.attention.value_length", 4_u32).unwrap(),
                "metadata: llama.attention.value_length = 4 is not supported",
            ),
            (
                |m| m.push("llama.attention.key_length", 7_u32).unwrap(),
                "metadata: llama.attention.key_length = 7: odd",
            ),
            (
                |m| m.push("llama.attention.sliding_window", 32_u32).unwrap(),
                "metadata: llama.attention.sliding_window = 32 is not supported",
            ),
            (
                |m| m.push("prism.hadamard.block", 128_u32).unwrap(),
                "metadata: prism.hadamard.block = 128 is not supported (supported: weights without",
            ),
            (
                |m| m.push("llama.rope.freq_base", "x").unwrap(),
                "metadata: llama.rope.freq_base = \"x\": expected a number above 0",
            ),
        ];
        for (change, expected) in cases {
            let error = read("llama", change).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = read("mamba", |_| {}).unwrap_err();
        let expected = "metadata: general.architecture = \"mamba\" is not supported \
                        (supported: bitnet-b1.58, bitnet-25, bitnet, llama, qwen3)";
        assert_eq!(error, expected);
    }
}
