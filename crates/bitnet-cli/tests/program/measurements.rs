//! `bitnet perplexity`, `inspect`, `devices`, and `generate --profile`.

use serde_json::Value;

use crate::support::{TinyModel, assert_positive, bitnet, golden, repository, run, run_with_input};

const SHAKESPEARE: &str = "crates/bitnet-llm/tests/golden/shakespeare-head.txt";

#[test]
fn perplexity_is_that_of_the_reference() {
    let file = repository(SHAKESPEARE);
    let file = file.to_str().expect("UTF-8");
    let arguments = ["perplexity", "--file", file, "--tokens", "1024", "--window", "256", "--json"];
    let report = run(&[&arguments[..], &["--output-head", "exact"]].concat()).json();
    let golden = golden()["packed"]["nll"]["mean"].as_f64().expect("a mean");
    let mean = report["mean_nll"].as_f64().expect("a mean");
    assert!((mean / golden - 1.0).abs() < 0.003, "{mean} against {golden}");
    let perplexity = report["perplexity"].as_f64().expect("a perplexity");
    assert!((perplexity.ln() - mean).abs() < 1e-9);
    assert_eq!((report["positions"].as_u64(), report["tokens"].as_u64()), (Some(1020), Some(1024)));
    assert_eq!(
        (report["window"].as_u64(), report["output_head"].as_str()),
        (Some(256), Some("exact"))
    );
    assert_positive(&report, &["standard_error", "threads", "seconds"]);

    let quantized = run(&arguments).json();
    assert_eq!(quantized["output_head"], "int6");
    let quantized = quantized["mean_nll"].as_f64().expect("a mean");
    assert!((quantized / mean - 1.0).abs() < 0.003, "{quantized} against {mean}");
}

#[test]
fn perplexity_reads_standard_input() {
    let arguments = ["perplexity", "--file", "-", "--window", "8"];
    let ended =
        run_with_input(&arguments, b"Once upon a time, in a small village, there was a dog.");
    assert!(ended.text().contains("perplexity "), "{ended:?}");
}

#[test]
fn perplexity_is_a_number_or_an_error() {
    let mut model = TinyModel::new();
    // Token 4000's row of the embedding, which is also the output head.
    let row = 4000 * 64 * 4;
    model.tensor("model.embed_tokens.weight").data[row..][..4]
        .copy_from_slice(&f32::NAN.to_le_bytes());
    model.write();
    for head in ["exact", "int8", "int6"] {
        let arguments = ["perplexity", "--file", "-", "--window", "8", "--output-head", head];
        run_with_input(&[&arguments[..], &["--model", model.path()]].concat(), b"Once upon a time")
            .assert_error(&["token 4000", "NaN"]);
    }
}

#[test]
fn perplexity_needs_two_tokens_and_a_window_that_fits() {
    run_with_input(&["perplexity", "--file", "-"], b"").assert_error(&["text", "0 tokens"]);
    let wide = ["perplexity", "--file", "-", "--window", "2000"];
    run_with_input(&wide, b"Once upon a time").assert_error(&["window", "1024"]);
}

#[test]
fn inspect_lists_the_tensors() {
    let report = run(&["inspect", "--json"]).json();
    let tensors = report["tensors"].as_array().expect("a list");
    // Of each layer: four norms, seven weights, seven scales.
    assert_eq!(tensors.len(), 8 * 18 + 2);
    let named =
        |name: &str| tensors.iter().find(|tensor| tensor["name"] == name).expect("the tensor");
    let embedding = named("model.embed_tokens.weight");
    assert_eq!(
        (&embedding["dtype"], embedding["bytes"].as_u64()),
        (&"BF16".into(), Some(4096 * 512 * 2))
    );
    let down = named("model.layers.3.mlp.down_proj.weight");
    assert_eq!(down["dtype"], "U8");
    assert_eq!(down["shape"], serde_json::json!([128, 1536]));

    assert_eq!(report["architecture"], "bitnet");
    assert_eq!(report["hidden_size"], 512);
    assert_eq!(report["ternary_parameters"], 8 * (512 * 1024 + 512 * 512 + 3 * 512 * 1536));
    assert_positive(&report, &["parameters", "bits_per_parameter", "file_bytes"]);
    let bits = report["bits_per_ternary_weight"].as_f64().expect("a number");
    assert!((2.0..2.001).contains(&bits), "{bits}");
    assert_eq!(report["memory"]["key_value_cache_bytes"], 8 * 2 * 256 * 4 * 1024);
}

