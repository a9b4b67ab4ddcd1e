//! `bitnet bench`: how fast a model reads and writes, and how much of the memory's bandwidth that
//! is.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use bitnet::kernels::{Cpu, parallel};
use bitnet::llm::config::ModelConfig;
use bitnet::tensor::backend::AccelerationMetrics;
use bitnet::tensor::backend::metrics::FallbackCount;
use bitnet::tensor::backend::profiler::{self, Peaks, Profile};
use bitnet::tensor::memory::{HybridMemoryPool, MemoryStats};
use bitnet::{BitNetTensor, Device, LlmError, Model, Session};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::args::{ModelArguments, OutputArguments};
use crate::profiling::{self, OperationReport};
use crate::progress::LazyBar;
use crate::{loading, machine, output};

/// Measure speed
///
/// Reads a prompt of random tokens (prefill), then generates greedily (decode), and reports the
/// median of the repetitions. The share of the memory bandwidth is what decoding reads, weights and
/// keys and values, against what `bitnet devices` measures with the same number of threads.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bitnet bench --threads 1
  bitnet bench --synthetic bitnet-2b-4t --prompt-tokens 128 --gen-tokens 32 --json")]
pub(crate) struct Arguments {
    /// Random weights in the shapes of this model: speed without a download
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    synthetic: Option<Synthetic>,

    /// Tokens to read
    #[arg(long, short, value_name = "N", default_value_t = 128, value_parser = positive)]
    prompt_tokens: usize,

    /// Tokens to generate
    #[arg(long, short, value_name = "N", default_value_t = 64, value_parser = positive)]
    gen_tokens: usize,

    /// Repetitions that count
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = positive)]
    repeat: usize,

    /// Repetitions before them that do not
    #[arg(long, value_name = "N", default_value_t = 1)]
    warmup: usize,

    /// Run once more, after the measurement, and list what each operation costs
    #[arg(long)]
    profile: bool,

    #[command(flatten)]
    model: ModelArguments,

    #[command(flatten)]
    output: OutputArguments,
}

fn positive(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    if number == 0 { Err("must be at least 1".into()) } else { Ok(number) }
}

#[derive(Clone, Copy, ValueEnum)]
enum Synthetic {
    /// 2.4 billion parameters (microsoft/bitnet-b1.58-2B-4T)
    #[value(name = "bitnet-2b-4t")]
    BitNet2b4t,
    /// 27 million parameters (the model inside of the program)
    #[value(name = "stories-27m")]
    Stories27m,
}

impl Synthetic {
    fn name(self) -> &'static str {
        match self {
            Self::BitNet2b4t => "bitnet-2b-4t (synthetic)",
            Self::Stories27m => "stories-27m (synthetic)",
        }
    }

    fn config(self) -> &'static [u8] {
        match self {
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
        }
    }
}

/// Of the random weights and the random prompt: every run measures the same.
const SEED: u64 = 1;

#[derive(Serialize)]
struct Report {
    model: String,
    prefill_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    prompt_tokens: usize,
    gen_tokens: usize,
    repeat: usize,
    threads: usize,
    backend: String,
    instruction_set: &'static str,
    cpu: Option<String>,
    output_head: String,
    /// Read by one token of decoding: weights, keys and values in the middle of the generation.
    bytes_per_token: u64,
    weight_bytes_per_token: u64,
    kv_bytes_per_token: u64,
    memory_bandwidth_bytes_per_second: f64,
    /// `bytes_per_token` × `decode_tokens_per_second` / `memory_bandwidth_bytes_per_second`; a model
    /// that fits the caches exceeds 1.
    bandwidth_share: f64,
    /// Before the bandwidth was measured.
    peak_memory_bytes: Option<u64>,
    /// Of tensors, at that time.
    memory_pool: MemoryStats,
    load_seconds: f64,
    /// Of one more repetition, with --profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<OperationReport>>,
    /// What the process counted in that repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<AccelerationMetrics>,
    /// The share of requests for memory in it that were served from what the pool held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pool_hit_rate: Option<f64>,
    /// The fallbacks in it, by operation, devices and reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fallbacks: Vec<FallbackCount>,
    /// The part of that repetition's time which operations take.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations_share: Option<f64>,
    /// The part of it in which some span was open: of an operation, or of a part of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    spans_share: Option<f64>,
    /// The part of it in which spans were recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_share: Option<f64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let quiet = arguments.output.quiet;
    let started = Instant::now();
    let (model, name) = match arguments.synthetic {
        Some(synthetic) => {
            arguments.model.engine.apply()?;
            loading::with_options(&arguments.model.engine, quiet, |options| {
                let config = ModelConfig::from_json(synthetic.config())?;
                Ok((Model::synthetic(config, SEED, options)?, synthetic.name().to_owned()))
            })?
        }
        None => loading::load(&arguments.model, quiet)?,
    };
    let load_seconds = started.elapsed().as_secs_f64();

