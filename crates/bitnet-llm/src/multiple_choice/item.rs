//! Items of a multiple choice: one JSON object per line, in the forms that data sets have.

use serde_json::{Map, Value};

/// A question with its choices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What the choices continue; may be empty.
    pub context: String,
    /// Two or more texts.
    pub choices: Vec<String>,
    /// Which of them is right.
    pub gold: usize,
    /// What the item belongs to, where the line says so (`group`, or BLiMP's `UID`).
    pub group: Option<String>,
    /// The line of the file, from 1.
    pub line: usize,
}

/// Why a line is no item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {reason}")]
pub struct ItemError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

const CONTEXT: [&str; 4] = ["context", "question", "query", "ctx"];
const CHOICES: [&str; 3] = ["choices", "options", "endings"];
const GOLD: [&str; 4] = ["gold", "answer", "label", "answer_index"];
const GROUP: [&str; 2] = ["group", "UID"];
const PAIR: [&str; 2] = ["sentence_good", "sentence_bad"];

/// The items of a JSONL text; empty lines are passed over. A line is one of
///
/// - a minimal pair: `{"sentence_good": "…", "sentence_bad": "…"}`;
/// - a question: `{"context": "…", "choices": ["…", "…"], "gold": 1}`, where `context` may be called
///   `question`, `query` or `ctx` and may be absent, `choices` may be called `options` or `endings`,
///   and `gold`, counted from 0, `answer`, `label` or `answer_index`. The right choice may also be
///   given as its text, or as digits in quotes.
///
/// Other keys are passed over.
///
/// ```
/// let items = bitnet_llm::multiple_choice::parse_items(
///     r#"{"sentence_good": "The dogs run.", "sentence_bad": "The dogs runs."}
///        {"question": "Two and two are", "options": ["four", "five"], "answer": 0}"#,
/// )?;
/// assert_eq!(items[0].choices, ["The dogs run.", "The dogs runs."]);
/// assert_eq!(items[1].text_with(&items[1].choices[0]), "Two and two are four");
/// # Ok::<(), bitnet_llm::multiple_choice::ItemError>(())
/// ```
///
/// # Errors
/// The number of the line with what is wrong, for the first that is no item; line 1 of a text
/// without any.
pub fn parse_items(text: &str) -> Result<Vec<Item>, ItemError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let items = lines.map(|(index, json)| {
        let line = index + 1;
        parse(json, line).map_err(|reason| ItemError { line, reason })
    });
    let items = items.collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() {
        return Err(ItemError { line: 1, reason: "there is no item".into() });
    }
    Ok(items)
}

impl Item {
    /// The context followed by a choice. A space is put between them unless one of them has white
    /// space there or there is no context.
    pub fn text_with(&self, choice: &str) -> String {
        let joined = self.context.is_empty()
            || self.context.ends_with(char::is_whitespace)
            || choice.starts_with(char::is_whitespace);
        format!("{}{}{choice}", self.context, if joined { "" } else { " " })
    }
}

fn parse(json: &str, line: usize) -> Result<Item, String> {
    let object: Map<String, Value> =
        serde_json::from_str(json).map_err(|error| format!("is not a JSON object: {error}"))?;
    let group = match find(&object, &GROUP)? {
        Some((_, value)) => value.as_str().map(str::to_owned),
        None => None,
    };
    if PAIR.iter().any(|key| object.contains_key(*key)) {
        let text = |key: &str| match object.get(key).and_then(Value::as_str) {
            Some(text) if !text.is_empty() => Ok(text.to_owned()),
            Some(_) => Err(format!("{key} is empty")),
            None => Err(format!("{key} is not a text")),
        };
        let choices = vec![text(PAIR[0])?, text(PAIR[1])?];
        return Ok(Item { context: String::new(), choices, gold: 0, group, line });
    }
    let context = match find(&object, &CONTEXT)? {
        None => "",
        Some((key, value)) => value.as_str().ok_or_else(|| format!("{key} is not a text"))?,
    };
    let Some((key, value)) = find(&object, &CHOICES)? else {
        return Err(format!("has neither {} nor {}", PAIR.join(" and "), CHOICES.join(", ")));
    };
    let texts = value.as_array().into_iter().flatten();
    let choices: Option<Vec<String>> = texts.map(|text| text.as_str().map(str::to_owned)).collect();
    let choices = choices.filter(|_| value.is_array());
    let choices = choices.ok_or_else(|| format!("{key} is not a list of texts"))?;
    if choices.len() < 2 {
        return Err(format!("{key} has {} texts; two or more are needed", choices.len()));
    }
    if let Some(empty) = choices.iter().position(String::is_empty) {
        return Err(format!("{key}[{empty}] is empty"));
    }
    let Some((key, value)) = find(&object, &GOLD)? else {
        return Err(format!("does not say which choice is right: there is no {}", GOLD.join(", ")));
    };
    let gold = right_choice(value, &choices).ok_or_else(|| {
        let last = choices.len() - 1;
        format!("{key} = {value} is none of the choices: 0 to {last}, or the text of one")
    })?;
    Ok(Item { context: context.to_owned(), choices, gold, group, line })
}

