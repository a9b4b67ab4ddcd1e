//! Printed tensors against PyTorch's text, on the CPU in every layout and on the reference.

use bitnet_tensor::PrintOptions;
use bitnet_testkit::conformance::register_reference;
use serde_json::Value;

use crate::case::Case;
use crate::placed;

#[test]
fn display() {
    register_reference();
    let cases: Vec<Value> =
        serde_json::from_str(include_str!("../../goldens/display.json")).expect("valid JSON");
    assert!(!cases.is_empty());
    for entry in &cases {
        let case = Case(entry);
        let (options, expected) = (options(&entry["options"]), case.text("text"));
        for (place, tensors) in placed(&case.tensors("inputs")).expect("can be placed") {
            let text = tensors[0].display_with(&options).to_string();
            // Elsewhere than on the CPU the device is said, and lines may break before it.
            let device = format!("device='{}'", tensors[0].device());
            if let Some((before, after)) = text.split_once(&device) {
                let letters = |text: &str| text.replace([' ', '\n', ','], "");
                assert_eq!(letters(before) + &letters(after), letters(expected), "{place}");
            } else {
                assert_eq!(text, expected, "{place}, {}", entry["options"]);
            }
        }
    }
}

fn options(given: &Value) -> PrintOptions {
    let number = |key: &str, default| given[key].as_u64().map_or(default, |n| n as usize);
    let default = PrintOptions::default();
    PrintOptions {
        precision: number("precision", default.precision),
        threshold: number("threshold", default.threshold),
        edge_items: number("edgeitems", default.edge_items),
        line_width: number("linewidth", default.line_width),
        sci_mode: given["sci_mode"].as_bool(),
    }
}
