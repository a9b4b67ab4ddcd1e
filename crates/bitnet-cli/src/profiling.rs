//! `--profile`: what the operations of a run cost.

use std::path::Path;

use anyhow::{Context, Result};
use bitnet::tensor::backend::profiler::{OperationMetrics, Peaks, Profile, Profiler};
use serde::Serialize;

use crate::output::ResultFile;

/// Begins to record.
pub(crate) fn start() -> Result<Profiler> {
    Profiler::start().context("another recording runs")
}

/// Writes the spans to `path` as a Chrome trace, whole or not at all.
pub(crate) fn write_trace(profile: &Profile, path: &Path) -> Result<()> {
    let mut file = ResultFile::create(path).context("--profile")?;
    profile.write_chrome_trace(&mut file).with_context(|| path.display().to_string())?;
    file.finish()
}

/// A kind of operation, for machines.
#[derive(Serialize)]
pub(crate) struct OperationReport {
    operation: &'static str,
    device: String,
    count: u64,
    fallbacks: u64,
    seconds: f64,
    operations_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flops: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gflops: Option<f64>,
    /// Bytes per second over the bandwidth that was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    bandwidth_share: Option<f64>,
    /// Of what was measured of the device, the closer of bandwidth and computing.
    #[serde(skip_serializing_if = "Option::is_none")]
    peak_share: Option<f64>,
}

impl OperationReport {
    pub(crate) fn of(profile: &Profile, peaks: &Peaks) -> Vec<Self> {
        let report = |m: &OperationMetrics| Self {
            operation: m.operation.name(),
            device: m.device.to_string(),
            count: m.count,
            fallbacks: m.fallbacks,
            seconds: m.time.as_secs_f64(),
            operations_per_second: m.per_second(),
            bytes: m.bytes,
            flops: m.flops,
            gflops: m.gflops(),
            bandwidth_share: m.bytes_per_second().map(|rate| rate / peaks.bytes_per_second),
            peak_share: m.share_of_peak(peaks),
        };
        profile.metrics().iter().map(report).collect()
    }
}
