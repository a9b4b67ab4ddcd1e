//! What becomes of each tensor when a checkpoint is converted or quantized: its name, its encoding,
//! the order of its rows.

use bitnet_formats::RawDType;
use bitnet_kernels::blocks::BlockFormat;

use super::matrix::{Encoding, RowOrder};
use super::metadata::gguf_architecture;
use super::scales::TernaryRule;
use super::source::{Checkpoint, Container, TensorEntry, is_rotated};
use crate::config::{Architecture, ModelConfig};
use crate::error::Result;
use crate::model::tensor_names::{GGUF_ROPE_FREQS, gguf_name};

/// Names of tensors, with `*` for any characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern of that text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether it is the name, GGUF's or Hugging Face's, with or without `.weight`.
    ///
    /// ```
    /// use bitnet_llm::checkpoint::Pattern;
    /// let pattern = Pattern::new("blk.*.ffn_down");
    /// assert!(pattern.matches("model.layers.11.mlp.down_proj.weight"));
    /// assert!(!pattern.matches("model.layers.11.mlp.up_proj.weight"));
    /// ```
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let gguf = gguf_name(name);
        let names = [Some(name), gguf.as_deref()];
        let mut forms = names
            .into_iter()
            .flatten()
            .flat_map(|name| [Some(name), name.strip_suffix(".weight")].into_iter().flatten());
        forms.any(|name| glob(self.0.as_bytes(), name.as_bytes()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `*` of the pattern can stand for something that makes it the name.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last star is, and where what it stands for ends.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p) == Some(&name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((at, end)) = star {
            star = Some((at, end + 1));
            (p, n) = (at + 1, end + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// What is made of a checkpoint.
#[derive(Debug, Clone)]
pub struct ConvertOptions {
    /// The kind of checkpoint to write.
    pub container: Container,
    /// The encoding of tensors that are ternary, and of masters that become ternary when a model is
    /// loaded; by default what the programs that read the container run best.
    pub ternary: Option<Encoding>,
    /// The encoding that numbers get: of the projections of the layers, and, where it is not
    /// ternary, of the embedding and the output head.
    pub quantize: Option<Encoding>,
    /// How numbers become ternary.
    pub rule: TernaryRule,
    /// The type of other matrices of numbers; by default their own, F16 for blocks that a
    /// Hugging Face directory cannot hold.
    pub float: Option<RawDType>,
    /// Encodings of single tensors, before all of the above; the last that matches counts.
    pub tensors: Vec<(Pattern, Encoding)>,
    /// Measure the error of what was quantized.
    pub measure: bool,
    /// Replace what is there.
    pub overwrite: bool,
}

impl ConvertOptions {
    /// A conversion that keeps all values.
    #[must_use]
    pub fn new(container: Container) -> Self {
        Self {
            container,
            ternary: None,
            quantize: None,
            rule: TernaryRule::default(),
            float: None,
            tensors: Vec::new(),
            measure: false,
            overwrite: false,
        }
    }
}

/// A tensor that is going to be written.
pub(super) struct Planned<'a> {
    pub(super) entry: &'a TensorEntry,
    pub(super) name: String,
    pub(super) encoding: Encoding,
    pub(super) order: RowOrder,
    /// How numbers become codes; `None` where codes are kept or there are none.
    pub(super) rounding: Option<TernaryRule>,
}

impl Planned<'_> {
    /// Whether its values may change.
    pub(super) fn is_quantized(&self) -> bool {
        let own = self.entry.encoding;
        self.rounding.is_some()
            || (own != Some(self.encoding)
                && matches!(self.encoding, Encoding::Block(f) if !f.has_ternary_codes()))
    }
}

/// The tensors to write, in the order of the checkpoint.
pub(super) fn plan<'a>(
    checkpoint: &'a Checkpoint,
    config: &ModelConfig,
    options: &ConvertOptions,
) -> Result<Vec<Planned<'a>>> {
    let mut planned = Vec::with_capacity(checkpoint.tensors().len());
    let mut used = vec![false; options.tensors.len()];
    for entry in checkpoint.tensors() {
        let Some(name) = name_in(checkpoint, config, entry, options.container)? else { continue };
        if entry.is_projection() && entry.encoding == Some(Encoding::Number(RawDType::U8)) {
            let reason = "is packed, and its weight_scale is missing or no finite number";
            return Err(checkpoint.fault(entry, reason));
        }
        let (encoding, chosen) = choose(config, entry, options);
        if let Some(index) = chosen {
            used[index] = true;
        }
        let fits = match options.container {
            Container::HuggingFace => {
                matches!(encoding, Encoding::HuggingFace | Encoding::Number(_))
            }
            Container::Gguf => encoding.ggml_type().is_some(),
        };
        if !fits {
            let what = match options.container {
                Container::HuggingFace => "safetensors of Hugging Face",
                Container::Gguf => "GGUF",
            };
            return Err(checkpoint.fault(entry, format!("{encoding} cannot be written as {what}")));
        }
        let [rows, cols] = entry.rows_and_columns();
        encoding.byte_len(rows, cols).map_err(|error| {
            let reason =
                format!("cannot become {encoding}: {error}; another encoding can be chosen for it");
            checkpoint.fault(entry, reason)
        })?;
        let keeps_codes = entry.encoding.is_some_and(Encoding::is_ternary);
        planned.push(Planned {
            entry,
            name,
            encoding,
            order: match options.container {
                Container::Gguf
                    if gguf_architecture(config) == Some("llama") && is_rotated(&entry.name) =>
                {
                    RowOrder::Pairs { head_dim: config.head_dim }
                }
                _ => RowOrder::Halves,
            },
            rounding: (encoding.is_ternary() && !keeps_codes).then_some(options.rule),
        });
    }
    if let Some(index) = used.iter().position(|used| !used) {
        // A later pattern may have taken all of an earlier one's tensors.
        let pattern = &options.tensors[index].0;
        if !checkpoint.tensors().iter().any(|entry| pattern.matches(&entry.name)) {
            return Err(checkpoint.refuse(format!("no tensor is called {}", pattern.as_str())));
        }
    }
    Ok(planned)
}

