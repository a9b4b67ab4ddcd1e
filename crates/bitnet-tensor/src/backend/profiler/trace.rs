//! Spans as "complete events" of Chrome's trace event format (Trace Event Format, Google 2016):
//! one JSON object per span, times in microseconds.

use std::io::{self, Write};

use serde::Serialize;

use super::{Event, Span};

#[derive(Serialize)]
struct TraceEvent<'a> {
    name: &'a str,
    cat: &'a str,
    ph: &'a str,
    ts: f64,
    dur: f64,
    pid: u32,
    tid: u32,
    args: Arguments,
}

#[derive(Serialize, Default)]
struct Arguments {
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    operands: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flops: Option<u64>,
}

pub(super) fn write(spans: &[Span], mut writer: impl Write) -> io::Result<()> {
    writer.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    for (n, span) in spans.iter().enumerate() {
        writer.write_all(if n == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut writer, &event(span))?;
    }
    writer.write_all(b"\n]}\n")
}

fn event(span: &Span) -> TraceEvent<'_> {
    let (name, cat, args) = match &span.event {
        Event::Scope(name) => (*name, "scope", Arguments::default()),
        Event::Operation(event) => {
            let operands = event.operands.iter().map(|(dtype, shape)| format!("{dtype}{shape}"));
            let args = Arguments {
                device: Some(event.device.to_string()),
                operands: operands.collect(),
                bytes: event.bytes,
                flops: event.flops,
            };
            let cat = match (event.is_view, event.is_fallback) {
                (true, _) => "view",
                (_, true) => "fallback",
                _ => "operation",
            };
            (event.operation.name(), cat, args)
        }
    };
    let microseconds = |time: std::time::Duration| time.as_nanos() as f64 / 1e3;
    TraceEvent {
        name,
        cat,
        ph: "X",
        ts: microseconds(span.start),
        dur: microseconds(span.duration),
        pid: 1,
        tid: span.thread,
        args,
    }
}
