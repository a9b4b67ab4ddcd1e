//! `bitnet generate`, against what Hugging Face transformers computes, and its options.

use std::io::Read;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{TinyModel, bitnet, golden, run, run_with_input};

fn ids(value: &Value) -> Vec<u64> {
    value.as_array().expect("a list").iter().map(|id| id.as_u64().expect("an id")).collect()
}

fn generated(arguments: &[&str]) -> Value {
    let mut all = vec!["generate", "--json"];
    all.extend(arguments);
    run(&all).json()
}

#[test]
fn greedy_tokens_are_those_of_the_reference() {
    for case in golden()["packed"]["prompts"].as_array().expect("prompts") {
        let prompt = case["prompt"].as_str().expect("a prompt");
        let report =
            generated(&[prompt, "--max-tokens", "48", "--output-head", "exact", "--ignore-eos"]);
        assert_eq!(ids(&report["prompt_ids"]), ids(&case["ids"]));
        let margins = case["greedy_margins"].as_array().expect("margins");
        // Below this margin, another correct order of floats may choose the other token.
        let certain = margins.iter().position(|margin| margin.as_f64() < Some(0.6)).unwrap_or(48);
        let (ours, golden) = (ids(&report["generated_ids"]), ids(&case["greedy48"]));
        assert_eq!(ours[..certain], golden[..certain], "{prompt}");
        assert!(certain > 0, "{prompt}: nothing is compared");
    }
}

#[test]
fn json_has_every_field() {
    let report = generated(&["Once upon a time", "--max-tokens", "4"]);
    assert_eq!(ids(&report["prompt_ids"]), [0, 1811, 797, 261, 690]);
    assert_eq!(ids(&report["generated_ids"]).len(), 4);
    assert_eq!(report["finish_reason"], "length");
    assert_eq!(report["backend"], "cpu");
    assert!(report["text"].as_str().is_some_and(|text| !text.is_empty()));
    assert!(report["threads"].as_u64() > Some(0));
    for key in
        ["prefill_tokens_per_second", "decode_tokens_per_second", "time_to_first_token_seconds"]
    {
        assert!(report[key].as_f64() > Some(0.0), "{key}");
    }
}

#[test]
fn text_is_the_prompt_and_its_continuation() {
    let report = generated(&["Once upon a time", "--max-tokens", "12"]);
    let continuation = report["text"].as_str().expect("text");
    let echoed = run(&["generate", "Once upon a time", "--max-tokens", "12"]);
    assert_eq!(echoed.text(), format!("Once upon a time{continuation}\n"));
    let alone = run(&["generate", "Once upon a time", "--max-tokens", "12", "--no-echo"]);
    assert_eq!(alone.text(), format!("{continuation}\n"));
}

#[test]
fn threads_do_not_change_the_text() {
    let arguments = ["Once upon a time", "--max-tokens", "40", "--temperature", "0.8", "--threads"];
    let with = |threads| {
        let mut report = generated(&[&arguments[..], &[threads]].concat());
        assert_eq!(report["threads"].to_string(), threads);
        report["generated_ids"].take()
    };
    assert_eq!(with("1"), with("2"));
}

#[test]
fn instruction_sets_do_not_change_the_text() {
    let with = |isa: &str| {
        let mut command = bitnet(&["generate", "The sea was", "--max-tokens", "24", "--json"]);
        let ended: crate::support::Ended =
            command.env("BITNET_ISA", isa).output().expect("started").into();
        ended.json()
    };
    let (best, scalar) = (with(""), with("scalar"));
    assert_eq!(scalar["instruction_set"], "scalar");
    assert_eq!(best["generated_ids"], scalar["generated_ids"]);
    if bitnet::kernels::Cpu::available().iter().any(|cpu| cpu.isa().name() == "avx2") {
        assert_eq!(best["generated_ids"], with("avx2")["generated_ids"]);
    }
}

#[test]
fn a_seed_decides_the_text() {
    let with = |seed| {
        let mut report = generated(&[
            "Once upon a time",
            "--max-tokens",
            "30",
            "--temperature",
            "1",
            "--seed",
            seed,
        ]);
        report["text"].take()
    };
    assert_eq!(with("5"), with("5"));
    assert_ne!(with("5"), with("6"));
}

#[test]
fn the_prompt_may_come_from_standard_input() {
    let argument = generated(&["Once upon a time", "--max-tokens", "3"]);
    for arguments in [
        &["generate", "-", "--max-tokens", "3", "--json"][..],
        &["generate", "--max-tokens", "3", "--json"],
    ] {
        for input in ["Once upon a time", "Once upon a time\n", "Once upon a time\r\n"] {
            let piped = run_with_input(arguments, input.as_bytes()).json();
            assert_eq!(piped["prompt_ids"], argument["prompt_ids"], "{input:?}");
            assert_eq!(piped["text"], argument["text"]);
        }
    }
    let two = run_with_input(&["generate", "-", "--max-tokens", "1", "--json"], b"Once\n\n").json();
    let one = run_with_input(&["generate", "-", "--max-tokens", "1", "--json"], b"Once\n").json();
    assert_eq!(ids(&two["prompt_ids"]).len(), ids(&one["prompt_ids"]).len() + 1);
}

