//! Golden ids from Hugging Face transformers, and small tokenizers of each kind made here.

use super::*;
use serde_json::json;

pub(crate) fn stories() -> Tokenizer {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/stories-27m");
    let read = |name: &str| std::fs::read(format!("{dir}/{name}")).unwrap();
    Tokenizer::from_json(&read(TOKENIZER_FILE), Some(&read(CONFIG_FILE))).unwrap()
}

/// A SentencePiece-like BPE as Llama 2's: byte fallback, `▁` for spaces, a stripped first one.
pub(crate) fn sentencepiece(config: &Value) -> Tokenizer {
    let mut vocab = Map::new();
    for token in ["<unk>", "<s>", "</s>"] {
        vocab.insert(token.into(), json!(vocab.len()));
    }
    for byte in 0..=255 {
        vocab.insert(format!("<0x{byte:02X}>"), json!(vocab.len()));
    }
    for token in ["▁", "a", "b", "c", "▁a", "▁ab", ".", "é"] {
        vocab.insert(token.into(), json!(vocab.len()));
    }
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null, "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "vocab": vocab, "merges": [["▁", "a"], ["▁a", "b"]]}
    });
    let config = config.to_string();
    Tokenizer::from_json(tokenizer.to_string().as_bytes(), Some(config.as_bytes())).unwrap()
}

/// Byte-level, one token per byte, with the given post-processor and settings.
fn bytes_only(post_processor: &Value, config: &Value) -> Result<Tokenizer, TokenizerError> {
    let mut vocab = Map::new();
    for c in (0x21..=0x7e).chain(0xa1..=0xac).chain(0xae..=0xff).chain(0x100..0x144) {
        let c = char::from_u32(c).unwrap();
        vocab.insert(c.to_string(), json!(vocab.len()));
    }
    assert_eq!(vocab.len(), 256);
    let special = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false,
                            "trim_offsets": true, "use_regex": true});
    let tokenizer = json!({
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst",
                       "stride": 0},
        "padding": null,
        "added_tokens": [special(256, "<s>"), special(257, "</s>")],
        "normalizer": null, "pre_tokenizer": byte_level, "post_processor": post_processor,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "vocab": vocab, "merges": []}
    });
    let config = config.to_string();
    Tokenizer::from_json(tokenizer.to_string().as_bytes(), Some(config.as_bytes()))
}

fn template_processor() -> Value {
    json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                 {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {
            "<s>": {"id": "<s>", "ids": [256], "tokens": ["<s>"]},
            "</s>": {"id": "</s>", "ids": [257], "tokens": ["</s>"]}}})
}

/// Prompt ids as Hugging Face transformers gives them for the bundled model.
#[test]
fn prompts_encode_as_in_transformers() {
    let tokenizer = stories();
    for (prompt, ids) in [
        ("<|begin_of_text|>Once upon a time", &[0, 1811, 797, 261, 690][..]),
        (
            "<|begin_of_text|>User: Tell me a short story about a brave fox and a \
             lantern.<|eot_id|>Assistant: ",
            &[
                0, 459, 28, 1405, 417, 261, 759, 472, 404, 261, 1229, 2639, 277, 261, 2704, 16, 2,
                458, 28, 223,
            ],
        ),
        (
            "<|begin_of_text|>It is a truth universally acknowledged, that",
            &[0, 1189, 318, 261, 1461, 712, 941, 720, 261, 711, 519, 422, 1092, 14, 306],
        ),
    ] {
        for policy in [BosPolicy::Auto, BosPolicy::Always, BosPolicy::Never] {
            assert_eq!(tokenizer.encode(prompt, policy).unwrap(), ids, "{policy:?}");
        }
        assert_eq!(tokenizer.decode(ids, false).unwrap(), prompt);
    }
}

#[test]
fn answers_decode_as_in_transformers() {
    let ids = [
        14, 296, 261, 673, 1152, 2825, 482, 263, 3578, 643, 276, 261, 881, 2577, 1647, 288, 263,
        1240, 14, 261, 673, 1152, 1045, 482, 263, 1391, 276, 261, 2176, 1279, 16, 353, 2780, 366,
        536, 1301, 554, 278, 461, 14, 277, 361, 366, 536, 1301, 554, 278, 461,
    ];
    let text = ", in a small village surrounded by the shimmering light of a sunset painted \
                the sky, a small village stood by the side of a bustling market. The \
                villagers had no idea what to do, and they had no idea what to do";
    assert_eq!(stories().decode(&ids, true).unwrap(), text);
}

