//! `bitnet bench regress`: a stored result against a new one, and what became slower.
//!
//! Speeds are compared by ratios with confidence intervals. Something is slower when the whole interval
//! is below one, by more than a threshold: that of a machine which is not the same from day to day.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::Options;
use super::machine::Machine;
use super::measurement::{Interval, Measurement};
use super::operations::OperationReport;
use super::report::{Report, Settings};
use crate::args::OutputArguments;
use crate::output;

/// Operations with less of their phase's time, before and now, are not compared.
const COMPARED_SHARE: f64 = 0.02;

/// Compare with a stored result
///
/// Measures again what the stored result of `bitnet bench --json` measured, with the same options, and
/// names what became slower: prefill, decode, and, where the result has them, operations. Exit status 1
/// when something did.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bitnet bench --repeat 6 --profile --json > before.json
  bitnet bench regress before.json --threshold 3
  bitnet bench regress before.json --current after.json --json")]
pub(super) struct Arguments {
    /// What `bitnet bench --json` wrote
    baseline: PathBuf,

    /// Compare with this result instead of measuring
    #[arg(long, value_name = "JSON", conflicts_with = "repeat")]
    current: Option<PathBuf>,

    /// Repetitions that count [default: as many as the stored result has]
    #[arg(long, value_name = "N", value_parser = super::positive)]
    repeat: Option<usize>,

    /// By how many percent something may be slower before it counts
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0, value_parser = percent)]
    threshold: f64,

    #[command(flatten)]
    output: OutputArguments,
}

fn percent(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..100.0).contains(&number) => Ok(number),
        _ => Err("must be a number from 0 to less than 100".to_owned()),
    }
}

/// What is compared of a result.
#[derive(Debug, Clone, Deserialize)]
struct Outcome {
    settings: Settings,
    machine: Machine,
    prefill: Measurement,
    decode: Measurement,
    #[serde(default)]
    operations: Vec<OperationReport>,
}

impl From<Report> for Outcome {
    fn from(report: Report) -> Self {
        Self {
            settings: report.settings,
            machine: report.machine,
            prefill: report.prefill,
            decode: report.decode,
            operations: report.recorded.map(|recorded| recorded.operations).unwrap_or_default(),
        }
    }
}

impl Outcome {
    fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let outcome: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("{}: no result of bitnet bench --json", path.display()))?;
        let operations = outcome.operations.iter().map(|operation| &operation.time);
        for measurement in [&outcome.prefill, &outcome.decode].into_iter().chain(operations) {
            let valid = |sample: &f64| sample.is_finite() && *sample > 0.0;
            if measurement.samples.is_empty() || !measurement.samples.iter().all(valid) {
                bail!("{}: samples must be numbers above 0", path.display());
            }
        }
        Ok(outcome)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Slower,
    Faster,
    /// Within the threshold, or not told apart by these samples.
    Same,
}

#[derive(Debug, Clone, Serialize)]
struct Comparison {
    what: String,
    /// Of `before` and `now`.
    unit: &'static str,
    before: f64,
    now: f64,
    /// How many times as fast it is now.
    ratio: f64,
    #[serde(flatten)]
    interval: Interval,
    verdict: Verdict,
}

impl Comparison {
    /// `before` and `now` are speeds: the more the better.
    fn new(
        what: String,
        unit: &'static str,
        before: &Measurement,
        now: &Measurement,
        threshold: f64,
    ) -> Self {
        let (ratio, interval) = now.ratio(before);
        let verdict = match interval {
            _ if interval.confidence == 0.0 => Verdict::Same,
            Interval { high, .. } if high < 1.0 - threshold => Verdict::Slower,
            Interval { low, .. } if low > 1.0 / (1.0 - threshold) => Verdict::Faster,
            _ => Verdict::Same,
        };
        Self { what, unit, before: before.median, now: now.median, ratio, interval, verdict }
    }
}

#[derive(Serialize)]
struct Comparisons {
    baseline: String,
    threshold_percent: f64,
    comparisons: Vec<Comparison>,
    /// The names of what became slower.
    slower: Vec<String>,
    /// How the machines differ, and how they were measured.
    machine_before: Machine,
    machine_now: Machine,
}

