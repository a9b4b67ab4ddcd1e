//! Text to token ids and back: the crate `tokenizers` plus the settings of `tokenizer_config.json`
//! or of a GGUF file that decide whether a text gets a beginning-of-text token.
//!
//! A BOS too many or too few changes every logit without any error, so the decision is made once,
//! at load, from what the files say (see [`BosPolicy::Auto`]).

mod export;
mod gguf;
mod guarded;
mod pre_tokenizer;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::text_stream::TextStream;

pub use export::ExportedVocabulary;
pub use gguf::{GgufVocabulary, TokenType};
use guarded::GuardedTokenizer;

const TOKENIZER_FILE: &str = "tokenizer.json";
const CONFIG_FILE: &str = "tokenizer_config.json";

/// Tokenizer classes of transformers that know a BOS token and do not put it before a text.
const CLASSES_WITHOUT_BOS: [&str; 5] =
    ["GPT2Tokenizer", "Qwen2Tokenizer", "GPTNeoXTokenizer", "CodeGenTokenizer", "BloomTokenizer"];

/// Whether a beginning-of-text token is put before an encoded text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BosPolicy {
    /// As the tokenizer's files say, and never a second one:
    /// 1. `add_bos_token` in `tokenizer_config.json`;
    /// 2. else the tokens that the post-processor of `tokenizer.json` puts in front;
    /// 3. else no for tokenizer classes that add none (GPT-2, Qwen 2, GPT-NeoX, …);
    /// 4. else yes, where a BOS token is named at all: in `tokenizer_config.json` or, where that
    ///    file is missing, in `config.json`.
    #[default]
    Auto,
    /// Put it in front unless it is there.
    Always,
    /// Encode the text alone. Right for text rendered by a chat template, which writes its own.
    Never,
}

/// A tokenizer with its special tokens. Clones share the vocabulary.
#[derive(Clone)]
pub struct Tokenizer {
    shared: Arc<Shared>,
}

struct Shared {
    tokenizer: GuardedTokenizer,
    decoder: DecoderKind,
    bos: Option<(u32, String)>,
    eos: Option<(u32, String)>,
    /// What [`BosPolicy::Auto`] puts before a text; empty for nothing.
    prefix: Vec<u32>,
}

/// How token strings become text; decides how a stream may cut it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecoderKind {
    /// Each token is a run of bytes, the text is their concatenation (GPT-2 and its descendants).
    Bytes,
    /// Anything else.
    Pieces {
        /// Tokens such as `<0xE2>` stand for bytes (SentencePiece).
        byte_fallback: bool,
        /// `▁` stands for a space.
        underscore_is_space: bool,
        /// A byte-level decoder is among others: half characters show up as U+FFFD.
        byte_level: bool,
    },
}

impl Tokenizer {
    /// Builds a tokenizer from the contents of `tokenizer.json` and, where there is one, of
    /// `tokenizer_config.json`.
    ///
    /// Truncation and padding that `tokenizer.json` may ask for are switched off: a prompt is
    /// never shortened silently.
    ///
    /// # Errors
    /// [`TokenizerError::Load`] with the file and the reason.
    pub fn from_json(
        tokenizer_json: &[u8],
        tokenizer_config: Option<&[u8]>,
    ) -> Result<Self, TokenizerError> {
        let load = |file: &'static str, reason: String| TokenizerError::Load { file, reason };
        let mut tokenizer =
            GuardedTokenizer::from_json(tokenizer_json).map_err(|r| load(TOKENIZER_FILE, r))?;
        let config: Map<String, Value> = match tokenizer_config {
            None => Map::new(),
            Some(json) => {
                serde_json::from_slice(json).map_err(|e| load(CONFIG_FILE, e.to_string()))?
            }
        };
        add_missing_tokens(&mut tokenizer, &config).map_err(|r| load(CONFIG_FILE, r))?;
        let special = |key: &str| special_token(&tokenizer, &config, key);
        let bos = special("bos_token").map_err(|r| load(CONFIG_FILE, r))?;
        let eos = special("eos_token").map_err(|r| load(CONFIG_FILE, r))?;
        let prefix = automatic_prefix(&tokenizer, &config, bos.as_ref().map(|(id, _)| *id))?;
        let decoder = decoder_kind(&tokenizer);
        Ok(Self::from_parts(tokenizer, decoder, bos, eos, prefix))
    }

