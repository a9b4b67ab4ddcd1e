//! Conversions of the stories model: the same codes in every format, the same logits, and back.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bitnet_formats::gguf::{GgmlType, Gguf, GgufTensorSpec, GgufWriter, MetadataBuilder};
use bitnet_llm::checkpoint::{
    Checkpoint, Container, ConvertOptions, Encoding, Pattern, ScaleUnit, TernaryRule, convert,
};
use bitnet_llm::comparison::{Difference, compare_logits, compare_weights};
use bitnet_llm::tokenizer::BosPolicy;
use bitnet_llm::{HeadPrecision, LlmError, LoadOptions, Model};
use bitnet_tensor::TernaryScale;

fn stories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m")
}

fn load(path: &Path) -> std::sync::Arc<Model> {
    let options = LoadOptions { output_head: HeadPrecision::Exact, ..LoadOptions::default() };
    Model::load(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn converted(from: &Path, to: &Path, options: &ConvertOptions) {
    let checkpoint = Checkpoint::open(from).unwrap_or_else(|error| panic!("{error}"));
    let goes_on = &mut |_| ControlFlow::Continue(());
    let report =
        convert(&checkpoint, to, options, goes_on).unwrap_or_else(|error| panic!("{error}"));
    assert!(!report.tensors.is_empty());
}

fn differences(a: &Path, b: &Path, tolerance: f64) -> Vec<Difference> {
    let [a, b] = [a, b].map(|path| Checkpoint::open(path).unwrap_or_else(|e| panic!("{e}")));
    let goes_on = &mut |_| ControlFlow::Continue(());
    let compared = compare_weights(&a, &b, tolerance, goes_on).unwrap_or_else(|e| panic!("{e}"));
    assert!(compared.tensors > 80);
    compared.differences.into_iter().map(|tensor| tensor.difference).collect()
}

fn logits_difference(a: &Path, b: &Path) -> f64 {
    let (a, b) = (load(a), load(b));
    let text = "Once upon a time, there was a little girl named Lily. She loved to";
    let ids = a.tokenizer().expect("a tokenizer").encode(text, BosPolicy::Auto).expect("ids");
    let others = b.tokenizer().expect("a tokenizer").encode(text, BosPolicy::Auto).expect("ids");
    assert_eq!(ids, others);
    compare_logits(&a, &b, &ids, 0.0).unwrap_or_else(|error| panic!("{error}")).largest
}

#[test]
fn every_format_holds_the_stories_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let gguf = |encoding: &str| ConvertOptions {
        ternary: Encoding::from_name(encoding),
        ..ConvertOptions::new(Container::Gguf)
    };
    let i2_s = path("i2_s.gguf");
    converted(&stories(), &i2_s, &ConvertOptions::new(Container::Gguf));
    assert_eq!(differences(&stories(), &i2_s, 0.0), []);
    assert_eq!(logits_difference(&stories(), &i2_s), 0.0);

    // Scales of f16: eleven bits of the eight that the model's own have.
    for name in ["tq2_0", "tq1_0"] {
        let file = path(&format!("{name}.gguf"));
        converted(&stories(), &file, &gguf(name));
        assert_eq!(differences(&stories(), &file, 0.0), [], "{name}");
        assert_eq!(logits_difference(&stories(), &file), 0.0, "{name}");
        // From a GGUF file the same bytes come out.
        let again = path(&format!("{name}-again.gguf"));
        converted(&i2_s, &again, &gguf(name));
        let [a, b] = [&file, &again].map(|file| Checkpoint::open(file).expect("a checkpoint"));
        for (a_entry, b_entry) in a.tensors().iter().zip(b.tensors()) {
            let (a, b) = (a.matrix(a_entry).expect("read"), b.matrix(b_entry).expect("read"));
            assert!(a.data() == b.data(), "{}", a_entry.name);
        }
    }

    let directory = path("directory");
    converted(&path("tq1_0.gguf"), &directory, &ConvertOptions::new(Container::HuggingFace));
    assert_eq!(differences(&stories(), &directory, 0.0), []);
    assert_eq!(logits_difference(&stories(), &directory), 0.0);
    let (a, b) = (load(&stories()), load(&directory));
    assert_eq!(a.stop_ids(), b.stop_ids());
    let [a, b] = [stories(), directory].map(|path| {
        let model = Checkpoint::open(&path).expect("a checkpoint");
        let config = model.config().expect("a configuration");
        (config.hidden_size, config.rms_norm_eps, config.rope_theta, config.bos_token_id)
    });
    assert_eq!(a, b);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 6, "nothing beside");
}

