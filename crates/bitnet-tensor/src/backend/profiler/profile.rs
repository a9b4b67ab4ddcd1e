//! A finished recording: its spans, what they sum up to, and the table of both.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::time::Duration;

use super::{Event, OperationMetrics, Span, trace};

/// What was recorded.
#[derive(Debug, Clone)]
pub struct Profile {
    spans: Vec<Span>,
    wall: Duration,
    overhead: Duration,
}

impl Profile {
    pub(super) fn new(mut spans: Vec<Span>, wall: Duration, overhead: Duration) -> Self {
        // Spans are recorded when they end; a reader wants them as they began.
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.duration)));
        Self { spans, wall, overhead }
    }

    /// The spans in the order in which they began.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How long the recording took.
    pub fn wall(&self) -> Duration {
        self.wall
    }

    /// How much of [`wall`](Self::wall) recording itself took.
    pub fn overhead(&self) -> Duration {
        self.overhead
    }

    /// The part of the recording's time in which some span was open, on any thread.
    pub fn covered(&self) -> Duration {
        let (mut covered, mut end) = (Duration::ZERO, Duration::ZERO);
        for span in &self.spans {
            let (from, to) = (span.start.max(end), span.start + span.duration);
            covered += to.saturating_sub(from);
            end = end.max(to);
        }
        covered
    }

    /// What each kind of operation cost on each device, the most expensive first.
    pub fn metrics(&self) -> Vec<OperationMetrics> {
        let mut by_kind = HashMap::new();
        for span in &self.spans {
            let Event::Operation(event) = &span.event else { continue };
            by_kind
                .entry((event.operation, event.device))
                .or_insert_with(|| OperationMetrics::new(event))
                .add(span, event);
        }
        let mut metrics: Vec<OperationMetrics> = by_kind.into_values().collect();
        let name = |m: &OperationMetrics| (m.operation, m.device.to_string());
        metrics.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| name(a).cmp(&name(b))));
        metrics
    }

    /// Writes the spans as Chrome's trace event format, which Perfetto and `chrome://tracing` read.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write_chrome_trace(&self, writer: impl io::Write) -> io::Result<()> {
        trace::write(&self.spans, writer)
    }
}

/// A table of the operations, the most expensive first, and how much of the time they explain.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let wall = self.wall.as_secs_f64().max(1e-9);
        writeln!(
            f,
            "{:<24} {:<8} {:>8} {:>11} {:>7} {:>10} {:>9} {:>9}",
            "operation", "device", "count", "time ms", "share", "us each", "GB/s", "GFLOP/s"
        )?;
        for m in self.metrics() {
            let number = |value: Option<f64>| value.map_or_else(String::new, |x| format!("{x:.2}"));
            writeln!(
                f,
                "{:<24} {:<8} {:>8} {:>11.3} {:>6.1}% {:>10.2} {:>9} {:>9}",
                m.operation.to_string(),
                m.device.to_string(),
                m.count,
                milliseconds(m.time),
                m.time.as_secs_f64() / wall * 100.0,
                m.time.as_secs_f64() * 1e6 / m.count.max(1) as f64,
                number(m.bytes_per_second().map(|rate| rate / 1e9)),
                number(m.gflops()),
            )?;
        }
        write!(
            f,
            "{:.3} ms: {:.1} % inside of spans, {:.1} % spent on recording them",
            milliseconds(self.wall),
            self.covered().as_secs_f64() / wall * 100.0,
            self.overhead.as_secs_f64() / wall * 100.0,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_under_several_spans_counts_once() {
        let span = |start, duration| Span {
            start: Duration::from_micros(start),
            duration: Duration::from_micros(duration),
            thread: 1,
            event: Event::Scope("part"),
        };
        let spans = vec![span(30, 10), span(0, 20), span(5, 5), span(15, 10)];
        let profile = Profile::new(spans, Duration::from_micros(50), Duration::ZERO);
        assert_eq!(profile.covered(), Duration::from_micros(35));
        assert_eq!(profile.spans()[0].duration, Duration::from_micros(20));
    }
}
