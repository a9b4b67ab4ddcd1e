//! `--profile`: what the operations of a run cost.

use std::path::Path;

use anyhow::{Context, Result};
use bitnet::tensor::backend::profiler::{Profile, Profiler};

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
