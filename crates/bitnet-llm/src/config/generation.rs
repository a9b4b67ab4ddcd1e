//! `generation_config.json`: optional, and read beside `config.json`.

use super::fields::{ConfigError, Fields, parse_object};

/// `generation_config.json`: the tokens that stop a model, and how its authors want it sampled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerationConfig {
    /// Beginning of text, where the file names one.
    pub bos_token_id: Option<u32>,
    /// Tokens that end a text; they add to those of `config.json`.
    pub eos_token_ids: Vec<u32>,
    /// `false` asks for greedy decoding.
    pub do_sample: Option<bool>,
    /// Suggested temperature.
    pub temperature: Option<f64>,
    /// Suggested number of best tokens to choose from; 0 is off.
    pub top_k: Option<usize>,
    /// Suggested nucleus mass.
    pub top_p: Option<f64>,
    /// Suggested least probability relative to the best token's.
    pub min_p: Option<f64>,
    /// Suggested repetition penalty.
    pub repetition_penalty: Option<f64>,
}

impl GenerationConfig {
    /// Reads the text of a `generation_config.json`; keys it does not know are ignored.
    ///
    /// # Errors
    /// A malformed value: the error names its key.
    pub fn from_json(json: &[u8]) -> Result<Self, ConfigError> {
        let root = parse_object("generation_config.json", json)?;
        let fields = Fields::new("generation_config.json", &root);
        Ok(Self {
            bos_token_id: fields.token_id("bos_token_id")?,
            eos_token_ids: fields.token_ids("eos_token_id")?,
            do_sample: fields.bool("do_sample")?,
            temperature: fields.number("temperature")?,
            top_k: fields.size("top_k")?,
            top_p: fields.number("top_p")?,
            min_p: fields.number("min_p")?,
            repetition_penalty: fields.number("repetition_penalty")?,
        })
    }
}
