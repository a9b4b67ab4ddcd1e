//! Likelihoods of choices against the logits that Hugging Face transformers computes.

use std::path::Path;
use std::sync::Arc;

use bitnet_formats::safetensors::SafeTensors;
use bitnet_llm::multiple_choice::{Item, Scorer, parse_items};
use bitnet_llm::tokenizer::BosPolicy;
use bitnet_llm::{HeadPrecision, LlmError, LoadOptions, Model};

fn model() -> Arc<Model> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/stories-27m");
    let options = LoadOptions { output_head: HeadPrecision::Exact, ..LoadOptions::default() };
    Model::load(&path, &options).unwrap_or_else(|error| panic!("{error}"))
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn item(context: &str, choices: &[&str]) -> Item {
    let choices = choices.iter().map(|&choice| choice.to_owned()).collect();
    Item { context: context.to_owned(), choices, gold: 0, group: None, line: 1 }
}

/// ln p of each token of `ids` but the first, by the definition.
fn log_probabilities(logits: &[f32], ids: &[u32]) -> Vec<f64> {
    let rows = logits.chunks_exact(logits.len() / ids.len());
    let probability = |(row, &id): (&[f32], &u32)| {
        let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
        f64::from(row[id as usize]) - sum.ln()
    };
    rows.zip(&ids[1..]).map(probability).collect()
}

#[test]
fn likelihoods_are_those_of_the_reference() {
    let model = model();
    let tokenizer = model.tokenizer().expect("a tokenizer");
    let json: serde_json::Value =
        serde_json::from_slice(&golden("stories-27m.json")).expect("JSON");
    let file = golden("stories-27m.logits.safetensors");
    let file = SafeTensors::parse(&file).expect("safetensors");
    let mut scorer = Scorer::new(&model).expect("a scorer");
    for (index, prompt) in json["packed"]["prompts"].as_array().expect("a list").iter().enumerate()
    {
        let ids: Vec<u32> = serde_json::from_value(prompt["ids"].clone()).expect("ids");
        let data = file.tensor(&format!("packed.{index}")).expect("logits").data;
        let logits: Vec<f32> =
            data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        let expected = log_probabilities(&logits, &ids);

        // The whole text after its beginning, and its last token after the others.
        let text = tokenizer.decode(&ids[1..], false).expect("a text");
        assert_eq!(tokenizer.encode(&text, BosPolicy::Auto).expect("ids"), ids);
        let whole = scorer.score(&item("", &[&text, "Zebra zebra zebra"])).expect("scored");
        let last = tokenizer.decode(&ids[ids.len() - 1..], false).expect("a text");
        let context = text.strip_suffix(&last).expect("the end of the text");
        let end = scorer.score(&item(context, &[&last, " zzz"])).expect("scored");
        assert_eq!((whole.tokens[0], end.tokens[0]), (ids.len() - 1, 1), "{text}");
        for (found, expected, count) in [
            (whole.log_likelihoods[0], expected.iter().sum::<f64>(), ids.len() - 1),
            (end.log_likelihoods[0], *expected.last().expect("a token"), 1),
        ] {
            // Per token as far as two float orders differ: see the head of `golden.rs`.
            assert!((found - expected).abs() < 0.12 * count as f64, "{text}: {found}, {expected}");
        }
        assert_eq!((whole.best, whole.best_by_length, end.best), (0, 0, 0), "{text}");
    }
}

#[test]
fn what_choices_share_changes_nothing() {
    let model = model();
    let context = "Once upon a time, there was a little girl named Lily. She loved to";
    let choices = ["play with her toys", "play with her", "eat", " eat"];
    let mut scorer = Scorer::new(&model).expect("a scorer");
    let together = scorer.score(&item(context, &choices)).expect("scored");
    for (index, choice) in choices.iter().enumerate() {
        let mut scorer = Scorer::new(&model).expect("a scorer");
        let alone = scorer.score(&item(context, &[choice, choice])).expect("scored");
        assert_eq!(alone.log_likelihoods, vec![together.log_likelihoods[index]; 2], "{choice}");
        assert_eq!(alone.best, 0);
    }
    // A space is put before a choice that has none.
    assert_eq!(together.log_likelihoods[2], together.log_likelihoods[3]);
    // More tokens are never more likely, but they may be per character.
    assert!(together.log_likelihoods[0] < together.log_likelihoods[1]);
}

#[test]
fn a_good_sentence_is_likelier() {
    let model = model();
    let items = parse_items(concat!(
        r#"{"sentence_good": "The little girl was very happy.", "sentence_bad": "The little girl were very happy."}"#,
        "\n",
        r#"{"sentence_good": "They were playing in the park.", "sentence_bad": "They was playing in the park."}"#,
    ))
    .expect("items");
    let mut scorer = Scorer::new(&model).expect("a scorer");
    for item in &items {
        assert_eq!(scorer.score(item).expect("scored").best, item.gold, "{item:?}");
    }
}

#[test]
fn a_text_longer_than_the_context_is_refused() {
    let model = model();
    let long = "one two three ".repeat(600);
    let mut scorer = Scorer::new(&model).expect("a scorer");
    let error = scorer.score(&item("", &[&long, "short"])).expect_err("too long");
    assert!(matches!(error, LlmError::ContextExceeded { context: 1024, .. }), "{error}");
}
