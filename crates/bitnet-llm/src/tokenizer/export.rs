//! From `tokenizer.json` to the vocabulary of a GGUF file: the other direction of
//! [`Tokenizer::from_gguf`].
//!
//! A GGUF file names the way to cut words instead of describing it, so it is recognised by its
//! expressions, and the result is tried: a vocabulary that would give other tokens is refused.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

use super::gguf::{GgufVocabulary, TokenType};
use super::pre_tokenizer::PreTokenizer;
use super::{BosPolicy, Tokenizer, TokenizerError};

#[derive(Deserialize)]
struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedTokenEntry>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    model: ModelEntry,
}

#[derive(Deserialize)]
struct AddedTokenEntry {
    id: u32,
    content: String,
    #[serde(default)]
    special: bool,
}

#[derive(Deserialize)]
struct ModelEntry {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    vocab: Value,
    #[serde(default)]
    merges: Vec<Merge>,
    #[serde(default)]
    unk_token: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Pair(String, String),
    Joined(String),
}

/// The vocabulary that a GGUF file gets.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedVocabulary {
    /// `gpt2` or `llama`.
    pub model: &'static str,
    /// The name of the way to cut words; only `gpt2` has one.
    pub pre: Option<&'static str>,
    /// The text of each token, by id.
    pub tokens: Vec<String>,
    /// The [`TokenType`] of each token.
    pub token_types: Vec<i32>,
    /// The score of each token, where the model is `llama`.
    pub scores: Vec<f32>,
    /// The merges, best first, where the model is `gpt2`.
    pub merges: Vec<String>,
    /// What stands for text that the vocabulary cannot say.
    pub unknown_token_id: Option<u32>,
    /// Whether `llama` puts a space before a text.
    pub add_space_prefix: Option<bool>,
}

impl ExportedVocabulary {
    /// The vocabulary of the text of a `tokenizer.json` for a model with `rows` rows of its
    /// embedding: rows without a token get one that is never used. `tokenizer` is made from the same
    /// files.
    ///
    /// # Errors
    /// [`TokenizerError::Load`] for a tokenizer that GGUF files cannot say.
    pub fn new(
        tokenizer_json: &[u8],
        tokenizer: &Tokenizer,
        rows: usize,
    ) -> Result<Self, TokenizerError> {
        let refused = |reason: String| TokenizerError::Load { file: "tokenizer.json", reason };
        let file: TokenizerFile =
            serde_json::from_slice(tokenizer_json).map_err(|error| refused(error.to_string()))?;
        let kind = file.model.kind.as_deref().unwrap_or("BPE");
        let Some(vocab) = file.model.vocab.as_object().filter(|_| kind == "BPE") else {
            return Err(refused(format!("a tokenizer of type {kind} cannot be written as GGUF")));
        };
        let count = vocab.len() + file.added_tokens.len();
        let mut tokens: Vec<Option<(String, TokenType)>> = vec![None; rows];
        let mut put = |id: u64, text: &str, kind: TokenType| {
            let slot = usize::try_from(id).ok().and_then(|id| tokens.get_mut(id));
            match slot {
                Some(slot) => *slot = Some((text.to_owned(), kind)),
                None => {
                    return Err(refused(format!(
                        "token {text:?} has the id {id}; the embedding has {rows} rows for {count} tokens"
                    )));
                }
            }
            Ok(())
        };
        let is_byte = |text: &str| {
            file.model.byte_fallback
                && text.len() == 6
                && text.starts_with("<0x")
                && text.ends_with('>')
        };
        for (text, id) in vocab {
            let id = id.as_u64().ok_or_else(|| refused(format!("token {text:?} has no id")))?;
            put(id, text, if is_byte(text) { TokenType::Byte } else { TokenType::Normal })?;
        }
        for token in &file.added_tokens {
            let kind = if token.special { TokenType::Control } else { TokenType::UserDefined };
            put(u64::from(token.id), &token.content, kind)?;
        }
        let unknown = file.model.unk_token.as_deref().and_then(|text| tokenizer.id_of(text));
        if let Some(Some((_, kind))) = unknown.and_then(|id| tokens.get_mut(id as usize)) {
            *kind = TokenType::Unknown;
        }
        let filled = tokens
            .into_iter()
            .enumerate()
            .map(|(id, token)| token.unwrap_or_else(|| (format!("[PAD{id}]"), TokenType::Unused)));
        let (tokens, token_types): (Vec<String>, Vec<i32>) =
            filled.map(|(text, kind)| (text, kind as i32)).unzip();
        let mut exported = Self {
            model: "gpt2",
            pre: None,
            tokens,
            token_types,
            scores: Vec::new(),
            merges: Vec::new(),
            unknown_token_id: unknown,
            add_space_prefix: None,
        };
        if file.model.byte_fallback {
            exported.model = "llama";
            exported.scores = scores(&exported.tokens, &file.model.merges);
            exported.add_space_prefix = Some(prepends_space(&file));
        } else {
            let pre = recognised(&file.pre_tokenizer, &file.normalizer).map_err(refused)?;
            exported.pre = Some(pre);
            exported.merges = file.model.merges.iter().map(Merge::joined).collect();
        }
        exported.compare(tokenizer).map_err(refused)?;
        Ok(exported)
    }

