//! What the kernels of a device cost, by the device's own clock: operations are only enqueued there, and
//! several may become one kernel.

use std::fmt::Write as _;

use bitnet::tensor::backend::profiler::KernelMetrics;
use serde::Serialize;

use super::measurement::Measurement;
use super::operations::{Phase, Recording, phase_seconds};

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
    let mut reports = Vec::new();
    if recordings.is_empty() {
        return reports;
    }
    for phase in [Phase::Prefill, Phase::Decode] {
        let metrics = |recording: &Recording| {
            let kernels = recording.profile.kernels().iter();
            KernelMetrics::of(kernels.filter(|kernel| recording.phase(kernel.start) == phase))
        };
        let metrics: Vec<Vec<KernelMetrics>> = recordings.iter().map(metrics).collect();
        let all = phase_seconds(recordings, phase);
        for kernel in metrics.first().into_iter().flatten() {
            let same = metrics.iter().flatten().filter(|other| other.is_of_same(kernel));
            let times = same.map(|kernel| kernel.time.as_secs_f64());
            let seconds = Measurement::of(times.collect()).median;
            reports.push(KernelReport {
                phase,
                kernel: kernel.name,
                workgroups: kernel.workgroups,
                device: kernel.device.to_string(),
                count: kernel.count,
                seconds,
                time_share: seconds / all,
            });
        }
    }
    reports.sort_by(|a, b| a.phase.cmp(&b.phase).then(b.seconds.total_cmp(&a.seconds)));
    reports
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
