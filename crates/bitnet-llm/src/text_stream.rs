//! Token ids to text, one at a time. A token may be half a character, so text is held back until
//! no later token can change it: the pieces concatenate to exactly what decoding all ids at once
//! gives.

use crate::tokenizer::{DecoderKind, Tokenizer, TokenizerError, byte_level_bytes, fallback_byte};

/// An incremental decoding, begun by [`Tokenizer::stream`].
///
/// ```no_run
/// # fn example(tokenizer: bitnet_llm::tokenizer::Tokenizer, ids: &[u32])
/// #     -> Result<(), bitnet_llm::tokenizer::TokenizerError> {
/// let mut stream = tokenizer.stream(true);
/// for &id in ids {
///     if let Some(text) = stream.push(id)? {
///         print!("{text}");
///     }
/// }
/// print!("{}", stream.finish()?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TextStream {
    tokenizer: Tokenizer,
    skip_special: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Byte-level tokens: at most three bytes of an incomplete character wait.
    Bytes { pending: Vec<u8> },
    /// Pieces whose text depends on their neighbours, such as a space that is dropped at the
    /// beginning: the ids of the last emitted piece stay as context for the next.
    Window {
        ids: Vec<u32>,
        /// `ids[..emitted]` is the context, already part of the text that was given out.
        emitted: usize,
        byte_fallback: bool,
        byte_level: bool,
    },
}

impl TextStream {
    pub(crate) fn new(tokenizer: Tokenizer, skip_special: bool) -> Self {
        let state = match tokenizer.decoder_kind() {
            DecoderKind::Bytes => State::Bytes { pending: Vec::new() },
            DecoderKind::Pieces { byte_fallback, byte_level, .. } => {
                State::Window { ids: Vec::new(), emitted: 0, byte_fallback, byte_level }
            }
        };
        Self { tokenizer, skip_special, state }
    }

    /// Takes the next token; returns the text that became certain with it, if any.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] where the tokenizer's decoder fails.
    pub fn push(&mut self, id: u32) -> Result<Option<String>, TokenizerError> {
        if self.skip_special && self.tokenizer.is_special(id) {
            return Ok(None);
        }
        let Some(token) = self.tokenizer.token(id) else {
            return Ok(None);
        };
        let text = match &mut self.state {
            State::Bytes { pending } => {
                pending.extend_from_slice(&byte_level_bytes(&token));
                take_certain_text(pending)
            }
            State::Window { ids, byte_fallback, .. } => {
                ids.push(id);
                // Whether a run of byte tokens is text shows only at its end: one wrong byte turns
                // all of the run into replacement characters.
                if *byte_fallback && fallback_byte(&token).is_some() {
                    return Ok(None);
                }
                self.advance_window(false)?
            }
        };
        Ok((!text.is_empty()).then_some(text))
    }

    /// Returns what was still held back: bytes that never became a character are U+FFFD now.
    ///
    /// # Errors
    /// [`TokenizerError::Decode`] where the tokenizer's decoder fails.
    pub fn finish(mut self) -> Result<String, TokenizerError> {
        match &self.state {
            State::Bytes { pending } => Ok(String::from_utf8_lossy(pending).into_owned()),
            State::Window { .. } => self.advance_window(true),
        }
    }

    /// Decodes the context with and without the ids behind it; the difference is their text.
    fn advance_window(&mut self, last: bool) -> Result<String, TokenizerError> {
        let State::Window { ids, emitted, byte_level, .. } = &mut self.state else {
            return Ok(String::new());
        };
        let before = self.tokenizer.decode(&ids[..*emitted], self.skip_special)?;
        let text = self.tokenizer.decode(ids, self.skip_special)?;
        let half_character = *byte_level && text.ends_with(char::REPLACEMENT_CHARACTER);
        let Some(piece) = text.strip_prefix(before.as_str()) else {
            return Ok(String::new());
        };
        if piece.is_empty() || (half_character && !last) {
            return Ok(String::new());
        }
        ids.drain(..*emitted);
        *emitted = ids.len();
        Ok(piece.to_owned())
    }
}

