//! Other programs measured in turn with this one, on the same shape: which there are, where they are,
//! and what they reach.
//!
//! A peer gets a file of the shape (`files`), runs as a child (`child`), reads and generates as much as we
//! do, with as many threads, and says how fast it was. Rounds alternate, so that what disturbs the machine
//! disturbs all.

mod child;
mod files;
mod llama_bench;
mod python;

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::measurement::Measurement;
use super::speed::{Speed, Workload};
use crate::interrupt::Generating;
use crate::output;
use child::Patience;
use files::Files;
use llama_bench::LlamaBench;
use python::Script;

pub(super) use files::{Origin, Subject};

/// Names of peers and their programs, as `--peer` takes them, one after another as in `PATH`.
const VARIABLE: &str = "BITNET_PEERS";

/// The programs that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    LlamaCpp,
    BitnetCpp,
    IkLlamaCpp,
    Transformers,
}

impl Kind {
    const ALL: [Self; 4] = [Self::LlamaCpp, Self::BitnetCpp, Self::IkLlamaCpp, Self::Transformers];

    fn name(self) -> &'static str {
        match self {
            Self::LlamaCpp => "llama.cpp",
            Self::BitnetCpp => "bitnet.cpp",
            Self::IkLlamaCpp => "ik_llama.cpp",
            Self::Transformers => "transformers",
        }
    }

    /// What `PATH` is searched for. The forks of llama.cpp call their program as it does: they have to be
    /// named.
    fn executable(self) -> Option<&'static str> {
        match self {
            Self::LlamaCpp => Some("llama-bench"),
            Self::BitnetCpp | Self::IkLlamaCpp => None,
            Self::Transformers => Some("python3"),
        }
    }

    fn script(self) -> Option<Script> {
        match self {
            Self::Transformers => Some(python::TRANSFORMERS),
            Self::LlamaCpp | Self::BitnetCpp | Self::IkLlamaCpp => None,
        }
    }
}

/// A peer and its program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PeerPath {
    kind: Kind,
    path: PathBuf,
}

/// `NAME=PATH`.
pub(super) fn peer(text: &str) -> Result<PeerPath, String> {
    let (name, path) = text.split_once('=').ok_or("expected NAME=PATH")?;
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
    let names = || Kind::ALL.map(Kind::name).join(", ");
    let kind = kind.ok_or_else(|| format!("{name} is none of {}", names()))?;
    Ok(PeerPath { kind, path: path.into() })
}

/// What was asked for: those that were named, and with `installed` those of the environment. Programs that
/// are asked for their libraries answer within `limit`.
pub(super) fn find(named: &[PeerPath], installed: bool, limit: Duration) -> Result<Vec<PeerPath>> {
    let mut peers = named.to_vec();
    if installed {
        let variable = env::var_os(VARIABLE).unwrap_or_default();
        for entry in env::split_paths(&variable).filter(|entry| !entry.as_os_str().is_empty()) {
            let entry = entry.to_string_lossy().into_owned();
            peers.push(
                peer(&entry)
                    .map_err(|reason| anyhow::anyhow!("{VARIABLE}: {entry:?}: {reason}"))?,
            );
        }
    }
    for PeerPath { kind, path } in &peers {
        if !path.is_file() {
            bail!("{}: there is no program at {}", kind.name(), path.display());
        }
    }
    if installed {
        let running = Generating::begin();
        let patience = Patience { limit, running: &running };
        for kind in Kind::ALL {
            let Some(path) = kind.executable().and_then(|name| on_path(name.as_ref())) else {
                continue;
            };
            let is_new = peers.iter().all(|peer| peer.kind != kind);
            if is_new && kind.script().is_none_or(|script| script.is_installed(&path, patience)) {
                peers.push(PeerPath { kind, path });
            }
        }
        if running.is_requested() {
            return Err(bitnet::LlmError::Interrupted.into());
        }
    }
    if peers.is_empty() {
        bail!(
            "--compare: no other program was found: no llama-bench in PATH, no python3 with \
             transformers; name programs with --peer NAME=PATH or in {VARIABLE}"
        );
    }
    Ok(peers)
}

fn on_path(name: &OsStr) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// What a peer reached in a round, in tokens per second.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Rates {
    prefill: f64,
    decode: f64,
}

/// What a peer said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct About {
    version: Option<String>,
    /// What it calls the model that it was given.
    model: Option<String>,
}

/// What came of running a peer once.
struct Round {
    rates: Rates,
    about: About,
    peak_memory_bytes: Option<u64>,
}

/// How a peer is run.
enum Runner {
    LlamaBench(LlamaBench),
    Python { script: Script, executable: PathBuf, directory: PathBuf },
}

impl Runner {
    fn run(&self, workload: Workload, threads: usize, patience: Patience<'_>) -> Result<Round> {
        match self {
            Self::LlamaBench(bench) => bench.run(workload, threads, patience),
            Self::Python { script, executable, directory } => {
                script.run(executable, directory, workload, threads, patience)
            }
        }
    }
}

