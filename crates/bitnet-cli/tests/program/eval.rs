//! `bitnet eval`.

use crate::support::{TinyModel, repository, run, run_with_input};

const PAIRS: &str = concat!(
    r#"{"sentence_good": "The little girl was very happy.", "sentence_bad": "The little girl were very happy.", "UID": "was"}"#,
    "\n",
    r#"{"sentence_good": "They were playing in the park.", "sentence_bad": "They was playing in the park.", "UID": "were"}"#,
    "\n\n",
    r#"{"context": "Once upon a", "choices": ["time", "spoon"], "gold": 1}"#,
    "\n",
);

#[test]
fn the_likeliest_choice_is_the_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, samples) = (folder.path().join("pairs.jsonl"), folder.path().join("samples.jsonl"));
    std::fs::write(&file, PAIRS).expect("written");
    let (file, samples) = (file.to_str().expect("UTF-8"), samples.to_str().expect("UTF-8"));
    let arguments = ["eval", "multiple-choice", "--file", file, "--json", "--samples", samples];
    let report = run(&arguments).json();
    // The last item's answer is wrong on purpose.
    assert_eq!((&report["items"], &report["chance"]), (&3.into(), &0.5.into()));
    assert_eq!(report["acc"], 2.0 / 3.0);
    let deviation = report["acc_stderr"].as_f64().expect("a number");
    assert!((deviation - (2.0f64 / 9.0 / 2.0).sqrt()).abs() < 1e-12, "{deviation}");
    assert_eq!(
        (&report["groups"]["was"]["acc"], &report["groups"]["was"]["items"]),
        (&1.0.into(), &1.into())
    );

    let samples = std::fs::read_to_string(samples).expect("written");
    let samples: Vec<serde_json::Value> =
        samples.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        (&samples[2]["line"], &samples[2]["best"], &samples[2]["gold"]),
        (&4.into(), &0.into(), &1.into())
    );
    let likelihoods = samples[2]["log_likelihoods"].as_array().expect("a list");
    assert!(likelihoods[0].as_f64() > likelihoods[1].as_f64(), "{likelihoods:?}");

    let limited = run_with_input(
        &["eval", "multiple-choice", "--file", "-", "--limit", "1"],
        PAIRS.as_bytes(),
    );
    assert!(limited.text().contains("1 items"), "{limited:?}");
    assert!(limited.text().contains("acc      1.0000 ± 0.0000"), "{limited:?}");
}

#[test]
fn what_is_no_item_is_named_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, samples) = (folder.path().join("pairs.jsonl"), folder.path().join("samples.jsonl"));
    let (path, samples_path) = (file.to_str().expect("UTF-8"), samples.to_str().expect("UTF-8"));
    let arguments = ["eval", "multiple-choice", "--file", path, "--samples", samples_path];
    let long = "word ".repeat(3000);
    for (line, parts) in [
        ("{\"choices\": [\"a\", \"b\"]}".to_owned(), ["pairs.jsonl:2", "which choice is right"]),
        ("[1]".to_owned(), ["pairs.jsonl:2", "not a JSON object"]),
        (
            format!("{{\"sentence_good\": \"{long}\", \"sentence_bad\": \"b\"}}"),
            ["pairs.jsonl:2", "context of 1024"],
        ),
    ] {
        let good = PAIRS.lines().next().expect("a line");
        std::fs::write(&file, format!("{good}\n{line}\n")).expect("written");
        run(&arguments).assert_error(&parts);
        assert!(!samples.exists(), "nothing half written");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
    let missing = folder.path().join("none.jsonl");
    run(&["eval", "multiple-choice", "--file", missing.to_str().expect("UTF-8")])
        .assert_error(&["none.jsonl"]);
    run_with_input(&["eval", "multiple-choice", "--file", "-"], b"")
        .assert_error(&["-:1", "no item"]);
}

#[test]
fn a_model_that_gives_no_numbers_is_an_error() {
    let mut model = TinyModel::new();
    let row = 4000 * 64 * 4;
    model.tensor("model.embed_tokens.weight").data[row..][..4]
        .copy_from_slice(&f32::NAN.to_le_bytes());
    model.write();
    let arguments = ["eval", "multiple-choice", "--file", "-", "--model", model.path()];
    run_with_input(&arguments, PAIRS.as_bytes()).assert_error(&["-:1", "token 4000", "NaN"]);
}

#[test]
fn perplexity_is_a_task() {
    let file = repository("crates/bitnet-llm/tests/golden/shakespeare-head.txt");
    let rest = ["perplexity", "--file", file.to_str().expect("UTF-8"), "--tokens", "64", "--json"];
    let report = run(&[&["eval"][..], &rest].concat()).json();
    assert_eq!(report["mean_nll"], run(&rest).json()["mean_nll"]);
    assert_eq!(run(&["eval"]).status, Some(2));
}