    /// The same as the reader of GGUF files sees it.
    #[must_use]
    pub fn vocabulary(&self) -> GgufVocabulary<'_> {
        GgufVocabulary {
            model: self.model,
            pre: self.pre,
            tokens: self.tokens.iter().map(String::as_str).collect(),
            token_types: self.token_types.clone(),
            scores: self.scores.clone(),
            merges: self.merges.iter().map(String::as_str).collect(),
            unknown_token_id: self.unknown_token_id,
            add_space_prefix: self.add_space_prefix,
            add_bos_token: Some(false),
            ..GgufVocabulary::default()
        }
    }

    /// Whether a tokenizer of this vocabulary makes the same tokens of the text of every token, and
    /// of texts in which words are cut in different ways.
    fn compare(&self, tokenizer: &Tokenizer) -> Result<(), String> {
        let written =
            Tokenizer::from_gguf(&self.vocabulary()).map_err(|error| error.to_string())?;
        let texts = SAMPLES.iter().map(|text| (*text).to_owned());
        let own = (0..self.tokens.len() as u32).filter_map(|id| {
            let text = tokenizer.decode(&[id], false).ok()?;
            (!text.is_empty() && !text.contains('\u{fffd}')).then_some(text)
        });
        for text in texts.chain(own) {
            let expected = tokenizer.encode(&text, BosPolicy::Never).map_err(|e| e.to_string())?;
            let found = written.encode(&text, BosPolicy::Never).map_err(|e| e.to_string())?;
            if expected != found {
                let as_gguf = format!("{} {}", self.model, self.pre.unwrap_or_default());
                return Err(format!(
                    "cannot be written as GGUF ({}): {text:?} would be {found:?} instead of {expected:?}",
                    as_gguf.trim_end()
                ));
            }
        }
        Ok(())
    }
}

/// Numbers, spaces, lines, contractions, signs, scripts.
const SAMPLES: [&str; 6] = [
    "It's 1234567 o'clock, ISN'T it?\n\n  They'll say   \"no\" — 3.14!",
    "\tfn main() {\r\n    println!(\"{x:?}\");\n}\n",
    "Grüße aus Köln, naïve café; Привет, мир! 你好，世界。こんにちは",
    "a  b   c    d\n \n  \n   e",
    "x=1+2*3/4-5%6^7&8|9~0 <tag attr='v'/> user@example.org http://a.b/c?d=e#f",
    "\u{1f642}\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467} é ﬁ ½ ² Ⅳ",
];

impl Merge {
    fn parts(&self) -> (&str, &str) {
        match self {
            Self::Pair(left, right) => (left, right),
            Self::Joined(text) => {
                // The first token is at least a character, which may be a space.
                let first = text.chars().next().map_or(0, char::len_utf8);
                let at = text[first..].find(' ').map_or(text.len(), |at| first + at);
                (&text[..at], text.get(at + 1..).unwrap_or_default())
            }
        }
    }

    fn joined(&self) -> String {
        let (left, right) = self.parts();
        format!("{left} {right}")
    }
}

/// Scores in the order of the merges that make a token: what is merged first has the best.
fn scores(tokens: &[String], merges: &[Merge]) -> Vec<f32> {
    let mut ranks: HashMap<String, usize> = HashMap::with_capacity(merges.len());
    for (rank, merge) in merges.iter().enumerate() {
        let (left, right) = merge.parts();
        ranks.entry(format!("{left}{right}")).or_insert(rank);
    }
    let worst = merges.len() as f32;
    tokens.iter().map(|token| -ranks.get(token).map_or(worst, |&rank| rank as f32)).collect()
}

fn prepends_space(file: &TokenizerFile) -> bool {
    let normalizers = parts(&file.normalizer, "normalizers");
    let by_normalizer = normalizers.iter().any(|part| part["type"] == "Prepend");
    let metaspace = parts(&file.pre_tokenizer, "pretokenizers");
    let metaspace = metaspace.iter().find(|part| part["type"] == "Metaspace");
    by_normalizer || metaspace.is_some_and(|part| part["prepend_scheme"] != "never")
}

/// The parts of a sequence, or the one part.
fn parts<'a>(value: &'a Value, list: &str) -> Vec<&'a Value> {
    match value.get(list).and_then(Value::as_array) {
        Some(parts) => parts.iter().collect(),
        None if value.is_null() => Vec::new(),
        None => vec![value],
    }
}

/// The name of the way to cut words.
fn recognised(pre_tokenizer: &Value, normalizer: &Value) -> Result<&'static str, String> {
    // Composed characters are what texts have: llama.cpp leaves NFC out, as do we.
    if let Some(other) = parts(normalizer, "normalizers").iter().find(|part| part["type"] != "NFC")
    {
        return Err(format!("the normalizer {} cannot be written as GGUF", other["type"]));
    }
    let mut patterns = Vec::new();
    for part in parts(pre_tokenizer, "pretokenizers") {
        match part["type"].as_str() {
            Some("Split") if part["behavior"] == "Isolated" && part["invert"] != true => {
                let pattern = part["pattern"]["Regex"].as_str();
                patterns.push(pattern.ok_or("a word is cut at a fixed text")?);
            }
            Some("Digits") if part["individual_digits"] == true => patterns.push(r"\p{N}"),
            Some("ByteLevel") if part["add_prefix_space"] == true => {
                return Err("a space before each text cannot be written as GGUF".into());
            }
            Some("ByteLevel") if part["use_regex"] == false => {}
            Some("ByteLevel") => patterns.push(PreTokenizer::GPT2),
            other => {
                let other = other.unwrap_or("of no type");
                return Err(format!("the pre-tokenizer {other} cannot be written as GGUF"));
            }
        }
    }
    PreTokenizer::of_patterns(&patterns).ok_or_else(|| {
        format!("no way to cut words that GGUF files name has the expressions {patterns:?}")
    })
}
