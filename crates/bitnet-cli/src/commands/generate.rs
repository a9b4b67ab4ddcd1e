//! `bitnet generate`: continues a text, as it is chosen token by token.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use bitnet::kernels::{Cpu, parallel};
use bitnet::llm::chat_template::Message;
use bitnet::llm::generation::FinishReason;
use bitnet::llm::sampler::SamplingParams;
use bitnet::llm::tokenizer::BosPolicy;
use bitnet::tensor::backend::AccelerationMetrics;
use bitnet::tensor::backend::profiler::{self, Profiler};
use bitnet::{Generation, GenerationOptions, Generator, LlmError, Model, Session};
use clap::Args;
use serde::Serialize;

use crate::args::{ModelArguments, OutputArguments, SamplingArguments};
use crate::interrupt::{self, Generating};
use crate::progress::LazyBar;
use crate::{loading, output, profiling, text_input};

/// Continue a text
///
/// Writes the prompt and its continuation. By default always the most likely token is taken
/// (--temperature 0), so that the same command gives the same text. Ctrl-C ends the text and
/// exits with status 130.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The text to continue; `-`, or none, reads it from standard input, less one final newline
    prompt: Option<OsString>,

    /// The most tokens to generate
    #[arg(long, short = 'n', value_name = "N", default_value_t = 256)]
    max_tokens: usize,

    /// End before this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,

    /// Go on where the model would end
    #[arg(long)]
    ignore_eos: bool,

    /// Put no beginning-of-text token before the prompt [default: as the tokenizer's files say]
    #[arg(long, conflicts_with = "chat")]
    no_bos: bool,

    /// Write the continuation alone
    #[arg(long)]
    no_echo: bool,

    /// The prompt is a message to be answered: wrap it in the model's chat template
    #[arg(long)]
    chat: bool,

    /// What the model is told before the message
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,

    /// Record what the operations cost: a table to standard error, and the spans to this file, for
    /// ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE")]
    profile: Option<PathBuf>,

    #[command(flatten)]
    sampling: SamplingArguments,

    #[command(flatten)]
    model: ModelArguments,

    #[command(flatten)]
    output: OutputArguments,
}

const EXAMPLES: &str = "\
Sampling is off by default: --temperature 0, --top-k 0, --top-p 1, --min-p 0, \
--repetition-penalty 1.

Examples:
  bitnet generate \"Once upon a time\" --temperature 0.7 --seed 3
  bitnet generate --chat \"What is the sun?\" --system \"Answer briefly.\"
  cat story.txt | bitnet generate --max-tokens 100 --json";

#[derive(Serialize)]
struct Report<'a> {
    prompt_ids: &'a [u32],
    generated_ids: &'a [u32],
    text: &'a str,
    finish_reason: FinishReason,
    prefill_tokens: usize,
    prefill_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    /// From the beginning of reading the prompt.
    time_to_first_token_seconds: f64,
    /// From the beginning of the program.
    startup_to_first_token_seconds: f64,
    model: &'a str,
    /// Where it ended: after a recovery not where it began.
    backend: String,
    /// Operations that another device executed because this one could not.
    fallbacks: u64,
    /// How often it went on on another device because its own was lost.
    recoveries: u64,
    instruction_set: &'static str,
    threads: usize,
    output_head: String,
    temperature: f32,
    seed: u64,
}

