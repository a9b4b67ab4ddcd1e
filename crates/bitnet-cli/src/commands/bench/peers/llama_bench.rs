//! llama.cpp's `llama-bench`, and those of its forks: how it is asked, and how its answer is read.
//!
//! `llama-bench -o json` writes a list with an object for each test (`tools/llama-bench/README.md` of
//! llama.cpp): how many tokens it read (`n_prompt`) and generated (`n_gen`), and `avg_ts` tokens per
//! second.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::files::Files;
use super::{About, Kind, Patience, Rates, Round, child};
use crate::commands::bench::speed::Workload;

/// A program with what it can do, and the file that it reads.
pub(super) struct LlamaBench {
    executable: PathBuf,
    file: PathBuf,
    after_prompt: AfterPrompt,
    /// Weights get the layout of the fastest kernels when they are loaded.
    repacks: bool,
    notes: Vec<String>,
}

/// How it is told to generate after a prompt as long as ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterPrompt {
    /// `-d N`.
    Depth,
    /// `-gp N,N`.
    GenerateAfter,
    /// It generates from an empty context.
    Never,
}

impl AfterPrompt {
    /// By what its help lists.
    fn of(help: &str) -> Self {
        if help.contains("--n-depth") {
            Self::Depth
        } else if help.contains("-gp <") {
            Self::GenerateAfter
        } else {
            Self::Never
        }
    }
}

impl LlamaBench {
    pub(super) fn prepare(
        kind: Kind,
        executable: &Path,
        files: &mut Files,
        patience: Patience<'_>,
    ) -> Result<Self> {
        // Not every version calls its help a success.
        let help = child::run(Command::new(executable).arg("--help"), patience)?;
        let help = help.stdout + &help.stderr;
        if !help.contains("--n-gen") {
            bail!("{} is no llama-bench: its help knows no --n-gen", executable.display());
        }
        let after_prompt = AfterPrompt::of(&help);
        let mut notes = Vec::new();
        let file = match kind {
            // Upstream has BitNet with SiLU alone, which is as much work as the squared ReLU.
            Kind::LlamaCpp => {
                if files.is_synthetic() {
                    notes.push("SiLU for the squared ReLU, which it has not".to_owned());
                }
                files.gguf("tq2_0", true, patience.running)?
            }
            Kind::IkLlamaCpp => files.gguf("iq2_bn", false, patience.running)?,
            _ => files.gguf("i2_s", false, patience.running)?,
        };
        if after_prompt == AfterPrompt::Never {
            notes.push("generates from an empty context".to_owned());
        }
        let repacks = help.contains("--run-time-repack");
        Ok(Self { executable: executable.into(), file, after_prompt, repacks, notes })
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }

    /// Reads and generates once, after the warm-up that it makes itself.
    pub(super) fn run(
        &self,
        workload: Workload,
        threads: usize,
        patience: Patience<'_>,
    ) -> Result<Round> {
        let (mut rows, mut peak_memory_bytes) = (Vec::new(), None);
        for tests in tests(self.after_prompt, workload) {
            let mut command = Command::new(&self.executable);
            command.arg("-m").arg(&self.file).args(["-r", "1", "-o", "json", "-t"]);
            command.arg(threads.to_string()).args(tests);
            if self.repacks {
                command.args(["-rtr", "1"]);
            }
            let ended = child::succeed(&mut command, patience)?;
            rows.extend(parse(&ended.stdout)?);
            peak_memory_bytes = ended.peak_memory_bytes.max(peak_memory_bytes);
        }
        let (rates, about) = rates(&rows, workload)?;
        Ok(Round { rates, about, peak_memory_bytes })
    }
}

