//! A finished recording: its spans, what they sum up to, and the table of both.
//!
//! Spans lie inside of each other, and every moment is counted once: as time of the innermost span
//! that was open, on each thread; the moments in which a span was recorded are time of none. So the
//! times of the table add up to what the spans cover.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::time::Duration;

use super::{Event, KernelMetrics, KernelSpan, OperationMetrics, Peaks, ScopeMetrics, Span, trace};
use crate::backend::metrics::{AccelerationMetrics, FallbackCount};

/// What was recorded.
#[derive(Debug, Clone)]
pub struct Profile {
    spans: Vec<Span>,
    pub(super) kernels: Vec<KernelSpan>,
    wall: Duration,
    overhead: Duration,
    pub(super) counters: AccelerationMetrics,
    pub(super) fallbacks: Vec<FallbackCount>,
    pub(super) pool_hits: u64,
    pub(super) pool_misses: u64,
}

impl Profile {
    pub(super) fn new(mut spans: Vec<Span>, wall: Duration, overhead: Duration) -> Self {
        // Spans are recorded when they end; a reader wants them as they began, and of those that
        // seem to be the same time the outer one first, which ended last.
        spans.reverse();
        spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.duration)));
        let (counters, fallbacks) = (AccelerationMetrics::default(), Vec::new());
        let kernels = Vec::new();
        Self { spans, kernels, wall, overhead, counters, fallbacks, pool_hits: 0, pool_misses: 0 }
    }

    /// The spans in the order in which they began.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// What devices that have clocks executed, in the order in which they said so.
    pub fn kernels(&self) -> &[KernelSpan] {
        &self.kernels
    }

    /// What each kernel cost on each device, by its size, the most expensive first.
    pub fn kernel_metrics(&self) -> Vec<KernelMetrics> {
        KernelMetrics::of(&self.kernels)
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

    /// Of each span the time that is its own: without that of spans inside of it on its thread, and
    /// without recording those.
    pub fn own_times(&self) -> Vec<Duration> {
        let mut own: Vec<Duration> = self.spans.iter().map(|span| span.duration).collect();
        // The spans that are open on each thread, the innermost last.
        let mut open: HashMap<u32, Vec<usize>> = HashMap::new();
        for (n, span) in self.spans.iter().enumerate() {
            let open = open.entry(span.thread).or_default();
            let end = |span: &Span| span.start + span.duration;
            while open.last().is_some_and(|&outer| end(&self.spans[outer]) <= span.start) {
                open.pop();
            }
            if let Some(&outer) = open.last() {
                let inside = end(span).min(end(&self.spans[outer])) - span.start;
                own[outer] = own[outer].saturating_sub(inside + span.recording);
            }
            open.push(n);
        }
        own
    }

    /// What the process counted in the time of the recording, other threads included.
    pub fn counters(&self) -> &AccelerationMetrics {
        &self.counters
    }

    /// The fallbacks in that time, by operation, devices and reason.
    pub fn fallbacks(&self) -> &[FallbackCount] {
        &self.fallbacks
    }

    /// The share of requests, in that time, that the process's memory pool served from what it held;
    /// `None` when there were none.
    pub fn pool_hit_rate(&self) -> Option<f64> {
        let requests = self.pool_hits + self.pool_misses;
        (requests > 0).then(|| self.pool_hits as f64 / requests as f64)
    }

    /// What each kind of operation cost on each device, the most expensive first.
    pub fn metrics(&self) -> Vec<OperationMetrics> {
        let mut by_kind = HashMap::new();
        for (span, own) in self.spans.iter().zip(self.own_times()) {
            let Event::Operation(event) = &span.event else { continue };
            by_kind
                .entry((event.operation, event.device))
                .or_insert_with(|| OperationMetrics::new(event))
                .add(own, event);
        }
        let mut metrics: Vec<OperationMetrics> = by_kind.into_values().collect();
        let name = |m: &OperationMetrics| (m.operation, m.device.to_string());
        metrics.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| name(a).cmp(&name(b))));
        metrics
    }

    /// What the parts of the program cost that have a name, the most expensive first.
    pub fn scopes(&self) -> Vec<ScopeMetrics> {
        let mut by_name = HashMap::new();
        for (span, own) in self.spans.iter().zip(self.own_times()) {
            let Event::Scope(name) = span.event else { continue };
            let scope = by_name.entry(name).or_insert(ScopeMetrics {
                name,
                count: 0,
                time: Duration::ZERO,
            });
            scope.count += 1;
            scope.time += own;
        }
        let mut scopes: Vec<ScopeMetrics> = by_name.into_values().collect();
        scopes.sort_by_key(|scope| (std::cmp::Reverse(scope.time), scope.name));
        scopes
    }

    /// Writes the spans as Chrome's trace event format, which Perfetto and `chrome://tracing` read.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write_chrome_trace(&self, writer: impl io::Write) -> io::Result<()> {
        trace::write(&self.spans, &self.kernels, writer)
    }
}

