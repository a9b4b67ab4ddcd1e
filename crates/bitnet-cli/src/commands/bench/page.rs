//! The result as a page of its own: the speeds of all programs, what the machine can do, and where each
//! operation lies under its roofline.

use std::fmt::Write as _;

use super::machine::Peaks;
use super::measurement::Measurement;
use super::operations::{Arithmetic, OperationReport, Phase};
use super::report::Report;
use crate::output;
use crate::page::{self, COLOURS, Series, axis, decimals, escaped, line_plot};

/// Operations with less of their phase's time are left out of plots.
const SHOWN_SHARE: f64 = 0.01;

/// The page.
pub(super) fn html(report: &Report) -> String {
    let mut page = page::begin(&format!("bitnet bench: {}", report.model));
    let machine = &report.machine;
    let _ = writeln!(
        page,
        "<p>{} tokens read and {} generated, {} repetitions, {} threads on {}{}.</p>",
        report.prompt_tokens,
        report.gen_tokens,
        report.repeat,
        report.threads,
        escaped(machine.processor.as_deref().unwrap_or("an unknown processor")),
        machine.load_average.map_or_else(String::new, |load| format!(", load {load:.2} before"))
    );
    for phase in [Phase::Prefill, Phase::Decode] {
        let programs = programs(report, phase);
        let _ = writeln!(page, "<h2>{}: tokens per second (more is better)</h2>", title(phase));
        page += &bars(&programs);
        page += &table(&programs);
        if let Some(plot) = samples(&programs) {
            let _ = writeln!(page, "<h2>{}: each repetition</h2>\n{plot}", title(phase));
        }
    }
    page += "<h2>The machine</h2>\n<div class=\"scroll\"><table>\n\
             <tr><th>threads<th>reads<th>f32, G operations/s<th>int8, G operations/s\n";
    for peaks in &machine.peaks {
        let int8 = peaks.int8_operations_per_second;
        let _ = writeln!(
            page,
            "<tr><td>{}<td>{}/s<td>{:.1}<td>{}",
            peaks.threads,
            output::bytes(peaks.bytes_per_second as u64),
            peaks.f32_operations_per_second / 1e9,
            int8.map_or_else(String::new, |rate| format!("{:.1}", rate / 1e9))
        );
    }
    page += "</table></div>\n";
    if let (Some(recorded), Some(peaks)) = (&report.recorded, machine.in_use()) {
        for phase in [Phase::Prefill, Phase::Decode] {
            let operations = recorded.operations.iter().filter(|report| report.phase == phase);
            let operations: Vec<&OperationReport> = operations.collect();
            let name = title(phase);
            let _ = writeln!(page, "<h2>{name}: share of the time and of the roofline</h2>");
            page += &shares(&operations);
            let _ = writeln!(page, "<h2>{name}: operations under the roofline</h2>");
            page += &roofline(&operations, peaks);
        }
    }
    page + page::END
}

fn title(phase: Phase) -> &'static str {
    match phase {
        Phase::Prefill => "Reading the prompt",
        Phase::Decode => "Generating",
    }
}

/// Names of programs with their speeds, ours first.
fn programs(report: &Report, phase: Phase) -> Vec<(String, &Measurement)> {
    let ours = match phase {
        Phase::Prefill => &report.prefill,
        Phase::Decode => &report.decode,
    };
    let peers = report.peers.iter().filter_map(|peer| {
        let speed = peer.speed.as_ref()?;
        Some((
            peer.name.to_owned(),
            match phase {
                Phase::Prefill => &speed.prefill,
                Phase::Decode => &speed.decode,
            },
        ))
    });
    std::iter::once(("bitnet".to_owned(), ours)).chain(peers).collect()
}

/// A bar for each median, with a line for its interval.
fn bars(programs: &[(String, &Measurement)]) -> String {
    const LEFT: f64 = 150.0;
    const RIGHT: f64 = 900.0;
    let high = programs.iter().map(|(_, speed)| speed.interval.high).fold(0.0, f64::max);
    let (_, high, step) = axis(0.0, high);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * value / high;
    let bottom = 12.0 + 34.0 * programs.len() as f64;
    let mut svg = format!("<svg viewBox=\"0 0 1040 {}\" role=\"img\">\n", bottom + 30.0);
    let places = decimals(step);
    for tick in 0..=(high / step).round() as usize {
        let value = tick as f64 * step;
        let _ = writeln!(
            svg,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"6\" y2=\"{bottom}\" stroke=\"#8884\"/>\
             <text x=\"{0:.1}\" y=\"{1}\" text-anchor=\"middle\">{value:.places$}</text>",
            x(value),
            bottom + 18.0
        );
    }
    for (index, (name, speed)) in programs.iter().enumerate() {
        let top = 12.0 + 34.0 * index as f64;
        let middle = top + 12.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"24\" fill=\"{}\"/>\
             <line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"currentColor\"/>\
             <text x=\"{:.1}\" y=\"{}\">{:.1}</text>",
            LEFT - 8.0,
            top + 16.0,
            escaped(name),
            x(speed.median) - LEFT,
            COLOURS[index % COLOURS.len()],
            x(speed.interval.low),
            x(speed.interval.high),
            x(speed.interval.high.max(speed.median)) + 6.0,
            top + 16.0,
            speed.median
        );
    }
    svg + "</svg>\n"
}

fn table(programs: &[(String, &Measurement)]) -> String {
    let mut table = String::from(
        "<div class=\"scroll\"><table>\n<tr><th>program<th>median<th>from<th>to<th>confidence<th>bitnet by it\n",
    );
    for (name, speed) in programs {
        let _ = writeln!(
            table,
            "<tr><td>{}<td>{:.2}<td>{:.2}<td>{:.2}<td>{:.1} %<td>{:.2}",
            escaped(name),
            speed.median,
            speed.interval.low,
            speed.interval.high,
            speed.interval.confidence * 100.0,
            programs[0].1.paired_ratio(speed).median
        );
    }
    table + "</table></div>\n"
}