struct Peer {
    at: PeerPath,
    runner: Runner,
    about: About,
    rates: Vec<Rates>,
    peak_memory_bytes: Option<u64>,
    /// Why it is no longer run.
    error: Option<String>,
}

/// The peers of a measurement.
pub(super) struct Peers {
    peers: Vec<Peer>,
    workload: Workload,
    threads: usize,
    /// How long a peer may take for each of its runs.
    limit: Duration,
    /// Removed at the end, and when the measurement is interrupted.
    _files: Files,
}

impl Peers {
    /// Writes what the peers read. `running` tells of Ctrl-C.
    pub(super) fn prepare(
        found: &[PeerPath],
        subject: Subject,
        workload: Workload,
        threads: usize,
        limit: Duration,
        running: &Generating,
    ) -> Result<Self> {
        let patience = Patience { limit, running };
        let mut files = Files::new(subject)?;
        let mut peers = Vec::new();
        for at in found {
            if running.is_requested() {
                return Err(bitnet::LlmError::Interrupted.into());
            }
            let runner = match at.kind.script() {
                Some(script) => files.directory(running).map(|directory| Runner::Python {
                    script,
                    executable: at.path.clone(),
                    directory,
                }),
                None => LlamaBench::prepare(at.kind, &at.path, &mut files, patience)
                    .map(Runner::LlamaBench),
            };
            let runner = runner.with_context(|| at.kind.name())?;
            let (at, about, rates) = (at.clone(), About::default(), Vec::new());
            peers.push(Peer { at, runner, about, rates, peak_memory_bytes: None, error: None });
        }
        Ok(Self { peers, workload, threads, limit, _files: files })
    }

    /// Runs each peer once. One that fails is not run again; what it reached before stays.
    pub(super) fn round(&mut self, running: &Generating) -> Result<()> {
        let patience = Patience { limit: self.limit, running };
        for peer in self.peers.iter_mut().filter(|peer| peer.error.is_none()) {
            let ran = peer.runner.run(self.workload, self.threads, patience);
            if running.is_requested() {
                return Err(bitnet::LlmError::Interrupted.into());
            }
            match ran {
                Ok(round) => {
                    peer.rates.push(round.rates);
                    peer.about = round.about;
                    peer.peak_memory_bytes = round.peak_memory_bytes.max(peer.peak_memory_bytes);
                }
                Err(error) => {
                    let error = output::one_line(&format!("{error:#}"));
                    output::notice(&format!("{}: {error}", peer.at.kind.name()));
                    peer.error = Some(error);
                }
            }
        }
        if self.peers.iter().all(|peer| peer.error.is_some() && peer.rates.is_empty()) {
            bail!("no other program could be measured");
        }
        Ok(())
    }

    /// What they reached beside `ours`.
    pub(super) fn finish(self, ours: &Speed) -> Vec<PeerReport> {
        self.peers.into_iter().map(|peer| PeerReport::new(peer, ours)).collect()
    }
}

/// A peer beside us.
#[derive(Serialize)]
pub(super) struct PeerReport {
    pub(super) name: &'static str,
    pub(super) executable: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// What it calls the model that it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    /// What is not as with us.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) notes: Vec<String>,
    /// Absent where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) speed: Option<PeerSpeed>,
    /// The most memory that it occupied until shortly before its end, where the system tells.
    pub(super) peak_memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// Tokens per second, and how many times as fast we are, round by round.
#[derive(Serialize)]
pub(super) struct PeerSpeed {
    pub(super) prefill: Measurement,
    pub(super) prefill_ratio: Measurement,
    pub(super) decode: Measurement,
    pub(super) decode_ratio: Measurement,
}

impl PeerReport {
    fn new(peer: Peer, ours: &Speed) -> Self {
        let of = |rate: fn(&Rates) -> f64| Measurement::of(peer.rates.iter().map(rate).collect());
        let speed = (!peer.rates.is_empty()).then(|| {
            let (prefill, decode) = (of(|rates| rates.prefill), of(|rates| rates.decode));
            PeerSpeed {
                prefill_ratio: ours.prefill.paired_ratio(&prefill),
                decode_ratio: ours.decode.paired_ratio(&decode),
                prefill,
                decode,
            }
        });
        let notes = match &peer.runner {
            Runner::LlamaBench(bench) => bench.notes(),
            Runner::Python { .. } => Vec::new(),
        };
        Self {
            name: peer.at.kind.name(),
            executable: peer.at.path.display().to_string(),
            version: peer.about.version,
            model: peer.about.model,
            notes,
            speed,
            peak_memory_bytes: peer.peak_memory_bytes,
            error: peer.error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_named_with_their_programs() {
        let parsed = peer("ik_llama.cpp=/a/b=c").expect("a peer");
        assert_eq!(parsed, PeerPath { kind: Kind::IkLlamaCpp, path: "/a/b=c".into() });
        assert!(peer("llama=/a").is_err_and(|reason| reason.contains("transformers")));
        assert!(peer("llama.cpp").is_err());
    }
}
