//! The tokenizer of a GGUF file: its metadata `tokenizer.ggml.*` made into one of the crate
//! `tokenizers`, as transformers would have made it from the original files.
//!
//! Two kinds are known: byte-level BPE (`gpt2`), cut into words as
//! [`PreTokenizer`](super::pre_tokenizer::PreTokenizer) says, and SentencePiece's BPE by scores
//! (`llama`). Anything else is refused by name: a tokenizer that is nearly right makes a model
//! that is subtly wrong.

use std::collections::HashMap;

use bitnet_formats::FormatError;
use bitnet_formats::gguf::Metadata;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as DecoderSequence;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Merges, Vocab};
use tokenizers::normalizers::{Prepend, Replace, Sequence as NormalizerSequence};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizerSequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{AddedToken, SplitDelimiterBehavior};

use super::pre_tokenizer::PreTokenizer;
use super::{GuardedTokenizer, Tokenizer, TokenizerError, decoder_kind};

/// SentencePiece's sign for a space.
const SPACE: &str = "▁";

/// The longest token, in bytes: far above any real one, and it bounds the search for the parts of
/// a token.
const LONGEST_TOKEN: usize = 1024;

/// What a GGUF file says of its tokenizer, without the prefix `tokenizer.ggml.`.
///
/// ```
/// use bitnet_llm::tokenizer::{BosPolicy, GgufVocabulary, Tokenizer};
///
/// let vocabulary = GgufVocabulary {
///     model: "gpt2",
///     pre: Some("gpt-2"),
///     tokens: vec!["a", "b", "ab", "Ġ"],
///     merges: vec!["a b"],
///     ..GgufVocabulary::default()
/// };
/// let tokenizer = Tokenizer::from_gguf(&vocabulary)?;
/// assert_eq!(tokenizer.encode("ab a", BosPolicy::Auto)?, [2, 3, 0]);
/// # Ok::<(), bitnet_llm::tokenizer::TokenizerError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct GgufVocabulary<'a> {
    /// `gpt2` or `llama`.
    pub model: &'a str,
    /// How a text is cut into words; `default` when it is missing. Of no effect for `llama`.
    pub pre: Option<&'a str>,
    /// The text of each token, by id.
    pub tokens: Vec<&'a str>,
    /// The [`TokenType`] of each token; empty when all are normal.
    pub token_types: Vec<i32>,
    /// The score of each token: only `llama` has them.
    pub scores: Vec<f32>,
    /// Two tokens with a space between, best first: only `gpt2` has them.
    pub merges: Vec<&'a str>,
    /// Beginning of text.
    pub bos_token_id: Option<u32>,
    /// End of text.
    pub eos_token_id: Option<u32>,
    /// What stands for text that the vocabulary cannot say.
    pub unknown_token_id: Option<u32>,
    /// Whether a text begins with BOS.
    pub add_bos_token: Option<bool>,
    /// Whether `llama` puts a space before a text; it does unless told otherwise.
    pub add_space_prefix: Option<bool>,
}

impl<'a> GgufVocabulary<'a> {
    /// The keys `tokenizer.ggml.…` of a file. Converters for BitNet leave the pre-tokenizer out: for
    /// an `architecture` of that family it is Llama 3's.
    ///
    /// # Errors
    /// A key that must be there is missing, or one has another type.
    pub fn from_metadata(
        metadata: &Metadata<'a>,
        architecture: Option<&str>,
    ) -> Result<Self, FormatError> {
        let is_bitnet = architecture.is_some_and(|name| name.starts_with("bitnet"));
        let pre = metadata.get("tokenizer.ggml.pre")?;
        Ok(Self {
            model: metadata.require("tokenizer.ggml.model")?,
            pre: pre.or(is_bitnet.then_some("llama-bpe")),
            tokens: metadata.require("tokenizer.ggml.tokens")?,
            token_types: metadata.get("tokenizer.ggml.token_type")?.unwrap_or_default(),
            scores: metadata.get("tokenizer.ggml.scores")?.unwrap_or_default(),
            merges: metadata.get("tokenizer.ggml.merges")?.unwrap_or_default(),
            bos_token_id: metadata.get("tokenizer.ggml.bos_token_id")?,
            eos_token_id: metadata.get("tokenizer.ggml.eos_token_id")?,
            unknown_token_id: metadata.get("tokenizer.ggml.unknown_token_id")?,
            add_bos_token: metadata.get("tokenizer.ggml.add_bos_token")?,
            add_space_prefix: metadata.get("tokenizer.ggml.add_space_prefix")?,
        })
    }
}