pub(crate) fn run(arguments: &Arguments, started: Instant) -> Result<ExitCode> {
    let quiet = arguments.output.quiet;
    // A prompt that cannot be read should not wait for a model.
    let prompt = text_input::prompt(arguments.prompt.as_deref())?;
    let (model, name) = loading::load(&arguments.model, quiet)?;
    let prompt_ids = encode(&model, arguments, &prompt)?;
    let options = GenerationOptions {
        sampling: arguments.sampling.over(SamplingParams::greedy()),
        max_tokens: Some(arguments.max_tokens),
        stop_strings: arguments.stop.clone(),
        ignore_stop_tokens: arguments.ignore_eos,
    };

    let profiler = arguments.profile.as_ref().map(|_| profiling::start()).transpose()?;
    let generating = Generating::begin();
    let loaded = started.elapsed();
    let mut session = Session::new(&model)?;
    let mut bar = LazyBar::new("reading tokens", quiet);
    let mut progress = |done, total| {
        bar.update(done, total);
        generating.flow()
    };
    let generator = Generator::with_progress(&mut session, &prompt_ids, &options, &mut progress);
    drop(bar);
    let mut generator = match generator {
        Err(LlmError::Interrupted) => return Ok(ExitCode::from(interrupt::STATUS)),
        generator => generator?,
    };

    let streams = !arguments.output.json;
    if streams && !arguments.no_echo && !arguments.chat {
        let _span = profiler::scope("write");
        output::write(&prompt)?;
    }
    loop {
        let piece = if generating.is_requested() {
            Some(generator.cancel()?).filter(|piece| !piece.is_empty())
        } else {
            generator.next_piece()?
        };
        let Some(piece) = piece else { break };
        if streams && !piece.is_empty() {
            let _span = profiler::scope("write");
            output::write(&piece)?;
        }
    }
    let generation = generator.finish();
    let counted = AccelerationMetrics::snapshot();
    let profile = profiler.map(Profiler::finish);

    if arguments.output.json {
        output::write_json(&Report {
            prompt_ids: &generation.prompt_ids,
            generated_ids: &generation.generated_ids,
            text: &generation.text,
            finish_reason: generation.finish_reason,
            prefill_tokens: generation.timing.prefill_tokens,
            prefill_tokens_per_second: generation.timing.prefill_tokens_per_second(),
            decode_tokens_per_second: generation.timing.decode_tokens_per_second(),
            time_to_first_token_seconds: generation.timing.first_token.as_secs_f64(),
            startup_to_first_token_seconds: (loaded + generation.timing.first_token).as_secs_f64(),
            model: &name,
            backend: session.model().device().to_string(),
            fallbacks: counted.fallbacks,
            recoveries: counted.recoveries,
            instruction_set: Cpu::best().isa().name(),
            threads: parallel::num_threads(),
            output_head: arguments.model.engine.output_head.to_string(),
            temperature: options.sampling.temperature,
            seed: options.sampling.seed,
        })?;
    } else if !generation.text.ends_with('\n') {
        output::write("\n")?;
    }
    if output::is_watched(quiet) {
        output::notice(&figures(&generation));
    }
    if let (Some(profile), Some(path)) = (&profile, &arguments.profile) {
        profiling::write_trace(profile, path)?;
        if !quiet {
            output::notice(&profile.to_string());
        }
    }
    let cancelled = generation.finish_reason == FinishReason::Cancelled;
    Ok(if cancelled { ExitCode::from(interrupt::STATUS) } else { ExitCode::SUCCESS })
}

fn encode(model: &Model, arguments: &Arguments, prompt: &str) -> Result<Vec<u32>> {
    let tokenizer = model.tokenizer()?;
    if !arguments.chat {
        let policy = if arguments.no_bos { BosPolicy::Never } else { BosPolicy::Auto };
        return Ok(tokenizer.encode(prompt, policy)?);
    }
    let template = model.chat_template().context("--chat: the model has no chat template")?;
    let system = arguments.system.iter().map(|text| Message::new("system", text));
    let messages: Vec<_> = system.chain([Message::new("user", prompt)]).collect();
    // The template writes the beginning-of-text token itself.
    Ok(tokenizer.encode(&template.render(&messages, true)?, BosPolicy::Never)?)
}

/// What a person wants to know at the end.
pub(super) fn figures(generation: &Generation) -> String {
    let timing = &generation.timing;
    format!(
        "{} tokens read at {:.0}/s, {} generated at {:.1}/s, the first after {:.0} ms",
        timing.prefill_tokens,
        timing.prefill_tokens_per_second(),
        generation.generated_ids.len(),
        timing.decode_tokens_per_second(),
        timing.first_token.as_secs_f64() * 1e3,
    )
}
