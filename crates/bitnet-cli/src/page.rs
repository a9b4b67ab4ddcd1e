//! Pages that the program writes: whole in one file, with plots as SVG. No script, no font, nothing
//! from elsewhere.

use std::collections::BTreeMap;
use std::fmt::Write as _;

const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;max-width:68rem;margin:2rem auto;padding:0 1rem;color:#1b1b1f;background:#fff}
h1{font-size:1.35rem;overflow-wrap:anywhere}h2{font-size:1.05rem;margin-top:2rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid #ddd;white-space:nowrap}
th:first-child,td:first-child,.text{text-align:left}
.scroll{overflow-x:auto}svg{width:100%;height:auto}svg text{font:12px system-ui,sans-serif;fill:#444}
@media(prefers-color-scheme:dark){body{background:#17171a;color:#e6e6ea}th,td{border-color:#3a3a40}svg text{fill:#bbb}}";

/// Told apart by most people who see colours differently (Okabe and Ito).
pub(crate) const COLOURS: [&str; 8] =
    ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a7f00", "#777777"];

/// The beginning of a page, up to its heading.
pub(crate) fn begin(title: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{0}</title>\n<style>{STYLE}</style>\n<h1>{0}</h1>\n",
        escaped(title)
    )
}

/// Its end.
pub(crate) const END: &str = "</html>\n";

/// Values by a number from 0 on, a number or a repetition, for each of some names.
pub(crate) type Series = BTreeMap<String, Vec<(usize, f64)>>;

/// A line for each series; `None` without a point.
pub(crate) fn line_plot(series: &Series) -> Option<String> {
    const LEFT: f64 = 64.0;
    const RIGHT: f64 = 820.0;
    const TOP: f64 = 14.0;
    const BOTTOM: f64 = 290.0;
    let points = || series.values().flatten();
    let last = points().map(|(number, _)| *number).max()?;
    let low = points().map(|(_, value)| *value).fold(f64::INFINITY, f64::min);
    let high = points().map(|(_, value)| *value).fold(f64::NEG_INFINITY, f64::max);
    let (low, high, step) = axis(low, high);
    let x = |number: usize| LEFT + (RIGHT - LEFT) * number as f64 / last.max(1) as f64;
    let y = |value: f64| BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low);
    let mut svg = String::from("<svg viewBox=\"0 0 1040 330\" role=\"img\">\n");
    let decimals = decimals(step);
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
    let numbers = (last / 12 + 1).max(1);
    for number in (0..=last).step_by(numbers) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{number}</text>",
            x(number),
            BOTTOM + 22.0
        );
    }
    for (index, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<String> = points
            .iter()
            .map(|(number, value)| format!("{:.1},{:.1}", x(*number), y(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\" points=\"{}\"/>",
            path.join(" ")
        );
        for (number, value) in points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.6\" fill=\"{colour}\"><title>{} {number}: {value:.6}</title></circle>",
                x(*number),
                y(*value),
                escaped(name)
            );
        }
        legend(&mut svg, index, 840.0, TOP, name);
    }
    svg += "</svg>";
    Some(svg)
}

/// The ends of an axis and the distance of its ticks: 1, 2 or 5 times a power of ten, about five.
pub(crate) fn axis(low: f64, high: f64) -> (f64, f64, f64) {
    let span = (high - low).max(high.abs().max(1e-3) * 1e-6);
    let rough = span / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= rough).unwrap_or(10.0);
    let step = factor * power;
    let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
    (low, if high > low { high } else { low + step }, step)
}

/// The decimals that tell ticks of that distance apart.
pub(crate) fn decimals(step: f64) -> usize {
    (-step.log10().floor()).max(0.0) as usize
}

/// The name of a series beside its colour, the `index`th from the top.
pub(crate) fn legend(svg: &mut String, index: usize, left: f64, top: f64, name: &str) {
    let height = top + 12.0 + 20.0 * index as f64;
    let _ = writeln!(
        svg,
        "<rect x=\"{left}\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{}\"/>\
         <text x=\"{}\" y=\"{height:.1}\">{}</text>",
        height - 10.0,
        COLOURS[index % COLOURS.len()],
        left + 18.0,
        escaped(name)
    );
}

pub(crate) fn escaped(text: &str) -> String {
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