/// The numbers in `tokenizer.ggml.token_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// A piece of text.
    Normal = 1,
    /// Stands for what cannot be said.
    Unknown = 2,
    /// Directs the model; recognised where it is written out, left out of answers.
    Control = 3,
    /// A text that is never cut.
    UserDefined = 4,
    /// In the vocabulary to keep numbers free.
    Unused = 5,
    /// A byte, written `<0x0A>`.
    Byte = 6,
}

impl TokenType {
    /// The type of that number; `None` for 0 (undefined) and unknown ones.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        [Self::Normal, Self::Unknown, Self::Control, Self::UserDefined, Self::Unused, Self::Byte]
            .into_iter()
            .find(|kind| *kind as i32 == number)
    }
}

impl Tokenizer {
    /// Builds the tokenizer of a GGUF file.
    ///
    /// Whether a text begins with BOS follows `add_bos_token`; where that is missing, `llama` and
    /// the pre-tokenizers of Llama 3 begin with one, as llama.cpp does.
    ///
    /// # Errors
    /// [`TokenizerError::Metadata`] with the key and the reason: among others for a model or
    /// pre-tokenizer that is not known.
    pub fn from_gguf(vocabulary: &GgufVocabulary<'_>) -> Result<Self, TokenizerError> {
        let checked = Checked::new(vocabulary)?;
        let (mut tokenizer, add_bos) = match vocabulary.model {
            "gpt2" => checked.byte_level_bpe()?,
            "llama" => checked.sentence_piece()?,
            other => {
                let reason = format!("{other:?} is not supported (supported: gpt2, llama)");
                return Err(refused("model", reason));
            }
        };
        let added = checked.added_tokens();
        tokenizer.add_tokens(added).map_err(|e| refused("tokens", e))?;
        let bos = checked.special("bos_token_id", vocabulary.bos_token_id)?;
        let eos = checked.special("eos_token_id", vocabulary.eos_token_id)?;
        let prefix = match (vocabulary.add_bos_token.unwrap_or(add_bos), &bos) {
            (true, Some((id, _))) => vec![*id],
            (true, None) if vocabulary.add_bos_token.is_some() => {
                let reason = "is true, and bos_token_id is missing";
                return Err(refused("add_bos_token", reason));
            }
            _ => Vec::new(),
        };
        let decoder = decoder_kind(&tokenizer);
        Ok(Self::from_parts(tokenizer, decoder, bos, eos, prefix))
    }
}

/// A vocabulary whose lists fit together and whose tokens are all different.
struct Checked<'a> {
    vocabulary: &'a GgufVocabulary<'a>,
    /// By id; a token without text has a name instead.
    texts: Vec<String>,
    ids: HashMap<&'a str, u32>,
}

impl<'a> Checked<'a> {
    fn new(vocabulary: &'a GgufVocabulary<'a>) -> Result<Self, TokenizerError> {
        let count = vocabulary.tokens.len();
        if count == 0 {
            return Err(refused("tokens", "is empty"));
        }
        for (key, length) in
            [("token_type", vocabulary.token_types.len()), ("scores", vocabulary.scores.len())]
        {
            if length != 0 && length != count {
                return Err(refused(key, format!("has {length} entries for {count} tokens")));
            }
        }
        let mut texts = Vec::with_capacity(count);
        let mut ids = HashMap::with_capacity(count);
        for (id, &text) in vocabulary.tokens.iter().enumerate() {
            if text.len() > LONGEST_TOKEN {
                let reason =
                    format!("token {id} is {} bytes long (limit {LONGEST_TOKEN})", text.len());
                return Err(refused("tokens", reason));
            }
            let id = u32::try_from(id).map_err(|_| refused("tokens", "has more than 2^32"))?;
            if text.is_empty() {
                texts.push(format!("[EMPTY_{id}]"));
                continue;
            }
            texts.push(text.to_owned());
            if let Some(first) = ids.insert(text, id) {
                let reason = format!("{text:?} is there twice, as {first} and {id}");
                return Err(refused("tokens", reason));
            }
        }
        Ok(Self { vocabulary, texts, ids })
    }

    fn kind(&self, id: usize) -> TokenType {
        let number = self.vocabulary.token_types.get(id).copied();
        number.and_then(TokenType::from_number).unwrap_or(TokenType::Normal)
    }

