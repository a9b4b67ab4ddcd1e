//! The result of a measurement: for people, and for programs, `bitnet bench regress` among them.

use std::fmt::Write as _;
use std::path::PathBuf;

use bitnet::tensor::backend::AccelerationMetrics;
use bitnet::tensor::backend::metrics::FallbackCount;
use bitnet::tensor::memory::MemoryStats;
use serde::{Deserialize, Serialize};

use super::batches::BatchReport;
use super::kernels::{self, KernelReport};
use super::machine::Machine;
use super::measurement::{Interval, Measurement};
use super::operations::{self, OperationReport};
use super::peers::PeerReport;
use super::synthetic::Synthetic;
use crate::output;

/// What was measured: what it takes to measure it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) synthetic: Option<Synthetic>,
    /// The files; absent for a synthetic model and for the one inside of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) files: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) i2_s_block: Option<usize>,
    pub(super) prompt_tokens: usize,
    pub(super) gen_tokens: usize,
    pub(super) repeat: usize,
    pub(super) warmup: usize,
    pub(super) threads: usize,
    pub(super) output_head: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<usize>,
    pub(super) device: String,
    pub(super) profile: bool,
}

#[derive(Serialize)]
pub(super) struct Report {
    pub(super) model: String,
    pub(super) prefill_tokens_per_second: f64,
    pub(super) decode_tokens_per_second: f64,
    pub(super) prompt_tokens: usize,
    pub(super) gen_tokens: usize,
    pub(super) repeat: usize,
    pub(super) threads: usize,
    pub(super) backend: String,
    pub(super) instruction_set: &'static str,
    pub(super) cpu: Option<String>,
    pub(super) output_head: String,
    /// Read by one token of decoding: weights, keys and values in the middle of the generation.
    pub(super) bytes_per_token: u64,
    pub(super) weight_bytes_per_token: u64,
    pub(super) kv_bytes_per_token: u64,
    pub(super) memory_bandwidth_bytes_per_second: f64,
    /// `bytes_per_token` × `decode_tokens_per_second` / `memory_bandwidth_bytes_per_second`; a model
    /// that fits the caches exceeds 1.
    pub(super) bandwidth_share: f64,
    /// Before the machine was measured.
    pub(super) peak_memory_bytes: Option<u64>,
    /// Of tensors, at that time.
    pub(super) memory_pool: MemoryStats,
    pub(super) load_seconds: f64,
    /// Tokens per second of reading.
    pub(super) prefill: Measurement,
    /// Tokens per second of generating.
    pub(super) decode: Measurement,
    /// Generating for several sequences at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) batches: Vec<BatchReport>,
    pub(super) machine: Machine,
    /// Other programs that ran in turn with this one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) peers: Vec<PeerReport>,
    pub(super) settings: Settings,
    /// With --profile.
    #[serde(flatten)]
    pub(super) recorded: Option<Recorded>,
}

/// What the profiler saw. But for operations and kernels, of the last repetition.
#[derive(Serialize)]
pub(super) struct Recorded {
    pub(super) operations: Vec<OperationReport>,
    /// Of devices that have a clock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) kernels: Vec<KernelReport>,
    /// What the process counted.
    pub(super) counters: AccelerationMetrics,
    /// The share of requests for memory that were served from what the pool held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pool_hit_rate: Option<f64>,
    /// By operation, devices and reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) fallbacks: Vec<FallbackCount>,
    /// Parts of the program that are no operations: names and seconds.
    pub(super) scopes: Vec<(&'static str, f64)>,
    /// The part of the time which operations take.
    pub(super) operations_share: f64,
    /// The part of it in which some span was open: of an operation, or of a part of the program.
    pub(super) spans_share: f64,
    /// The part of it in which spans were recorded.
    pub(super) recording_share: f64,
}

impl Report {
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n", self.model);
        let mut line = |label: &str, value: String| {
            let _ = writeln!(text, "  {label:<17} {value}");
        };
        let speed = |speed: &Measurement, tokens: usize| {
            format!("{:.1} tokens/s ({tokens} tokens{})", speed.median, interval(speed))
        };
        line("prefill", speed(&self.prefill, self.prompt_tokens));
        line("decode", speed(&self.decode, self.gen_tokens));
        for batch in &self.batches {
            let (label, value) = batch.line(self.decode.median);
            line(&label, value);
        }
        let bytes = |count: u64| output::bytes(count);
        line(
            "bytes per token",
            format!(
                "{} ({} weights, {} keys and values)",
                bytes(self.bytes_per_token),
                bytes(self.weight_bytes_per_token),
                bytes(self.kv_bytes_per_token)
            ),
        );
        line(
            "memory bandwidth",
            format!(
                "{}/s; decode uses {:.0} % of it",
                bytes(self.memory_bandwidth_bytes_per_second as u64),
                self.bandwidth_share * 100.0
            ),
        );
        line("peak memory", self.peak_memory_bytes.map_or_else(|| "unknown".to_owned(), bytes));
        let pool = &self.memory_pool;
        line(
            "tensors",
            format!(
                "{} at most, {} reserved; {:.2} % of {} requests from the pool",
                bytes(pool.peak_bytes as u64),
                bytes(pool.peak_reserved_bytes as u64),
                pool.hit_rate() * 100.0,
                pool.hits + pool.misses
            ),
        );
        line("threads", self.threads.to_string());
        line("output head", self.output_head.clone());
        text += &self.machine.text();
        text += &peers_text(&self.peers);
        if let Some(recorded) = &self.recorded {
            text += &recorded.text();
        }
        text
    }
}

