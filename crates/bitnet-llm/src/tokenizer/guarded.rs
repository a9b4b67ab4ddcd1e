//! The crate `tokenizers` behind a guard: on some malformed vocabularies it panics instead of
//! refusing them. Here that is an error, as anything else that is wrong with a file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::Value;
use tokenizers::AddedToken;

use super::TokenizerError;

/// A tokenizer of the crate. What could panic is called through [`guarded`]; the rest looks up.
pub(super) struct GuardedTokenizer(tokenizers::Tokenizer);

/// What `f` gives, in words where it fails.
fn guarded<T, E: ToString>(f: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    // What `f` leaves behind half done is dropped, or only read by it.
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the vocabulary is malformed".into()),
    }
}

impl From<tokenizers::Tokenizer> for GuardedTokenizer {
    fn from(tokenizer: tokenizers::Tokenizer) -> Self {
        Self(tokenizer)
    }
}

impl GuardedTokenizer {
    /// From the contents of `tokenizer.json`, without truncation and padding: a prompt is never
    /// shortened silently.
    pub(super) fn from_json(json: &[u8]) -> Result<Self, String> {
        guarded(|| {
            let mut tokenizer = tokenizers::Tokenizer::from_bytes(json)?;
            let _ = tokenizer.with_padding(None);
            let _ = tokenizer.with_truncation(None)?;
            Ok::<_, tokenizers::Error>(Self(tokenizer))
        })
    }

    /// Adds tokens behind those there are. After an error the tokenizer is of no use.
    pub(super) fn add_tokens(
        &mut self,
        tokens: impl IntoIterator<Item = AddedToken>,
    ) -> Result<(), String> {
        guarded(|| self.0.add_tokens(tokens).map(drop))
    }

    /// The ids of a text, with those that the post-processor adds or without.
    pub(super) fn encode(&self, text: &str, processed: bool) -> Result<Vec<u32>, TokenizerError> {
        let encoding = guarded(|| self.0.encode_fast(text, processed));
        let encoding = encoding.map_err(|reason| TokenizerError::Encode { reason })?;
        Ok(encoding.get_ids().to_vec())
    }

    pub(super) fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        guarded(|| self.0.decode(ids, skip_special))
            .map_err(|reason| TokenizerError::Decode { reason })
    }

    /// As the text of a `tokenizer.json`.
    pub(super) fn to_json(&self) -> Result<String, TokenizerError> {
        guarded(|| self.0.to_string(true)).map_err(|reason| TokenizerError::Decode { reason })
    }

    pub(super) fn id_of(&self, token: &str) -> Option<u32> {
        self.0.token_to_id(token)
    }

    pub(super) fn token(&self, id: u32) -> Option<String> {
        self.0.id_to_token(id)
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        let added = self.0.get_added_vocabulary();
        added.simple_id_to_token(id).is_some_and(|token| added.is_special_token(&token))
    }

    /// Number of tokens, added ones included.
    pub(super) fn vocab_size(&self) -> usize {
        self.0.get_vocab_size(true)
    }

    /// How ids become text, as `tokenizer.json` says it; null where it does not.
    pub(super) fn decoder(&self) -> Value {
        serde_json::to_value(self.0.get_decoder()).unwrap_or(Value::Null)
    }
}
