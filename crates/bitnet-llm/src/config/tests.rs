//! Configurations of published models, and what is refused.

use super::*;
use serde_json::json;

/// The config.json of microsoft/bitnet-b1.58-2B-4T, by its published values.
fn bitnet_2b() -> Value {
    json!({
        "architectures": ["BitNetForCausalLM"],
        "model_type": "bitnet",
        "hidden_act": "relu2",
        "hidden_size": 2560,
        "intermediate_size": 6912,
        "max_position_embeddings": 4096,
        "num_attention_heads": 20,
        "num_hidden_layers": 30,
        "num_key_value_heads": 5,
        "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0,
        "tie_word_embeddings": true,
        "bos_token_id": 128000,
        "eos_token_id": 128001,
        "vocab_size": 128256,
        "quantization_config": {
            "quant_method": "bitnet",
            "linear_class": "autobitlinear",
            "quantization_mode": "offline"
        }
    })
}

fn parse(value: &Value) -> Result<ModelConfig, ConfigError> {
    ModelConfig::from_json(value.to_string().as_bytes())
}

fn with(key: &str, value: Value) -> Value {
    let mut config = bitnet_2b();
    config[key] = value;
    config
}

fn message(value: &Value) -> String {
    parse(value).unwrap_err().to_string()
}

#[test]
fn excluded_modules_stay_floats() {
    let mut config = bitnet_2b();
    config["quantization_config"]["modules_to_not_convert"] = json!(["lm_head", "layers.3.mlp"]);
    let config = parse(&config).unwrap();
    let packed = Some((ScaleConvention::Multiply, QuantizationMode::Offline));
    assert_eq!(config.ternary("model.layers.3.self_attn.q_proj"), packed);
    assert_eq!(config.ternary("model.layers.2.mlp.up_proj"), packed);
    assert_eq!(config.ternary("model.layers.3.mlp.up_proj"), None);

    let mut dense = bitnet_2b();
    dense.as_object_mut().unwrap().remove("quantization_config");
    assert_eq!(parse(&dense).unwrap().ternary("model.layers.2.mlp.up_proj"), None);
}

#[test]
fn bitnet_2b_reads() {
    let config = parse(&bitnet_2b()).unwrap();
    assert_eq!(config.architecture, Architecture::BitNet);
    assert_eq!(config.head_dim, 128);
    assert_eq!(config.num_key_value_heads, 5);
    assert_eq!(config.rope_theta, 500_000.0);
    assert!(config.tie_word_embeddings);
    assert_eq!(config.bos_token_id, Some(128_000));
    assert_eq!(config.eos_token_ids, [128_001]);
    let format =
        WeightFormat::Ternary { scale: ScaleConvention::Multiply, mode: QuantizationMode::Offline };
    assert_eq!(config.weight_format, format);
}

#[test]
fn bundled_model_reads() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/stories-27m/config.json");
    let config = ModelConfig::from_json(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!((config.hidden_size, config.head_dim), (512, 64));
    assert_eq!(config.eos_token_ids, [1, 2]);
    assert_eq!(config.max_position_embeddings, 1024);
}

#[test]
fn defaults_follow_the_architecture() {
    let config = parse(&json!({
        "model_type": "llama", "hidden_size": 3200, "intermediate_size": 8640,
        "num_hidden_layers": 26, "num_attention_heads": 32, "vocab_size": 32002,
        "head_dim": null
    }))
    .unwrap();
    assert_eq!(config.architecture, Architecture::Llama);
    assert_eq!(config.head_dim, 100);
    assert_eq!(config.num_key_value_heads, 32);
    assert_eq!(config.hidden_act, Activation::Silu);
    assert_eq!(config.rope_theta, 10_000.0);
    assert_eq!(config.rms_norm_eps, 1e-6);
    assert!(!config.tie_word_embeddings);
    assert_eq!(config.weight_format, WeightFormat::Dense);
    assert!(config.eos_token_ids.is_empty());
}

#[test]
fn quantization_conventions() {
    let format = |quantization: Value| {
        parse(&with("quantization_config", quantization)).map(|c| c.weight_format)
    };
    let ternary = |scale, mode| Ok(WeightFormat::Ternary { scale, mode });
    assert_eq!(
        format(json!({"quant_method": "bitnet"})),
        ternary(ScaleConvention::Divide, QuantizationMode::Offline)
    );
    assert_eq!(
        format(json!({"quant_method": "bitnet", "linear_class": "bitlinear",
                      "quantization_mode": "online"})),
        ternary(ScaleConvention::Divide, QuantizationMode::Online)
    );
    assert_eq!(format(Value::Null), Ok(WeightFormat::Dense));
    for (quantization, expected) in [
        (
            json!({"quant_method": "gptq"}),
            "config.json: quantization_config.quant_method = \"gptq\" is not supported \
             (supported: bitnet)",
        ),
        (
            json!({"quant_method": "bitnet", "linear_class": "x"}),
            "config.json: quantization_config.linear_class = \"x\" is not supported \
             (supported: autobitlinear, bitlinear)",
        ),
    ] {
        assert_eq!(format(quantization).unwrap_err().to_string(), expected);
    }
    let error = format(json!({"quant_method": "bitnet", "use_rms_norm": true})).unwrap_err();
    assert!(error.to_string().contains("quantization_config.use_rms_norm"));
}

