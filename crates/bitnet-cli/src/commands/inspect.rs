//! `bitnet inspect`: what a model is, from its files' headers alone: no weight is loaded.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use bitnet::HeadPrecision;
use bitnet::llm::config::{
    Activation, Architecture, ModelConfig, QuantizationMode, ScaleConvention, WeightFormat,
};
use bitnet::llm::model::tensor_names::hugging_face_name;
use bitnet::llm::model::{DEFAULT_CONTEXT, StoredType, TensorInfo};
use clap::Args;
use serde::Serialize;

use crate::{loading, output};

/// Show what a model is
///
/// Its architecture, size, bits per weight, the memory it needs, and its tensors. Nothing is
/// loaded, so this is quick for a model of any size, and works for one that cannot be run.
#[derive(Args)]
#[command(after_help = "\
Examples:
  bitnet inspect
  bitnet inspect path/to/model --json")]
pub(crate) struct Arguments {
    /// The model: a directory as on Hugging Face, or a GGUF file [default: the model inside of the
    /// program]
    model: Option<PathBuf>,

    /// The context that memory is counted for, in tokens [default: the model's own limit, up to
    /// 8192]
    #[arg(long, value_name = "N")]
    context: Option<usize>,

    /// Write one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    model: String,
    /// Absent when `config.json` asks for what this program cannot do; `unsupported` says what.
    #[serde(flatten)]
    description: Option<Description>,
    unsupported: Option<String>,
    file_bytes: u64,
    tensors: Vec<TensorReport<'a>>,
}

#[derive(Serialize)]
struct TensorReport<'a> {
    name: &'a str,
    dtype: &'static str,
    shape: &'a [usize],
    bytes: usize,
}

#[derive(Serialize)]
struct Description {
    architecture: &'static str,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    hidden_act: &'static str,
    vocab_size: usize,
    max_position_embeddings: usize,
    tie_word_embeddings: bool,
    weight_format: &'static str,
    parameters: u64,
    ternary_parameters: u64,
    /// Of the file, over all parameters.
    bits_per_parameter: f64,
    /// Of the file's ternary weights; absent where it has none.
    bits_per_ternary_weight: Option<f64>,
    /// The context that the memory is for.
    context: usize,
    memory: Memory,
}

/// Bytes that the model needs when it runs, without activations.
#[derive(Serialize)]
struct Memory {
    /// Ternary weights with their scales: two bits each, whatever the file has.
    ternary_weight_bytes: u64,
    /// Weights that are used where the file has them.
    mapped_weight_bytes: u64,
    /// The output head in 8 bits, the default; an exact one adds nothing.
    int8_output_head_bytes: u64,
    key_value_cache_bytes: u64,
    total_bytes: u64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (files, name) = loading::files(arguments.model.as_deref())?;
    let tensors: Vec<_> = files.weights().tensors().collect();
    let (description, unsupported) = match files.config() {
        Ok(config) => (Some(describe(&config, &tensors, arguments.context)), None),
        Err(error) => (None, Some(output::one_line(&error.to_string()))),
    };
    let report = Report {
        model: name,
        description,
        unsupported,
        file_bytes: tensors.iter().map(|tensor| tensor.bytes as u64).sum(),
        tensors: tensors
            .iter()
            .map(|tensor| TensorReport {
                name: tensor.name,
                dtype: tensor.dtype.name(),
                shape: tensor.shape,
                bytes: tensor.bytes,
            })
            .collect(),
    };
    if arguments.json {
        output::write_json(&report)?
    } else {
        output::write(&report.text())?
    }
    Ok(ExitCode::SUCCESS)
}