    fn vocab(&self) -> Vocab {
        self.texts.iter().cloned().zip(0..).collect()
    }

    /// The tokens that are recognised before a text is cut.
    fn added_tokens(&self) -> Vec<AddedToken> {
        let token = |(id, text): (usize, &String)| {
            let special = match self.kind(id) {
                TokenType::Control | TokenType::Unknown => true,
                TokenType::UserDefined => false,
                _ => return None,
            };
            Some(AddedToken::from(text.clone(), special).normalized(false))
        };
        self.texts.iter().enumerate().filter_map(token).collect()
    }

    fn special(
        &self,
        key: &'static str,
        id: Option<u32>,
    ) -> Result<Option<(u32, String)>, TokenizerError> {
        let Some(id) = id else { return Ok(None) };
        match self.texts.get(id as usize) {
            Some(text) => Ok(Some((id, text.clone()))),
            None => Err(refused(key, format!("is {id}, the vocabulary has {}", self.texts.len()))),
        }
    }

    fn byte_level_bpe(&self) -> Result<(GuardedTokenizer, bool), TokenizerError> {
        let name = self.vocabulary.pre.unwrap_or("default");
        let Some(pre) = PreTokenizer::named(name) else {
            let supported = PreTokenizer::names();
            let reason = format!("{name:?} is not supported (supported: {supported})");
            return Err(refused("pre", reason));
        };
        let mut merges = Merges::with_capacity(self.vocabulary.merges.len());
        let mut joined = String::new();
        for (rank, merge) in self.vocabulary.merges.iter().enumerate() {
            let fault = |reason: &str| refused("merges", format!("{rank} ({merge:?}) {reason}"));
            // The first token is at least a character, which may be a space.
            let first = merge.chars().next().map_or(0, char::len_utf8);
            let space = merge[first..].find(' ').map(|at| first + at);
            let (left, right) = match space {
                Some(at) => (&merge[..at], &merge[at + 1..]),
                None => return Err(fault("is not two tokens with a space between")),
            };
            joined.clear();
            joined.push_str(left);
            joined.push_str(right);
            if [left, right, &joined].iter().any(|text| !self.ids.contains_key(text)) {
                return Err(fault("joins or gives what is not among the tokens"));
            }
            merges.push((left.to_owned(), right.to_owned()));
        }
        let model = BPE::builder()
            .vocab_and_merges(self.vocab(), merges)
            .ignore_merges(pre.ignore_merges)
            .build()
            .map_err(|e| refused("merges", e.to_string()))?;
        let mut words: Vec<PreTokenizerWrapper> = Vec::new();
        for &pattern in pre.patterns {
            let pattern = SplitPattern::Regex(pattern.to_owned());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false);
            words.push(split.map_err(|e| refused("pre", e.to_string()))?.into());
        }
        let bytes = ByteLevel::new(false, true, false);
        words.push(bytes.into());
        let mut tokenizer = tokenizers::Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(PreTokenizerSequence::new(words)));
        tokenizer.with_decoder(Some(bytes));
        Ok((tokenizer.into(), pre.add_bos))
    }

    fn sentence_piece(&self) -> Result<(GuardedTokenizer, bool), TokenizerError> {
        if self.vocabulary.scores.is_empty() {
            return Err(refused("scores", "is missing"));
        }
        let byte_token = |byte: u8| format!("<0x{byte:02X}>");
        if let Some(byte) = (0..=255).find(|&b| !self.ids.contains_key(byte_token(b).as_str())) {
            let reason = format!("{} is missing: bytes cannot be said", byte_token(byte));
            return Err(refused("tokens", reason));
        }
        let unknown = self.special("unknown_token_id", self.vocabulary.unknown_token_id)?;
        let mut model = BPE::builder()
            .vocab_and_merges(self.vocab(), self.merges_of_scores())
            .byte_fallback(true)
            .fuse_unk(true);
        if let Some((_, text)) = unknown {
            model = model.unk_token(text);
        }
        let model = model.build().map_err(|e| refused("tokens", e.to_string()))?;

        let prefix = self.vocabulary.add_space_prefix.unwrap_or(true);
        let pattern = |e: tokenizers::Error| refused("tokens", e.to_string());
        let to_sign = Replace::new(" ", SPACE).map_err(pattern)?;
        let to_space = Replace::new(SPACE, " ").map_err(pattern)?;
        let mut normalizers = Vec::new();
        let mut decoders = vec![to_space.into(), ByteFallback::new().into(), Fuse::new().into()];
        if prefix {
            normalizers.push(Prepend::new(SPACE.to_owned()).into());
            decoders.push(Strip::new(' ', 1, 0).into());
        }
        normalizers.push(to_sign.into());
        let mut tokenizer = tokenizers::Tokenizer::new(model);
        tokenizer
            .with_normalizer(Some(NormalizerSequence::new(normalizers)))
            .map_err(|e| refused("tokens", e.to_string()))?;
        tokenizer.with_decoder(Some(DecoderSequence::new(decoders)));
        Ok((tokenizer.into(), true))
    }

    /// SentencePiece joins the two neighbours whose union has the best score. As merges: every pair
    /// of tokens whose union is a token, in the order of the union's score, as transformers
    /// converts such tokenizers.
    fn merges_of_scores(&self) -> Merges {
        struct Merge<'a> {
            left: &'a str,
            right: &'a str,
            score: f32,
            order: (usize, usize),
        }
        let mut merges = Vec::new();
        for (id, &text) in self.vocabulary.tokens.iter().enumerate() {
            if !matches!(self.kind(id), TokenType::Normal | TokenType::UserDefined) {
                continue;
            }
            let score = self.vocabulary.scores[id];
            for (at, _) in text.char_indices().skip(1) {
                let (left, right) = text.split_at(at);
                if self.ids.contains_key(left) && self.ids.contains_key(right) {
                    let order = (left.chars().count(), right.chars().count());
                    merges.push(Merge { left, right, score, order });
                }
            }
        }
        merges.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.order.cmp(&a.order)));
        merges.iter().map(|merge| (merge.left.to_owned(), merge.right.to_owned())).collect()
    }
}

