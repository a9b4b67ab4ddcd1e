//! The errors of `bitnet quantize` as a page of its own: plots over the layers, and a table.

use std::fmt::Write as _;

use bitnet::llm::checkpoint::{ConvertReport, TensorReport};
use bitnet::tensor::QuantizationError;

use crate::page::{self, Series, escaped, line_plot};

/// What of an error is plotted.
type Figure = fn(&QuantizationError) -> f64;

/// The page.
pub(super) fn html(title: &str, report: &ConvertReport) -> String {
    let mut page = page::begin(title);
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
        if let Some(plot) = line_plot(&series(report, figure)) {
            let _ = writeln!(page, "<h2>{heading}</h2>\n{plot}");
        }
    }
    page += "<h2>Tensors</h2>\n<div class=\"scroll\"><table>\n<tr><th>tensor<th>shape<th class=\"text\">type\
             <th>bytes<th>MSE<th>SQNR, dB<th>cosine<th>largest error\n";
    for tensor in &report.tensors {
        row(&mut page, tensor);
    }
    page + "</table></div>\n" + page::END
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
        "<tr><td>{}<td>{}<td class=\"text\">{types}<td>{}",
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
