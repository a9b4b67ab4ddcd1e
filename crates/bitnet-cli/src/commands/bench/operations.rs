//! What each operation of reading and of generating costs, and how close it comes to what the machine
//! allows: its share of the roofline (Williams, Waterman and Patterson, 2009).
//!
//! An operation that moves `b` bytes and computes `c` operations takes at least the longer of `b` by
//! the bandwidth and `c` by the peak; the share is that time by the measured one. Bytes that come from
//! a cache can make it more than 1.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use bitnet::llm::config::ModelConfig;
use bitnet::tensor::backend::profiler::{Event, OperationEvent, Profile};
use bitnet::{BitNetDType, Device};
use serde::{Deserialize, Serialize};

use super::machine::Peaks;
use super::measurement::Measurement;

/// A repetition on which the profiler looked.
pub(super) struct Recording {
    pub(super) profile: Profile,
    /// When the prompt was read, from the beginning of the recording.
    pub(super) prompt_read: Duration,
}

impl Recording {
    /// What was done at a time from the beginning.
    pub(super) fn phase(&self, start: Duration) -> Phase {
        if start < self.prompt_read { Phase::Prefill } else { Phase::Decode }
    }

    /// How long a phase took.
    fn length(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Prefill => self.prompt_read,
            Phase::Decode => self.profile.wall().saturating_sub(self.prompt_read),
        }
    }
}

/// The seconds of a phase, the median of the recordings, of which there is one at least.
pub(super) fn phase_seconds(recordings: &[Recording], phase: Phase) -> f64 {
    let lengths = recordings.iter().map(|recording| recording.length(phase).as_secs_f64());
    Measurement::of(lengths.collect()).median.max(1e-9)
}

/// The two things that a language model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Phase {
    /// Reading the prompt, all of its tokens at once.
    Prefill,
    /// Generating, token by token.
    Decode,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }
}

/// The numbers that an operation computes with, which decide what peak it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Arithmetic {
    F32,
    /// Codes of weights with int8 activations.
    Int8,
    /// Blocks of weights with activations of 16 bits: nothing measures a peak of these.
    Int16,
}

/// What limits an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Limit {
    Memory,
    Computing,
}

/// A kind of operation in one phase, on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OperationReport {
    pub(super) phase: Phase,
    pub(super) operation: String,
    /// Of products, type and shape of the weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) weights: Option<String>,
    pub(super) device: String,
    /// How often in one repetition.
    pub(super) count: u64,
    pub(super) fallbacks: u64,
    /// Of one repetition, the median of all; on an asynchronous device until the work was enqueued.
    pub(super) seconds: f64,
    /// The same with the time of each repetition.
    pub(super) time: Measurement,
    /// The part of the phase's time.
    pub(super) time_share: f64,
    /// Read and written in one repetition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes: Option<u64>,
    /// Multiplications and additions, of products and attention.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) flops: Option<u64>,
    pub(super) arithmetic: Arithmetic,
    /// Bytes per second by the bandwidth that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bandwidth_share: Option<f64>,
    /// Multiplications and additions per second by the peak of its arithmetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) compute_share: Option<f64>,
    /// The larger of both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) roofline_share: Option<f64>,
    /// Which of both it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<Limit>,
}

impl OperationReport {
    /// As it is named in tables and comparisons.
    pub(super) fn label(&self) -> String {
        match &self.weights {
            Some(weights) => format!("{} {weights}", self.operation),
            None => self.operation.clone(),
        }
    }
}

/// What attention does in a repetition: its operands do not tell how many keys a query sees.
pub(super) struct AttentionWork {
    /// Of all layers.
    key_value_bytes_per_position: u64,
    /// Of all layers, for each pair of a query and a position that it sees.
    flops_per_pair: u64,
    prompt_tokens: u64,
    gen_tokens: u64,
}

impl AttentionWork {
    pub(super) fn new(
        config: &ModelConfig,
        key_value_bytes_per_position: usize,
        prompt_tokens: usize,
        gen_tokens: usize,
    ) -> Self {
        let width = config.num_hidden_layers * config.num_attention_heads * config.head_dim;
        Self {
            key_value_bytes_per_position: key_value_bytes_per_position as u64,
            // A product and a sum for the score, the same for the value.
            flops_per_pair: 4 * width as u64,
            prompt_tokens: prompt_tokens as u64,
            gen_tokens: gen_tokens as u64,
        }
    }