fn refused(key: &'static str, reason: impl Into<String>) -> TokenizerError {
    TokenizerError::Metadata { key, reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::super::BosPolicy;
    use super::*;
    use proptest::prelude::*;

    /// A byte-level vocabulary of all bytes, with some more tokens.
    fn byte_level(pre: &'static str) -> GgufVocabulary<'static> {
        static BYTES: std::sync::LazyLock<Vec<String>> = std::sync::LazyLock::new(|| {
            (0x21..=0x7e)
                .chain(0xa1..=0xac)
                .chain(0xae..=0xff)
                .chain(0x100..0x144)
                .filter_map(|c| char::from_u32(c).map(String::from))
                .collect()
        });
        let mut tokens: Vec<&str> = BYTES.iter().map(String::as_str).collect();
        tokens.extend(["ab", "abc", "<|end|>", "<|user|>"]);
        let mut token_types = vec![1; tokens.len()];
        token_types[258] = 3;
        token_types[259] = 4;
        GgufVocabulary {
            model: "gpt2",
            pre: Some(pre),
            tokens,
            token_types,
            merges: vec!["a b", "ab c"],
            bos_token_id: Some(258),
            eos_token_id: Some(258),
            ..GgufVocabulary::default()
        }
    }

    fn sentence_piece() -> GgufVocabulary<'static> {
        static BYTES: std::sync::LazyLock<Vec<String>> =
            std::sync::LazyLock::new(|| (0..=255).map(|byte| format!("<0x{byte:02X}>")).collect());
        let mut tokens = vec!["<unk>", "<s>", "</s>"];
        tokens.extend(BYTES.iter().map(String::as_str));
        let pieces = ["▁", "a", "b", "c", "ab", "bc", "▁a", "é"];
        tokens.extend(pieces);
        let mut token_types = vec![2, 3, 3];
        token_types.extend([6; 256]);
        token_types.extend([1; 8]);
        let mut scores = vec![0.0; 259];
        scores.extend([-9.0, -9.0, -9.0, -9.0, -2.0, -1.0, -3.0, -9.0]);
        GgufVocabulary {
            model: "llama",
            tokens,
            token_types,
            scores,
            bos_token_id: Some(1),
            eos_token_id: Some(2),
            unknown_token_id: Some(0),
            ..GgufVocabulary::default()
        }
    }

    #[test]
    fn byte_level_tokens_and_bos() {
        let tokenizer = Tokenizer::from_gguf(&byte_level("llama-bpe")).unwrap();
        let ids = tokenizer.encode("abc<|user|>a", BosPolicy::Auto).unwrap();
        assert_eq!(ids, [258, 257, 259, 64]);
        assert!(tokenizer.is_special(258) && !tokenizer.is_special(259));
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), "abc<|user|>a");
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(258), Some(258)));
        let tokenizer = Tokenizer::from_gguf(&byte_level("smollm")).unwrap();
        assert_eq!(tokenizer.encode("abc", BosPolicy::Auto).unwrap(), [257]);
        let mut vocabulary = byte_level("smollm");
        vocabulary.add_bos_token = Some(true);
        let tokenizer = Tokenizer::from_gguf(&vocabulary).unwrap();
        assert_eq!(tokenizer.encode("abc", BosPolicy::Auto).unwrap(), [258, 257]);
    }

    #[test]
    fn scores_decide_what_is_joined() {
        let tokenizer = Tokenizer::from_gguf(&sentence_piece()).unwrap();
        // ▁abc: "bc" scores above "ab" and "▁a"; then "▁a" is left to be joined.
        let ids = tokenizer.encode("abc", BosPolicy::Auto).unwrap();
        assert_eq!(ids, [1, 265, 264]);
        let ids = tokenizer.encode("世", BosPolicy::Never).unwrap();
        assert_eq!(ids, [259, 3 + 0xe4, 3 + 0xb8, 3 + 0x96]);
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), "世");
        let mut vocabulary = sentence_piece();
        vocabulary.add_space_prefix = Some(false);
        let tokenizer = Tokenizer::from_gguf(&vocabulary).unwrap();
        assert_eq!(tokenizer.encode("abc", BosPolicy::Never).unwrap(), [260, 264]);
        assert_eq!(tokenizer.decode(&[259, 260], true).unwrap(), " a");
    }

    #[test]
    fn errors_name_the_key() {
        type Change = fn(&mut GgufVocabulary<'static>);
        let cases: [(Change, &str); 11] = [
            (|v| v.model = "bert", "model: \"bert\" is not supported (supported: gpt2, llama)"),
            (|v| v.pre = Some("tekken"), "pre: \"tekken\" is not supported (supported: llama-bpe"),
            (|v| v.tokens.clear(), "tokens: is empty"),
            (|v| v.tokens[1] = v.tokens[0], "tokens: \"!\" is there twice, as 0 and 1"),
            (|v| v.token_types.truncate(7), "token_type: has 7 entries for 260 tokens"),
            (|v| v.scores = vec![0.0; 2], "scores: has 2 entries"),
            (|v| v.merges.push("ab"), "merges: 2 (\"ab\") is not two tokens"),
            (|v| v.merges.push("abc abc"), "merges: 2 (\"abc abc\") joins or gives what is not"),
            (|v| v.eos_token_id = Some(260), "eos_token_id: is 260, the vocabulary has 260"),
            (
                |v| (v.bos_token_id, v.add_bos_token) = (None, Some(true)),
                "add_bos_token: is true, and bos_token_id is missing",
            ),
            (|v| v.model = "llama", "scores: is missing"),
        ];
        for (change, expected) in cases {
            let mut vocabulary = byte_level("llama-bpe");
            change(&mut vocabulary);
            let error = Tokenizer::from_gguf(&vocabulary).unwrap_err().to_string();
            assert!(error.starts_with(&format!("tokenizer.ggml.{expected}")), "{error}");
        }
        let mut vocabulary = sentence_piece();
        vocabulary.tokens[3] = "x";
        let error = Tokenizer::from_gguf(&vocabulary).unwrap_err().to_string();
        assert!(error.contains("<0x00> is missing"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_survives(text in "\\PC{0,40}|[a-c \\n\\t\\r0-9']{0,40}") {
            for pre in ["llama-bpe", "qwen2", "gpt-2", "smollm", "falcon", "default",
                        "deepseek-llm", "deepseek-coder", "qwen35"] {
                let tokenizer = Tokenizer::from_gguf(&byte_level(pre)).unwrap();
                let ids = tokenizer.encode(&text, BosPolicy::Never).unwrap();
                prop_assert_eq!(tokenizer.decode(&ids, false).unwrap(), text.as_str());
            }
            let tokenizer = Tokenizer::from_gguf(&sentence_piece()).unwrap();
            let ids = tokenizer.encode(&text, BosPolicy::Never).unwrap();
            prop_assert_eq!(tokenizer.decode(&ids, false).unwrap(), text.replace('▁', " "));
        }
    }
}