/// llama.cpp keeps the scale of a ternary tensor in a tensor of its own.
#[test]
fn scales_beside_tensors_become_theirs() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let beside = path("beside.gguf");
    converted(&stories(), &beside, &ConvertOptions::new(Container::Gguf));

    // The same file, its scales moved: 1 stays behind the codes.
    let file = std::fs::read(&beside)?;
    let gguf = Gguf::parse(&file)?;
    let mut metadata = MetadataBuilder::new();
    for (key, value) in gguf.metadata().entries() {
        metadata.push(key, *value)?;
    }
    let (mut specs, mut data) = (Vec::new(), Vec::new());
    for tensor in gguf.tensors() {
        let (name, ggml_type) = (tensor.name.to_owned(), tensor.ggml_type);
        let mut bytes = tensor.data.to_vec();
        if ggml_type == GgmlType::I2_S {
            let scale = &mut bytes[tensor.data.len() - 32..][..4];
            let name = name.replace(".weight", ".scale");
            specs.push(GgufTensorSpec { name, ggml_type: GgmlType::F32, shape: vec![1] });
            data.push(scale.to_vec());
            scale.copy_from_slice(&1f32.to_le_bytes());
        }
        specs.push(GgufTensorSpec { name, ggml_type, shape: tensor.shape.clone() });
        data.push(bytes);
    }
    let mut writer = GgufWriter::new(Vec::new(), &metadata, specs)?;
    for bytes in &data {
        writer.write_next(bytes)?;
    }
    let moved = writer.finish()?;
    assert!(moved.len() > file.len());
    std::fs::write(&beside, moved)?;

    assert_eq!(differences(&stories(), &beside, 0.0), []);
    for (name, container, ternary) in [
        ("directory", Container::HuggingFace, None),
        ("i2_s.gguf", Container::Gguf, None),
        ("tq2_0.gguf", Container::Gguf, Encoding::from_name("tq2_0")),
    ] {
        let options = ConvertOptions { ternary, ..ConvertOptions::new(container) };
        converted(&beside, &path(name), &options);
        assert_eq!(differences(&stories(), &path(name), 0.0), [], "{name}");
        assert_eq!(logits_difference(&stories(), &path(name)), 0.0, "{name}");
    }
    Ok(())
}

