//! `bitnet bench` beside other programs. Those here are fixtures: shell scripts with the options and the
//! answers of `llama-bench`, with speeds that nobody measured.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Ended, assert_positive, bitnet};

/// The fixture of a `llama-bench` that reads 1000 and generates 10 tokens per second, notes how it was
/// called, and keeps the beginning of the file that it was given.
const LLAMA_BENCH: &str = r#"#!/bin/sh
case "$*" in *--help*) echo "  -n, --n-gen <n>"; echo "  -d, --n-depth <n>"; exit 1;; esac
echo "$*" >> "$0.calls"
head -c 4 "$2" >> "$0.calls"
echo >> "$0.calls"
case "$*" in
*"-n 0"*) echo '[
  { "build_commit": "fixture", "model_type": "fixture TQ2_0", "n_prompt": 4, "n_gen": 0, "avg_ts": 1000.0 }
]';;
*) echo '[
  { "build_commit": "fixture", "n_prompt": 0, "n_gen": 2, "avg_ts": 10.0 }
]';;
esac
"#;

/// The fixture of one that cannot read the model.
const BROKEN: &str = r#"#!/bin/sh
case "$*" in *--help*) echo "--n-gen"; exit 0;; esac
echo "unknown model architecture: 'fixture'" >&2
exit 1
"#;

/// The fixture of one that reads at once, the first time, and then never ends.
const HANGING: &str = r#"#!/bin/sh
case "$*" in *--help*) echo "  -n, --n-gen <n>"; exit 0;; esac
if [ -e "$0.called" ]; then exec sleep 600; fi
touch "$0.called"
echo '[
  { "n_prompt": 4, "n_gen": 0, "avg_ts": 1000.0 }, { "n_prompt": 0, "n_gen": 2, "avg_ts": 10.0 }
]'
"#;

fn program(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    path
}

/// Runs the shortest measurement with what `environment` says.
fn bench(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    const SHORT: [&str; 7] =
        ["bench", "--prompt-tokens", "4", "--gen-tokens", "2", "--repeat", "2"];
    let mut command = bitnet(&[&SHORT[..], arguments].concat());
    command.envs(environment.iter().copied());
    command.output().expect("the program starts").into()
}

#[test]
fn peers_are_measured_in_turn() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = program(folder.path(), "llama-bench", LLAMA_BENCH);
    let path = path.to_str().expect("UTF-8");
    let page = folder.path().join("speed.html");
    let page = page.to_str().expect("UTF-8");
    for subject in [&[][..], &["--synthetic", "stories-27m"]] {
        let peer = format!("llama.cpp={path}");
        let arguments = ["--threads", "1", "--peer", &peer, "--json", "--html", page];
        let report = bench(&[&arguments[..], subject].concat(), &[]).json();
        let peer = &report["peers"][0];
        assert_eq!((&peer["name"], &peer["version"]), (&"llama.cpp".into(), &"fixture".into()));
        let speed = &peer["speed"];
        assert_eq!(speed["prefill"]["samples"], serde_json::json!([1000.0, 1000.0]));
        assert_eq!(speed["decode"]["median"], 10.0);
        if cfg!(target_os = "linux") {
            assert!(peer["peak_memory_bytes"].as_u64() > Some(0), "{peer}");
            // Ours, without what the files of others took.
            let ours = report["peak_memory_bytes"].as_u64();
            assert!(ours.is_some_and(|bytes| bytes > 1 << 20), "{ours:?}");
        }
        let ratio = speed["decode_ratio"]["median"].as_f64().expect("a number");
        let samples = report["decode"]["samples"].as_array().expect("a list").iter();
        let mean: f64 = samples.filter_map(Value::as_f64).sum::<f64>() / 2.0;
        assert!((ratio / (mean / 10.0) - 1.0).abs() < 1e-9, "{ratio} of {mean}");

        // Reading, then generating after a prompt, for each repetition; from a GGUF file.
        let calls = format!("{path}.calls");
        let called = fs::read_to_string(&calls).expect("was called");
        let lines: Vec<&str> = called.lines().collect();
        assert_eq!(lines.len(), 8, "{called}");
        assert!(lines[0].contains("-r 1 -o json -t 1 -p 4 -n 0"), "{called}");
        assert!(lines[2].contains("-t 1 -p 0 -n 2 -d 4"), "{called}");
        assert!(lines.iter().skip(1).step_by(2).all(|line| *line == "GGUF"), "{called}");
        // The file is gone with the program.
        let file = lines[0].split_whitespace().nth(1).expect("a file");
        assert!(!Path::new(file).exists(), "{file}");
        fs::remove_file(calls).expect("removed");
    }
    let page = fs::read_to_string(page).expect("written");
    assert!(page.contains("llama.cpp"));
}

