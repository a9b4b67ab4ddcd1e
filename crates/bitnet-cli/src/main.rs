//! The `bitnet` program: text from ternary language models, and what to know about them.
//!
//! Standard output carries the result alone, text or one JSON object; everything else goes to
//! standard error. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.

mod args;
mod bandwidth;
mod commands;
mod interrupt;
mod loading;
mod machine;
mod output;
mod profiling;
mod progress;
mod text_input;

use std::process::ExitCode;
use std::time::Instant;

use clap::{Parser, Subcommand};

use commands::{bench, chat, devices, generate, inspect, perplexity};

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
    Perplexity(perplexity::Arguments),
    Bench(bench::Arguments),
    Devices(devices::Arguments),
}

fn main() -> ExitCode {
    let started = Instant::now();
    // Wrong usage exits here, with status 2.
    let arguments = Arguments::parse();
    interrupt::install();
    let result = match &arguments.command {
        Command::Generate(arguments) => generate::run(arguments, started),
        Command::Chat(arguments) => chat::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Perplexity(arguments) => perplexity::run(arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Devices(arguments) => devices::run(arguments),
    };
    match result {
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}