fn samples(programs: &[(String, &Measurement)]) -> Option<String> {
    let mut series = Series::new();
    for (name, speed) in programs.iter().filter(|(_, speed)| speed.samples.len() > 1) {
        series.insert(name.clone(), speed.samples.iter().copied().enumerate().collect());
    }
    line_plot(&series)
}

/// Two bars for each operation.
fn shares(operations: &[&OperationReport]) -> String {
    const LEFT: f64 = 260.0;
    const FULL: f64 = 640.0;
    let shown: Vec<_> =
        operations.iter().filter(|report| report.time_share >= SHOWN_SHARE).collect();
    let height = 34.0 * shown.len() as f64 + 40.0;
    let mut svg = format!("<svg viewBox=\"0 0 1040 {height}\" role=\"img\">\n");
    for (index, report) in shown.iter().enumerate() {
        let top = 6.0 + 34.0 * index as f64;
        let roofline = report.roofline_share.unwrap_or(0.0);
        let told = report
            .roofline_share
            .map_or_else(String::new, |share| format!(", {:.0} % of the roofline", share * 100.0));
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"12\" fill=\"{}\"/>\
             <rect x=\"{LEFT}\" y=\"{}\" width=\"{:.1}\" height=\"12\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{:.1} % of the time{told}</text>",
            LEFT - 8.0,
            top + 16.0,
            escaped(&report.label()),
            FULL * report.time_share.min(1.0),
            COLOURS[1],
            top + 12.0,
            FULL * roofline.min(1.0),
            COLOURS[0],
            LEFT + FULL * report.time_share.max(roofline).min(0.78) + 6.0,
            top + 16.0,
            report.time_share * 100.0
        );
    }
    svg += "</svg>\n";
    svg
}

/// Operations per second over operations per byte, both logarithmic, below what memory and arithmetic
/// allow.
fn roofline(operations: &[&OperationReport], peaks: &Peaks) -> String {
    let points = operations.iter().filter_map(|report| {
        let (bytes, flops) = (report.bytes.filter(|&bytes| bytes > 0)?, report.flops?);
        let rate = flops as f64 / report.seconds.max(1e-9);
        (report.time_share >= SHOWN_SHARE).then_some((report, flops as f64 / bytes as f64, rate))
    });
    let points: Vec<_> = points.collect();
    if points.is_empty() {
        return String::new();
    }
    let ceilings: Vec<(&str, f64)> = [
        Some(("f32", peaks.f32_operations_per_second)),
        peaks.int8_operations_per_second.map(|peak| ("int8", peak)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let top = ceilings.iter().map(|(_, peak)| *peak).fold(0.0, f64::max).log10().ceil();
    let lowest = points.iter().map(|(_, _, rate)| *rate).fold(f64::INFINITY, f64::min);
    let bottom = lowest.log10().floor().min(top - 2.0);
    let intensities = || points.iter().map(|(_, intensity, _)| intensity.log10());
    let left = intensities().fold(0.0, f64::min).floor();
    let right = intensities().fold(3.0, f64::max).ceil();
    let x = |log: f64| 80.0 + 640.0 * (log - left) / (right - left);
    let y = |log: f64| 300.0 - 280.0 * (log - bottom) / (top - bottom);
    let mut svg = String::from("<svg viewBox=\"0 0 1040 350\" role=\"img\">\n");
    for power in bottom as i32..=top as i32 {
        let height = y(f64::from(power));
        let _ = writeln!(
            svg,
            "<line x1=\"80\" x2=\"720\" y1=\"{height:.1}\" y2=\"{height:.1}\" stroke=\"#8884\"/>\
             <text x=\"72\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            height + 4.0,
            10f64.powi(power - 9)
        );
    }
    for power in left as i32..=right as i32 {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"320\" text-anchor=\"middle\">{}</text>",
            x(f64::from(power)),
            10f64.powi(power)
        );
    }
    svg += "<text x=\"400\" y=\"342\" text-anchor=\"middle\">operations per byte</text>\
            <text x=\"8\" y=\"12\">G operations/s</text>\n";
    for (name, peak) in ceilings {
        // The slope of memory up to the ceiling of the arithmetic.
        let ridge = (peak / peaks.bytes_per_second).log10().clamp(left, right);
        let start = bottom.max((peaks.bytes_per_second * 10f64.powf(left)).log10());
        let height = y(peak.log10());
        let begin = (10f64.powf(start) / peaks.bytes_per_second).log10();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.4\" \
             points=\"{:.1},{:.1} {:.1},{height:.1} {:.1},{height:.1}\"/>\
             <text x=\"724\" y=\"{:.1}\">{name}</text>",
            x(begin),
            y(start),
            x(ridge),
            x(right),
            height + 4.0
        );
    }
    for (index, (report, intensity, rate)) in points.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\" fill=\"{}\"><title>{}: {:.2} G operations/s</title></circle>",
            x(intensity.log10()),
            y(rate.log10()),
            COLOURS[index % COLOURS.len()],
            escaped(&report.label()),
            rate / 1e9
        );
        let arithmetic = match report.arithmetic {
            Arithmetic::F32 => "f32",
            Arithmetic::Int8 => "int8",
            Arithmetic::Int16 => "int16",
        };
        page::legend(&mut svg, index, 780.0, 14.0, &format!("{} ({arithmetic})", report.label()));
    }
    svg + "</svg>\n"
}