/// The name in the new checkpoint; `None` for a tensor that it says in another way.
fn name_in(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    entry: &TensorEntry,
    container: Container,
) -> Result<Option<String>> {
    let is_gguf = checkpoint.container() == Container::Gguf;
    match container {
        _ if entry.name.ends_with("rotary_emb.inv_freq") => Ok(None),
        Container::Gguf if is_gguf => Ok(Some(entry.stored_name.clone())),
        Container::Gguf if entry.name == "lm_head.weight" && config.tie_word_embeddings => Ok(None),
        Container::Gguf => match gguf_name(&entry.name) {
            Some(name) => Ok(Some(name)),
            None => Err(checkpoint.fault(entry, "GGUF has no name for it")),
        },
        Container::HuggingFace if entry.name == GGUF_ROPE_FREQS => Ok(None),
        Container::HuggingFace if is_gguf && entry.name.ends_with(".weight_scale") => {
            Err(checkpoint.fault(entry, "is the scale of a tensor that is not ternary"))
        }
        Container::HuggingFace if is_gguf && entry.name == entry.stored_name => {
            Err(checkpoint.fault(entry, "Hugging Face has no name for it"))
        }
        Container::HuggingFace => Ok(Some(entry.name.clone())),
    }
}

/// The encoding of a tensor, and which of the patterns chose it.
fn choose(
    config: &ModelConfig,
    entry: &TensorEntry,
    options: &ConvertOptions,
) -> (Encoding, Option<usize>) {
    let own = entry.encoding.unwrap_or(Encoding::Number(RawDType::U8));
    let is_matrix = entry.shape.len() > 1;
    let mut patterns = options.tensors.iter().enumerate().rev();
    if let Some((index, (_, encoding))) = patterns.find(|(_, (p, _))| p.matches(&entry.name)) {
        return (*encoding, Some(index));
    }
    let encoding = match options.quantize {
        _ if !is_matrix => match (options.container, own) {
            // llama.cpp computes with norms of F32 alone.
            (Container::Gguf, Encoding::Number(RawDType::BF16 | RawDType::F16)) => {
                Encoding::Number(RawDType::F32)
            }
            _ => own,
        },
        Some(wanted) if entry.is_projection() => wanted,
        Some(wanted) if !wanted.is_ternary() && is_table(entry) => wanted,
        _ if own.is_ternary() || entry.masters => {
            options.ternary.unwrap_or_else(|| default_ternary(config, entry, options.container))
        }
        _ => match (options.float, own, options.container) {
            (Some(float), Encoding::Number(RawDType::F32 | RawDType::F16 | RawDType::BF16), _) => {
                Encoding::Number(float)
            }
            (float, Encoding::Block(_), Container::HuggingFace) => {
                Encoding::Number(float.unwrap_or(RawDType::F16))
            }
            _ => own,
        },
    };
    (encoding, None)
}

/// Whether it is the embedding or the output head.
fn is_table(entry: &TensorEntry) -> bool {
    matches!(entry.name.as_str(), "model.embed_tokens.weight" | "lm_head.weight")
}

/// bitnet.cpp runs its models as I2_S, llama.cpp others as TQ2_0.
fn default_ternary(config: &ModelConfig, entry: &TensorEntry, container: Container) -> Encoding {
    let [rows, cols] = entry.rows_and_columns();
    let tq2_0 = Encoding::Block(BlockFormat::Tq2_0);
    match (container, config.architecture) {
        (Container::HuggingFace, _) => Encoding::HuggingFace,
        (Container::Gguf, Architecture::BitNet) => Encoding::I2S,
        (Container::Gguf, _) if tq2_0.byte_len(rows, cols).is_ok() => tq2_0,
        (Container::Gguf, _) => Encoding::I2S,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_globs() {
        for (pattern, name, matches) in [
            ("*", "x", true),
            ("", "", true),
            ("", "x", false),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
            ("**x", "x", true),
            ("token_embd", "model.embed_tokens.weight", true),
            ("blk.1.*", "model.layers.1.mlp.up_proj.weight", true),
            ("blk.1.*", "model.layers.11.mlp.up_proj.weight", false),
            ("*.v_proj.weight", "model.layers.11.self_attn.v_proj.weight", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), matches, "{pattern} {name}");
        }
    }
}