fn describe(
    config: &ModelConfig,
    tensors: &[TensorInfo<'_>],
    context: Option<usize>,
) -> Description {
    let is_ternary = |tensor: &TensorInfo<'_>| {
        let name = hugging_face_name(tensor.name).unwrap_or_else(|| tensor.name.to_owned());
        let projection = name.strip_suffix(".weight").filter(|name| name.ends_with("_proj"));
        let by_type = config.weight_format == WeightFormat::ByTensor
            && matches!(tensor.dtype, StoredType::Blocks(ty) if ty.is_ternary());
        projection.is_some_and(|name| config.ternary(name).is_some() || by_type)
    };
    let (mut parameters, mut ternary_parameters, mut rows) = (0u64, 0u64, 0u64);
    let (mut total_bytes, mut ternary_bytes) = (0u64, 0u64);
    for tensor in tensors {
        let bytes = tensor.bytes as u64;
        total_bytes += bytes;
        if tensor.name.ends_with(".weight_scale") {
            ternary_bytes += bytes;
            continue;
        }
        let elements = tensor.elements() as u64;
        if is_ternary(tensor) {
            // A packed byte holds four weights, of four rows.
            let packed = if tensor.dtype.name() == "U8" { 4 } else { 1 };
            ternary_parameters += elements * packed;
            parameters += elements * packed;
            rows += tensor.shape.first().map_or(0, |&rows| rows as u64) * packed;
            ternary_bytes += bytes;
        } else {
            parameters += elements;
        }
    }

    let context = context.unwrap_or_else(|| config.max_position_embeddings.min(DEFAULT_CONTEXT));
    let wide = |size: usize| size as u64;
    let key_value_cache_bytes =
        [config.num_hidden_layers, config.num_key_value_heads, config.head_dim, context]
            .into_iter()
            .fold(2 * size_of::<f32>() as u64, |bytes, size| bytes.saturating_mul(wide(size)));
    let (vocab_size, hidden_size) = (wide(config.vocab_size), wide(config.hidden_size));
    let int8_output_head_bytes = match HeadPrecision::default() {
        HeadPrecision::Int8 => vocab_size * (hidden_size + size_of::<f32>() as u64),
        HeadPrecision::Exact => 0,
    };
    let ternary_weight_bytes = ternary_parameters.div_ceil(4) + rows * size_of::<f32>() as u64;
    let mapped_weight_bytes = total_bytes - ternary_bytes;
    let per = |bytes: u64, count: u64| (count > 0).then(|| bytes as f64 * 8.0 / count as f64);
    Description {
        architecture: match config.architecture {
            Architecture::BitNet => "bitnet",
            Architecture::Llama => "llama",
            Architecture::Qwen3 => "qwen3",
            _ => "other",
        },
        hidden_size: config.hidden_size,
        intermediate_size: config.intermediate_size,
        num_hidden_layers: config.num_hidden_layers,
        num_attention_heads: config.num_attention_heads,
        num_key_value_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
        hidden_act: match config.hidden_act {
            Activation::Relu2 => "relu2",
            Activation::Silu => "silu",
            _ => "other",
        },
        vocab_size: config.vocab_size,
        max_position_embeddings: config.max_position_embeddings,
        tie_word_embeddings: config.tie_word_embeddings,
        weight_format: match config.weight_format {
            WeightFormat::Dense => "dense",
            WeightFormat::ByTensor => "as each tensor's type says",
            WeightFormat::Ternary { mode: QuantizationMode::Online, .. } => {
                "float masters, ternary when loaded"
            }
            WeightFormat::Ternary { scale: ScaleConvention::Multiply, .. } => {
                "packed ternary, scales multiply"
            }
            WeightFormat::Ternary { scale: ScaleConvention::Divide, .. } => {
                "packed ternary, scales divide"
            }
        },
        parameters,
        ternary_parameters,
        bits_per_parameter: per(total_bytes, parameters).unwrap_or(0.0),
        bits_per_ternary_weight: per(ternary_bytes, ternary_parameters),
        context,
        memory: Memory {
            ternary_weight_bytes,
            mapped_weight_bytes,
            int8_output_head_bytes,
            key_value_cache_bytes,
            total_bytes: [mapped_weight_bytes, int8_output_head_bytes, key_value_cache_bytes]
                .into_iter()
                .fold(ternary_weight_bytes, u64::saturating_add),
        },
    }
}

impl Report<'_> {
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.model);
        let mut line = |key: &str, value: String| {
            let _ = writeln!(text, "  {key:<13} {value}");
        };
        if let Some(d) = &self.description {
            line(
                "architecture",
                format!(
                    "{}: {} layers, hidden {}, feed-forward {} ({}), {} heads and {} key-value heads of {}",
                    d.architecture,
                    d.num_hidden_layers,
                    d.hidden_size,
                    d.intermediate_size,
                    d.hidden_act,
                    d.num_attention_heads,
                    d.num_key_value_heads,
                    d.head_dim,
                ),
            );
            let head = if d.tie_word_embeddings {
                "the output head is the embedding"
            } else {
                "separate output head"
            };
            line("vocabulary", format!("{} tokens; {head}", d.vocab_size));
            line("context", format!("{} tokens", d.max_position_embeddings));
            line(
                "parameters",
                format!(
                    "{}, of which {} ternary",
                    millions(d.parameters),
                    millions(d.ternary_parameters)
                ),
            );
            line("weights", d.weight_format.to_owned());
            let ternary =
                d.bits_per_ternary_weight.map(|bits| format!("; {bits:.3} per ternary weight"));
            line(
                "bits",
                format!("{:.3} per parameter{}", d.bits_per_parameter, ternary.unwrap_or_default()),
            );
            let memory = &d.memory;
            line(
                "memory",
                format!(
                    "{}: {} ternary weights, {} others, {} int8 output head, {} keys and values of {} tokens",
                    output::bytes(memory.total_bytes),
                    output::bytes(memory.ternary_weight_bytes),
                    output::bytes(memory.mapped_weight_bytes),
                    output::bytes(memory.int8_output_head_bytes),
                    output::bytes(memory.key_value_cache_bytes),
                    d.context,
                ),
            );
        }
        if let Some(reason) = &self.unsupported {
            line("unsupported", reason.clone());
        }
        line("tensors", format!("{} in {}", self.tensors.len(), output::bytes(self.file_bytes)));
        text.push('\n');

        let names: Vec<_> =
            self.tensors.iter().map(|tensor| output::one_line(tensor.name)).collect();
        let name_width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (tensor, name) in self.tensors.iter().zip(&names) {
            let shape = format!("{:?}", tensor.shape);
            let _ = writeln!(
                text,
                "{name:<name_width$}  {:<5} {shape:<16} {:>12}",
                tensor.dtype, tensor.bytes
            );
        }
        text
    }
}

fn millions(count: u64) -> String {
    if count >= 1_000_000_000 {
        format!("{:.2} billion", count as f64 / 1e9)
    } else {
        format!("{:.1} million", count as f64 / 1e6)
    }
}
