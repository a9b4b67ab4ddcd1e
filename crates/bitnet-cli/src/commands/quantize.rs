//! `bitnet quantize`: fewer bits for the weights of a dense model, and what that costs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use bitnet::llm::checkpoint::RawDType;
use bitnet::llm::checkpoint::{
    Checkpoint, ConvertOptions, ConvertReport, Encoding, Pattern, ScaleUnit, TernaryRule,
};
use bitnet::tensor::{QuantizationError, TernaryScale};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::quantization_page;
use super::write_checkpoint::{self, container_of};
use crate::args::{LayoutArguments, OutputArguments, ThreadArguments};
use crate::output::{self, ResultFile};

/// Quantize the weights of a dense model
///
/// The projections of the layers become ternary or get blocks of few bits; embedding and output head
/// too, where the type is not ternary. Norms stay. The error of each tensor is measured. Memory does
/// not grow with the model; the result has its name only when it is whole.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bitnet quantize path/to/model model-q8_0.gguf --to q8_0
  bitnet quantize path/to/model model.gguf --to tq2_0 --granularity row --scale optimal \\
      --tensor 'token_embd=q6_k' --tensor 'blk.0.*=q8_0' --report errors.html
  bitnet quantize path/to/model path/to/packed --to hf")]
pub(crate) struct Arguments {
    /// The model: a directory as on Hugging Face, or a GGUF file
    input: PathBuf,

    /// Where to write it: a name that ends with .gguf is a GGUF file, others are directories
    output: PathBuf,

    /// The type that weights get: i2_s, tq1_0, tq2_0, hf (ternary), q8_0, q4_0, q6_k, q4_1, q5_0,
    /// q5_1 [default: i2_s in GGUF, hf in a directory]
    #[arg(long, value_name = "TYPE", value_parser = write_checkpoint::encoding)]
    to: Option<Encoding>,

    /// How the scale of ternary weights is found: absmean as BitNet b1.58, or optimal, of the
    /// smallest squared error
    #[arg(long, value_name = "RULE", value_enum, default_value_t = ScaleRule::Absmean)]
    scale: ScaleRule,

    /// What has one scale: tensor, row, or a number of neighbours in a row; i2_s and hf have one for
    /// the tensor
    #[arg(long, value_name = "UNIT", default_value = "tensor", value_parser = unit)]
    granularity: ScaleUnit,

    /// The type of tensors by name, GGUF's or Hugging Face's, with * for any characters; may be
    /// given several times, the last that matches counts
    #[arg(long = "tensor", value_name = "NAME=TYPE", value_parser = choice)]
    tensors: Vec<(Pattern, Encoding)>,

    /// The type of matrices that are not quantized: f32, f16 or bf16 [default: as they are]
    #[arg(long, value_name = "TYPE", value_parser = write_checkpoint::float)]
    dtype: Option<RawDType>,

    /// Write the errors as a page with plots
    #[arg(long, value_name = "HTML")]
    report: Option<PathBuf>,

    /// Replace what is there
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    layout: LayoutArguments,

    #[command(flatten)]
    threads: ThreadArguments,

    #[command(flatten)]
    messages: OutputArguments,
}

#[derive(Clone, Copy, ValueEnum)]
enum ScaleRule {
    Absmean,
    Optimal,
}

fn unit(text: &str) -> Result<ScaleUnit, String> {
    match text {
        "tensor" => Ok(ScaleUnit::Tensor),
        "row" => Ok(ScaleUnit::Row),
        number => match number.parse() {
            Ok(len) if len > 0 => Ok(ScaleUnit::Group(len)),
            _ => Err(format!("{text} is neither tensor, row nor a number above 0")),
        },
    }
}

fn choice(text: &str) -> Result<(Pattern, Encoding), String> {
    let (name, encoding) = text.rsplit_once('=').ok_or("expected NAME=TYPE")?;
    Ok((Pattern::new(name), write_checkpoint::encoding(encoding)?))
}

#[derive(Serialize)]
struct Report<'a> {
    output: String,
    bytes_before: u64,
    bytes: u64,
    seconds: f64,
    #[serde(flatten)]
    result: &'a ConvertReport,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    arguments.threads.apply();
    let started = Instant::now();
    let container = container_of(&arguments.output);
    let default = if container.is_directory() { Encoding::HuggingFace } else { Encoding::I2S };
    let quantize = arguments.to.unwrap_or(default);
    let mut page = arguments.report.as_deref().map(ResultFile::create).transpose()?;
    let checkpoint = Checkpoint::new(arguments.layout.open(&arguments.input)?);
    let scale = match arguments.scale {
        ScaleRule::Absmean => TernaryScale::AbsMean,
        ScaleRule::Optimal => TernaryScale::Optimal,
    };
    let options = ConvertOptions {
        ternary: quantize.is_ternary().then_some(quantize),
        quantize: Some(quantize),
        rule: TernaryRule { scale, unit: arguments.granularity },
        float: arguments.dtype,
        tensors: arguments.tensors.clone(),
        measure: true,
        overwrite: arguments.overwrite,
        ..ConvertOptions::new(container)
    };
    let quiet = arguments.messages.quiet;
    let result = write_checkpoint::run(&checkpoint, &arguments.output, &options, quiet)?;
    let Some(result) = result else { return Ok(ExitCode::from(crate::interrupt::STATUS)) };
    let report = Report {
        output: arguments.output.display().to_string(),
        bytes_before: result.tensors.iter().map(|tensor| tensor.bytes_before as u64).sum(),
        bytes: result.tensors.iter().map(|tensor| tensor.bytes as u64).sum(),
        seconds: started.elapsed().as_secs_f64(),
        result: &result,
    };
    if let Some(mut page) = page.take() {
        let title = format!("{} as {quantize}", arguments.input.display());
        let html = quantization_page::html(&title, &result);
        std::io::Write::write_all(&mut page, html.as_bytes()).context("--report")?;
        page.finish()?;
    }
    output::write_report(arguments.messages.json, &report, || report.text())?;
    Ok(ExitCode::SUCCESS)
}

impl Report<'_> {
    fn text(&self) -> String {
        let quantized = self.result.tensors.iter().filter(|tensor| tensor.error.is_some());
        let quantized: Vec<_> = quantized.collect();
        let width = quantized.iter().map(|tensor| tensor.name.len()).max().unwrap_or(0).max(6);
        let mut text = format!(
            "{:width$}  {:>16}  {:<16} {:>10} {:>9} {:>9}\n",
            "tensor", "shape", "type", "mse", "sqnr dB", "cosine"
        );
        for tensor in &quantized {
            let shape = format!("{:?}", tensor.shape);
            let types = format!("{} → {}", tensor.from, tensor.to);
            let name = output::one_line(&tensor.name);
            let _ = write!(text, "{name:width$}  {shape:>16}  {types:<16}");
            text += &figures(tensor.error.as_ref());
        }
        let (kept, all) = (self.result.tensors.len() - quantized.len(), "all of these");
        if self.result.error.is_some() {
            let _ = write!(text, "{all:width$}  {:>16}  {:<16}", "", "");
            text += &figures(self.result.error.as_ref());
        }
        text + &format!(
            "{} to {}, {kept} tensors as they were, {:.1} s\n",
            output::bytes(self.bytes_before),
            output::bytes(self.bytes),
            self.seconds
        )
    }
}

fn figures(error: Option<&QuantizationError>) -> String {
    error.map_or_else(String::new, |error| {
        format!(" {:>10.3e} {:>9.2} {:>9.6}\n", error.mse, error.sqnr_db, error.cosine_similarity)
    })
}