/// The one of `keys` that the object has.
fn find<'a>(
    object: &'a Map<String, Value>,
    keys: &[&'static str],
) -> Result<Option<(&'static str, &'a Value)>, String> {
    let mut found = keys.iter().filter_map(|key| Some((*key, object.get(*key)?)));
    match (found.next(), found.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(format!("has both {first} and {second}, which mean the same"))
        }
        (first, _) => Ok(first),
    }
}

fn right_choice(value: &Value, choices: &[String]) -> Option<usize> {
    let index = match value {
        Value::Number(number) => usize::try_from(number.as_u64()?).ok()?,
        // The text of a choice comes before its number: choices may be numbers.
        Value::String(text) => match choices.iter().position(|choice| choice == text) {
            Some(index) => index,
            None => text.parse().ok()?,
        },
        _ => return None,
    };
    (index < choices.len()).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_data_sets_are_read() {
        let items = parse_items(concat!(
            r#"{"sentence_good": "a", "sentence_bad": "b", "UID": "agreement", "pair_id": 7}"#,
            "\n\n",
            r#"{"ctx": "c", "endings": ["d", "e"], "label": "1"}"#,
            "\r\n",
            r#"{"options": ["0", "1", "2"], "answer": "0"}"#,
            "\n",
            r#"{"query": "f ", "choices": ["g", "h"], "gold": "h", "group": "x"}"#,
        ))
        .unwrap();
        assert_eq!(items[0].group.as_deref(), Some("agreement"));
        assert_eq!((items[1].gold, items[1].line), (1, 3));
        assert_eq!((items[2].context.as_str(), items[2].gold), ("", 0));
        assert_eq!((items[3].gold, items[3].text_with("h")), (1, "f h".into()));
        assert_eq!(items[1].text_with("d"), "c d");
        assert_eq!(items[1].text_with("\td"), "c\td");
        assert_eq!(items[2].text_with("0"), "0");
    }

    #[test]
    fn what_is_no_item_is_told() {
        for (line, part) in [
            ("[]", "not a JSON object"),
            ("{", "not a JSON object"),
            ("{}", "neither sentence_good and sentence_bad nor choices, options, endings"),
            (r#"{"sentence_good": "a"}"#, "sentence_bad is not a text"),
            (r#"{"sentence_good": "", "sentence_bad": "b"}"#, "sentence_good is empty"),
            (r#"{"choices": "ab", "gold": 0}"#, "choices is not a list of texts"),
            (r#"{"choices": ["a", 1], "gold": 0}"#, "choices is not a list of texts"),
            (r#"{"choices": ["a"], "gold": 0}"#, "has 1 texts"),
            (r#"{"choices": ["a", ""], "gold": 0}"#, "choices[1] is empty"),
            (r#"{"choices": ["a", "b"]}"#, "no gold, answer, label, answer_index"),
            (r#"{"choices": ["a", "b"], "gold": 2}"#, "gold = 2 is none of the choices: 0 to 1"),
            (r#"{"choices": ["a", "b"], "gold": -1}"#, "gold = -1"),
            (r#"{"choices": ["a", "b"], "gold": "c"}"#, "gold = \"c\""),
            (r#"{"context": 1, "choices": ["a", "b"], "gold": 0}"#, "context is not a text"),
            (
                r#"{"context": "", "query": "", "choices": ["a", "b"], "gold": 0}"#,
                "both context and query",
            ),
        ] {
            let good = r#"{"sentence_good": "a", "sentence_bad": "b"}"#;
            let error = parse_items(&format!("{good}\n{line}\n{good}")).unwrap_err();
            assert_eq!(error.line, 2, "{line}");
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(parse_items("\n").unwrap_err().to_string(), "1: there is no item");
    }
}