#[test]
fn the_memory_that_inspect_tells_is_what_a_loaded_model_has() {
    let told = run(&["inspect", "--json"]).json();
    let memory = &told["memory"];
    let told = memory["ternary_weight_bytes"].as_f64().expect("a number")
        + memory["output_head_bytes"].as_f64().expect("a number");
    let arguments =
        ["bench", "--prompt-tokens", "1", "--gen-tokens", "1", "--repeat", "1", "--json"];
    let loaded = run(&arguments).json()["weight_bytes_per_token"].as_f64().expect("a number");
    assert!((told / loaded - 1.0).abs() < 0.02, "{told} told, {loaded} loaded");
}

#[test]
fn inspect_shows_a_model_that_cannot_run() {
    let mut model = TinyModel::new();
    model.config["architectures"] = serde_json::json!(["MambaForCausalLM"]);
    let report = run(&["inspect", model.write().path(), "--json"]).json();
    assert!(
        report["unsupported"].as_str().is_some_and(|reason| reason.contains("MambaForCausalLM"))
    );
    assert_eq!(report["tensors"].as_array().map(Vec::len), Some(20));
    let text = run(&["inspect", model.path()]);
    assert!(text.text().contains("MambaForCausalLM"));
    assert!(text.text().contains("embed_tokens.weight"));
}

#[test]
fn devices_has_the_processor() {
    let report = run(&["devices", "--json", "--threads", "1"]).json();
    let cpu = report["devices"].as_array().and_then(|all| all.last()).expect("a device");
    assert_eq!((cpu["device"].as_str(), cpu["threads"].as_u64()), (Some("cpu"), Some(1)));
    assert!(cpu["instruction_sets"].as_array().expect("a list").contains(&"scalar".into()));
    assert_positive(cpu, &["cores", "memory_bandwidth_bytes_per_second"]);
    assert!(run(&["devices"]).text().contains("memory bandwidth"));
}

#[test]
fn the_environment_says_where_or_is_refused() {
    let with = |variable: &str, value: &str| {
        let mut command = bitnet(&["generate", "Once", "--max-tokens", "1", "--json"]);
        let ended: crate::support::Ended =
            command.env(variable, value).output().expect("started").into();
        ended
    };
    for (variable, value) in [
        ("BITNET_DEVICE", "best"),
        ("BITNET_DEVICE", "cpu:0"),
        ("BITNET_STRATEGY", "low-memory"),
        ("BITNET_STRATEGY", "best-measured"),
        ("BITNET_FALLBACK", "silent"),
        ("BITNET_NUM_THREADS", "1"),
    ] {
        assert_eq!(with(variable, value).json()["backend"], "cpu", "{variable}={value}");
    }
    for (variable, value, there) in [
        ("BITNET_DEVICE", "cuda:7", "there is: cpu"),
        ("BITNET_STRATEGY", "fastest", "best-measured"),
        ("BITNET_FALLBACK", "never", "silent"),
        ("BITNET_NUM_THREADS", "all", "1 to 256"),
        ("BITNET_ISA", "mmx", "scalar"),
    ] {
        with(variable, value).assert_error(&[variable, value, there]);
    }
    let arguments = ["generate", "Once", "--max-tokens", "1", "--device", "abacus"];
    run(&arguments).assert_error(&["abacus", "cpu"]);
}

#[test]
fn profiles_are_traces_for_chrome() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trace.json");
    let path = file.to_str().expect("UTF-8");
    run(&["generate", "Once", "--max-tokens", "3", "--profile", path, "--quiet"]).text();
    let trace: Value =
        serde_json::from_slice(&std::fs::read(&file).expect("written")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    for name in ["attention", "begin session", "forward", "sample", "detokenize"] {
        assert!(events.iter().any(|event| event["name"] == name), "no span {name}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing beside it");

    let missing = folder.path().join("none/trace.json");
    let ended = run(&[
        "generate",
        "Once",
        "--max-tokens",
        "1",
        "--profile",
        missing.to_str().expect("UTF-8"),
        "--quiet",
    ]);
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("none/trace.json"), "{ended:?}");
}
