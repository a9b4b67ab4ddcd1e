//! `bitnet bench`: how fast a model reads and writes, and how much of what the machine allows that is.
//!
//! `speed` takes the samples, `measurement` says what they tell, `machine` measures the limits,
//! `operations` holds each operation against them, and `report` is all of it, `page` the same with plots;
//! `regress` compares two, `peers` runs other programs in turn with this one.

mod batches;
mod kernels;
mod machine;
mod measurement;
mod operations;
mod page;
mod peers;
mod regress;
mod report;
mod speed;
mod synthetic;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bitnet::kernels::{Cpu, parallel};
use bitnet::tensor::backend::profiler::Profile;
use bitnet::tensor::memory::HybridMemoryPool;
use bitnet::{Device, LlmError, Model};
use clap::{Args, Subcommand};

use crate::args::{
    EngineArguments, LayoutArguments, MemoryArguments, ModelArguments, OutputArguments,
    ThreadArguments,
};
use crate::interrupt::Generating;
use crate::output::ResultFile;
use crate::{interrupt, loading, output};
use machine::Machine;
use operations::{AttentionWork, Recording};
use peers::{Origin, PeerPath, Peers, Subject};
use report::{Recorded, Report, Settings};
use speed::Workload;
use synthetic::Synthetic;

/// Of the random weights and the random prompt: every run measures the same.
const SEED: u64 = 1;

/// Seconds: loading gigabytes and reading a long prompt in Python takes minutes.
const PEER_TIMEOUT: u64 = 1800;

/// Measure speed
///
/// Reads a prompt of random tokens (prefill), then generates greedily (decode), and reports the
/// median of the repetitions with its confidence interval, and what this machine can do at most. The
/// share of the memory bandwidth is what decoding reads, weights and keys and values, against what
/// reading memory reaches with the same number of threads.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  bitnet bench --threads 1
  bitnet bench --synthetic bitnet-2b-4t --prompt-tokens 128 --gen-tokens 32 --profile --json
  bitnet bench --synthetic bitnet-2b-4t --batch 2,4,8,16
  bitnet bench --repeat 6 --profile --html speed.html
  bitnet bench --synthetic bitnet-2b-4t --compare --peer ik_llama.cpp=path/to/llama-bench
  bitnet bench --repeat 6 --json > before.json; bitnet bench regress before.json"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Command {
    Regress(regress::Arguments),
}

/// What is measured, and how often.
#[derive(Args)]
struct Options {
    /// Random weights in the shapes of this model: speed without a download
    #[arg(long, value_name = "NAME", conflicts_with = "model")]
    synthetic: Option<Synthetic>,

    /// Tokens to read
    #[arg(long, short, value_name = "N", default_value_t = 128, value_parser = positive)]
    prompt_tokens: usize,

    /// Tokens to generate
    #[arg(long, short, value_name = "N", default_value_t = 64, value_parser = positive)]
    gen_tokens: usize,

    /// Generate for as many sequences at once too, each after a prompt of its own: --batch 2,4,8,16
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = batches::sequences)]
    batch: Vec<usize>,

    /// Repetitions that count; an interval of 95 % takes six
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = positive)]
    repeat: usize,

    /// Repetitions before them that do not
    #[arg(long, value_name = "N", default_value_t = 1)]
    warmup: usize,

    /// Run as often again, after the measurement, and list what each operation costs and its share of
    /// what memory and arithmetic allow
    #[arg(long)]
    profile: bool,

    /// Run the other programs that are installed in turn with this one, on the same shape, and print
    /// ratios: llama-bench and python3 with transformers in PATH, and what BITNET_PEERS names
    #[arg(long)]
    compare: bool,

    /// Run this program in turn with this one: llama.cpp, bitnet.cpp, ik_llama.cpp (a llama-bench) or
    /// transformers (a python3); may be given several times
    #[arg(long = "peer", value_name = "NAME=PATH", value_parser = peers::peer)]
    peers: Vec<PeerPath>,

    /// Seconds that each run of another program may take: one that hangs is ended, and no longer run
    #[arg(long, value_name = "SECONDS", default_value_t = PEER_TIMEOUT,
        value_parser = clap::value_parser!(u64).range(1..))]
    peer_timeout: u64,

    /// Write the result as a page with plots too
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    #[command(flatten)]
    model: ModelArguments,

    #[command(flatten)]
    output: OutputArguments,
}