#[test]
fn rope_variants() {
    let config =
        parse(&with("rope_parameters", json!({"rope_theta": 1000.0, "rope_type": "default"})))
            .unwrap();
    assert_eq!((config.rope_theta, config.rope_scaling), (1000.0, None));

    let llama3 = json!({
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192, "rope_type": "llama3"
    });
    let config = parse(&with("rope_scaling", llama3.clone())).unwrap();
    assert_eq!(config.rope_theta, 500_000.0);
    let expected = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
    };
    assert_eq!(config.rope_scaling, Some(expected));

    let mut incomplete = llama3;
    incomplete["factor"] = Value::Null;
    assert_eq!(
        message(&with("rope_scaling", incomplete)),
        "config.json: rope_scaling.factor is missing"
    );
    assert_eq!(
        message(&with("rope_scaling", json!({"type": "yarn", "factor": 2.0}))),
        "config.json: rope_scaling.type = \"yarn\" is not supported (supported: default, llama3)"
    );
    let partial = message(&with("partial_rotary_factor", json!(0.5)));
    assert!(partial.contains("partial_rotary_factor = 0.5"), "{partial}");
}

#[test]
fn what_is_not_supported_is_named() {
    for (key, value, parts) in [
        ("architectures", json!(["BitnetForCausalLM"]), ["BitnetForCausalLM", "LlamaForCausalLM"]),
        ("hidden_act", json!("gelu"), ["\"gelu\"", "relu2, silu"]),
        ("attention_bias", json!(true), ["attention_bias", "true"]),
        ("mlp_bias", json!(true), ["mlp_bias", "true"]),
        (
            "num_key_value_heads",
            json!(3),
            ["num_key_value_heads = 3", "does not divide num_attention_heads = 20"],
        ),
        ("head_dim", json!(127), ["head_dim = 127", "odd"]),
        ("hidden_size", json!(0), ["hidden_size = 0", "from 1"]),
        ("hidden_size", json!(-5), ["hidden_size = -5", "from 1"]),
        ("hidden_size", json!(2561), ["hidden_size = 2561", "multiple"]),
        ("vocab_size", json!(1_u64 << 60), ["vocab_size", "to 16777216"]),
        ("head_dim", json!(1 << 24), ["num_attention_heads", "exceeds"]),
        ("num_hidden_layers", json!(5000), ["num_hidden_layers", "4096"]),
        ("num_hidden_layers", json!("30"), ["\"30\"", "an integer"]),
        ("rms_norm_eps", json!(0), ["rms_norm_eps = 0", "above 0"]),
        ("rope_theta", json!(-1), ["rope_theta = -1", "above 0"]),
        ("eos_token_id", json!(-1), ["eos_token_id = -1", "token id"]),
        ("vocab_size", Value::Null, ["vocab_size", "missing"]),
        ("quantization_config", json!(3), ["quantization_config = 3", "object"]),
    ] {
        let message = message(&with(key, value));
        assert!(message.starts_with("config.json: "), "{message}");
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in {message:?}");
        }
    }
}

#[test]
fn not_json() {
    assert!(message(&json!([1])).starts_with("config.json: "));
    let error = ModelConfig::from_json(b"{\"a\": ").unwrap_err();
    assert!(error.to_string().contains("EOF"), "{error}");
}

#[test]
fn generation_config_reads() {
    let config = GenerationConfig::from_json(
        br#"{"bos_token_id": 128000, "eos_token_id": [128001, 128009], "do_sample": true,
             "temperature": 0.6, "top_p": 0.9, "max_length": 4096, "top_k": null}"#,
    )
    .unwrap();
    assert_eq!(config.eos_token_ids, [128_001, 128_009]);
    assert_eq!(config.temperature, Some(0.6));
    assert_eq!(config.top_p, Some(0.9));
    assert_eq!(config.top_k, None);
    let single = GenerationConfig::from_json(br#"{"eos_token_id": 2}"#).unwrap();
    assert_eq!(single.eos_token_ids, [2]);
    let error = GenerationConfig::from_json(br#"{"top_p": "a"}"#).unwrap_err();
    assert_eq!(error.to_string(), "generation_config.json: top_p = \"a\": expected a number");
}
