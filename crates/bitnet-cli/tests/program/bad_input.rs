//! Input that cannot be used: one line that says which file, which tensor and why, and status 1.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Ended, TinyModel, bitnet, layout, repository, run, run_with_input};

const Q: &str = "model.layers.0.self_attn.q_proj.weight";

/// Writes the model after a change, and tries to run it.
fn with(change: impl FnOnce(&mut TinyModel)) -> Ended {
    let mut model = TinyModel::new();
    change(&mut model);
    model.write().generate()
}

/// Runs a model whose header was changed after its layout.
fn with_header(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Ended {
    let model = TinyModel::new();
    let (mut header, data) = layout(&model.tensors);
    change(&mut header);
    model.write_config().write_weights(&header, &data);
    model.generate()
}

/// Runs a model after one of its files was changed.
fn with_file(name: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Ended {
    let model = TinyModel::new();
    let path = model.write().file(name);
    fs::write(&path, change(fs::read(&path).expect("the file"))).expect("written");
    model.generate()
}

fn without_file(name: &str) -> Ended {
    let model = TinyModel::new();
    fs::remove_file(model.write().file(name)).expect("removed");
    model.generate()
}

#[test]
fn the_model_of_these_tests_runs() {
    let report = with(|_| {}).json();
    assert_eq!(report["generated_ids"].as_array().map(Vec::len), Some(3));
}

#[test]
fn missing_model() {
    run(&["generate", "Once", "--model", "no/such/model"])
        .assert_error(&["no/such/model", "No such file"]);
}

#[test]
fn a_file_is_not_a_model() {
    let path = repository("models/stories-27m/model.safetensors");
    let path = path.to_str().expect("UTF-8");
    run(&["generate", "Once", "--model", path]).assert_error(&[path, "directory"]);
}

#[test]
fn missing_weights() {
    without_file("model.safetensors").assert_error(&["model.safetensors", "No such file"]);
}

#[test]
fn weights_are_a_directory() {
    let model = TinyModel::new();
    fs::remove_file(model.write().weights()).expect("removed");
    fs::create_dir(model.weights()).expect("made");
    model.generate().assert_error(&["model.safetensors", "not a regular file"]);
}

#[test]
fn missing_configuration() {
    without_file("config.json").assert_error(&["config.json", "No such file"]);
}

#[test]
fn missing_tokenizer() {
    without_file("tokenizer.json").assert_error(&["tokenizer.json", "No such file"]);
}

#[test]
fn empty_weights() {
    with_file("model.safetensors", |_| Vec::new()).assert_error(&["model.safetensors"]);
}

#[test]
fn empty_configuration() {
    with_file("config.json", |_| Vec::new()).assert_error(&["config.json"]);
}

#[test]
fn corrupt_tokenizer() {
    with_file("tokenizer.json", |bytes| bytes[..bytes.len() / 2].to_vec())
        .assert_error(&["tokenizer.json"]);
    with_file("tokenizer.json", |_| b"{}".to_vec()).assert_error(&["tokenizer.json"]);
    with_file("tokenizer.json", |_| vec![0xff; 100]).assert_error(&["tokenizer.json"]);
}

#[test]
fn corrupt_tokenizer_configuration() {
    with_file("tokenizer_config.json", |_| b"[".to_vec()).assert_error(&["tokenizer_config.json"]);
}

#[test]
fn corrupt_chat_template() {
    let model = TinyModel::new();
    fs::write(model.write().file("chat_template.jinja"), "{% for").expect("written");
    model.generate().assert_error(&[model.path(), "chat template", "line 1"]);
}

#[test]
fn truncated_weights() {
    for cut in [1, 1000] {
        let ended = with_file("model.safetensors", |mut bytes| {
            bytes.truncate(bytes.len() - cut);
            bytes
        });
        ended.assert_error(&["model.safetensors"]);
    }
    let header_cut = with_file("model.safetensors", |bytes| bytes[..40].to_vec());
    header_cut.assert_error(&["model.safetensors", "header"]);
}

#[test]
fn header_length_beyond_the_file() {
    for length in [1 << 20, 1 << 40, u64::MAX] {
        let ended = with_file("model.safetensors", |mut bytes| {
            let short = bytes.len().min(4096);
            bytes.truncate(short);
            bytes[..8].copy_from_slice(&u64::to_le_bytes(length));
            bytes
        });
        ended.assert_error(&["model.safetensors", "header"]);
    }
}

#[test]
fn overlapping_offsets() {
    let ended = with_header(|header| {
        header[Q]["data_offsets"] =
            header["model.layers.0.self_attn.o_proj.weight"]["data_offsets"].clone();
    });
    ended.assert_error(&["model.safetensors", "tensor"]);
}

#[test]
fn offsets_out_of_range() {
    for offsets in
        [json!([0, 1u64 << 50]), json!([u64::MAX - 1, u64::MAX]), json!([100, 50]), json!([-1, 5])]
    {
        with_header(|header| header[Q]["data_offsets"] = offsets)
            .assert_error(&["model.safetensors"]);
    }
}

#[test]
fn sizes_that_overflow() {
    with_header(|header| header[Q]["shape"] = json!([u64::MAX, u64::MAX]))
        .assert_error(&["model.safetensors", Q]);
}

#[test]
fn missing_tensor() {
    let ended = with(|model| model.tensors.retain(|tensor| tensor.name != Q));
    ended.assert_error(&[Q, "missing"]);
}

#[test]
fn what_would_be_ignored() {
    let bias = Q.replace(".weight", ".bias");
    with(|model| model.tensor(Q).name = bias.clone()).assert_error(&[&bias, "bias"]);
    let beyond = Q.replace("layers.0", "layers.7");
    with(|model| model.tensor(Q).name = beyond.clone())
        .assert_error(&[&beyond, "num_hidden_layers"]);
}

#[test]
fn missing_scale() {
    let scale = format!("{Q}_scale");
    let ended = with(|model| model.tensors.retain(|tensor| tensor.name != scale));
    ended.assert_error(&[&scale, "missing"]);
}

#[test]
fn wrong_dtype() {
    with(|model| model.tensor(Q).dtype = "I8").assert_error(&["model.safetensors", Q, "i8", "u8"]);
    let norm = "model.norm.weight";
    let ended = with(|model| {
        let tensor = model.tensor(norm);
        tensor.dtype = "I32";
    });
    ended.assert_error(&["model.safetensors", norm, "i32"]);
}

#[test]
fn unknown_dtype() {
    with(|model| model.tensor(Q).dtype = "F8_E4M3").assert_error(&[
        "model.safetensors",
        Q,
        "F8_E4M3",
    ]);
}

#[test]
fn wrong_shape() {
    with(|model| model.tensor(Q).shape = vec![64, 16]).assert_error(&[
        "model.safetensors",
        Q,
        "shape",
        "[64, 16]",
    ]);
    with(|model| model.tensor("model.norm.weight").shape = vec![1, 64]).assert_error(&[
        "model.safetensors",
        "model.norm.weight",
        "shape",
    ]);
}

#[test]
fn impossible_code() {
    let ended = with(|model| model.tensor(Q).data[5] = 0b11_11_11_11);
    ended.assert_error(&["model.safetensors", Q]);
}

#[test]
fn scale_that_is_no_positive_number() {
    let scale = format!("{Q}_scale");
    for value in [f32::NAN, f32::INFINITY, 0.0, -1.0, 1e-45] {
        let ended = with(|model| model.tensor(&scale).data = value.to_le_bytes().to_vec());
        ended.assert_error(&["model.safetensors", &scale]);
    }
}

#[test]
fn norm_that_is_no_number() {
    let norm = "model.layers.0.mlp.ffn_sub_norm.weight";
    let ended =
        with(|model| model.tensor(norm).data[40..44].copy_from_slice(&f32::NAN.to_le_bytes()));
    ended.assert_error(&["model.safetensors", norm, "element 10 is NaN"]);
}

#[test]
fn unknown_architecture() {
    let ended = with(|model| model.config["architectures"] = json!(["MambaForCausalLM"]));
    ended.assert_error(&["config.json", "architectures", "MambaForCausalLM"]);
}

#[test]
fn unknown_activation() {
    let ended = with(|model| model.config["hidden_act"] = json!("gelu"));
    ended.assert_error(&["config.json", "hidden_act", "gelu"]);
}

#[test]
fn unknown_quantization_method() {
    let ended = with(|model| model.config["quantization_config"]["quant_method"] = json!("gptq"));
    ended.assert_error(&["config.json", "quant_method", "gptq"]);
}

#[test]
fn sizes_that_no_model_has() {
    for (key, value) in [
        ("hidden_size", json!(0)),
        ("num_attention_heads", json!(-2)),
        ("vocab_size", json!(1e300)),
    ] {
        with(|model| model.config[key] = value).assert_error(&["config.json", key]);
    }
}

#[test]
fn vocabulary_larger_than_the_embedding() {
    let ended = with(|model| {
        model.config["vocab_size"] = json!(4000);
        let embedding = model.tensor("model.embed_tokens.weight");
        embedding.shape[0] = 4000;
        embedding.data.truncate(4000 * 64 * 4);
    });
    ended.assert_error(&["tokenizer.json", "4096", "4000"]);
}

#[test]
fn prompt_longer_than_the_context() {
    let prompt = "word ".repeat(400);
    let ended = run(&["generate", &prompt, "--context", "64"]);
    ended.assert_error(&["tokens", "context of 64"]);
}

#[test]
fn context_longer_than_the_model_has() {
    run(&["generate", "Once", "--context", "2000"]).assert_error(&["context", "2000", "1024"]);
}

#[test]
fn standard_input_that_is_not_utf8() {
    run_with_input(&["generate", "-"], b"ab\xff").assert_error(&[
        "standard input",
        "UTF-8",
        "byte 2",
    ]);
}

#[cfg(unix)]
#[test]
fn prompt_that_is_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let mut command = crate::support::bitnet(&["generate"]);
    command.arg(std::ffi::OsStr::from_bytes(b"ab\xff"));
    Ended::from(command.output().expect("started")).assert_error(&["prompt", "UTF-8"]);
}

#[test]
fn text_file_that_is_not_utf8() {
    let model = TinyModel::new();
    let path = model.file("text.txt");
    fs::write(&path, b"abc\xc3(").expect("written");
    let path = path.to_str().expect("UTF-8");
    run(&["perplexity", "--file", path]).assert_error(&[path, "UTF-8", "byte 3"]);
}

#[test]
fn missing_text_file() {
    run(&["perplexity", "--file", "no/such.txt"]).assert_error(&["no/such.txt", "No such file"]);
}

#[test]
fn sampling_out_of_range() {
    for (option, value) in [
        ("--temperature", "nan"),
        ("--temperature", "-1"),
        ("--top-p", "0"),
        ("--min-p", "2"),
        ("--repetition-penalty", "0"),
    ] {
        let name = option.trim_start_matches('-').replace('-', "_");
        run(&["generate", "Once", option, value]).assert_error(&[&name]);
    }
    run(&["generate", "Once", "--stop", ""]).assert_error(&["stop"]);
}

#[test]
fn unknown_device() {
    run(&["generate", "Once", "--device", "cuda:0"]).assert_error(&["cuda:0", "cpu"]);
}

#[test]
fn wrong_usage_has_status_2() {
    for arguments in [
        &["generate", "Once", "--threads", "0"][..],
        &["generate", "Once", "--output-head", "int3"],
        &["generate", "Once", "--no-such-option"],
        &["generate", "Once", "--system", "without --chat"],
        &["bench", "--synthetic", "stories-27m", "--model", "somewhere"],
        &["bench", "--gen-tokens", "0"],
        &["no-such-command"],
        &[],
    ] {
        let ended = run(arguments);
        assert_eq!(
            (ended.status, ended.stdout.as_str()),
            (Some(2), ""),
            "{arguments:?}: {ended:?}"
        );
        assert!(!ended.stderr.is_empty());
    }
}

#[test]
fn memory_that_does_not_suffice() {
    let generate = |limit| run(&["generate", "Once", "-n", "2", "--memory-limit", limit]);
    generate("1MiB").assert_error(&["do not fit into the limit of 1048576", "bytes held"]);
    assert!(generate("512M").text().starts_with("Once"));
    let wrong = generate("much");
    assert_eq!(wrong.status, Some(2), "{wrong:?}");
    assert!(wrong.stderr.contains("not a number of bytes"), "{wrong:?}");

    let with_variable = |value: &str| {
        let mut command = bitnet(&["generate", "Once", "-n", "2"]);
        Ended::from(command.env("BITNET_MEMORY_LIMIT", value).output().expect("it starts"))
    };
    with_variable("1MiB").assert_error(&["limit of 1048576"]);
    with_variable("much").assert_error(&["BITNET_MEMORY_LIMIT", "much"]);
}
