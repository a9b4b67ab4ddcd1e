//! Comparisons with the numbers that Hugging Face transformers computes for the stories model: for the
//! CPU here, and for other devices in the crates of their backends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bitnet_formats::safetensors::SafeTensors;
use bitnet_llm::generation::{GenerationOptions, generate};
use bitnet_llm::model::{Activations, LayerCache, LogitsOf};
use bitnet_llm::perplexity::perplexity;
use bitnet_llm::sampler::SamplingParams;
use bitnet_llm::tokenizer::BosPolicy;
use bitnet_llm::{HeadPrecision, LoadOptions, Model, Session};
use bitnet_tensor::{BitNetTensor, Device};

pub(crate) type TestResult = Result<(), Box<dyn std::error::Error>>;

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(crate) fn golden(name: &str) -> Vec<u8> {
    let path = repository().join("crates/bitnet-llm/tests/golden").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn load(path: &Path, output_head: HeadPrecision, device: Device) -> Arc<Model> {
    let options = LoadOptions { output_head, device, ..LoadOptions::default() };
    Model::load(path, &options).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn packed(output_head: HeadPrecision, device: Device) -> Arc<Model> {
    load(&repository().join("models/stories-27m"), output_head, device)
}

pub(crate) struct Prompt {
    pub(crate) text: String,
    pub(crate) ids: Vec<u32>,
    pub(crate) greedy: Vec<u32>,
    pub(crate) margins: Vec<f64>,
}

pub(crate) struct Golden {
    pub(crate) prompts: Vec<Prompt>,
    pub(crate) mean_nll: f64,
}

pub(crate) fn read_golden(variant: &str) -> Golden {
    let json: serde_json::Value =
        serde_json::from_slice(&golden("stories-27m.json")).expect("JSON");
    let json = &json[variant];
    let ids = |value: &serde_json::Value| -> Vec<u32> {
        value
            .as_array()
            .expect("a list")
            .iter()
            .map(|id| id.as_u64().expect("an id") as u32)
            .collect()
    };
    let prompts = json["prompts"].as_array().expect("a list").iter().map(|prompt| Prompt {
        text: prompt["prompt"].as_str().expect("a text").to_owned(),
        ids: ids(&prompt["ids"]),
        greedy: ids(&prompt["greedy48"]),
        margins: prompt["greedy_margins"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|m| m.as_f64().expect("a number"))
            .collect(),
    });
    Golden { prompts: prompts.collect(), mean_nll: json["nll"]["mean"].as_f64().expect("a number") }
}

/// A golden tensor as its rows.
fn rows(file: &[u8], name: &str) -> Vec<Vec<f32>> {
    let file = SafeTensors::parse(file).expect("safetensors");
    let tensor = file.tensor(name).unwrap_or_else(|| panic!("no tensor {name}"));
    let values: Vec<f32> =
        tensor.data.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
    values.chunks(tensor.shape[1]).map(<[f32]>::to_vec).collect()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

/// Each layer, fed with the golden input: the largest ‖Δ‖ / ‖out − in‖ over the tokens.
fn layer_errors(model: &Model, variant: &str) -> Vec<f64> {
    let data = golden("stories-27m.logits.safetensors");
    let mut errors = Vec::new();
    for prompt in 0..read_golden(variant).prompts.len() {
        for (index, layer) in model.decoder().layers().iter().enumerate() {
            let input = rows(&data, &format!("{variant}.{prompt}.hidden.{index}"));
            let expected = rows(&data, &format!("{variant}.{prompt}.hidden.{}", index + 1));
            let (tokens, width) = (input.len(), input[0].len());
            let device = model.device();
            let x = BitNetTensor::from_vec(input.concat(), [1, tokens, width])
                .and_then(|x| x.to_device(device))
                .expect("a tensor");
            let positions = BitNetTensor::arange(0..tokens as u32)
                .and_then(|p| p.reshape([1, tokens])?.to_device(device))
                .expect("positions");
            let config = model.config();
            let shape = [1, tokens, config.num_key_value_heads, config.head_dim];
            let mut cache = LayerCache::new(shape, device).expect("a cache");
            let mut activations = Activations::new(device).expect("memory");
            let output = layer
                .forward(x, &positions, model.decoder().rotary(), &mut cache, &mut activations)
                .expect("a layer's output");
            let output = output.to_vec::<f32>().expect("floats");
            let token_error = |t: usize| {
                let pairs = || output[t * width..][..width].iter().zip(&expected[t]);
                let difference = norm(pairs().map(|(a, b)| f64::from(a - b)));
                let change = norm(expected[t].iter().zip(&input[t]).map(|(a, b)| f64::from(a - b)));
                difference / change
            };
            errors.push((0..tokens).map(token_error).fold(0.0, f64::max));
        }
    }
    errors
}

fn list(errors: &[f64]) -> String {
    errors.iter().map(|error| format!("{error:.0e} ")).collect()
}

pub(crate) fn assert_layers_match(model: &Model, variant: &str) {
    let errors = layer_errors(model, variant);
    let exact = errors.iter().filter(|&&error| error <= 1e-5).count();
    println!(
        "{variant}: {exact} of {} layer runs within 1e-5; all: {}",
        errors.len(),
        list(&errors)
    );
    assert!(exact as f64 >= 0.85 * errors.len() as f64, "{}", list(&errors));
    assert!(errors.iter().all(|&error| error <= 2e-2), "{}", list(&errors));
}

pub(crate) fn assert_logits_match(model: &Arc<Model>, variant: &str) -> TestResult {
    let data = golden("stories-27m.logits.safetensors");
    for (index, prompt) in read_golden(variant).prompts.iter().enumerate() {
        let expected = rows(&data, &format!("{variant}.{index}"));
        let logits = Session::new(model)?.forward(&prompt.ids, LogitsOf::All)?.to_vec::<f32>()?;
        let (mut largest, mut sum, mut count) = (0.0f64, 0.0f64, 0usize);
        for (row, expected) in logits.chunks(expected[0].len()).zip(&expected) {
            for (a, b) in row.iter().zip(expected) {
                let difference = f64::from((a - b).abs());
                largest = largest.max(difference);
                sum += difference;
                count += 1;
            }
            let mut order: Vec<usize> = (0..expected.len()).collect();
            order.sort_by(|&a, &b| expected[b].total_cmp(&expected[a]));
            let margin = expected[order[0]] - expected[order[1]];
            let best = (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("logits");
            assert!(
                margin <= 0.6 || best == order[0],
                "{variant} {index}: {best} instead of {}",
                order[0]
            );
        }
        let mean = sum / count as f64;
        println!("{variant} prompt {index}: max |Δlogit| {largest:.3}, mean {mean:.4}");
        assert!(largest <= 1.0 && mean <= 0.12, "{variant} {index}: {largest} {mean}");
    }
    Ok(())
}

pub(crate) fn assert_greedy_matches(model: &Arc<Model>, variant: &str) -> TestResult {
    for prompt in read_golden(variant).prompts {
        let ids = model.tokenizer()?.encode(&prompt.text, BosPolicy::Auto)?;
        assert_eq!(ids, prompt.ids, "a BOS that is written is not doubled");
        let options = GenerationOptions {
            sampling: SamplingParams::greedy(),
            max_tokens: Some(48),
            ignore_stop_tokens: true,
            ..GenerationOptions::default()
        };
        let generation = generate(&mut Session::new(model)?, &ids, &options)?;
        let certain = prompt.margins.iter().position(|&margin| margin < 0.6).unwrap_or(48);
        assert_eq!(generation.generated_ids[..certain], prompt.greedy[..certain]);
    }
    Ok(())
}

pub(crate) fn mean_nll(model: &Arc<Model>) -> Result<f64, Box<dyn std::error::Error>> {
    let text = String::from_utf8(golden("shakespeare-head.txt"))?;
    // The golden figure is of the first 20,000 characters.
    let head: String = text.chars().take(20_000).collect();
    let ids = model.tokenizer()?.encode(&head, BosPolicy::Never)?;
    Ok(perplexity(model, &ids[..1024], 256, &mut |_| {})?.mean_nll)
}
