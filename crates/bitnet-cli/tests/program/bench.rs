//! `bitnet bench` and `bitnet bench regress`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{assert_positive, bitnet, run};

/// The shortest measurement.
const SHORT: [&str; 7] = ["bench", "--prompt-tokens", "4", "--gen-tokens", "2", "--repeat", "2"];

fn short(more: &[&str]) -> Vec<&'static str> {
    let more = more.iter().map(|text| &*text.to_string().leak());
    SHORT.into_iter().chain(more).collect()
}

#[test]
fn bench_has_every_field() {
    let arguments =
        ["bench", "--prompt-tokens", "16", "--gen-tokens", "4", "--repeat", "2", "--json"];
    for extra in [&["--threads", "1"][..], &["--synthetic", "stories-27m"]] {
        let report = run(&[&arguments[..], extra].concat()).json();
        assert_positive(
            &report,
            &[
                "prefill_tokens_per_second",
                "decode_tokens_per_second",
                "threads",
                "bytes_per_token",
                "memory_bandwidth_bytes_per_second",
                "bandwidth_share",
            ],
        );
        if cfg!(target_os = "linux") {
            assert_positive(&report, &["peak_memory_bytes"]);
        }
        assert_positive(&report["memory_pool"], &["peak_bytes", "reserved_bytes", "hits"]);
        // Two bits, or five for three, of each of 25.2 million weights, 6 bits for each of 2.1
        // million in the head, and their scales.
        let weights = report["weight_bytes_per_token"].as_f64().expect("a number");
        assert!((6.8e6..8.2e6).contains(&weights), "{weights}");
        // 18 positions of 8 layers with 2 · 256 floats.
        assert_eq!(report["kv_bytes_per_token"].as_u64(), Some(18 * 8 * 2 * 256 * 4));
    }
}

#[test]
fn bench_refuses_what_does_not_fit_the_context() {
    for (prompt, generated) in [("1020", "5"), ("18446744073709551615", "1"), ("1", "99999999999")]
    {
        let arguments = ["bench", "--prompt-tokens", prompt, "--gen-tokens", generated];
        run(&arguments).assert_error(&["tokens", "context of 1024"]);
    }
}

#[test]
fn bench_writes_a_table() {
    let ended = run(&["bench", "--prompt-tokens", "4", "--gen-tokens", "2", "--repeat", "1"]);
    for part in ["prefill", "decode", "bytes per token", "memory bandwidth", "threads"] {
        assert!(ended.text().contains(part), "no {part} in {ended:?}");
    }
}

#[test]
fn the_machine_is_measured() {
    let report = run(&short(&["--json", "--threads", "2"])).json();
    let peaks = report["machine"]["peaks"].as_array().expect("a list");
    let threads: Vec<_> = peaks.iter().map(|peaks| peaks["threads"].as_u64()).collect();
    assert_eq!(threads, [Some(1), Some(2)]);
    for peaks in peaks {
        let rates = ["bytes_per_second", "f32_operations_per_second", "int8_operations_per_second"];
        assert_positive(peaks, &rates);
    }
    for speed in ["prefill", "decode"] {
        let speed = &report[speed];
        assert_eq!(speed["samples"].as_array().map(Vec::len), Some(2));
        assert_positive(speed, &["median", "low", "high", "confidence"]);
    }
    assert!(run(&short(&[])).text().contains("int8"));
}

#[test]
fn profiles_list_the_operations_of_both_phases() {
    let report = run(&short(&["--profile", "--json"])).json();
    let operations = report["operations"].as_array().expect("a list");
    let products = |phase: &str| -> Vec<&Value> {
        let of_phase = |o: &&Value| o["phase"] == phase && o["operation"] == "linear";
        operations.iter().filter(of_phase).collect()
    };
    for (phase, tokens) in [("prefill", 1), ("decode", 2)] {
        let products = products(phase);
        // Four products in each of eight layers and the head, for the prompt and for two tokens.
        let count: u64 = products.iter().filter_map(|o| o["count"].as_u64()).sum();
        assert_eq!(count, (4 * 8 + 1) * tokens, "{phase}");
        for product in products {
            let keys = ["seconds", "bytes", "flops", "bandwidth_share", "roofline_share"];
            assert_positive(product, &keys);
            assert_eq!(product["arithmetic"], "int8");
            assert_eq!(product["time"]["samples"].as_array().map(Vec::len), Some(2));
        }
    }
    let down = products("decode");
    let down = down.iter().find(|o| o["weights"] == "ternary [512, 1536]").expect("down");
    assert_eq!(down["flops"], 2u64 * 512 * 1536 * 8 * 2);
    let attention = operations.iter().find(|o| o["operation"] == "attention").expect("attention");
    assert_eq!(attention["flops"], 4u64 * 512 * 8 * (1 + 2 + 3 + 4));
    assert_positive(&report, &["operations_share", "spans_share", "recording_share"]);
    let text = run(&short(&["--profile"]));
    for part in ["roofline", "prefill", "decode", "attention", "ternary [512, 1536]"] {
        assert!(text.text().contains(part), "no {part}");
    }
}

