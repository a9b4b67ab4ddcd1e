//! `bitnet perplexity`: how well a model predicts a text.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use bitnet::kernels::parallel;
use bitnet::llm::perplexity::perplexity;
use bitnet::llm::tokenizer::BosPolicy;
use clap::Args;
use serde::Serialize;

use crate::args::{ModelArguments, OutputArguments};
use crate::progress::LazyBar;
use crate::{loading, output, text_input};

/// Measure how well a model predicts a text
///
/// The mean negative log-likelihood in nats over windows that do not overlap; in each, every token
/// but the first is predicted from those before it. No beginning-of-text token is added.
#[derive(Args)]
#[command(after_help = "\
Example:
  bitnet perplexity --file text.txt --window 256 --tokens 4096 --output-head exact")]
pub(crate) struct Arguments {
    /// The text, UTF-8; `-` is standard input
    #[arg(long, short, value_name = "TEXT")]
    file: PathBuf,

    /// Tokens of a window, 2 up to the context [default: 256, or the context if that is less]
    #[arg(long, value_name = "N")]
    window: Option<usize>,

    /// Only the first M tokens of the text [default: all]
    #[arg(long, value_name = "M")]
    tokens: Option<usize>,

    #[command(flatten)]
    model: ModelArguments,

    #[command(flatten)]
    output: OutputArguments,
}

/// Tokens of a window unless --window says otherwise.
const DEFAULT_WINDOW: usize = 256;

#[derive(Serialize)]
struct Report<'a> {
    mean_nll: f64,
    perplexity: f64,
    positions: usize,
    /// Of `mean_nll`, over positions.
    standard_error: f64,
    window: usize,
    tokens: usize,
    seconds: f64,
    model: &'a str,
    backend: String,
    threads: usize,
    output_head: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let quiet = arguments.output.quiet;
    let text = text_input::file(&arguments.file)?;
    let (model, name) = loading::load(&arguments.model, quiet)?;
    let mut ids = model.tokenizer()?.encode(&text, BosPolicy::Never)?;
    let window = arguments.window.unwrap_or(DEFAULT_WINDOW.min(model.context()));
    ids.truncate(arguments.tokens.unwrap_or(usize::MAX));

    let started = Instant::now();
    let mut bar = LazyBar::new("windows", quiet);
    let result = perplexity(&model, &ids, window, &mut |step| bar.update(step.done, step.total))?;
    drop(bar);
    let report = Report {
        mean_nll: result.mean_nll,
        perplexity: result.perplexity(),
        positions: result.positions,
        standard_error: result.standard_error,
        window,
        tokens: ids.len(),
        seconds: started.elapsed().as_secs_f64(),
        model: &name,
        backend: model.device().to_string(),
        threads: parallel::num_threads(),
        output_head: arguments.model.engine.output_head.to_string(),
    };
    output::write_report(arguments.output.json, &report, || report.text())?;
    Ok(ExitCode::SUCCESS)
}

impl Report<'_> {
    fn text(&self) -> String {
        format!(
            "mean negative log-likelihood {:.5} ± {:.5} nats per token\nperplexity {:.4}\n{} positions in windows of {} tokens, {:.1} s\n",
            self.mean_nll,
            self.standard_error,
            self.perplexity,
            self.positions,
            self.window,
            self.seconds,
        )
    }
}
