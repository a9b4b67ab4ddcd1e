//! Other programs as children: what they write, how much memory they take, and an end to those that hang.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::interrupt::Generating;
use crate::machine;

/// When a program is ended that does not end by itself.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a> {
    pub(super) limit: Duration,
    /// Ctrl-C.
    pub(super) running: &'a Generating,
}

/// A program that has ended.
pub(super) struct Ended {
    status: ExitStatus,
    pub(super) stdout: String,
    pub(super) stderr: String,
    /// The most memory that it occupied, where the system tells.
    pub(super) peak_memory_bytes: Option<u64>,
}

impl Ended {
    pub(super) fn is_success(&self) -> bool {
        self.status.success()
    }
}

/// Runs a program to its end, whatever that is.
pub(super) fn run(command: &mut Command, patience: Patience<'_>) -> Result<Ended> {
    // Files, since a pipe that nobody empties stops a program, and one that a grandchild holds never ends.
    let (stdout, stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn().with_context(|| program(command))?;
    let (begun, mut peak_memory_bytes) = (Instant::now(), None);
    let status = loop {
        // A process that has ended occupies nothing: what it last said counts.
        peak_memory_bytes = machine::peak_memory_bytes_of(child.id()).max(peak_memory_bytes);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        let waited = begun.elapsed();
        let is_late = waited >= patience.limit;
        if is_late || patience.running.is_requested() {
            child.kill()?;
            child.wait()?;
            if is_late {
                let seconds = patience.limit.as_secs();
                bail!("{} did not end within {seconds} s (--peer-timeout)", line(command));
            }
            return Err(bitnet::LlmError::Interrupted.into());
        }
        // Short programs are not kept waiting, and long ones not disturbed.
        sleep((waited / 50).clamp(Duration::from_millis(1), Duration::from_millis(50)));
    };
    let (stdout, stderr) = (text(stdout)?, text(stderr)?);
    Ok(Ended { status, stdout, stderr, peak_memory_bytes })
}

/// The same of a program that has to succeed: its failure with the end of what it complained of.
pub(super) fn succeed(command: &mut Command, patience: Patience<'_>) -> Result<Ended> {
    let ended = run(command, patience)?;
    if !ended.is_success() {
        let lines: Vec<&str> =
            ended.stderr.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(2)..].join("; ");
        bail!("{} ended with {}: {last}", program(command), ended.status);
    }
    Ok(ended)
}

fn text(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn program(command: &Command) -> String {
    Path::new(command.get_program()).display().to_string()
}

/// The program with its arguments, but for texts of several lines.
fn line(command: &Command) -> String {
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    let short = arguments.map(|text| if text.contains('\n') { "…".to_owned() } else { text });
    std::iter::once(program(command)).chain(short).collect::<Vec<_>>().join(" ")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_hangs_is_ended() {
        let running = Generating::begin();
        let patience = |limit| Patience { limit: Duration::from_millis(limit), running: &running };
        let begun = Instant::now();
        // A grandchild that holds the output does not keep us waiting.
        let hanging = succeed(&mut shell("sleep 60 & wait"), patience(50));
        let error = hanging.map(|_| ()).expect_err("ended").to_string();
        assert!(error.contains("/bin/sh -c sleep 60 & wait did not end within"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(30));

        let many = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo no >&2";
        let ended = succeed(&mut shell(many), patience(60_000)).expect("ends");
        assert_eq!((ended.stdout.lines().count(), ended.stderr.as_str()), (20_000, "no\n"));
        if cfg!(target_os = "linux") {
            assert!(ended.peak_memory_bytes > Some(0));
        }
        let failed = succeed(&mut shell("echo why >&2; exit 3"), patience(60_000));
        let error = failed.map(|_| ()).expect_err("failed").to_string();
        assert!(error.contains("3: why"), "{error}");
    }
}