/// Moves out of `pending` all text that no further byte can change; an incomplete character at the
/// end stays. Replacement characters fall exactly where `String::from_utf8_lossy` puts them.
fn take_certain_text(pending: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut taken = 0;
    for chunk in pending.utf8_chunks() {
        text.push_str(chunk.valid());
        taken += chunk.valid().len();
        let invalid = chunk.invalid();
        // `error_len` is None where the bytes end too early rather than being wrong.
        let incomplete = std::str::from_utf8(invalid).is_err_and(|e| e.error_len().is_none());
        if invalid.is_empty() || (incomplete && taken + invalid.len() == pending.len()) {
            break;
        }
        text.push(char::REPLACEMENT_CHARACTER);
        taken += invalid.len();
    }
    pending.drain(..taken);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenizer::BosPolicy;
    use crate::tokenizer::tests::{sentencepiece, stories};
    use proptest::prelude::*;
    use serde_json::json;

    fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip_special: bool) -> (String, Vec<String>) {
        let mut stream = tokenizer.stream(skip_special);
        let mut pieces: Vec<String> =
            ids.iter().filter_map(|&id| stream.push(id).unwrap()).collect();
        assert!(pieces.iter().all(|piece| !piece.is_empty()));
        pieces.push(stream.finish().unwrap());
        (pieces.concat(), pieces)
    }

    fn assert_streams(tokenizer: &Tokenizer, ids: &[u32]) {
        for skip_special in [true, false] {
            let whole = tokenizer.decode(ids, skip_special).unwrap();
            assert_eq!(streamed(tokenizer, ids, skip_special).0, whole, "{ids:?}");
        }
    }

    #[test]
    fn characters_are_never_cut() {
        let tokenizer = stories();
        let text = "A fox \u{1F98A} says „grüß Gott“ to 世界.";
        let ids = tokenizer.encode(text, BosPolicy::Never).unwrap();
        let (whole, pieces) = streamed(&tokenizer, &ids, true);
        assert_eq!(whole, text);
        assert!(pieces.iter().all(|piece| !piece.contains('\u{FFFD}')));
        // Text arrives as it is made, not at the end.
        assert!(pieces.len() > 10 && pieces.last().unwrap().is_empty());
    }

    #[test]
    fn broken_bytes_are_replaced_only_when_certain() {
        let tokenizer = stories();
        let byte = |b: u8| {
            let id = (0..4096).find(|&id| tokenizer.token_bytes(id).as_deref() == Some(&[b]));
            id.unwrap()
        };
        let mut stream = tokenizer.stream(true);
        assert_eq!(stream.push(byte(0xe4)).unwrap(), None);
        assert_eq!(stream.push(byte(0xb8)).unwrap(), None);
        assert_eq!(stream.push(byte(0x96)).unwrap().as_deref(), Some("世"));
        assert_eq!(stream.push(byte(0xe4)).unwrap(), None);
        let broken = stream.push(byte(b'x')).unwrap();
        assert_eq!(broken.as_deref(), Some("\u{FFFD}x"));
        assert_eq!(stream.push(byte(0x80)).unwrap().as_deref(), Some("\u{FFFD}"));
        assert_eq!(stream.push(byte(0xf0)).unwrap(), None);
        assert_eq!(stream.push(byte(0x9f)).unwrap(), None);
        assert_eq!(stream.finish().unwrap(), "\u{FFFD}");
    }

    #[test]
    fn sentencepiece_spaces_and_byte_runs() {
        let tokenizer = sentencepiece(&json!({"bos_token": "<s>"}));
        let text = "ab a世界 é ab";
        let ids = tokenizer.encode(text, BosPolicy::Auto).unwrap();
        let (whole, pieces) = streamed(&tokenizer, &ids, true);
        assert_eq!(whole, text);
        assert_eq!(pieces[0], "ab");
        assert_eq!(pieces[1], " a");
        // [E4, BS] cut short by a letter: every byte of the run is replaced.
        let e4 = tokenizer.id_of("<0xE4>").unwrap();
        let b8 = tokenizer.id_of("<0xB8>").unwrap();
        let a = tokenizer.id_of("a").unwrap();
        assert_eq!(streamed(&tokenizer, &[a, e4, b8, a], true).1, ["a", "\u{FFFD}\u{FFFD}a", ""]);
        assert_eq!(streamed(&tokenizer, &[a, e4], true).1, ["a", "\u{FFFD}"]);
    }

    #[test]
    fn unknown_ids_are_silent() {
        assert_streams(&stories(), &[5, 1_000_000, 6]);
    }

    proptest! {
        #[test]
        fn stream_equals_whole_byte_level(ids in prop::collection::vec(0_u32..4100, 0..60)) {
            static STORIES: std::sync::LazyLock<Tokenizer> = std::sync::LazyLock::new(stories);
            assert_streams(&STORIES, &ids);
        }

        /// Mostly single bytes, so that most sequences are broken UTF-8.
        #[test]
        fn stream_equals_whole_broken_bytes(ids in prop::collection::vec(3_u32..259, 0..60)) {
            static STORIES: std::sync::LazyLock<Tokenizer> = std::sync::LazyLock::new(stories);
            assert_streams(&STORIES, &ids);
        }

        #[test]
        fn stream_equals_whole_sentencepiece(
            ids in prop::collection::vec(prop_oneof![0_u32..3, 3_u32..259, 259_u32..267], 0..60),
        ) {
            static PIECES: std::sync::LazyLock<Tokenizer> =
                std::sync::LazyLock::new(|| sentencepiece(&json!({})));
            assert_streams(&PIECES, &ids);
        }
    }
}