/// A table of the operations; see [`Profile::table`].
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table(&[]).fmt(f)
    }
}

impl Profile {
    /// A table of the operations, the most expensive first, then of the scopes and of what devices
    /// executed, how much of the time spans explain, and what was counted. Operations on the devices of `peaks` are compared with
    /// them. The time of a row is its own: that of spans inside of others is counted there, not here.
    pub fn table<'a>(&'a self, peaks: &'a [Peaks]) -> impl fmt::Display + 'a {
        fmt::from_fn(|f| self.write_table(peaks, f))
    }

    fn write_table(&self, peaks: &[Peaks], f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        let wall = self.wall.as_secs_f64().max(1e-9);
        // The columns from the time to the rate.
        let timing = |count: u64, time: Duration| {
            let seconds = time.as_secs_f64();
            format!(
                "{:>11.3} {:>6.1}% {:>10.2} {:>11.0}",
                milliseconds(time),
                seconds / wall * 100.0,
                seconds * 1e6 / count.max(1) as f64,
                count as f64 / seconds.max(1e-9),
            )
        };
        write!(
            f,
            "{:<24} {:<8} {:>8} {:>9} {:>11} {:>7} {:>10} {:>11} {:>9} {:>9}",
            "operation",
            "device",
            "count",
            "fallbacks",
            "time ms",
            "share",
            "us each",
            "per second",
            "GB/s",
            "GFLOP/s"
        )?;
        writeln!(f, "{}", if peaks.is_empty() { "" } else { "    peak" })?;
        for m in self.metrics() {
            let number = |value: Option<f64>| value.map_or_else(String::new, |x| format!("{x:.2}"));
            write!(
                f,
                "{:<24} {:<8} {:>8} {:>9} {} {:>9} {:>9}",
                m.operation.to_string(),
                m.device.to_string(),
                m.count,
                m.fallbacks,
                timing(m.count, m.time),
                number(m.bytes_per_second().map(|rate| rate / 1e9)),
                number(m.gflops()),
            )?;
            match peaks.iter().find_map(|peaks| m.share_of_peak(peaks)) {
                Some(share) => writeln!(f, " {:>6.1}%", share * 100.0)?,
                None => writeln!(f)?,
            }
        }
        for ScopeMetrics { name, count, time } in self.scopes() {
            writeln!(f, "{name:<24} {:<8} {count:>8} {:>9} {}", "scope", "", timing(count, time))?;
        }
        for KernelMetrics { device, name, workgroups, count, time } in self.kernel_metrics() {
            writeln!(
                f,
                "{name:<24} {:<8} {count:>8} {:>9} {}  kernel of {workgroups} workgroups, by the device's \
                 clock",
                device.to_string(),
                "",
                timing(count, time),
            )?;
        }
        write!(
            f,
            "{:.3} ms: {:.1} % inside of spans, {:.1} % spent on recording them\n{}",
            milliseconds(self.wall),
            self.covered().as_secs_f64() / wall * 100.0,
            self.overhead.as_secs_f64() / wall * 100.0,
            self.counters,
        )?;
        for fallback in &self.fallbacks {
            write!(f, "\n{fallback}")?;
        }
        match self.pool_hit_rate() {
            Some(rate) => write!(
                f,
                "\nmemory pool: {:.1} % of {} requests served from what it held",
                rate * 100.0,
                self.pool_hits + self.pool_misses
            ),
            None => Ok(()),
        }
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
            recording: Duration::from_micros(1),
            thread: 1,
            event: Event::Scope("part"),
        };
        let spans = vec![span(30, 10), span(0, 20), span(5, 5), span(15, 10)];
        let profile = Profile::new(spans, Duration::from_micros(50), Duration::ZERO);
        assert_eq!(profile.covered(), Duration::from_micros(35));
        assert_eq!(profile.spans()[0].duration, Duration::from_micros(20));
        // 0..20 without 5..10, without the part of 15..25 that is in it, and without recording both.
        let own: Vec<u128> = profile.own_times().iter().map(Duration::as_micros).collect();
        assert_eq!(own, [8, 5, 10, 10]);
        assert_eq!(profile.scopes()[0].time, Duration::from_micros(33));
    }
}
