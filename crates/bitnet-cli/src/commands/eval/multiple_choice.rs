//! `bitnet eval multiple-choice`: questions with given answers, and minimal pairs of sentences.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use bitnet::kernels::parallel;
use bitnet::llm::multiple_choice::{Accuracy, Item, Scored, Scorer, parse_items};
use clap::Args;
use serde::Serialize;

use crate::args::{ModelArguments, OutputArguments};
use crate::interrupt::{self, Generating};
use crate::output::ResultFile;
use crate::progress::LazyBar;
use crate::{loading, output, text_input};

/// Choose between texts by their likelihood
///
/// Of the choices of each item the one that the model finds most likely is its answer: by the sum
/// of the log-probabilities of its tokens (acc), and by that sum divided by the characters of the
/// choice (acc_norm), as lm-evaluation-harness counts.
#[derive(Args)]
#[command(after_help = "\
A line of the file is a JSON object of one of these forms; other keys are passed over:
  {\"sentence_good\": \"The dogs run.\", \"sentence_bad\": \"The dogs runs.\"}
  {\"context\": \"Two and two are\", \"choices\": [\"four\", \"five\"], \"gold\": 0}
`context` may be absent, or called question, query or ctx; `choices` options or endings; `gold`,
counted from 0 or the text of the choice, answer, label or answer_index. A space is put between
context and choice where neither has one. Items with a `group` (or `UID`, as in BLiMP) are also
counted by group.

Example:
  bitnet eval multiple-choice --file blimp/anaphor_number_agreement.jsonl --json")]
pub(crate) struct Arguments {
    /// The items, one JSON object per line; `-` is standard input
    #[arg(long, short, value_name = "JSONL")]
    file: PathBuf,

    /// Only the first N items [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,

    /// Write the likelihoods of every item to this file, one JSON object per line
    #[arg(long, value_name = "JSONL")]
    samples: Option<PathBuf>,

    #[command(flatten)]
    model: ModelArguments,

    #[command(flatten)]
    output: OutputArguments,
}

/// How many items were answered rightly.
#[derive(Default)]
struct Count {
    items: usize,
    right: usize,
    right_by_length: usize,
}

impl Count {
    fn add(&mut self, item: &Item, scored: &Scored) {
        self.items += 1;
        self.right += usize::from(scored.best == item.gold);
        self.right_by_length += usize::from(scored.best_by_length == item.gold);
    }

    fn share(&self) -> Share {
        let acc = Accuracy::new(self.right, self.items);
        let acc_norm = Accuracy::new(self.right_by_length, self.items);
        Share {
            items: self.items,
            acc: acc.mean,
            acc_stderr: acc.standard_error,
            acc_norm: acc_norm.mean,
            acc_norm_stderr: acc_norm.standard_error,
        }
    }
}

#[derive(Serialize)]
struct Share {
    items: usize,
    acc: f64,
    acc_stderr: f64,
    acc_norm: f64,
    acc_norm_stderr: f64,
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    all: Share,
    /// What choosing blindly would get right: the mean of 1 over the number of choices.
    chance: f64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    groups: BTreeMap<&'a str, Share>,
    /// Tokens whose likelihood was counted.
    tokens: usize,
    seconds: f64,
    model: &'a str,
    backend: String,
    threads: usize,
    output_head: String,
}

#[derive(Serialize)]
struct Sample<'a> {
    line: usize,
    gold: usize,
    best: usize,
    best_by_length: usize,
    log_likelihoods: &'a [f64],
    tokens: &'a [usize],
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let quiet = arguments.output.quiet;
    let file = arguments.file.display();
    let text = text_input::file(&arguments.file)?;
    let mut items = parse_items(&text).map_err(|error| anyhow::anyhow!("{file}:{error}"))?;
    items.truncate(arguments.limit.unwrap_or(usize::MAX).max(1));
    let mut samples = arguments.samples.as_deref().map(ResultFile::create).transpose()?;
    let (model, name) = loading::load(&arguments.model, quiet)?;

    let started = Instant::now();
    let mut scorer = Scorer::new(&model)?;
    let (mut all, mut groups) = (Count::default(), BTreeMap::<&str, Count>::new());
    let (mut tokens, mut chance) = (0, 0.0);
    let mut bar = LazyBar::new("items", quiet);
    let running = Generating::begin();
    for (done, item) in items.iter().enumerate() {
        if running.is_requested() {
            return Ok(ExitCode::from(interrupt::STATUS));
        }
        let scored = scorer.score(item).with_context(|| format!("{file}:{}", item.line))?;
        all.add(item, &scored);
        if let Some(group) = &item.group {
            groups.entry(group).or_default().add(item, &scored);
        }
        tokens += scored.tokens.iter().sum::<usize>();
        chance += 1.0 / item.choices.len() as f64;
        if let Some(samples) = &mut samples {
            let sample = Sample {
                line: item.line,
                gold: item.gold,
                best: scored.best,
                best_by_length: scored.best_by_length,
                log_likelihoods: &scored.log_likelihoods,
                tokens: &scored.tokens,
            };
            writeln!(samples, "{}", serde_json::to_string(&sample)?)?;
        }
        bar.update(done + 1, items.len());
    }
    drop((bar, running));
    if let Some(samples) = samples {
        samples.finish()?;
    }
    let report = Report {
        all: all.share(),
        chance: chance / items.len() as f64,
        groups: groups.iter().map(|(group, count)| (*group, count.share())).collect(),
        tokens,
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
        let row = |name: &str, share: &Share| {
            format!(
                "{name}\n  acc      {:.4} ± {:.4}\n  acc_norm {:.4} ± {:.4}\n",
                share.acc, share.acc_stderr, share.acc_norm, share.acc_norm_stderr
            )
        };
        let title = format!("{} items, chance {:.4}", self.all.items, self.chance);
        let mut text = row(&title, &self.all);
        for (group, share) in &self.groups {
            text += &row(&format!("{}: {} items", output::one_line(group), share.items), share);
        }
        text + &format!("{} tokens, {:.1} s\n", self.tokens, self.seconds)
    }
}
