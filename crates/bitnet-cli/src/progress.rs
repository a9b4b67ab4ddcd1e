//! A progress bar on standard error for work that turns out to be long, where a person looks.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Work that is done within this time shows no bar.
const PATIENCE: Duration = Duration::from_millis(400);

/// A bar that appears after a while and goes when it is dropped.
pub(crate) struct LazyBar {
    /// Absent where nobody looks.
    label: Option<&'static str>,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl LazyBar {
    /// A bar that will be called `label`.
    pub(crate) fn new(label: &'static str, quiet: bool) -> Self {
        let label = output::is_watched(quiet).then_some(label);
        Self { label, started: Instant::now(), bar: None }
    }

    /// Shows how far the work is.
    pub(crate) fn update(&mut self, done: usize, total: usize) {
        let Some(label) = self.label else { return };
        if self.bar.is_none() && self.started.elapsed() > PATIENCE && done < total {
            let bar = ProgressBar::new(total as u64).with_message(label);
            if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {eta}") {
                bar.set_style(style.progress_chars("=> "));
            }
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
    }
}

impl Drop for LazyBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