    fn from_parts(
        tokenizer: GuardedTokenizer,
        decoder: DecoderKind,
        bos: Option<(u32, String)>,
        eos: Option<(u32, String)>,
        prefix: Vec<u32>,
    ) -> Self {
        Self { shared: Arc::new(Shared { tokenizer, decoder, bos, eos, prefix }) }
    }

    /// The same with the token `id` as beginning of text: for a model without
    /// `tokenizer_config.json`, whose BOS only `config.json` names. An id outside of the vocabulary
    /// changes nothing.
    #[must_use]
    pub(crate) fn with_bos(mut self, id: u32) -> Self {
        // Never shared: this belongs to loading.
        if let (Some(token), Some(shared)) = (self.token(id), Arc::get_mut(&mut self.shared)) {
            shared.bos = Some((id, token));
            if shared.prefix.is_empty() {
                shared.prefix = vec![id];
            }
        }
        self
    }

    /// The token ids of a text. Special tokens written in the text are recognised.
    ///
    /// # Errors
    /// [`TokenizerError::NoBos`] for [`BosPolicy::Always`] where no BOS is known;
    /// [`TokenizerError::Encode`] where the vocabulary cannot express the text.
    pub fn encode(&self, text: &str, policy: BosPolicy) -> Result<Vec<u32>, TokenizerError> {
        let mut ids = self.shared.tokenizer.encode(text, false)?;
        let bos: &[u32] = match (policy, self.shared.prefix.as_slice(), &self.shared.bos) {
            (BosPolicy::Never, ..) => &[],
            (BosPolicy::Auto, prefix, _) => prefix,
            (BosPolicy::Always, [], Some((id, _))) => std::slice::from_ref(id),
            (BosPolicy::Always, [], None) => return Err(TokenizerError::NoBos),
            (BosPolicy::Always, prefix, _) => prefix,
        };
        if !ids.starts_with(bos) {
            ids.splice(0..0, bos.iter().copied());
        }
        Ok(ids)
    }

    /// The text of token ids. Ids outside the vocabulary contribute nothing; bytes that are not
    /// UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] where the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        self.shared.tokenizer.decode(ids, skip_special)
    }

    /// Begins an incremental decoding whose pieces concatenate to [`decode`](Self::decode).
    #[must_use]
    pub fn stream(&self, skip_special: bool) -> TextStream {
        TextStream::new(self.clone(), skip_special)
    }

    /// The tokenizer as the text of a `tokenizer.json`.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] where it cannot be written.
    pub fn to_json(&self) -> Result<Vec<u8>, TokenizerError> {
        Ok(self.shared.tokenizer.to_json()?.into_bytes())
    }

    /// The id of a token, given as the vocabulary writes it (`Ġthe`, `<|eot_id|>`).
    #[must_use]
    pub fn id_of(&self, token: &str) -> Option<u32> {
        self.shared.tokenizer.id_of(token)
    }

    /// A token as the vocabulary writes it.
    #[must_use]
    pub fn token(&self, id: u32) -> Option<String> {
        self.shared.tokenizer.token(id)
    }

    /// The bytes that a token stands for within a text: `Ġthe` is ` the`, `<0xE2>` is one byte, a
    /// special token is its own name.
    #[must_use]
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        let token = self.token(id)?;
        Some(match self.shared.decoder {
            DecoderKind::Bytes => byte_level_bytes(&token),
            DecoderKind::Pieces { byte_fallback, underscore_is_space, .. } => {
                match byte_fallback.then(|| fallback_byte(&token)).flatten() {
                    Some(byte) => vec![byte],
                    None if underscore_is_space => token.replace('▁', " ").into_bytes(),
                    None => token.into_bytes(),
                }
            }
        })
    }

    /// Whether the id is a special token, such as the end of a turn.
    #[must_use]
    pub fn is_special(&self, id: u32) -> bool {
        self.shared.tokenizer.is_special(id)
    }

    /// Number of tokens, added ones included. A model's vocabulary may be larger: padded.
    #[must_use]
    pub fn vocab_size(&self) -> usize {
        self.shared.tokenizer.vocab_size()
    }

    /// The beginning-of-text token.
    #[must_use]
    pub fn bos(&self) -> Option<u32> {
        self.shared.bos.as_ref().map(|(id, _)| *id)
    }

    /// The beginning-of-text token as text.
    #[must_use]
    pub fn bos_token(&self) -> Option<&str> {
        self.shared.bos.as_ref().map(|(_, token)| token.as_str())
    }

    /// The end-of-text token.
    #[must_use]
    pub fn eos(&self) -> Option<u32> {
        self.shared.eos.as_ref().map(|(id, _)| *id)
    }

    /// The end-of-text token as text.
    #[must_use]
    pub fn eos_token(&self) -> Option<&str> {
        self.shared.eos.as_ref().map(|(_, token)| token.as_str())
    }

    pub(crate) fn decoder_kind(&self) -> DecoderKind {
        self.shared.decoder
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer")
            .field("vocab_size", &self.vocab_size())
            .field("bos", &self.shared.bos)
            .field("eos", &self.shared.eos)
            .field("prefix", &self.shared.prefix)
            .field("decoder", &self.shared.decoder)
            .finish_non_exhaustive()
    }
}