/// What other programs reached, and how many times as fast we are.
fn peers_text(peers: &[PeerReport]) -> String {
    let mut text = String::new();
    for peer in peers {
        let about = [&peer.version, &peer.model].into_iter().flatten().cloned();
        let about: Vec<String> = about.chain(peer.notes.clone()).collect();
        let _ = writeln!(text, "beside {}: {}", peer.name, output::one_line(&about.join("; ")));
        if let Some(error) = &peer.error {
            let _ = writeln!(text, "  {error}");
        }
        let Some(speed) = &peer.speed else { continue };
        for (label, theirs, ratio) in [
            ("prefill", &speed.prefill, &speed.prefill_ratio),
            ("decode", &speed.decode, &speed.decode_ratio),
        ] {
            let Interval { low, high, confidence } = ratio.interval;
            let _ = writeln!(
                text,
                "  {label:<17} {:.1} tokens/s; ours is {:.2} times that ({low:.2} to {high:.2} with {:.0} %)",
                theirs.median,
                ratio.median,
                confidence * 100.0
            );
        }
        let peak = peer.peak_memory_bytes.map_or_else(|| "unknown".to_owned(), output::bytes);
        let _ = writeln!(text, "  {:<17} {peak}", "peak memory");
    }
    text
}

/// What is known of a median's true value, in a clause.
pub(super) fn interval(measurement: &Measurement) -> String {
    let interval = &measurement.interval;
    if interval.confidence == 0.0 {
        return String::new();
    }
    format!(
        "; {:.1} to {:.1} with {:.0} %",
        interval.low,
        interval.high,
        interval.confidence * 100.0
    )
}

impl Machine {
    /// The machine and its peaks.
    fn text(&self) -> String {
        let unknown = || "an unknown processor".to_owned();
        let mut text = self.processor.clone().unwrap_or_else(unknown);
        if let Some(set) = &self.instruction_set {
            let _ = write!(text, ", {set}");
        }
        if let Some(load) = self.load_average {
            let _ = write!(text, "; load {load:.2} before");
        }
        text.push('\n');
        for peaks in &self.peaks {
            let int8 = peaks.int8_operations_per_second.map_or_else(String::new, |rate| {
                format!(", int8 {:.1} G operations/s", rate / 1e9)
            });
            let _ = writeln!(
                text,
                "  {:<17} reads {}/s, f32 {:.1} G operations/s{int8}",
                format!("{} thread{}", peaks.threads, if peaks.threads == 1 { "" } else { "s" }),
                output::bytes(peaks.bytes_per_second as u64),
                peaks.f32_operations_per_second / 1e9
            );
        }
        text
    }
}

impl Recorded {
    fn text(&self) -> String {
        let mut text = operations::text(&self.operations) + &kernels::text(&self.kernels);
        text.push('\n');
        for (name, seconds) in &self.scopes {
            let _ = writeln!(text, "{name}: {:.3} ms", seconds * 1e3);
        }
        let _ = writeln!(
            text,
            "{:.1} % of the time inside of spans, {:.1} % spent on recording them\n{}",
            self.spans_share * 100.0,
            self.recording_share * 100.0,
            self.counters
        );
        for fallback in &self.fallbacks {
            let _ = writeln!(text, "{fallback}");
        }
        if let Some(rate) = self.pool_hit_rate {
            let _ = writeln!(text, "memory pool: {:.1} % served from what it held", rate * 100.0);
        }
        text
    }
}
