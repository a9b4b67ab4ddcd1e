//! `bitnet convert`, `quantize`, `verify`, and `inspect` of what they write.

use std::path::Path;
#[cfg(unix)]
use std::process::{Command, Stdio};
#[cfg(unix)]
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

#[cfg(unix)]
use crate::support::bitnet;
use crate::support::{Ended, TinyModel, repository, run};

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn stories() -> String {
    text(&repository("models/stories-27m")).to_owned()
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn entries(folder: &TempDir) -> Vec<String> {
    let names = std::fs::read_dir(folder.path()).expect("a folder");
    names.map(|e| e.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

#[track_caller]
fn verified(arguments: &[&str]) -> (Option<i32>, Value) {
    let ended: Ended = run(&[&["verify"], arguments, &["--json", "--quiet"]].concat());
    assert_eq!(ended.stderr, "", "{ended:?}");
    (ended.status, serde_json::from_str(&ended.stdout).expect("JSON"))
}

#[test]
fn a_converted_model_is_the_same_and_generates_the_same() {
    let folder = folder();
    let file = folder.path().join("stories.gguf");
    let report = run(&["convert", &stories(), text(&file), "--json"]).json();
    assert_eq!(report["tensors"], 8 * 11 + 2);
    assert_eq!(entries(&folder), ["stories.gguf"]);

    let (status, report) = verified(&[&stories(), text(&file), "--output-head", "exact"]);
    assert_eq!((status, &report["same"]), (Some(0), &true.into()), "{report}");
    assert_eq!(report["prompts"][0]["largest"], 0.0);

    let generate = |model: &str| {
        let arguments = ["generate", "Once upon a time", "--max-tokens", "12", "--json"];
        run(&[&arguments[..], &["--model", model, "--temperature", "0"]].concat()).json()
    };
    let (a, b) = (generate(&stories()), generate(text(&file)));
    assert_eq!((&a["text"], &a["generated_ids"]), (&b["text"], &b["generated_ids"]));

    let inspected = run(&["inspect", text(&file), "--values", "--json"]).json();
    let tensors = inspected["tensors"].as_array().expect("a list");
    let down = tensors.iter().find(|t| t["name"] == "blk.3.ffn_down.weight").expect("a tensor");
    assert_eq!((&down["dtype"], &down["shape"]), (&"I2_S".into(), &serde_json::json!([512, 1536])));
    let codes: Vec<u64> = serde_json::from_value(down["codes"].clone()).expect("codes");
    assert_eq!(codes.iter().sum::<u64>(), 512 * 1536);
    assert!(codes.iter().all(|&count| count > 100_000), "{codes:?}");
    assert_eq!(inspected["ternary_parameters"], 8 * (512 * 1024 + 512 * 512 + 3 * 512 * 1536));
    assert_eq!(inspected["metadata"]["tokenizer.ggml.pre"], "llama-bpe");

    let text = run(&["inspect", text(&file), "--values"]);
    for part in ["blk", "ffn_down.weight", "I2_S", "−1 ", "scale 0.", "general.architecture"] {
        assert!(text.text().contains(part), "no {part} in {}", text.stdout);
    }
}

#[test]
fn differences_are_found_where_they_are() {
    let folder = folder();
    let mut model = TinyModel::new();
    let original = model.write().path().to_owned();
    let file = folder.path().join("tiny.gguf");
    run(&["convert", &original, text(&file), "--quiet"]).text();
    let same = ["--weights-only"];
    assert_eq!(verified(&[&[original.as_str(), text(&file)], &same[..]].concat()).0, Some(0));

    // Row 17 of 64 is the first quarter of byte row 1: one code of it.
    let mut changed = TinyModel::new();
    let q_proj = "model.layers.0.self_attn.q_proj.weight";
    changed.tensor(q_proj).data[64 + 5] ^= 0b01;
    changed.write();
    let (status, report) = verified(&[changed.path(), text(&file), "--weights-only"]);
    assert_eq!((status, &report["same"]), (Some(3), &false.into()));
    let differences = report["weights"]["differences"].as_array().expect("a list");
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert_eq!(
        (&differences[0]["name"], &differences[0]["difference"], &differences[0]["at"]),
        (&q_proj.into(), &"codes".into(), &serde_json::json!([1, 5]))
    );

    model.tensor(&format!("{q_proj}_scale")).data = 0.0501f32.to_le_bytes().to_vec();
    model.write();
    let (status, report) = verified(&[&original, text(&file), "--weights-only"]);
    assert_eq!(
        (status, &report["weights"]["differences"][0]["difference"]),
        (Some(3), &"scales".into())
    );
    let tolerant = ["--weights-only", "--tolerance", "0.01"];
    assert_eq!(verified(&[&[original.as_str(), text(&file)], &tolerant[..]].concat()).0, Some(0));
    let (status, report) = verified(&[&original, text(&file)]);
    // A lone token attends to itself whatever its query is.
    assert_eq!(status, Some(3));
    assert!(report["prompts"][0]["first_position"].as_u64() >= Some(1), "{report}");

    let words = run(&["verify", &original, text(&file)]);
    assert_eq!(words.status, Some(3), "{words:?}");
    for part in ["q_proj", "scales differ", "at position", "different"] {
        assert!(words.stdout.contains(part), "no {part} in {words:?}");
    }
}

#[test]
fn one_model_can_be_verified_on_two_devices() {
    let arguments = [&stories(), "--device", "cpu", "--other-device", "cpu"];
    let (status, report) = verified(&arguments);
    assert_eq!((status, &report["weights"]), (Some(0), &Value::Null));
    run(&["verify", &stories()]).assert_error(&["--other-device"]);
    run(&["verify", &stories(), "--other-device", "cuda:7"]).assert_error(&["cuda:7", "cpu"]);
}

#[test]
fn quantizing_reports_the_error_of_each_tensor() {
    let folder = folder();
    let mut model = TinyModel::new();
    // A dense Llama: its projections as floats, no norms within the blocks.
    model.config["architectures"] = serde_json::json!(["LlamaForCausalLM"]);
    model.config["hidden_act"] = "silu".into();
    model.config.as_object_mut().expect("an object").remove("quantization_config");
    model.tensors.retain(|t| !t.name.ends_with("_scale") && !t.name.contains("sub_norm"));
    for tensor in model.tensors.iter_mut().filter(|t| t.dtype == "U8") {
        tensor.dtype = "F32";
        tensor.shape[0] *= 4;
        let count: usize = tensor.shape.iter().product();
        let value = |i: usize| ((i * 7919 % 1009) as f32 / 1009.0 - 0.5).powi(3);
        tensor.data = (0..count).flat_map(|i| value(i).to_le_bytes()).collect();
    }
    model.write();
    let (q8_0, page) = (folder.path().join("q8_0.gguf"), folder.path().join("errors.html"));
    let arguments = ["quantize", model.path(), text(&q8_0), "--to", "q8_0", "--json", "--quiet"];
    let report =
        run(&[&arguments[..], &["--report", text(&page), "--tensor", "*.o_proj=i2_s"]].concat())
            .json();
    let tensors = report["tensors"].as_array().expect("a list");
    let named = |name: &str| tensors.iter().find(|t| t["name"] == name).expect("a tensor");
    assert_eq!(named("blk.0.attn_output.weight")["to"], "I2_S");
    assert!(named("blk.0.attn_q.weight")["error"]["sqnr_db"].as_f64() > Some(40.0));
    let ternary = named("blk.0.attn_output.weight")["error"]["sqnr_db"].as_f64();
    assert!(ternary > Some(1.0) && ternary < Some(20.0), "{ternary:?}");
    assert_eq!(named("token_embd.weight")["to"], "Q8_0");
    assert_eq!(named("output_norm.weight")["error"], Value::Null);
    assert!(report["error"]["cosine_similarity"].as_f64() > Some(0.9));
    let page = std::fs::read_to_string(page).expect("written");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    for part in ["<svg", "blk.0.ffn_down.weight", "attn_q</text>"] {
        assert!(page.contains(part), "no {part}");
    }
    assert!(!page.contains("<script") && !page.contains("http"));
    let arguments = ["generate", "Once", "--max-tokens", "3", "--quiet", "--model"];
    run(&[&arguments[..], &[text(&q8_0)]].concat()).text();

    let packed = folder.path().join("packed");
    let arguments = ["quantize", model.path(), text(&packed), "--scale", "optimal", "--quiet"];
    let table = run(&arguments);
    for part in ["sqnr dB", "F32 → HF", "all of these"] {
        assert!(table.text().contains(part), "no {part} in {table:?}");
    }
    let config: Value =
        serde_json::from_slice(&std::fs::read(packed.join("config.json")).expect("read"))
            .expect("JSON");
    assert_eq!(config["quantization_config"]["linear_class"], "autobitlinear");
    let arguments = ["generate", "Once", "--max-tokens", "3", "--quiet", "--model"];
    run(&[&arguments[..], &[text(&packed)]].concat()).text();
}

#[test]
fn what_cannot_be_converted_is_refused_and_leaves_nothing() {
    let folder = folder();
    let model = TinyModel::new();
    let model = model.write();
    let file = folder.path().join("x.gguf");
    let refused = |arguments: &[&str], parts: &[&str]| {
        run(arguments).assert_error(parts);
        assert_eq!(entries(&folder).len(), 0, "{arguments:?}");
    };
    // 64 columns are no block of 256.
    let convert = ["convert", model.path(), text(&file)];
    refused(&[&convert[..], &["--to", "tq2_0"]].concat(), &["q_proj", "TQ2_0", "256"]);
    refused(&[&convert[..], &["--to", "hf"]].concat(), &["x.gguf", "hf"]);
    let quantize = ["quantize", model.path(), text(&file)];
    refused(&[&quantize[..], &["--tensor", "blk.7.*=q8_0"]].concat(), &["blk.7.*"]);
    refused(&[&quantize[..], &["--to", "q4_k"]].concat(), &["Q4_K"]);
    let nowhere = folder.path().join("none/x.gguf");
    refused(&["convert", model.path(), text(&nowhere)], &["none/x.gguf"]);
    refused(&["convert", text(&nowhere), text(&file)], &["none/x.gguf"]);

    for wrong in [&["--to", "q8_0"][..], &["--to", "q9"], &["--dtype", "i8"]] {
        assert_eq!(run(&[&convert[..], wrong].concat()).status, Some(2), "{wrong:?}");
    }
    for wrong in [&["--tensor", "x"][..], &["--granularity", "0"], &["--scale", "most"]] {
        assert_eq!(run(&[&quantize[..], wrong].concat()).status, Some(2), "{wrong:?}");
    }
    std::fs::write(&file, "mine").expect("written");
    run(&convert).assert_error(&["x.gguf", "there already"]);
    run(&[&convert[..], &["--overwrite", "--quiet"]].concat()).text();
    assert_eq!(entries(&folder), ["x.gguf"]);
}

#[test]
fn a_damaged_code_is_named() {
    let folder = folder();
    let mut model = TinyModel::new();
    model.tensor("model.layers.0.mlp.up_proj.weight").data[7] = 0b11;
    model.write();
    let file = folder.path().join("x.gguf");
    run(&["convert", model.path(), text(&file)]).assert_error(&["up_proj", "row 0"]);
    assert_eq!(entries(&folder).len(), 0);
}

#[test]
fn files_of_tensors_are_listed() {
    let path = repository("models/stories-27m/model.safetensors");
    let report = run(&["inspect", text(&path), "--json"]).json();
    assert_eq!(report["tensors"].as_array().map(Vec::len), Some(8 * 18 + 2));
    assert!(run(&["inspect", text(&path)]).text().contains("embed_tokens.weight"));
    let folder = folder();
    let damaged = folder.path().join("x.npz");
    std::fs::write(&damaged, "no archive").expect("written");
    run(&["inspect", text(&damaged)]).assert_error(&["x.npz"]);
}

/// Ctrl-C, also twice, leaves the whole file or nothing.
#[cfg(unix)]
#[test]
fn an_interrupted_conversion_leaves_nothing_behind() {
    let interrupt = |id: u32| {
        Command::new("kill").args(["-INT", &id.to_string()]).status().expect("the program kill")
    };
    let mut interrupted = 0;
    for attempt in 0..6 {
        let folder = folder();
        let file = folder.path().join("x.gguf");
        let arguments = ["quantize", &stories(), text(&file), "--to", "q6_k", "--threads", "1"];
        let mut command = bitnet(&arguments);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        // From its partial file on, at different times.
        while entries(&folder).is_empty() && child.try_wait().expect("a status").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(5 * attempt));
        for _ in 0..2 {
            interrupt(child.id());
        }
        let status = child.wait().expect("a status").code();
        let left = entries(&folder);
        match status {
            Some(130) if left.is_empty() => interrupted += 1,
            Some(0 | 130) => assert_eq!(left, ["x.gguf"], "attempt {attempt}"),
            other => panic!("attempt {attempt}: {other:?}, {left:?}"),
        }
    }
    assert!(interrupted > 0, "every conversion was over before");
}