#[test]
fn stories_settings() {
    let tokenizer = stories();
    assert_eq!(tokenizer.vocab_size(), 4096);
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(0), Some(1)));
    assert_eq!(tokenizer.id_of("<|eot_id|>"), Some(2));
    assert!(tokenizer.is_special(2) && !tokenizer.is_special(3));
    // A BOS, no setting: put in front, not doubled.
    assert_eq!(tokenizer.encode("", BosPolicy::Auto).unwrap(), [0]);
    let ids = tokenizer.encode("Once upon a time", BosPolicy::Auto).unwrap();
    assert_eq!(ids, [0, 1811, 797, 261, 690]);
    let ids = tokenizer.encode("Once upon a time", BosPolicy::Never).unwrap();
    assert_eq!(ids, [1811, 797, 261, 690]);
}

#[test]
fn bos_follows_the_files() {
    let auto = |post: &Value, config: Value| {
        let tokenizer = bytes_only(post, &config).unwrap();
        tokenizer.encode("!!!", BosPolicy::Auto).unwrap()
    };
    let none = Value::Null;
    let with = [256, 0, 0, 0];
    let without = [0, 0, 0];
    assert_eq!(auto(&none, json!({"bos_token": "<s>"})), with);
    let object = json!({"bos_token": {"content": "<s>", "special": true}});
    assert_eq!(auto(&none, object), with);
    assert_eq!(auto(&none, json!({})), without);
    assert_eq!(auto(&none, json!({"bos_token": null})), without);
    let off = json!({"bos_token": "<s>", "add_bos_token": false});
    assert_eq!(auto(&none, off.clone()), without);
    assert_eq!(auto(&template_processor(), off), without);
    for class in ["GPT2Tokenizer", "Qwen2TokenizerFast"] {
        let config = json!({"bos_token": "<s>", "tokenizer_class": class});
        assert_eq!(auto(&none, config.clone()), without);
        assert_eq!(auto(&template_processor(), config), with);
    }
    // The post-processor's end token is not for prompts.
    assert_eq!(auto(&template_processor(), json!({})), with);
    let llama = json!({"bos_token": "<s>", "tokenizer_class": "LlamaTokenizerFast"});
    assert_eq!(auto(&none, llama), with);

    let tokenizer = bytes_only(&none, &json!({})).unwrap();
    let error = tokenizer.encode("!", BosPolicy::Always).unwrap_err();
    assert_eq!(error, TokenizerError::NoBos);
    let tokenizer = bytes_only(&template_processor(), &json!({})).unwrap();
    assert_eq!(tokenizer.encode("<s>!", BosPolicy::Auto).unwrap(), [256, 0]);
}

#[test]
fn load_errors_name_the_file() {
    let message = |config: Value| {
        let error = bytes_only(&Value::Null, &config).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        message(json!({"bos_token": "<missing>"})),
        "tokenizer_config.json: bos_token \"<missing>\" is not in tokenizer.json"
    );
    assert!(message(json!({"eos_token": 3})).starts_with("tokenizer_config.json: eos_token"));
    assert!(message(json!([])).starts_with("tokenizer_config.json: "));
    let gap = json!({"added_tokens_decoder": {"300": {"content": "<x>", "special": true}}});
    assert!(message(gap).contains("\"<x>\" should have the id 300"));
    let error = Tokenizer::from_json(b"{}", None).unwrap_err().to_string();
    assert!(error.starts_with("tokenizer.json: "), "{error}");
}

#[test]
fn tokens_only_in_the_config_are_added() {
    let config = json!({"added_tokens_decoder": {
        "259": {"content": "<y>"}, "258": {"content": "<x>", "special": true},
        "256": {"content": "<s>", "special": true}}});
    let tokenizer = bytes_only(&Value::Null, &config).unwrap();
    let ids = tokenizer.encode("!<x><y>", BosPolicy::Never).unwrap();
    assert_eq!(ids, [0, 258, 259]);
    assert!(tokenizer.is_special(258) && !tokenizer.is_special(259));
}

#[test]
fn token_bytes_concatenate_to_the_text() {
    let tokenizer = stories();
    let text = "Grüße, 世界! \u{1F98A}\n\tdone";
    let ids = tokenizer.encode(text, BosPolicy::Never).unwrap();
    let bytes: Vec<u8> = (ids.iter()).flat_map(|&id| tokenizer.token_bytes(id).unwrap()).collect();
    assert_eq!(bytes, text.as_bytes());
    assert_eq!(tokenizer.token_bytes(1_000_000), None);

    let tokenizer = sentencepiece(&json!({}));
    let ids = tokenizer.encode("ab é世", BosPolicy::Never).unwrap();
    let bytes: Vec<u8> = (ids.iter()).flat_map(|&id| tokenizer.token_bytes(id).unwrap()).collect();
    assert_eq!(bytes, " ab é世".as_bytes());
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "ab é世");
}
