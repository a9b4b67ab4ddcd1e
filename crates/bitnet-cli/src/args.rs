//! Options that several subcommands share.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bitnet::llm::config::GenerationConfig;
use bitnet::llm::sampler::SamplingParams;
use bitnet::tensor::I2sBlock;
use bitnet::tensor::memory::{HybridMemoryPool, PoolConfig, parse_bytes};
use bitnet::{HeadPrecision, ModelFiles};
use clap::Args;

/// Which model, and how it runs.
#[derive(Args)]
#[command(next_help_heading = "Model")]
pub(crate) struct ModelArguments {
    /// A GGUF file, or a directory with config.json, tokenizer.json and model.safetensors as on
    /// Hugging Face [default: the model inside of the program]
    #[arg(long, short, value_name = "PATH")]
    pub(crate) model: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) layout: LayoutArguments,

    #[command(flatten)]
    pub(crate) engine: EngineArguments,
}

/// What a model's files may not say.
#[derive(Args, Clone, Copy)]
pub(crate) struct LayoutArguments {
    /// How many weights a block of I2_S tensors has, 128 or 64, where a GGUF file does not show it
    #[arg(long, value_name = "N", value_parser = i2_s_block)]
    i2_s_block: Option<I2sBlock>,
}

impl LayoutArguments {
    /// As if this had been given.
    pub(crate) fn of(i2_s_block: Option<usize>) -> anyhow::Result<Self> {
        let block = i2_s_block.map(|len| self::i2_s_block(&len.to_string()));
        Ok(Self { i2_s_block: block.transpose().map_err(anyhow::Error::msg)? })
    }

    /// What was given.
    pub(crate) fn i2_s_block(self) -> Option<I2sBlock> {
        self.i2_s_block
    }

    /// The files of the model at `path`.
    pub(crate) fn open(self, path: &Path) -> anyhow::Result<ModelFiles> {
        let files = ModelFiles::open(path)?;
        Ok(match self.i2_s_block {
            Some(block) => files.with_i2_s_block(block),
            None => files,
        })
    }
}

fn i2_s_block(text: &str) -> Result<I2sBlock, String> {
    match text {
        "128" => Ok(I2sBlock::Of128),
        "64" => Ok(I2sBlock::Of64),
        _ => Err("must be 128 or 64".to_owned()),
    }
}

/// How a model runs.
#[derive(Args, Clone)]
#[command(next_help_heading = "Model")]
pub(crate) struct EngineArguments {
    /// Longest text in tokens, prompt included [default: the model's own limit, up to 8192]
    #[arg(long, value_name = "N")]
    pub(crate) context: Option<usize>,

    /// The last layer, where its weights are floats, as it is (exact) or with 6 or 8 bits (int6, int8):
    /// faster
    #[arg(long, value_name = "PRECISION", default_value_t = HeadPrecision::default(), value_parser = head_precision)]
    pub(crate) output_head: HeadPrecision,

    #[command(flatten)]
    pub(crate) threads: ThreadArguments,

    #[command(flatten)]
    pub(crate) memory: MemoryArguments,

    /// Where to compute: cpu, vulkan:0, gpu for the best that is not the processor, best; `bitnet
    /// devices` lists them [default: BITNET_DEVICE, else as BITNET_STRATEGY chooses, else the best]
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
}

impl EngineArguments {
    /// Makes threads and memory of the process as asked for: once, before anything computes.
    pub(crate) fn apply(&self) -> anyhow::Result<()> {
        self.threads.apply();
        self.memory.apply()
    }
}

/// How many threads compute.
#[derive(Args, Clone)]
pub(crate) struct ThreadArguments {
    /// Threads that compute, 1 to 256; the text does not depend on it [default:
    /// BITNET_NUM_THREADS, else every core]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
}

impl ThreadArguments {
    /// As if this had been given.
    pub(crate) fn of(threads: usize) -> anyhow::Result<Self> {
        let threads = u16::try_from(threads).ok().filter(|threads| (1..=256).contains(threads));
        Ok(Self { threads: Some(threads.context("threads are 1 to 256")?) })
    }

    /// Sets the number of threads and returns it.
    pub(crate) fn apply(&self) -> usize {
        if let Some(threads) = self.threads {
            bitnet::kernels::parallel::set_num_threads(usize::from(threads));
        }
        bitnet::kernels::parallel::num_threads()
    }
}

/// How much memory tensors may take.
#[derive(Args, Clone, Default)]
pub(crate) struct MemoryArguments {
    /// The most memory for tensors, as 512MiB or 2G; weights used where they lie in a file do not
    /// count [default: BITNET_MEMORY_LIMIT, else no limit]
    #[arg(long, value_name = "SIZE", value_parser = byte_count)]
    memory_limit: Option<usize>,
}

impl MemoryArguments {
    /// Makes the memory pool of the process.
    fn apply(&self) -> anyhow::Result<()> {
        let mut config = PoolConfig::from_env()?;
        config.limit_bytes = self.memory_limit.or(config.limit_bytes);
        HybridMemoryPool::configure_global(config)?;
        Ok(())
    }
}

fn byte_count(text: &str) -> Result<usize, String> {
    parse_bytes(text).ok_or_else(|| "not a number of bytes, as 512MiB or 2G".to_owned())
}

fn head_precision(text: &str) -> Result<HeadPrecision, String> {
    text.parse()
}

/// How tokens are chosen. What is not given is decided by the subcommand.
#[derive(Args)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct SamplingArguments {
    /// 0 always takes the most likely token; 1 draws as the model predicts
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    temperature: Option<f32>,

    /// Draw from the K most likely tokens; 0 is off
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,

    /// Draw from the most likely tokens that together have probability P; 1 is off
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    top_p: Option<f32>,

    /// Draw from tokens at least P times as likely as the most likely one; 0 is off
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    min_p: Option<f32>,

    /// Above 1, tokens that occurred become less likely; 1 is off
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    repetition_penalty: Option<f32>,

    /// Begins the random sequence: the same seed gives the same text
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

impl SamplingArguments {
    /// What was given over `defaults`.
    pub(crate) fn over(&self, defaults: SamplingParams) -> SamplingParams {
        SamplingParams {
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            min_p: self.min_p.unwrap_or(defaults.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(defaults.repetition_penalty),
            seed: self.seed,
            ..defaults
        }
    }
}

/// What the model's authors suggest, over `defaults`.
pub(crate) fn suggested(config: &GenerationConfig, defaults: SamplingParams) -> SamplingParams {
    if config.do_sample == Some(false) {
        return SamplingParams::greedy();
    }
    let number =
        |suggestion: Option<f64>, default: f32| suggestion.map_or(default, |value| value as f32);
    SamplingParams {
        temperature: number(config.temperature, defaults.temperature),
        top_k: config.top_k.unwrap_or(defaults.top_k),
        top_p: number(config.top_p, defaults.top_p),
        min_p: number(config.min_p, defaults.min_p),
        repetition_penalty: number(config.repetition_penalty, defaults.repetition_penalty),
        ..defaults
    }
}

/// What is written besides the result.
#[derive(Args)]
pub(crate) struct OutputArguments {
    /// Write one JSON object instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// No progress and no figures on standard error
    #[arg(long, short)]
    pub(crate) quiet: bool,
}
