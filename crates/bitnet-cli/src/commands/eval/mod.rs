//! `bitnet eval`: how good a model is, by the likelihood that it gives to texts.

mod multiple_choice;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::perplexity;

/// Measure how good a model is
///
/// By the likelihood of a text (perplexity), or by which of several texts it finds most likely
/// (multiple-choice).
#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    Perplexity(perplexity::Arguments),
    MultipleChoice(multiple_choice::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    match &arguments.task {
        Task::Perplexity(arguments) => perplexity::run(arguments),
        Task::MultipleChoice(arguments) => multiple_choice::run(arguments),
    }
}
