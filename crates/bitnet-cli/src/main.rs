//! The `bitnet` program: text from ternary language models, and what to know about them.
//!
//! Standard output carries the result alone, text or one JSON object; everything else goes to
//! standard error. Exit status: 0 done, 1 failed or slower than a baseline, 2 wrong usage, 3 `verify`
//! found a difference, 130 interrupted.

mod args;
mod commands;
mod interrupt;
mod loading;
mod machine;
mod output;
mod page;
mod profiling;
mod progress;
mod text_input;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use bitnet::tensor::backend::environment;
use clap::{Parser, Subcommand};

use commands::{
    bench, chat, convert, devices, eval, generate, inspect, perplexity, quantize, verify,
};

/// Run 1.58-bit (ternary) language models.
///
/// Without --model, a model of 27 million parameters that is part of the program is used: it tells
/// simple stories.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Environment: BITNET_DEVICE, BITNET_STRATEGY, BITNET_FALLBACK, BITNET_NUM_THREADS, BITNET_ISA, \
BITNET_CACHE_DIR; the README says what they take.

Examples:
  bitnet generate \"Once upon a time\"
  bitnet generate --model path/to/model --chat \"What is a prime number?\"
  bitnet chat
  bitnet bench --synthetic bitnet-2b-4t";

#[derive(Subcommand)]
enum Command {
    Generate(generate::Arguments),
    Chat(chat::Arguments),
    Inspect(inspect::Arguments),
    Convert(convert::Arguments),
    Quantize(quantize::Arguments),
    Verify(verify::Arguments),
    Eval(eval::Arguments),
    /// The same as `bitnet eval perplexity`
    Perplexity(perplexity::Arguments),
    Bench(bench::Arguments),
    Devices(devices::Arguments),
}

fn main() -> ExitCode {
    let started = Instant::now();
    // Wrong usage exits here, with status 2.
    let arguments = Arguments::parse();
    interrupt::install();
    // What the environment asks for and is not there is said before anything else is done.
    let checked = environment::check().map_err(anyhow::Error::from);
    match checked.and_then(|()| arguments.command.run(started)) {
        Ok(code) => code,
        Err(error) => {
            // Whoever read the output has enough of it: nothing to complain about.
            if !output::is_closed_pipe(&error) {
                output::notice(&format!("error: {}", output::one_line(&format!("{error:#}"))));
            }
            ExitCode::FAILURE
        }
    }
}

impl Command {
    fn run(&self, started: Instant) -> Result<ExitCode> {
        match self {
            Self::Generate(arguments) => generate::run(arguments, started),
            Self::Chat(arguments) => chat::run(arguments),
            Self::Inspect(arguments) => inspect::run(arguments),
            Self::Verify(arguments) => verify::run(arguments),
            Self::Quantize(arguments) => quantize::run(arguments),
            Self::Convert(arguments) => convert::run(arguments),
            Self::Eval(arguments) => eval::run(arguments),
            Self::Perplexity(arguments) => perplexity::run(arguments),
            Self::Bench(arguments) => bench::run(arguments),
            Self::Devices(arguments) => devices::run(arguments),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
