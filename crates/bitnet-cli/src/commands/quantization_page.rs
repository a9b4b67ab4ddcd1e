//! The errors of `bitnet quantize` as a page of its own: plots over the layers, and a table. No
//! script, no font, nothing from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bitnet::llm::checkpoint::{ConvertReport, TensorReport};
use bitnet::tensor::QuantizationError;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:68rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f;background:#fff}
h1{font-size:1.35rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
th:first-child,td:first-child,th:nth-child(3),td:nth-child(3){text-align:left}
.scroll{overflow-x:auto}svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#444}
@media(prefers-color-scheme:dark){body{background:#17171a;color:#e6e6ea}th,td{border-color:#3a3a40}svg text{fill:#bbb}}";

/// Told apart by most people who see colours differently (Okabe and Ito).
const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7f00", "#777777"];

/// What of an error is plotted.
type Figure = fn(&QuantizationError) -> f64;

/// The page.
pub(super) fn html(title: &str, report: &ConvertReport) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{0}</title>\n<style>{STYLE}</style>\n<h1>{0}</h1>\n",
        escaped(title)
    );
    if let Some(error) = &report.error {
        let _ = writeln!(
            page,
            "<p>All quantized weights: mean squared error {:.3e}, signal to quantization noise {:.2} dB, \
             cosine {:.6}, largest error {:.3e}.</p>",
            error.mse, error.sqnr_db, error.cosine_similarity, error.max_abs_error
        );
    }
    let plots: [(&str, Figure); 3] = [
        ("Signal to quantization noise by layer, dB (more is better)", |e| e.sqnr_db),
        ("Cosine of the weights and what became of them, by layer", |e| e.cosine_similarity),
        ("Mean squared error by layer, log10", |e| e.mse.log10()),
    ];
    for (heading, figure) in plots {
        if let Some(plot) = plot(&series(report, figure)) {
            let _ = writeln!(page, "<h2>{heading}</h2>\n{plot}");
        }
    }
    page += "<h2>Tensors</h2>\n<div class=\"scroll\"><table>\n<tr><th>tensor<th>shape<th>type\
             <th>bytes<th>MSE<th>SQNR, dB<th>cosine<th>largest error\n";
    for tensor in &report.tensors {
        row(&mut page, tensor);
    }
    page + "</table></div>\n</html>\n"
}

fn row(page: &mut String, tensor: &TensorReport) {
    let types = if tensor.from == tensor.to {
        tensor.to.clone()
    } else {
        format!("{} → {}", tensor.from, tensor.to)
    };
    let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
    let _ = write!(
        page,
        "<tr><td>{}<td>{}<td>{types}<td>{}",
        escaped(&tensor.name),
        shape.join(" × "),
        tensor.bytes
    );
    match &tensor.error {
        Some(e) => {
            let _ = writeln!(
                page,
                "<td>{:.3e}<td>{:.2}<td>{:.6}<td>{:.3e}",
                e.mse, e.sqnr_db, e.cosine_similarity, e.max_abs_error
            );
        }
        None => *page += "<td><td><td><td>\n",
    }
}

/// Values by layer, for each kind of tensor.
type Series = BTreeMap<String, Vec<(usize, f64)>>;

fn series(report: &ConvertReport, figure: impl Fn(&QuantizationError) -> f64) -> Series {
    let mut series = Series::new();
    for tensor in &report.tensors {
        let Some(error) = &tensor.error else { continue };
        let rest = tensor.name.strip_prefix("blk.").or(tensor.name.strip_prefix("model.layers."));
        let Some((layer, kind)) = rest.and_then(|rest| rest.split_once('.')) else { continue };
        let (Ok(layer), value) = (layer.parse(), figure(error)) else { continue };
        if value.is_finite() {
            let kind = kind.trim_end_matches(".weight").to_owned();
            series.entry(kind).or_default().push((layer, value));
        }
    }
    series.values_mut().for_each(|points| points.sort_by_key(|(layer, _)| *layer));
    series
}

/// A line for each series; `None` without a point.
fn plot(series: &Series) -> Option<String> {
    const LEFT: f64 = 64.0;
    const RIGHT: f64 = 820.0;
    const TOP: f64 = 14.0;
    const BOTTOM: f64 = 290.0;
    let points = || series.values().flatten();
    let last = points().map(|(layer, _)| *layer).max()?;
    let low = points().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    let high = points().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
    let (low, high, step) = axis(low, high);
    let x = |layer: usize| LEFT + (RIGHT - LEFT) * layer as f64 / last.max(1) as f64;
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low);
    let mut svg = String::from("<svg viewBox=\"0 0 1040 330\" role=\"img\">\n");
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    for tick in 0..=((high - low) / step).round() as usize {
        let value = low + tick as f64 * step;
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{0:.1}\" y2=\"{0:.1}\" stroke=\"#8884\"/>\
             <text x=\"{1}\" y=\"{2:.1}\" text-anchor=\"end\">{value:.decimals$}</text>",
            y(value),
            LEFT - 8.0,
            y(value) + 4.0
        );
    }
    let layers = (last / 12 + 1).max(1);
    for layer in (0..=last).step_by(layers) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{layer}</text>",
            x(layer),
            BOTTOM + 22.0
        );
    }
    for (index, (kind, points)) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<String> = points
            .iter()
            .map(|(layer, value)| format!("{:.1},{:.1}", x(*layer), y(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{}\"/>",
            path.join(" ")
        );
        for (layer, value) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.6\" fill=\"{colour}\"><title>{} {layer}: {value:.6}</title></circle>",
                x(*layer),
                y(*value),
                escaped(kind)
            );
        }
        let height = TOP + 12.0 + 20.0 * index as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"840\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
             <text x=\"858\" y=\"{:.1}\">{}</text>",
            height - 10.0,
            height,
            escaped(kind)
        );
    }
    svg += "</svg>";
    Some(svg)
}

/// The ends of an axis and the distance of its ticks: 1, 2 or 5 times a power of ten, about five.
fn axis(low: f64, high: f64) -> (f64, f64, f64) {
    let span = (high - low).max(high.abs().max(1e-3) * 1e-6);
    let rough = span / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= rough).unwrap_or(10.0);
    let step = factor * power;
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    (low, if high > low { high } else { low + step }, step)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks() {
        for (low, high) in [(5.21, 6.93), (0.8, 0.8), (-7.3, -2.1), (0.99981, 0.99999)] {
            let (from, to, step) = axis(low, high);
            assert!(from <= low && high <= to && from < to, "{low} {high}: {from} {to}");
            let ticks = (to - from) / step;
            assert!((1.0..=8.0).contains(&ticks.round()), "{low} {high}: {ticks}");
        }
    }

    #[test]
    fn names_cannot_break_the_page() {
        assert_eq!(escaped("<a href=\"&\">"), "&lt;a href=&quot;&amp;&quot;&gt;");
    }
}
