//! `bitnet chat` with lines of standard input as messages.

use serde_json::Value;

use crate::support::run_with_input;

fn turns(arguments: &[&str], input: &str) -> Vec<Value> {
    let mut all = vec!["chat", "--json", "--temperature", "0"];
    all.extend(arguments);
    let ended = run_with_input(&all, input.as_bytes());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn number(turn: &Value, key: &str) -> u64 {
    turn[key].as_u64().unwrap_or_else(|| panic!("{key} in {turn}"))
}

#[test]
fn each_turn_reads_only_what_is_new() {
    let turns =
        turns(&["--max-tokens", "30"], "Who are you?\nWhat is the sun?\nWhat is the moon?\n");
    assert_eq!(turns.len(), 3);
    assert_eq!(number(&turns[0], "prefill_tokens"), number(&turns[0], "prompt_tokens"));
    for pair in turns.windows(2) {
        let known = number(&pair[0], "prompt_tokens") + number(&pair[0], "generated_tokens");
        // The last token of an answer is chosen, not read, unless a stop token came after it.
        let new = number(&pair[1], "prompt_tokens") - known;
        assert!((new..=new + 1).contains(&number(&pair[1], "prefill_tokens")), "{pair:?}");
    }
}

#[test]
fn reset_forgets_and_exit_leaves() {
    let turns = turns(
        &["--max-tokens", "20"],
        "Who are you?\n/reset\n\nWho are you?\n/exit\nWho are you?\n",
    );
    assert_eq!(turns.len(), 2);
    assert_eq!(turns[0]["text"], turns[1]["text"]);
    assert_eq!(turns[0]["prompt_tokens"], turns[1]["prompt_tokens"]);
}

#[test]
fn the_oldest_messages_are_forgotten_when_the_context_is_full() {
    let input = "Tell me of the sea.\n".repeat(6);
    let turns = turns(&["--max-tokens", "24", "--context", "96", "--system", "Be brief."], &input);
    assert_eq!(turns.len(), 6);
    let forgotten: u64 = turns.iter().map(|turn| number(turn, "forgotten_messages")).sum();
    assert!(forgotten >= 2, "{turns:?}");
    for turn in &turns {
        assert!(number(turn, "prompt_tokens") + 24 <= 96);
    }
}

#[test]
fn answers_are_lines_of_text() {
    let json = turns(&["--max-tokens", "20"], "Who are you?\n");
    let arguments = ["chat", "--temperature", "0", "--max-tokens", "20"];
    let ended = run_with_input(&arguments, b"Who are you?");
    assert_eq!(ended.text(), format!("{}\n", json[0]["text"].as_str().expect("text")));
}

#[test]
fn a_message_longer_than_the_context_is_an_error() {
    let message = "word ".repeat(100);
    let ended = run_with_input(&["chat", "--context", "32"], message.as_bytes());
    ended.assert_error(&["tokens do not fit the context of 32"]);
}

#[test]
fn input_that_is_not_utf8_is_an_error() {
    run_with_input(&["chat"], b"\xff\xfe\n").assert_error(&["standard input", "UTF-8"]);
}