#[test]
fn installed_peers_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = program(folder.path(), "llama-bench", LLAMA_BENCH);
    let folder = folder.path().to_str().expect("UTF-8");
    // The shell of the fixture needs its tools.
    let search = format!("{folder}:/usr/bin:/bin");
    let ended = bench(&["--compare", "--threads", "1"], &[("PATH", &search)]);
    assert!(ended.text().contains("beside llama.cpp: fixture"), "{ended:?}");
    let named = format!("bitnet.cpp={}", path.display());
    let report = bench(
        &["--compare", "--threads", "1", "--json"],
        &[("PATH", "/usr/bin:/bin"), ("BITNET_PEERS", &named)],
    );
    assert_eq!(report.json()["peers"][0]["name"], "bitnet.cpp");
}

#[test]
fn what_is_missing_or_broken_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let empty = folder.path().to_str().expect("UTF-8");
    bench(&["--compare"], &[("PATH", empty)]).assert_error(&["--peer NAME=PATH", "BITNET_PEERS"]);
    bench(&["--peer", "llama.cpp=none/llama-bench"], &[])
        .assert_error(&["llama.cpp", "none/llama-bench"]);
    bench(&["--compare"], &[("BITNET_PEERS", "abacus=/bin/sh")]).assert_error(&[
        "BITNET_PEERS",
        "abacus",
        "ik_llama.cpp",
    ]);
    let ended = bench(&["--peer", "abacus=/bin/sh"], &[]);
    assert_eq!(ended.status, Some(2), "{ended:?}");

    let other = program(folder.path(), "other", "#!/bin/sh\necho nothing of interest\n");
    let other = format!("llama.cpp={}", other.display());
    bench(&["--peer", &other], &[]).assert_error(&["llama.cpp", "no llama-bench"]);

    let broken = program(folder.path(), "broken", BROKEN);
    let broken = format!("bitnet.cpp={}", broken.display());
    let ended = bench(&["--peer", &broken, "--threads", "1"], &[]);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    for part in ["bitnet.cpp", "unknown model architecture", "no other program could be measured"] {
        assert!(ended.stderr.contains(part), "no {part} in {ended:?}");
    }

    // Beside one that works, the broken one is a line.
    let working = program(folder.path(), "llama-bench", LLAMA_BENCH);
    let working = format!("llama.cpp={}", working.display());
    let ended = bench(&["--peer", &broken, "--peer", &working, "--threads", "1", "--json"], &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.stderr.contains("unknown model architecture"), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert!(report["peers"][0]["error"].as_str().is_some_and(|error| error.contains("unknown")));
    assert_positive(&report["peers"][1]["speed"]["prefill"], &["median"]);
}

#[test]
fn a_program_that_hangs_is_ended() {
    let folder = tempfile::tempdir().expect("a folder");
    let named =
        |name: &str, text: &str| format!("{name}={}", program(folder.path(), name, text).display());
    let (hanging, working) = (named("ik_llama.cpp", HANGING), named("llama.cpp", LLAMA_BENCH));
    let limit = ["--peer-timeout", "1", "--threads", "1"];
    // What the first round told is kept, and the other program is measured to the end.
    let arguments = [&["--peer", &hanging, "--peer", &working, "--json"], &limit[..]].concat();
    let ended = bench(&arguments, &[]);
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let error = "did not end within 1 s (--peer-timeout)";
    assert!(ended.stderr.contains("ik_llama.cpp: ") && ended.stderr.contains(error), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let (first, second) = (&report["peers"][0], &report["peers"][1]);
    let told = first["error"].as_str().expect("an error");
    assert!(told.contains("-p 4 -n 2") && told.contains(error), "{told}");
    assert_eq!(first["speed"]["decode"]["samples"], serde_json::json!([10.0]));
    assert_eq!(second["speed"]["decode"]["samples"], serde_json::json!([10.0, 10.0]));

    // The one that has never told anything: nothing is compared.
    let ended = bench(&[&["--peer", &hanging], &limit[..]].concat(), &[]);
    assert_eq!((ended.status, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("no other program could be measured"), "{ended:?}");
    assert_eq!(bench(&["--peer", &working, "--peer-timeout", "0"], &[]).status, Some(2));
}