#[test]
fn bos_is_put_once_or_not_at_all() {
    let prompt = |arguments: &[&str]| {
        let all = [&["--max-tokens", "1"], arguments].concat();
        ids(&generated(&all)["prompt_ids"])
    };
    assert_eq!(prompt(&["Once"])[0], 0);
    assert_eq!(prompt(&["<|begin_of_text|>Once"]), prompt(&["Once"]));
    assert_eq!(prompt(&["--no-bos", "Once"]), prompt(&["Once"])[1..]);
}

#[test]
fn bos_of_the_configuration_counts_where_the_tokenizer_has_no_settings() {
    let mut model = TinyModel::new();
    model.config["bos_token_id"] = 0.into();
    std::fs::remove_file(model.write().file("tokenizer_config.json")).expect("removed");
    let arguments = ["Once", "--max-tokens", "1", "--model", model.path()];
    let with_bos = ids(&generated(&arguments)["prompt_ids"]);
    let without = ids(&generated(&[&arguments[..], &["--no-bos"]].concat())["prompt_ids"]);
    assert_eq!(with_bos, [&[0], without.as_slice()].concat());
    assert_ne!(without[0], 0);
}

#[test]
fn chat_wraps_the_prompt_in_the_template() {
    let written =
        "<|begin_of_text|>System: Be brief.<|eot_id|>User: Who are you?<|eot_id|>Assistant: ";
    let by_hand = generated(&["--max-tokens", "60", written]);
    let chat =
        generated(&["--max-tokens", "60", "--chat", "Who are you?", "--system", "Be brief."]);
    for key in ["prompt_ids", "text", "finish_reason"] {
        assert_eq!(chat[key], by_hand[key], "{key}");
    }
    let shown =
        run(&["generate", "--max-tokens", "60", "--chat", "Who are you?", "--system", "Be brief."]);
    assert_eq!(shown.text(), format!("{}\n", chat["text"].as_str().expect("text")));
}

#[test]
fn a_stop_string_ends_the_text_before_it() {
    let whole = generated(&["Once upon a time", "--max-tokens", "60"]);
    let text = whole["text"].as_str().expect("text");
    let stop = "village";
    let stopped = generated(&[
        "Once upon a time",
        "--max-tokens",
        "60",
        "--stop",
        "no such text",
        "--stop",
        stop,
    ]);
    assert_eq!(stopped["finish_reason"], "stop");
    assert_eq!(stopped["text"].as_str(), text.split(stop).next());
}

#[test]
fn a_stop_token_is_not_part_of_the_text() {
    let report = generated(&["--chat", "What is the sun?", "--max-tokens", "200"]);
    assert_eq!(report["finish_reason"], "stop");
    assert!(ids(&report["generated_ids"]).iter().all(|&id| id > 2), "{report}");
    let beyond = generated(&["--chat", "What is the sun?", "--max-tokens", "200", "--ignore-eos"]);
    assert_eq!(beyond["finish_reason"], "length");
    assert_eq!(ids(&beyond["generated_ids"]).len(), 200);
}

#[test]
fn the_context_ends_the_text() {
    let report = generated(&["Once upon a time", "--context", "16", "--ignore-eos"]);
    assert_eq!(report["finish_reason"], "context_full");
    // The last token is chosen but needs no place.
    assert_eq!(ids(&report["prompt_ids"]).len() + ids(&report["generated_ids"]).len(), 17);
}

#[test]
fn a_closed_output_ends_the_program_quietly() {
    let mut command =
        bitnet(&["generate", "Once upon a time", "--max-tokens", "900", "--ignore-eos"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut first = [0u8; 20];
    stdout.read_exact(&mut first).expect("text");
    drop(stdout);
    let output = child.wait_with_output().expect("ended");
    assert!(first.starts_with(b"Once upon a time"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(unix)]
#[test]
fn ctrl_c_keeps_what_was_generated() {
    let mut command = bitnet(&[
        "generate",
        "Once upon a time",
        "--max-tokens",
        "1000",
        "--ignore-eos",
        "--threads",
        "1",
    ]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut text = vec![0u8; 20];
    stdout.read_exact(&mut text).expect("text");
    let kill = format!("kill -INT {}", child.id()); // of the shell: the program need not be there
    let killed = std::process::Command::new("sh").args(["-c", &kill]).status();
    assert!(killed.expect("a shell").success());
    stdout.read_to_end(&mut text).expect("the rest");
    let output = child.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(text.last(), Some(&b'\n'));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