/// Why a tokenizer could not be loaded or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// A file of the tokenizer is malformed.
    #[error("{file}: {reason}")]
    Load {
        /// Which of the files.
        file: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The tokenizer's metadata in a GGUF file is malformed or asks for what is not supported.
    #[error("tokenizer.ggml.{key}: {reason}")]
    Metadata {
        /// The key, without its prefix.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The text cannot be expressed in the vocabulary.
    #[error("cannot encode the text: {reason}")]
    Encode {
        /// What the tokenizer says.
        reason: String,
    },
    /// The ids cannot be decoded.
    #[error("cannot decode the tokens: {reason}")]
    Decode {
        /// What the tokenizer says.
        reason: String,
    },
    /// A beginning-of-text token was demanded and the tokenizer names none.
    #[error(
        "the tokenizer names no beginning-of-text token (bos_token in {CONFIG_FILE}, tokenizer.ggml.bos_token_id in GGUF)"
    )]
    NoBos,
}

/// `bos_token` and its like are either a string or an object with the string as `content`.
fn token_text<'a>(config: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, String> {
    let value = match config.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(token)) => token.get("content").unwrap_or(&Value::Null),
        Some(value) => value,
    };
    match value.as_str() {
        Some("") => Ok(None),
        Some(text) => Ok(Some(text)),
        None => Err(format!("{key} is neither a string nor has a content")),
    }
}

fn special_token(
    tokenizer: &GuardedTokenizer,
    config: &Map<String, Value>,
    key: &str,
) -> Result<Option<(u32, String)>, String> {
    let Some(text) = token_text(config, key)? else {
        return Ok(None);
    };
    match tokenizer.id_of(text) {
        Some(id) => Ok(Some((id, text.to_owned()))),
        None => Err(format!("{key} {text:?} is not in {TOKENIZER_FILE}")),
    }
}