fn positive(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|error| format!("{error}"))?;
    if number == 0 { Err("must be at least 1".into()) } else { Ok(number) }
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(Command::Regress(arguments)) = &arguments.command {
        return regress::run(arguments);
    }
    let options = &arguments.options;
    // Before the measurement: a place that cannot be written is better known soon.
    let page = options.html.as_deref().map(ResultFile::create).transpose().context("--html")?;
    let report = match measure(options) {
        Err(error) if matches!(error.downcast_ref(), Some(LlmError::Interrupted)) => {
            return Ok(ExitCode::from(interrupt::STATUS));
        }
        measured => measured?,
    };
    if let Some(mut file) = page {
        file.write_all(page::html(&report).as_bytes()).context("--html")?;
        file.finish()?;
    }
    output::write_report(options.output.json, &report, || report.text())?;
    Ok(ExitCode::SUCCESS)
}

impl Options {
    /// The options that measure what a stored result measured.
    fn again(settings: &Settings, output: &OutputArguments) -> Result<Self> {
        let head = settings.output_head.parse().map_err(anyhow::Error::msg)?;
        Ok(Self {
            synthetic: settings.synthetic,
            prompt_tokens: settings.prompt_tokens,
            gen_tokens: settings.gen_tokens,
            batch: Vec::new(),
            repeat: settings.repeat,
            warmup: settings.warmup,
            profile: settings.profile,
            compare: false,
            peers: Vec::new(),
            peer_timeout: PEER_TIMEOUT,
            html: None,
            model: ModelArguments {
                model: settings.files.clone(),
                layout: LayoutArguments::of(settings.i2_s_block)?,
                engine: EngineArguments {
                    context: settings.context,
                    output_head: head,
                    threads: ThreadArguments::of(settings.threads)?,
                    memory: MemoryArguments::default(),
                    device: Some(settings.device.clone()),
                },
            },
            output: OutputArguments { json: output.json, quiet: output.quiet },
        })
    }
}