    /// Bytes, each needed once for all queries that are computed together, and operations.
    fn of(&self, phase: Phase) -> (u64, u64) {
        let (prompt, generated) = (self.prompt_tokens, self.gen_tokens);
        let (positions, pairs) = match phase {
            Phase::Prefill => (prompt, prompt * (prompt + 1) / 2),
            Phase::Decode => {
                let pairs = generated * prompt + generated * (generated + 1) / 2;
                (pairs, pairs)
            }
        };
        (positions * self.key_value_bytes_per_position, pairs * self.flops_per_pair)
    }
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    phase: Phase,
    operation: &'static str,
    weights: Option<String>,
    device: String,
    arithmetic: Arithmetic,
}

#[derive(Default)]
struct Sum {
    count: u64,
    fallbacks: u64,
    time: Duration,
    bytes: u64,
    /// Whether one could not tell its bytes.
    bytes_unknown: bool,
    flops: Option<u64>,
}

/// The operations of the recordings, by phase, the most expensive first.
pub(super) fn of(
    recordings: &[Recording],
    peaks: Option<&Peaks>,
    attention: &AttentionWork,
) -> Vec<OperationReport> {
    let sums: Vec<_> = recordings.iter().map(sums).collect();
    let Some(first) = sums.first() else { return Vec::new() };
    let mut reports: Vec<OperationReport> = first
        .iter()
        .map(|(key, sum)| {
            let times = sums.iter().filter_map(|sums| sums.get(key));
            let time = Measurement::of(times.map(|sum| sum.time.as_secs_f64()).collect());
            report(key, sum, time, peaks, attention)
        })
        .collect();
    for phase in [Phase::Prefill, Phase::Decode] {
        let all = phase_seconds(recordings, phase);
        for report in reports.iter_mut().filter(|report| report.phase == phase) {
            report.time_share = report.seconds / all;
        }
    }
    reports.sort_by(|a, b| a.phase.cmp(&b.phase).then(b.seconds.total_cmp(&a.seconds)));
    reports
}

fn sums(recording: &Recording) -> BTreeMap<Key, Sum> {
    let mut sums = BTreeMap::<Key, Sum>::new();
    let own = recording.profile.own_times();
    for (span, own) in recording.profile.spans().iter().zip(own) {
        let Event::Operation(event) = &span.event else { continue };
        let key = Key {
            phase: recording.phase(span.start),
            operation: event.operation.name(),
            weights: weights(event).map(|(dtype, shape)| format!("{dtype} {shape}")),
            device: event.device.to_string(),
            arithmetic: arithmetic(event),
        };
        let sum = sums.entry(key).or_default();
        sum.count += 1;
        sum.fallbacks += u64::from(event.is_fallback);
        sum.time += own;
        sum.bytes += event.bytes.unwrap_or(0);
        sum.bytes_unknown |= event.bytes.is_none();
        sum.flops = event.flops.map(|flops| flops + sum.flops.unwrap_or(0)).or(sum.flops);
    }
    sums
}

/// The weights of a product: after the activation, which is three operands where it is quantized.
fn weights(event: &OperationEvent) -> Option<&(BitNetDType, bitnet::TensorShape)> {
    event.flops?;
    event.operands.get(if is_quantized(event) { 3 } else { 1 })
}

fn is_quantized(event: &OperationEvent) -> bool {
    event.operands.first().is_some_and(|(dtype, _)| *dtype == BitNetDType::I8)
}

fn arithmetic(event: &OperationEvent) -> Arithmetic {
    match weights(event) {
        Some(_) if is_quantized(event) => Arithmetic::Int8,
        Some((BitNetDType::Block(_), _)) => Arithmetic::Int16,
        _ => Arithmetic::F32,
    }
}