#[test]
fn bench_writes_a_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("speed.html");
    let path = file.to_str().expect("UTF-8");
    run(&short(&["--profile", "--html", path])).text();
    let page = std::fs::read_to_string(&file).expect("written");
    for part in ["<svg", "Generating", "linear ternary [512, 1536]", "operations per byte"] {
        assert!(page.contains(part), "no {part}");
    }
    // Nothing from elsewhere, and no number that is none.
    for part in ["<script", "http:", "https:", "NaN", "inf"] {
        assert!(!page.contains(part), "{part}");
    }
    let missing = folder.path().join("none/speed.html");
    let missing = missing.to_str().expect("UTF-8");
    run(&short(&["--html", missing])).assert_error(&["--html", "none/speed.html"]);
}

/// A result in a file, with all speeds and times as if the machine were `factor` times as fast.
fn stored(folder: &Path, report: &Value, factor: f64) -> PathBuf {
    let mut report = report.clone();
    let scale = |measurement: &mut Value, factor: f64| {
        for sample in measurement["samples"].as_array_mut().expect("a list") {
            *sample = json!(sample.as_f64().expect("a number") * factor);
        }
    };
    scale(&mut report["prefill"], factor);
    scale(&mut report["decode"], factor);
    for operation in report["operations"].as_array_mut().expect("a list") {
        scale(&mut operation["time"], 1.0 / factor);
    }
    let path = folder.join(format!("{factor}.json"));
    std::fs::write(&path, report.to_string()).expect("written");
    path
}

#[test]
fn regress_names_what_became_slower() {
    let folder = tempfile::tempdir().expect("a folder");
    let report = run(&short(&["--profile", "--json", "--threads", "1"])).json();
    let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
    let now = text(stored(folder.path(), &report, 1.0));
    let fast = text(stored(folder.path(), &report, 1000.0));
    let regress = |arguments: &[&str]| -> crate::support::Ended {
        let arguments = [&["bench", "regress"], arguments].concat();
        bitnet(&arguments).output().expect("the program starts").into()
    };

    let ended = regress(&[&fast, "--current", &now]);
    assert_eq!((ended.status, ended.stderr.as_str()), (Some(1), ""), "{ended:?}");
    for part in ["prefill", "decode: linear ternary [512, 1536]", "SLOWER", "slower by more than"] {
        assert!(ended.stdout.contains(part), "no {part} in {ended:?}");
    }
    let ended = regress(&[&fast, "--current", &now, "--json"]);
    let compared: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let slower = compared["slower"].as_array().expect("a list");
    assert!(slower.contains(&"prefill".into()) && slower.contains(&"decode".into()), "{slower:?}");
    let prefill = &compared["comparisons"][0];
    assert!(prefill["ratio"].as_f64() < Some(0.1), "{prefill}");
    assert_positive(prefill, &["before", "now", "low", "high", "confidence"]);

    // The other way everything became faster; and against itself nothing changed.
    assert!(regress(&[&now, "--current", &fast]).text().contains("faster"));
    assert!(regress(&[&now, "--current", &now]).text().contains("nothing is slower"));

    // A new measurement, of as many repetitions as asked for: a thousand times as fast is not to be had.
    let slow = text(stored(folder.path(), &report, 0.001));
    assert!(regress(&[&slow, "--repeat", "3"]).text().contains("nothing is slower"));
    let ended = regress(&[&fast, "--repeat", "3"]);
    assert_eq!(ended.status, Some(1), "{ended:?}");
}

#[test]
fn regress_refuses_what_it_cannot_compare() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    run(&["bench", "regress", "none.json"]).assert_error(&["none.json"]);
    let other = file("other.json", "{\"model\": 1}");
    run(&["bench", "regress", &other]).assert_error(&["other.json", "bitnet bench --json"]);

    let mut report = run(&short(&["--json"])).json();
    let good = file("good.json", &report.to_string());
    report["settings"]["prompt_tokens"] = json!(5);
    let longer = file("longer.json", &report.to_string());
    run(&["bench", "regress", &good, "--current", &longer]).assert_error(&[
        "prompt tokens",
        "4",
        "5",
    ]);
    report["prefill"]["samples"] = json!([]);
    let empty = file("empty.json", &report.to_string());
    run(&["bench", "regress", &empty]).assert_error(&["empty.json", "samples"]);
    report["settings"]["threads"] = json!(100000);
    report["prefill"]["samples"] = json!([1.0]);
    let threads = file("threads.json", &report.to_string());
    run(&["bench", "regress", &threads]).assert_error(&["threads.json", "256"]);
}