    let speed = measure(&model, arguments, quiet)?;
    let profile = arguments.profile.then(|| profile(&model, arguments)).transpose()?;
    let peak_memory_bytes = machine::peak_memory_bytes();
    let memory_pool = HybridMemoryPool::global().stats();

    let kv_bytes_per_position: usize = {
        let mut cache = model.new_cache(1)?;
        let layers = cache.layers_mut().iter();
        layers.map(|layer| layer.keys().byte_size() + layer.values().byte_size()).sum()
    };
    let middle = arguments.prompt_tokens + arguments.gen_tokens.div_ceil(2);
    let kv_bytes = (kv_bytes_per_position * middle) as u64;
    let weight_bytes = model.decoder().bytes_per_token() as u64;
    let device = model.device();

    // The buffer takes the place of the model, so that both together need no more memory.
    drop(model);
    HybridMemoryPool::global().trim();
    let peaks = profile.as_ref().map(|_| Peaks::measure(device)).transpose()?;
    let bandwidth = match &peaks {
        Some(peaks) => peaks.bytes_per_second,
        None => device.measure_bandwidth()?,
    };

    let share = |part: fn(&Profile) -> Duration| {
        profile.as_ref().map(|profile| part(profile).as_secs_f64() / profile.wall().as_secs_f64())
    };
    let bytes_per_token = weight_bytes + kv_bytes;
    let report = Report {
        model: name,
        prefill_tokens_per_second: speed.prefill,
        decode_tokens_per_second: speed.decode,
        prompt_tokens: arguments.prompt_tokens,
        gen_tokens: arguments.gen_tokens,
        repeat: arguments.repeat,
        threads: parallel::num_threads(),
        backend: device.to_string(),
        instruction_set: Cpu::best().isa().name(),
        cpu: Device::list().pop().and_then(|cpu| cpu.name),
        output_head: arguments.model.engine.output_head.to_string(),
        bytes_per_token,
        weight_bytes_per_token: weight_bytes,
        kv_bytes_per_token: kv_bytes,
        memory_bandwidth_bytes_per_second: bandwidth,
        bandwidth_share: bytes_per_token as f64 * speed.decode / bandwidth,
        peak_memory_bytes,
        memory_pool,
        load_seconds,
        operations: profile.as_ref().zip(peaks.as_ref()).map(|(p, q)| OperationReport::of(p, q)),
        counters: profile.as_ref().map(|profile| *profile.counters()),
        pool_hit_rate: profile.as_ref().and_then(Profile::pool_hit_rate),
        fallbacks: profile.as_ref().map_or_else(Vec::new, |profile| profile.fallbacks().to_vec()),
        operations_share: share(|profile| profile.metrics().iter().map(|m| m.time).sum()),
        spans_share: share(Profile::covered),
        recording_share: share(Profile::overhead),
    };
    output::write_report(arguments.output.json, &report, || {
        let table =
            profile.as_ref().map(|profile| format!("\n{}\n", profile.table(peaks.as_slice())));
        report.text() + &table.unwrap_or_default()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Tokens per second.
struct Speed {
    prefill: f64,
    decode: f64,
}

fn measure(model: &Arc<Model>, arguments: &Arguments, quiet: bool) -> Result<Speed> {
    // Before there is a prompt: one of any length would have to fit the memory.
    let (tokens, context) =
        (arguments.prompt_tokens.saturating_add(arguments.gen_tokens), model.context());
    if tokens > context {
        return Err(LlmError::ContextExceeded { tokens, context }.into());
    }
    let prompt = random_ids(model.config().vocab_size, arguments.prompt_tokens);
    let mut session = Session::new(model)?;
    let (mut prefill, mut decode) = (Vec::new(), Vec::new());
    let runs = arguments.warmup.saturating_add(arguments.repeat);
    let mut bar = LazyBar::new("repetitions", quiet);
    for run in 0..runs {
        bar.update(run, runs);
        let (read, generated) = repetition(&mut session, &prompt, arguments.gen_tokens)?;
        let rate = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64().max(1e-9);
        let prefill_rate = rate(prompt.len(), read);
        let decode_rate = rate(arguments.gen_tokens, generated);
        if run >= arguments.warmup {
            prefill.push(prefill_rate);
            decode.push(decode_rate);
        }
    }
    Ok(Speed { prefill: median(prefill), decode: median(decode) })
}

/// Reads the prompt and generates after it: the times of both.
fn repetition(
    session: &mut Session,
    prompt: &[u32],
    gen_tokens: usize,
) -> Result<(Duration, Duration)> {
    session.truncate(0);
    let begun = Instant::now();
    let mut id = best(&session.read(prompt)?)?;
    let read = begun.elapsed();
    for _ in 0..gen_tokens {
        id = best(&session.read(&[id])?)?;
    }
    Ok((read, begun.elapsed() - read))
}

/// A repetition on which the profiler looks.
fn profile(model: &Arc<Model>, arguments: &Arguments) -> Result<Profile> {
    let prompt = random_ids(model.config().vocab_size, arguments.prompt_tokens);
    let mut session = Session::new(model)?;
    repetition(&mut session, &prompt, arguments.gen_tokens)?;
    let profiler = profiling::start()?;
    repetition(&mut session, &prompt, arguments.gen_tokens)?;
    Ok(profiler.finish())
}

/// The most likely token.
fn best(logits: &BitNetTensor) -> Result<u32> {
    let _span = profiler::scope("sample");
    Ok(logits.argmax(-1, false)?.to_vec::<i64>()?[0] as u32)
}

/// Token ids as from a generator with a fixed seed (Knuth's MMIX linear congruential one).
fn random_ids(vocab_size: usize, count: usize) -> Vec<u32> {
    let mut state = SEED;
    let next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 33) % vocab_size as u64) as u32
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (below, above) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
    (below + above) / 2.0
}

impl Report {
    fn text(&self) -> String {
        let memory = self.peak_memory_bytes.map_or_else(|| "unknown".to_owned(), output::bytes);
        let pool = &self.memory_pool;
        format!(
            "{}\n  prefill           {:.1} tokens/s ({} tokens)\n  decode            {:.1} tokens/s ({} tokens)\n  bytes per token   {} ({} weights, {} keys and values)\n  memory bandwidth  {}/s; decode uses {:.0} % of it\n  peak memory       {memory}\n  tensors           {} at most, {} reserved; {:.2} % of {} requests from the pool\n  threads           {} on {} ({})\n  output head       {}\n",
            self.model,
            self.prefill_tokens_per_second,
            self.prompt_tokens,
            self.decode_tokens_per_second,
            self.gen_tokens,
            output::bytes(self.bytes_per_token),
            output::bytes(self.weight_bytes_per_token),
            output::bytes(self.kv_bytes_per_token),
            output::bytes(self.memory_bandwidth_bytes_per_second as u64),
            self.bandwidth_share * 100.0,
            output::bytes(pool.peak_bytes as u64),
            output::bytes(pool.peak_reserved_bytes as u64),
            pool.hit_rate() * 100.0,
            pool.hits + pool.misses,
            self.threads,
            self.cpu.as_deref().unwrap_or("an unknown processor"),
            self.instruction_set,
            self.output_head,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn synthetic_configurations_are_valid() {
        for synthetic in Synthetic::value_variants() {
            ModelConfig::from_json(synthetic.config()).unwrap();
        }
        let config = ModelConfig::from_json(Synthetic::BitNet2b4t.config()).unwrap();
        assert_eq!((config.head_dim, config.num_key_value_heads), (128, 5));
    }

    #[test]
    fn random_ids_are_in_the_vocabulary_and_differ() {
        let ids = random_ids(100, 50);
        assert!(ids.iter().all(|&id| id < 100));
        assert!(ids.iter().any(|&id| id != ids[0]));
    }
}