/// The arguments of each call.
fn tests(after_prompt: AfterPrompt, workload: Workload) -> Vec<Vec<String>> {
    let (prompt, generated) = (workload.prompt_tokens.to_string(), workload.gen_tokens.to_string());
    let arguments = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let both = format!("{prompt},{generated}");
    match after_prompt {
        AfterPrompt::Depth => vec![
            arguments(&["-p", &prompt, "-n", "0"]),
            arguments(&["-p", "0", "-n", &generated, "-d", &prompt]),
        ],
        AfterPrompt::GenerateAfter => vec![arguments(&["-p", &prompt, "-n", "0", "-gp", &both])],
        AfterPrompt::Never => vec![arguments(&["-p", &prompt, "-n", &generated])],
    }
}

/// A test of its answer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Row {
    n_prompt: usize,
    n_gen: usize,
    avg_ts: f64,
    build_commit: Option<String>,
    model_type: Option<String>,
}

fn parse(text: &str) -> Result<Vec<Row>> {
    // Some versions write of their buffers before it.
    let list = text.find("[\n").map_or(text, |start| &text[start..]);
    let rows: Vec<Row> = serde_json::from_str(list)
        .context("llama-bench answered with something else than its JSON")?;
    match rows.iter().find(|row| !(row.avg_ts.is_finite() && row.avg_ts > 0.0)) {
        Some(row) => bail!("llama-bench answered with {} tokens per second", row.avg_ts),
        None => Ok(rows),
    }
}

fn rates(rows: &[Row], workload: Workload) -> Result<(Rates, About)> {
    let prefill = rows.iter().find(|row| row.n_gen == 0 && row.n_prompt == workload.prompt_tokens);
    let prefill = prefill.context("llama-bench answered without the test of reading")?;
    let decode = rows.iter().find(|row| row.n_gen == workload.gen_tokens);
    let decode = decode.context("llama-bench answered without the test of generating")?;
    let about = About { version: prefill.build_commit.clone(), model: prefill.model_type.clone() };
    Ok((Rates { prefill: prefill.avg_ts, decode: decode.avg_ts }, about))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKLOAD: Workload =
        Workload { prompt_tokens: 128, gen_tokens: 64, repeat: 1, warmup: 0 };

    #[test]
    fn answers_are_read() {
        let text = "ggml: buffers [1]\n[\n  {\"build_commit\": \"0c1e570\", \"n_prompt\": 128, \
                    \"n_gen\": 0, \"avg_ts\": 5.5},\n  {\"n_prompt\": 0, \"n_gen\": 64, \"avg_ts\": 4.25}\n]\n";
        let (rates, about) = rates(&parse(text).expect("rows"), WORKLOAD).expect("both tests");
        assert_eq!(rates, Rates { prefill: 5.5, decode: 4.25 });
        assert_eq!(about.version.as_deref(), Some("0c1e570"));
    }

    #[test]
    fn bad_answers_are_refused() {
        for (text, part) in [
            ("error: unknown argument", "something else"),
            ("[\n{\"n_prompt\": 128, \"n_gen\": 0, \"avg_ts\": 0.0}]", "0 tokens"),
            ("[\n{\"n_prompt\": 128, \"n_gen\": 0, \"avg_ts\": 1.0}]", "generating"),
            ("[\n{\"n_prompt\": 0, \"n_gen\": 64, \"avg_ts\": 1.0}]", "reading"),
        ] {
            let answer = parse(text).and_then(|rows| rates(&rows, WORKLOAD));
            let error = answer.expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn it_generates_after_the_prompt_where_it_can() {
        assert_eq!(AfterPrompt::of("  -d, --n-depth <n>"), AfterPrompt::Depth);
        assert_eq!(AfterPrompt::of("  -gp <pp,tg>"), AfterPrompt::GenerateAfter);
        assert_eq!(AfterPrompt::of("  -n, --n-gen <n>"), AfterPrompt::Never);
        assert_eq!(tests(AfterPrompt::Depth, WORKLOAD)[1].join(" "), "-p 0 -n 64 -d 128");
        assert_eq!(
            tests(AfterPrompt::GenerateAfter, WORKLOAD)[0].join(" "),
            "-p 128 -n 0 -gp 128,64"
        );
    }
}
