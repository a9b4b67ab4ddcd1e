//! `bitnet verify`: whether two files, or two devices, give the same model.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Result, bail};
use bitnet::llm::checkpoint::Checkpoint;
use bitnet::llm::comparison::{
    Difference, LogitsComparison, TensorDifference, WeightComparison, compare_logits,
    compare_weights,
};
use bitnet::llm::tokenizer::BosPolicy;
use bitnet::{LlmError, Model};
use clap::Args;
use serde::Serialize;

use crate::args::{EngineArguments, LayoutArguments, OutputArguments};
use crate::interrupt::{self, Generating};
use crate::progress::LazyBar;
use crate::{loading, output};

/// Compare two models, or one on two devices
///
/// The weights are compared exactly, whatever the formats: ternary ones by their codes and scales,
/// others as numbers; then the logits after each token of the prompts. Exit status: 0 the same, 3
/// different, 1 not compared.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bitnet verify path/to/directory model.gguf
  bitnet verify model-i2_s.gguf model-tq2_0.gguf --tolerance 0.0005 --logits-tolerance 0.5
  bitnet verify model.gguf --device cpu --other-device cuda:0 --logits-tolerance 0.5")]
pub(crate) struct Arguments {
    /// A model: a directory as on Hugging Face, or a GGUF file
    first: PathBuf,

    /// Another one [default: the same, on --other-device]
    second: Option<PathBuf>,

    /// Where the second model computes [default: the same device]
    #[arg(long, value_name = "DEVICE")]
    other_device: Option<String>,

    /// A text whose logits are compared; may be given several times
    #[arg(long, value_name = "TEXT", default_values_t = [
        "Once upon a time".to_owned(), "The capital of France is".to_owned(),
    ])]
    prompt: Vec<String>,

    /// Compare the weights alone
    #[arg(long, conflicts_with = "prompt")]
    weights_only: bool,

    /// The relative difference of scales that counts as none: 0.0005 where one format keeps them as
    /// f16
    #[arg(long, value_name = "R", default_value_t = 0.0)]
    tolerance: f64,

    /// The difference of logits that counts as none
    #[arg(long, value_name = "L", default_value_t = 0.0)]
    logits_tolerance: f64,

    #[command(flatten)]
    layout: LayoutArguments,

    #[command(flatten)]
    engine: EngineArguments,

    #[command(flatten)]
    messages: OutputArguments,
}

/// The exit status of models that differ.
const DIFFERENT: u8 = 3;

#[derive(Serialize)]
struct Report {
    same: bool,
    /// Absent for one model on two devices.
    weights: Option<WeightComparison>,
    prompts: Vec<PromptReport>,
}

#[derive(Serialize)]
struct PromptReport {
    prompt: String,
    /// Whether both tokenizers make the same of it; the first one's tokens are compared.
    same_tokens: bool,
    #[serde(flatten)]
    logits: LogitsComparison,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let quiet = arguments.messages.quiet;
    let second = match (&arguments.second, &arguments.other_device) {
        (Some(path), _) => path,
        (None, Some(_)) => &arguments.first,
        (None, None) => {
            bail!("there is nothing to compare with: name a second model or --other-device")
        }
    };
    arguments.engine.apply()?;
    let weights = match &arguments.second {
        None => None,
        Some(second) => {
            let a = Checkpoint::new(arguments.layout.open(&arguments.first)?);
            let b = Checkpoint::new(arguments.layout.open(second)?);
            let mut bar = LazyBar::new("million weights", quiet);
            let running = Generating::begin();
            let compared = compare_weights(&a, &b, arguments.tolerance, &mut |step| {
                bar.update(step.done >> 20, step.total.div_ceil(1 << 20));
                running.flow()
            });
            match compared {
                Err(LlmError::Interrupted) => return Ok(ExitCode::from(interrupt::STATUS)),
                compared => Some(compared?),
            }
        }
    };
    let mut prompts = Vec::new();
    if !arguments.weights_only {
        let device = arguments.engine.device.as_deref();
        let other = arguments.other_device.as_deref().or(device);
        let a = load(arguments, &arguments.first, device)?;
        let b = load(arguments, second, other)?;
        for prompt in &arguments.prompt {
            let ids = a.tokenizer()?.encode(prompt, BosPolicy::Auto)?;
            let others = b.tokenizer()?.encode(prompt, BosPolicy::Auto)?;
            if ids.is_empty() {
                return Err(LlmError::EmptyPrompt.into());
            }
            let logits = compare_logits(&a, &b, &ids, arguments.logits_tolerance)?;
            let same_tokens = ids == others;
            prompts.push(PromptReport { prompt: prompt.clone(), same_tokens, logits });
        }
    }
    let same = weights.as_ref().is_none_or(|weights| weights.differences.is_empty())
        && prompts.iter().all(|p| p.same_tokens && p.logits.first_position.is_none());
    let report = Report { same, weights, prompts };
    output::write_report(arguments.messages.json, &report, || report.text())?;
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::from(DIFFERENT) })
}

fn load(arguments: &Arguments, path: &std::path::Path, device: Option<&str>) -> Result<Arc<Model>> {
    let engine = EngineArguments { device: device.map(str::to_owned), ..arguments.engine.clone() };
    loading::with_options(&engine, arguments.messages.quiet, |options| {
        Ok(Model::from_files(&arguments.layout.open(path)?, options)?)
    })
}

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(weights) = &self.weights {
            let (all, differ) = (weights.tensors, weights.differences.len());
            text += &match differ {
                0 => format!("weights: {all} tensors, all the same\n"),
                _ => format!("weights: {all} tensors in both, {differ} differ; the first:\n"),
            };
            for difference in weights.differences.iter().take(10) {
                text += &format!("  {}\n", describe(difference));
            }
        }
        for prompt in &self.prompts {
            let logits = &prompt.logits;
            text += &format!(
                "logits after {:?}: {} of {} positions have the same best token, |difference| at most {:.3e}, {:.3e} in the mean\n",
                prompt.prompt, logits.same_best, logits.positions, logits.largest, logits.mean
            );
            if let (Some(position), Some(token)) = (logits.first_position, logits.first_token) {
                text += &format!(
                    "  the first difference is at position {position}, most of token {token}\n"
                );
            }
            if !prompt.same_tokens {
                text += "  the tokenizers make other tokens of it\n";
            }
        }
        text + if self.same { "the same\n" } else { "different\n" }
    }
}

fn describe(tensor: &TensorDifference) -> String {
    let name = output::one_line(&tensor.name);
    match &tensor.difference {
        Difference::OnlyInFirst => format!("{name}: only in the first"),
        Difference::OnlyInSecond => format!("{name}: only in the second"),
        Difference::Shape { first, second } => format!("{name}: shapes {first:?} and {second:?}"),
        Difference::Codes { count, at: [row, column], codes: [a, b] } => {
            format!("{name}: {count} codes, the first at row {row}, column {column}: {a} and {b}")
        }
        Difference::Scales { largest_relative, row } => format!(
            "{name}: the same codes, scales differ by {largest_relative:.2e}, the first at row {row}"
        ),
        Difference::Values { count, at: [row, column], values: [a, b], largest } => format!(
            "{name}: {count} numbers by up to {largest:.3e}, the first at row {row}, column {column}: {a} and {b}"
        ),
        other => format!("{name}: {other:?}"),
    }
}