fn report(
    key: &Key,
    sum: &Sum,
    time: Measurement,
    peaks: Option<&Peaks>,
    attention: &AttentionWork,
) -> OperationReport {
    let (bytes, flops) = match key.operation {
        "attention" => {
            let (bytes, flops) = attention.of(key.phase);
            (Some(bytes), Some(flops))
        }
        _ => ((!sum.bytes_unknown).then_some(sum.bytes), sum.flops),
    };
    let seconds = time.median.max(1e-9);
    let peaks = peaks.filter(|_| is_waited_for(&key.device));
    let share = |amount: Option<u64>, peak: Option<f64>| Some(amount? as f64 / seconds / peak?);
    let bandwidth_share = share(bytes, peaks.map(|peaks| peaks.bytes_per_second));
    let peak = peaks.and_then(|peaks| match key.arithmetic {
        Arithmetic::F32 => Some(peaks.f32_operations_per_second),
        Arithmetic::Int8 => peaks.int8_operations_per_second,
        Arithmetic::Int16 => None,
    });
    let compute_share = share(flops, peak);
    let roofline_share = bandwidth_share.into_iter().chain(compute_share).reduce(f64::max);
    OperationReport {
        phase: key.phase,
        operation: key.operation.to_owned(),
        weights: key.weights.clone(),
        device: key.device.clone(),
        count: sum.count,
        fallbacks: sum.fallbacks,
        seconds: time.median,
        time,
        time_share: 0.0,
        bytes,
        flops,
        arithmetic: key.arithmetic,
        bandwidth_share,
        compute_share,
        roofline_share,
        limit: roofline_share.map(|share| match compute_share == Some(share) {
            true => Limit::Computing,
            false => Limit::Memory,
        }),
    }
}

/// Whether the time of an operation is that of executing it: elsewhere it is that of enqueueing.
fn is_waited_for(device: &str) -> bool {
    device == Device::CPU.to_string()
}

/// The tables of both phases.
pub(super) fn text(operations: &[OperationReport]) -> String {
    let width = operations.iter().map(|report| report.label().chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for phase in [Phase::Prefill, Phase::Decode] {
        let _ = writeln!(
            text,
            "\n{:<width$} {:>8} {:>10} {:>6} {:>8} {:>8} {:>9} {:>8} {:>8}  limit",
            phase.name(),
            "count",
            "ms",
            "share",
            "GB/s",
            "of peak",
            "Gop/s",
            "of peak",
            "roofline"
        );
        for report in operations.iter().filter(|report| report.phase == phase) {
            let rate = |amount: Option<u64>| {
                let rate = amount
                    .filter(|_| is_waited_for(&report.device))
                    .map(|amount| amount as f64 / report.seconds.max(1e-9) / 1e9);
                rate.map_or_else(String::new, |rate| format!("{rate:.2}"))
            };
            let percent = |share: Option<f64>| {
                share.map_or_else(String::new, |share| format!("{:.1} %", share * 100.0))
            };
            let limit = match report.limit {
                Some(Limit::Memory) => "memory",
                Some(Limit::Computing) => "computing",
                None => "",
            };
            let line = format!(
                "{:<width$} {:>8} {:>10.3} {:>6} {:>8} {:>8} {:>9} {:>8} {:>8}  {limit}",
                report.label(),
                report.count,
                report.seconds * 1e3,
                format!("{:.1}%", report.time_share * 100.0),
                rate(report.bytes),
                percent(report.bandwidth_share),
                rate(report.flops),
                percent(report.compute_share),
                percent(report.roofline_share),
            );
            text += line.trim_end();
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_sees_what_was_before() {
        let work = AttentionWork {
            key_value_bytes_per_position: 10,
            flops_per_pair: 4,
            prompt_tokens: 3,
            gen_tokens: 2,
        };
        // 1 + 2 + 3 pairs over three positions; then four positions and five.
        assert_eq!(work.of(Phase::Prefill), (30, 24));
        assert_eq!(work.of(Phase::Decode), (90, 36));
    }

    #[test]
    fn the_share_is_of_what_limits() {
        let key = |operation, arithmetic| Key {
            phase: Phase::Decode,
            operation,
            weights: None,
            device: "cpu".to_owned(),
            arithmetic,
        };
        let peaks = Peaks {
            threads: 1,
            bytes_per_second: 100.0,
            f32_operations_per_second: 1000.0,
            int8_operations_per_second: Some(4000.0),
        };
        let attention = AttentionWork {
            key_value_bytes_per_position: 0,
            flops_per_pair: 0,
            prompt_tokens: 0,
            gen_tokens: 0,
        };
        let sum = Sum { count: 1, bytes: 50, flops: Some(3000), ..Sum::default() };
        let of =
            |key: &Key| report(key, &sum, Measurement::of(vec![1.0]), Some(&peaks), &attention);
        let int8 = of(&key("linear", Arithmetic::Int8));
        assert_eq!((int8.bandwidth_share, int8.compute_share), (Some(0.5), Some(0.75)));
        assert_eq!((int8.roofline_share, int8.limit), (Some(0.75), Some(Limit::Computing)));
        let int16 = of(&key("linear", Arithmetic::Int16));
        assert_eq!((int16.roofline_share, int16.limit), (Some(0.5), Some(Limit::Memory)));
    }
}
