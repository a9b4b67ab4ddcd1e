//! What the kernels of a device cost, by the device's own clock: operations are only enqueued there, and
//! several may become one kernel.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::measurement::Measurement;
use super::operations::{Phase, Recording};

/// The kernels of one name and size in one phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct KernelReport {
    pub(super) phase: Phase,
    pub(super) kernel: &'static str,
    /// The groups of threads that execute each.
    pub(super) workgroups: u64,
    pub(super) device: String,
    /// How often in one repetition.
    pub(super) count: u64,
    /// Of one repetition, the median of all.
    pub(super) seconds: f64,
    /// The part of the phase's time; between kernels a device waits.
    pub(super) time_share: f64,
}

/// The kernels of the recordings, by phase, the most expensive first; none of devices without a clock.
pub(super) fn of(recordings: &[Recording]) -> Vec<KernelReport> {
    let sums: Vec<_> = recordings.iter().map(sums).collect();
    let Some(first) = sums.first() else { return Vec::new() };
    let report = |(key, &(count, _)): (&Key, &(u64, Duration))| {
        let times = sums.iter().filter_map(|sums| sums.get(key));
        let seconds = Measurement::of(times.map(|(_, time)| time.as_secs_f64()).collect()).median;
        let (phase, kernel, workgroups, ref device) = *key;
        let lengths = recordings.iter().map(|recording| recording.length(phase).as_secs_f64());
        let time_share = seconds / Measurement::of(lengths.collect()).median.max(1e-9);
        KernelReport {
            phase,
            kernel,
            workgroups,
            device: device.clone(),
            count,
            seconds,
            time_share,
        }
    };
    let mut reports: Vec<KernelReport> = first.iter().map(report).collect();
    reports.sort_by(|a, b| a.phase.cmp(&b.phase).then(b.seconds.total_cmp(&a.seconds)));
    reports
}

type Key = (Phase, &'static str, u64, String);

fn sums(recording: &Recording) -> BTreeMap<Key, (u64, Duration)> {
    let mut sums = BTreeMap::new();
    for kernel in recording.profile.kernels() {
        let phase = recording.phase(kernel.start);
        let key = (phase, kernel.name, kernel.workgroups, kernel.device.to_string());
        let (count, time) = sums.entry(key).or_insert((0, Duration::ZERO));
        *count += 1;
        *time += kernel.duration;
    }
    sums
}

/// The tables of both phases; nothing without kernels.
pub(super) fn text(kernels: &[KernelReport]) -> String {
    let width = kernels.iter().map(|report| report.kernel.chars().count()).max().unwrap_or(0);
    let width = width.max("prefill, on the device".len());
    let mut text = String::new();
    for phase in [Phase::Prefill, Phase::Decode] {
        let own: Vec<_> = kernels.iter().filter(|report| report.phase == phase).collect();
        if own.is_empty() {
            continue;
        }
        let _ = writeln!(
            text,
            "\n{:<width$} {:>10} {:>8} {:>10} {:>6} {:>9}",
            format!("{}, on the device", phase.name()),
            "workgroups",
            "count",
            "ms",
            "share",
            "us each"
        );
        for report in own {
            let _ = writeln!(
                text,
                "{:<width$} {:>10} {:>8} {:>10.3} {:>5.1}% {:>9.2}",
                report.kernel,
                report.workgroups,
                report.count,
                report.seconds * 1e3,
                report.time_share * 100.0,
                report.seconds * 1e6 / report.count.max(1) as f64,
            );
        }
    }
    text
}
