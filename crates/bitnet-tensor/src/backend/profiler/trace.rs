//! Spans as "complete events" of Chrome's trace event format (Trace Event Format, Google 2016):
//! one JSON object per span, times in microseconds. Kernels are rows of a second process, a row for each
//! device.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use super::{Event, KernelSpan, Span};
use crate::Device;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    workgroups: Option<u64>,
}

pub(super) fn write(
    spans: &[Span],
    kernels: &[KernelSpan],
    mut writer: impl Write,
) -> io::Result<()> {
    let mut devices: Vec<Device> = Vec::new();
    let kernels = kernels.iter().map(|kernel| {
        let known = devices.iter().position(|&device| device == kernel.device);
        let row = known.unwrap_or_else(|| {
            devices.push(kernel.device);
            devices.len() - 1
        });
        kernel_event(kernel, row as u32 + 1)
    });
    writer.write_all(b"{\"displayTimeUnit\":\"ns\",\"traceEvents\":[")?;
    for (n, event) in spans.iter().map(event).chain(kernels).enumerate() {
        writer.write_all(if n == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut writer, &event)?;
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
                ..Arguments::default()
            };
            let cat = match (event.is_view, event.is_fallback) {
                (true, _) => "view",
                (_, true) => "fallback",
                _ => "operation",
            };
            (event.operation.name(), cat, args)
        }
    };
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

fn kernel_event(kernel: &KernelSpan, row: u32) -> TraceEvent<'_> {
    TraceEvent {
        name: kernel.name,
        cat: "kernel",
        ph: "X",
        ts: microseconds(kernel.start),
        dur: microseconds(kernel.duration),
        pid: 2,
        tid: row,
        args: Arguments {
            device: Some(kernel.device.to_string()),
            workgroups: Some(kernel.workgroups),
            ..Arguments::default()
        },
    }
}

fn microseconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}