/// Loads the model, measures it and then the machine.
fn measure(options: &Options) -> Result<Report> {
    let quiet = options.output.quiet;
    let limit = Duration::from_secs(options.peer_timeout);
    let found = match options.compare || !options.peers.is_empty() {
        true => peers::find(&options.peers, options.compare, limit)?,
        false => Vec::new(),
    };
    let started = Instant::now();
    let (model, name) = match options.synthetic {
        Some(synthetic) => {
            options.model.engine.apply()?;
            loading::with_options(&options.model.engine, quiet, |load| {
                let model = Model::synthetic(synthetic.config()?, SEED, load)?;
                Ok((model, synthetic.name().to_owned()))
            })?
        }
        None => loading::load(&options.model, quiet)?,
    };
    let load_seconds = started.elapsed().as_secs_f64();
    let device = model.device();
    let mut machine = Machine::find(device);

    let workload = Workload {
        prompt_tokens: options.prompt_tokens,
        gen_tokens: options.gen_tokens,
        repeat: options.repeat,
        warmup: options.warmup,
    };
    // The peak of loading. Files for other programs are made by this process: what that takes is forgotten.
    let mut loaded = Some(0);
    let (speed, beside) = match found.as_slice() {
        [] => (speed::measure(&model, workload, quiet, || Ok(()))?, Vec::new()),
        found => {
            let running = Generating::begin_writing();
            let threads = parallel::num_threads();
            loaded = crate::machine::peak_memory_bytes();
            let mut peers =
                Peers::prepare(found, subject(options)?, workload, threads, limit, &running)?;
            loaded = loaded.filter(|_| crate::machine::forget_peak_memory());
            let between = || peers.round(&running);
            let speed = speed::measure(&model, workload, quiet, between)?;
            let beside = peers.finish(&speed);
            (speed, beside)
        }
    };
    let batches = batches::measure(&model, workload, &options.batch, quiet)?;
    let recordings = match options.profile {
        true => speed::record(&model, workload)?,
        false => Vec::new(),
    };
    let peak_memory_bytes = crate::machine::peak_memory_bytes().zip(loaded).map(|(a, b)| a.max(b));
    let memory_pool = HybridMemoryPool::global().stats();

    let kv_bytes_per_position: usize = {
        let mut cache = model.new_cache(1, 1)?;
        let layers = cache.layers_mut().iter();
        layers.map(|layer| layer.keys().byte_size() + layer.values().byte_size()).sum()
    };
    let middle = options.prompt_tokens + options.gen_tokens.div_ceil(2);
    let kv_bytes_per_token = (kv_bytes_per_position * middle) as u64;
    let weight_bytes_per_token = model.decoder().bytes_per_token() as u64;
    let attention = AttentionWork::new(
        model.config(),
        kv_bytes_per_position,
        options.prompt_tokens,
        options.gen_tokens,
    );

    // The buffer takes the place of the model, so that both together need no more memory.
    drop(model);
    HybridMemoryPool::global().trim();
    machine.measure(device)?;
    let peaks = machine.in_use();
    let bandwidth = peaks.map_or(f64::NAN, |peaks| peaks.bytes_per_second);
    let bytes_per_token = weight_bytes_per_token + kv_bytes_per_token;
    let operations = operations::of(&recordings, peaks, &attention);
    Ok(Report {
        model: name,
        prefill_tokens_per_second: speed.prefill.median,
        decode_tokens_per_second: speed.decode.median,
        prompt_tokens: options.prompt_tokens,
        gen_tokens: options.gen_tokens,
        repeat: options.repeat,
        threads: parallel::num_threads(),
        backend: device.to_string(),
        instruction_set: Cpu::best().isa().name(),
        cpu: Device::list().pop().and_then(|cpu| cpu.name),
        output_head: options.model.engine.output_head.to_string(),
        bytes_per_token,
        weight_bytes_per_token,
        kv_bytes_per_token,
        memory_bandwidth_bytes_per_second: bandwidth,
        bandwidth_share: bytes_per_token as f64 * speed.decode.median / bandwidth,
        peak_memory_bytes,
        memory_pool,
        load_seconds,
        prefill: speed.prefill,
        decode: speed.decode,
        peers: beside,
        settings: settings(options, device),
        batches,
        machine,
        recorded: recordings
            .last()
            .map(|recording| recorded(recording, operations, kernels::of(&recordings))),
    })
}

/// What other programs are given.
fn subject(options: &Options) -> Result<Subject> {
    let model = &options.model;
    let origin = match (options.synthetic, &model.model) {
        (Some(synthetic), _) => Origin::Synthetic(synthetic.config()?),
        (None, Some(path)) => Origin::Files(path.clone(), model.layout),
        (None, None) => Origin::Embedded,
    };
    Ok(Subject { origin, head: model.engine.output_head })
}

fn settings(options: &Options, device: Device) -> Settings {
    Settings {
        synthetic: options.synthetic,
        files: options.model.model.clone(),
        i2_s_block: options.model.layout.i2_s_block().map(|block| block.len()),
        prompt_tokens: options.prompt_tokens,
        gen_tokens: options.gen_tokens,
        repeat: options.repeat,
        warmup: options.warmup,
        threads: parallel::num_threads(),
        output_head: options.model.engine.output_head.to_string(),
        context: options.model.engine.context,
        device: device.to_string(),
        profile: options.profile,
    }
}

fn recorded(
    last: &Recording,
    operations: Vec<operations::OperationReport>,
    kernels: Vec<kernels::KernelReport>,
) -> Recorded {
    let profile = &last.profile;
    let share = |part: Duration| part.as_secs_f64() / profile.wall().as_secs_f64().max(1e-9);
    let scopes = profile.scopes();
    Recorded {
        operations,
        kernels,
        counters: *profile.counters(),
        pool_hit_rate: profile.pool_hit_rate(),
        fallbacks: profile.fallbacks().to_vec(),
        scopes: scopes.iter().map(|scope| (scope.name, scope.time.as_secs_f64())).collect(),
        operations_share: share(profile.metrics().iter().map(|m| m.time).sum()),
        spans_share: share(Profile::covered(profile)),
        recording_share: share(profile.overhead()),
    }
}
