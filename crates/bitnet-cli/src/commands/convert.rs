//! `bitnet convert`: the same model in another format.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use bitnet::llm::checkpoint::RawDType;
use bitnet::llm::checkpoint::{Checkpoint, ConvertOptions, Encoding};
use clap::Args;
use serde::Serialize;

use super::write_checkpoint::{self, container_of};
use crate::args::{LayoutArguments, OutputArguments, ThreadArguments};
use crate::output;

/// Write a model in another format
///
/// Hugging Face directories become GGUF files and the other way, with configuration, tokenizer and
/// chat template. Ternary weights keep their codes; float masters of a ternary model become the
/// codes that loading would give them. Memory does not grow with the model; the result has its name
/// only when it is whole.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bitnet convert path/to/bitnet-b1.58-2B-4T 2b-4t.gguf
  bitnet convert 2b-4t.gguf 2b-4t-tq2_0.gguf --to tq2_0
  bitnet convert model.gguf path/to/directory")]
pub(crate) struct Arguments {
    /// The model: a directory as on Hugging Face, or a GGUF file
    input: PathBuf,

    /// Where to write it: a name that ends with .gguf is a GGUF file, others are directories
    output: PathBuf,

    /// How ternary weights are stored: i2_s, tq1_0, tq2_0, hf or another ternary type [default: in
    /// GGUF i2_s for BitNet models, tq2_0 for others; hf in a directory]
    #[arg(long, value_name = "TYPE", value_parser = ternary)]
    to: Option<Encoding>,

    /// The type of the other matrices, f32, f16 or bf16 [default: as they are; f16 where a directory
    /// cannot hold them]
    #[arg(long, value_name = "TYPE", value_parser = write_checkpoint::float)]
    dtype: Option<RawDType>,

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

fn ternary(text: &str) -> Result<Encoding, String> {
    let encoding = write_checkpoint::encoding(text)?;
    if encoding.is_ternary() {
        Ok(encoding)
    } else {
        Err(format!("{encoding} is not ternary; bitnet quantize changes weights"))
    }
}

#[derive(Serialize)]
struct Report {
    output: String,
    tensors: usize,
    bytes: u64,
    seconds: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    arguments.threads.apply();
    let started = Instant::now();
    let container = container_of(&arguments.output);
    if arguments.to == Some(Encoding::HuggingFace) && !container.is_directory() {
        bail!("{}: a GGUF file cannot hold hf weights", arguments.output.display());
    }
    let checkpoint = Checkpoint::new(arguments.layout.open(&arguments.input)?);
    let options = ConvertOptions {
        ternary: arguments.to,
        float: arguments.dtype,
        overwrite: arguments.overwrite,
        ..ConvertOptions::new(container)
    };
    let quiet = arguments.messages.quiet;
    let Some(report) = write_checkpoint::run(&checkpoint, &arguments.output, &options, quiet)?
    else {
        return Ok(ExitCode::from(crate::interrupt::STATUS));
    };
    let bytes = report.tensors.iter().map(|tensor| tensor.bytes as u64).sum();
    let report = Report {
        output: arguments.output.display().to_string(),
        tensors: report.tensors.len(),
        bytes,
        seconds: started.elapsed().as_secs_f64(),
    };
    if arguments.messages.json {
        output::write_json(&report)?;
    } else if !quiet {
        output::notice(&format!(
            "{}: {} tensors, {} in {:.1} s",
            report.output,
            report.tensors,
            output::bytes(report.bytes),
            report.seconds
        ));
    }
    Ok(ExitCode::SUCCESS)
}
