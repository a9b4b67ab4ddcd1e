//! Peers that are libraries for Python: a script is given to the interpreter, reads the model of a
//! directory, and writes its speeds as one JSON object.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{About, Patience, Rates, Round, child};
use crate::commands::bench::speed::Workload;

/// Hugging Face transformers with PyTorch.
pub(super) const TRANSFORMERS: Script =
    Script { modules: &["torch", "transformers"], source: include_str!("transformers.py") };

/// A program for the interpreter. Its arguments are the directory, the tokens to read and to generate,
/// and the threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Script {
    /// What it imports.
    modules: &'static [&'static str],
    source: &'static str,
}

impl Script {
    /// Whether the interpreter has the modules.
    pub(super) fn is_installed(&self, executable: &Path, patience: Patience<'_>) -> bool {
        const FIND: &str = "import importlib.util, sys\n\
            sys.exit(not all(importlib.util.find_spec(name) for name in sys.argv[1:]))";
        let mut command = Command::new(executable);
        command.args(["-c", FIND]).args(self.modules);
        child::run(&mut command, patience).is_ok_and(|ended| ended.is_success())
    }

    pub(super) fn run(
        &self,
        executable: &Path,
        directory: &Path,
        workload: Workload,
        threads: usize,
        patience: Patience<'_>,
    ) -> Result<Round> {
        let threads = threads.to_string();
        let mut command = Command::new(executable);
        command.args(["-c", self.source]).arg(directory);
        command.args([workload.prompt_tokens, workload.gen_tokens].map(|count| count.to_string()));
        command.arg(&threads).env("OMP_NUM_THREADS", &threads);
        let ended = child::succeed(&mut command, patience)?;
        let (rates, about) = parse(&ended.stdout)?;
        Ok(Round { rates, about, peak_memory_bytes: ended.peak_memory_bytes })
    }
}

/// What scripts write.
#[derive(Deserialize)]
struct Answer {
    prefill_tokens_per_second: f64,
    decode_tokens_per_second: f64,
    version: Option<String>,
    model: Option<String>,
}

/// The last line: libraries may write before it.
fn parse(text: &str) -> Result<(Rates, About)> {
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    let answer: Answer =
        serde_json::from_str(last).context("the script answered with something else than JSON")?;
    let rates = Rates {
        prefill: answer.prefill_tokens_per_second,
        decode: answer.decode_tokens_per_second,
    };
    if ![rates.prefill, rates.decode].iter().all(|rate| rate.is_finite() && *rate > 0.0) {
        bail!("the script answered with speeds that are none");
    }
    Ok((rates, About { version: answer.version, model: answer.model }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let text =
            "a warning\n{\"prefill_tokens_per_second\": 2.0, \"decode_tokens_per_second\": 1.5}\n";
        let (rates, about) = parse(text).expect("an answer");
        assert_eq!((rates, about), (Rates { prefill: 2.0, decode: 1.5 }, About::default()));
        assert!(parse("Traceback").is_err());
        assert!(parse(&text.replace("1.5", "0")).is_err());
    }
}