pub(super) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let before = Outcome::read(&arguments.baseline)?;
    let now = match &arguments.current {
        Some(path) => Outcome::read(path)?,
        None => {
            let mut options = Options::again(&before.settings, &arguments.output)
                .with_context(|| arguments.baseline.display().to_string())?;
            options.repeat = arguments.repeat.unwrap_or(options.repeat);
            super::measure(&options)?.into()
        }
    };
    refuse_different(&before.settings, &now.settings)?;
    let threshold = arguments.threshold / 100.0;
    let comparisons = compare(&before, &now, threshold);
    let slower = comparisons.iter().filter(|comparison| comparison.verdict == Verdict::Slower);
    let report = Comparisons {
        baseline: arguments.baseline.display().to_string(),
        threshold_percent: arguments.threshold,
        slower: slower.map(|comparison| comparison.what.clone()).collect(),
        comparisons,
        machine_before: before.machine,
        machine_now: now.machine,
    };
    output::write_report(arguments.output.json, &report, || report.text())?;
    Ok(if report.slower.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Two results that measured different things cannot be compared.
fn refuse_different(before: &Settings, now: &Settings) -> Result<()> {
    let values = |settings: &Settings| {
        [
            ("the model", format!("{:?} {:?}", settings.synthetic, settings.files)),
            ("prompt tokens", settings.prompt_tokens.to_string()),
            ("generated tokens", settings.gen_tokens.to_string()),
            ("threads", settings.threads.to_string()),
            ("the output head", settings.output_head.clone()),
            ("the device", settings.device.clone()),
        ]
    };
    for ((what, before), (_, now)) in values(before).into_iter().zip(values(now)) {
        if before != now {
            bail!("{what}: the stored result has {before}, the other {now}");
        }
    }
    Ok(())
}

fn compare(before: &Outcome, now: &Outcome, threshold: f64) -> Vec<Comparison> {
    let unit = "tokens/s";
    let mut comparisons = vec![
        Comparison::new("prefill".to_owned(), unit, &before.prefill, &now.prefill, threshold),
        Comparison::new("decode".to_owned(), unit, &before.decode, &now.decode, threshold),
    ];
    for now in &now.operations {
        let same = |before: &&OperationReport| {
            (before.phase, before.label(), &before.device) == (now.phase, now.label(), &now.device)
        };
        let Some(before) = before.operations.iter().find(same) else { continue };
        if before.time_share.max(now.time_share) < COMPARED_SHARE {
            continue;
        }
        // Times become speeds, so that all ratios say the same.
        let (old, new) = (before.time.map(|time| 1.0 / time), now.time.map(|time| 1.0 / time));
        let what = format!("{}: {}", now.phase.name(), now.label());
        comparisons.push(Comparison::new(what, "1/s", &old, &new, threshold));
    }
    comparisons
}

impl Comparisons {
    fn text(&self) -> String {
        let width = self.comparisons.iter().map(|c| c.what.chars().count()).max().unwrap_or(0);
        let mut text = format!(
            "{:width$} {:>10} {:>10} {:<9} {:>6}  interval\n",
            "", "before", "now", "", "ratio"
        );
        for comparison in &self.comparisons {
            let Interval { low, high, confidence } = comparison.interval;
            let verdict = match comparison.verdict {
                Verdict::Slower => "  SLOWER",
                Verdict::Faster => "  faster",
                Verdict::Same => "",
            };
            let _ = writeln!(
                text,
                "{:width$} {:>10.2} {:>10.2} {:<9} {:>6.3}  {low:.3} to {high:.3} with {:.0} %{verdict}",
                comparison.what,
                comparison.before,
                comparison.now,
                comparison.unit,
                comparison.ratio,
                confidence * 100.0
            );
        }
        let peaks = self.machine_before.in_use().zip(self.machine_now.in_use());
        if let Some((before, now)) = peaks {
            let _ = writeln!(
                text,
                "the machine: memory {:.2} times as fast as then, f32 {:.2}{}",
                now.bytes_per_second / before.bytes_per_second,
                now.f32_operations_per_second / before.f32_operations_per_second,
                match (before.int8_operations_per_second, now.int8_operations_per_second) {
                    (Some(before), Some(now)) => format!(", int8 {:.2}", now / before),
                    _ => String::new(),
                }
            );
        }
        if self.machine_before.processor != self.machine_now.processor
            || self.machine_before.instruction_set != self.machine_now.instruction_set
        {
            text += "the processors or their instruction sets differ\n";
        }
        let _ = match self.slower.as_slice() {
            [] => writeln!(text, "nothing is slower by more than {} %", self.threshold_percent),
            slower => writeln!(
                text,
                "slower by more than {} %: {}",
                self.threshold_percent,
                slower.join(", ")
            ),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speeds(around: f64) -> Measurement {
        Measurement::of([0.99, 1.0, 1.01, 1.0, 0.995].map(|f| f * around).to_vec())
    }

    #[test]
    fn what_is_surely_slower_is_named() {
        let verdict = |before: f64, now: f64, threshold: f64| {
            let (before, now) = (speeds(before), speeds(now));
            Comparison::new("x".to_owned(), "1/s", &before, &now, threshold).verdict
        };
        assert_eq!(verdict(100.0, 80.0, 0.05), Verdict::Slower);
        assert_eq!(verdict(100.0, 97.0, 0.05), Verdict::Same);
        assert_eq!(verdict(100.0, 97.0, 0.0), Verdict::Slower);
        assert_eq!(verdict(100.0, 100.0, 0.0), Verdict::Same);
        assert_eq!(verdict(100.0, 125.0, 0.05), Verdict::Faster);
    }

    #[test]
    fn one_sample_shows_nothing() {
        let (before, now) = (Measurement::of(vec![100.0]), Measurement::of(vec![1.0]));
        let comparison = Comparison::new("x".to_owned(), "1/s", &before, &now, 0.05);
        assert_eq!(comparison.verdict, Verdict::Same);
    }
}
