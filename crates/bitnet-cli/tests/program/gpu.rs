//! The program on a GPU, or on a driver that stands in for one. Without either it says that there is
//! none.

use crate::support::{bitnet, run};

/// Whether there is something to run on.
fn has_gpu() -> bool {
    let report = run(&["devices", "--json", "--threads", "1"]).json();
    let devices = report["devices"].as_array().expect("a list").len();
    if devices < 2 {
        assert!(std::env::var_os("BITNET_REQUIRE_GPU").is_none(), "there is no Vulkan driver");
        eprintln!("skipped: there is no GPU here, and no driver that stands in for one");
    }
    devices > 1
}

#[test]
fn a_story_is_the_same_as_the_processors() {
    if !has_gpu() {
        return;
    }
    let story = |device: &str| {
        let arguments = ["generate", "Once upon a time", "--max-tokens", "12", "--json"];
        run(&[&arguments[..], &["--temperature", "0", "--device", device]].concat()).json()
    };
    let (gpu, cpu) = (story("gpu"), story("cpu"));
    assert_ne!(gpu["backend"], "cpu");
    assert_eq!(gpu["text"], cpu["text"]);
}

#[test]
fn what_computes_in_software_is_listed_and_never_chosen() {
    if !has_gpu() {
        return;
    }
    let report = run(&["devices", "--json", "--threads", "1"]).json();
    let devices = report["devices"].as_array().expect("a list");
    let software = devices.iter().filter(|device| device["is_software"] == true).count();
    if software + 1 < devices.len() {
        return; // a real one is here, which is chosen
    }
    let report = run(&["generate", "Once", "--max-tokens", "1", "--json"]).json();
    assert_eq!(report["backend"], "cpu");
    assert!(run(&["devices"]).text().contains("software: only where it is named"));
}

#[test]
fn a_gpu_that_is_not_there_is_refused_with_what_there_is() {
    let arguments = ["generate", "Once", "--max-tokens", "1", "--device", "vulkan:99"];
    let output = bitnet(&arguments).output().expect("started");
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(message.contains("vulkan:99") && message.contains("there is"), "{message}");
}