#[test]
fn the_masters_become_what_loading_makes_of_them() {
    let masters = stories().join("../../../shared/models/stories-27m-bf16");
    if !masters.exists() {
        eprintln!("skipped: the bf16 masters are not at {}", masters.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("masters.gguf");
    converted(&masters, &file, &ConvertOptions::new(Container::Gguf));
    assert_eq!(differences(&masters, &file, 0.0), []);
    assert_eq!(logits_difference(&masters, &file), 0.0);
    // The packed model's scales are rounded to bf16.
    let scales = differences(&masters, &stories(), 0.0);
    assert!(scales.iter().all(|d| matches!(d, Difference::Scales { .. })), "{scales:?}");
    assert_eq!(differences(&masters, &stories(), 0.004), []);
}

#[test]
fn quantizing_measures_and_obeys_patterns() {
    let masters = stories().join("../../../shared/models/stories-27m-bf16");
    if !masters.exists() {
        eprintln!("skipped: the bf16 masters are not at {}", masters.display());
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let checkpoint = Checkpoint::open(&masters).expect("a checkpoint");
    let tq2_0 = Encoding::from_name("tq2_0");
    let mut errors = Vec::new();
    for (name, scale, unit) in [
        ("mean", TernaryScale::AbsMean, ScaleUnit::Tensor),
        ("optimal", TernaryScale::Optimal, ScaleUnit::Tensor),
        ("rows", TernaryScale::Optimal, ScaleUnit::Row),
        ("groups", TernaryScale::Optimal, ScaleUnit::Group(256)),
    ] {
        let options = ConvertOptions {
            quantize: tq2_0,
            ternary: tq2_0,
            rule: TernaryRule { scale, unit },
            tensors: vec![
                (Pattern::new("token_embd"), Encoding::from_name("q6_k").expect("a type")),
                (Pattern::new("blk.*.ffn_down"), Encoding::from_name("q8_0").expect("a type")),
            ],
            measure: true,
            ..ConvertOptions::new(Container::Gguf)
        };
        let file = folder.path().join(format!("{name}.gguf"));
        let goes_on = &mut |_| ControlFlow::Continue(());
        let report = convert(&checkpoint, &file, &options, goes_on).expect("written");
        for tensor in &report.tensors {
            let sqnr = tensor.error.map(|error| error.sqnr_db);
            match tensor.to.as_str() {
                "TQ2_0" => assert!(sqnr > Some(2.0) && sqnr < Some(30.0), "{tensor:?}"),
                "Q6_K" => assert!(sqnr > Some(35.0), "{tensor:?}"),
                "Q8_0" => assert!(tensor.name.ends_with("ffn_down.weight") && sqnr > Some(40.0)),
                other => assert!(other == "F32" && sqnr.is_none(), "{tensor:?}"),
            }
        }
        let one = report.tensors.iter().find(|t| t.name == "blk.3.ffn_up.weight").expect("it");
        errors.push(one.error.expect("an error").mse);
    }
    assert!(errors.windows(2).all(|pair| pair[1] <= pair[0]), "finer is not worse: {errors:?}");
}

#[test]
fn what_cannot_be_written_is_named_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("model.gguf");
    let checkpoint = Checkpoint::open(&stories()).expect("a checkpoint");
    let refused = |options: &ConvertOptions, parts: &[&str]| {
        let error = convert(&checkpoint, &file, options, &mut |_| ControlFlow::Continue(()));
        let error = error.expect_err("refused").to_string();
        for part in parts {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0, "{error}");
    };
    let gguf = ConvertOptions::new(Container::Gguf);
    let pattern = |name: &str, encoding: &str| {
        let choice = (Pattern::new(name), Encoding::from_name(encoding).expect("a type"));
        ConvertOptions { tensors: vec![choice], ..gguf.clone() }
    };
    refused(&pattern("blk.9.*", "q8_0"), &["no tensor is called blk.9.*"]);
    refused(&pattern("token_embd", "hf"), &["embed_tokens", "HF cannot be written as GGUF"]);
    refused(&pattern("token_embd", "q4_k"), &["embed_tokens", "Q4_K"]);
    let packed =
        ConvertOptions { container: Container::HuggingFace, ..pattern("*.up_proj", "tq2_0") };
    refused(&packed, &["up_proj", "TQ2_0 cannot be written as safetensors"]);

    let stopped = convert(&checkpoint, &file, &gguf, &mut |step| match step.done {
        0..1_000_000 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    });
    assert!(matches!(stopped, Err(LlmError::Interrupted)));
    let directory = ConvertOptions::new(Container::HuggingFace);
    let stopped = convert(&checkpoint, &file, &directory, &mut |_| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(LlmError::Interrupted)));
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);

    std::fs::write(&file, "something else").expect("written");
    let taken = convert(&checkpoint, &file, &gguf, &mut |_| ControlFlow::Continue(()));
    assert!(taken.expect_err("taken").to_string().contains("there already"));
    assert_eq!(std::fs::read(&file).expect("read"), b"something else");
    let overwrite = ConvertOptions { overwrite: true, ..gguf };
    convert(&checkpoint, &file, &overwrite, &mut |_| ControlFlow::Continue(())).expect("written");
    assert!(Checkpoint::open(&file).is_ok());
}