/// transformers also knows the tokens that stand only in `added_tokens_decoder`.
fn add_missing_tokens(
    tokenizer: &mut GuardedTokenizer,
    config: &Map<String, Value>,
) -> Result<(), String> {
    const KEY: &str = "added_tokens_decoder";
    let Some(tokens) = config.get(KEY).and_then(Value::as_object) else {
        return Ok(());
    };
    let mut missing = Vec::new();
    for (id, token) in tokens {
        let id: u32 = (id.parse()).map_err(|_| format!("{KEY}: {id:?} is not a token id"))?;
        let content = token.get("content").and_then(Value::as_str);
        let content = content.ok_or_else(|| format!("{KEY}: {id} has no content"))?;
        if tokenizer.id_of(content).is_none() && !content.is_empty() {
            let flag = |key| token.get(key).and_then(Value::as_bool).unwrap_or(false);
            let added = AddedToken::from(content, flag("special"))
                .single_word(flag("single_word"))
                .lstrip(flag("lstrip"))
                .rstrip(flag("rstrip"))
                .normalized(flag("normalized"));
            missing.push((id, added));
        }
    }
    // Ids are given out in order of addition.
    missing.sort_by_key(|(id, _)| *id);
    for (id, token) in missing {
        let content = token.content.clone();
        tokenizer.add_tokens([token]).map_err(|e| format!("{KEY}: {content:?}: {e}"))?;
        let given = tokenizer.id_of(&content);
        if given != Some(id) {
            return Err(format!(
                "{KEY}: {content:?} should have the id {id}, which does not follow the vocabulary \
                 of {TOKENIZER_FILE}"
            ));
        }
    }
    Ok(())
}

/// The rule of [`BosPolicy::Auto`].
fn automatic_prefix(
    tokenizer: &GuardedTokenizer,
    config: &Map<String, Value>,
    bos: Option<u32>,
) -> Result<Vec<u32>, TokenizerError> {
    let bos = || bos.into_iter().collect();
    match config.get("add_bos_token") {
        Some(Value::Bool(true)) => return Ok(bos()),
        Some(Value::Bool(false)) => return Ok(Vec::new()),
        _ => {}
    }
    // What the post-processor puts in front of a text that is itself left alone.
    let (plain, processed) = (tokenizer.encode("a", false)?, tokenizer.encode("a", true)?);
    let added =
        processed.windows(plain.len().max(1)).position(|window| window == plain).unwrap_or(0);
    if added > 0 {
        return Ok(processed[..added].to_vec());
    }
    let class = config.get("tokenizer_class").and_then(Value::as_str);
    let class = class.map(|name| name.strip_suffix("Fast").unwrap_or(name));
    if class.is_some_and(|name| CLASSES_WITHOUT_BOS.contains(&name)) {
        return Ok(Vec::new());
    }
    Ok(bos())
}

fn decoder_kind(tokenizer: &GuardedTokenizer) -> DecoderKind {
    let decoder = tokenizer.decoder();
    let parts = match decoder.get("decoders").and_then(Value::as_array) {
        Some(parts) => parts.as_slice(),
        None => std::slice::from_ref(&decoder),
    };
    let kinds: Vec<&str> =
        parts.iter().filter_map(|part| part.get("type").and_then(Value::as_str)).collect();
    let has = |kind: &str| kinds.contains(&kind);
    if has("ByteLevel") && kinds.iter().all(|kind| ["ByteLevel", "Fuse"].contains(kind)) {
        return DecoderKind::Bytes;
    }
    let replaces_underscore =
        parts.iter().any(|part| part["type"] == "Replace" && part["pattern"]["String"] == "▁");
    DecoderKind::Pieces {
        byte_fallback: has("ByteFallback"),
        underscore_is_space: has("Metaspace") || replaces_underscore,
        byte_level: has("ByteLevel"),
    }
}

/// The byte that a SentencePiece token such as `<0xE2>` stands for.
pub(crate) fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok()).flatten()
}

/// The bytes of a byte-level token. A token with a character outside the byte alphabet is an added
/// one, written as it is.
pub(crate) fn byte_level_bytes(token: &str) -> Vec<u8> {
    // GPT-2's alphabet: printable Latin-1 stands for itself, the other 68 bytes are moved in order
    // to U+0100 and up.
    static MOVED: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let printable = |b: &u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
        (0..=255).filter(|b| !printable(b)).collect()
    });
    let byte = |c: char| match u32::from(c) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => u8::try_from(code).ok(),
        code => MOVED.get(code.checked_sub(0x100)? as usize).copied(),
    };
    let bytes: Option<Vec<u8>> = token.chars().map(byte).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}
